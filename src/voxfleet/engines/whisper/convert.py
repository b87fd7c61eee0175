"""How a Whisper folder in the Hugging Face layout becomes one that CTranslate2 loads: once, and kept for the next start.

Neither torch nor transformers is needed: tensors are read from the mapped safetensors files, one at a time. A conversion
is kept beside its source (or, where that can't be written to, in the user's cache folder) under the name of its precision.
It is made again when a file of the source has another size or time, and put in place whole: a process that dies while it
converts leaves nothing that looks like a model.
"""

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.whisper import saved
from voxfleet.engines.whisper.layout import Layout
from voxfleet.errors import SettingsError

STAMP = "voxfleet-source.json"
FOLDER = ".ctranslate2"
"""Where conversions lie in the folder of their source."""
VERSION = 1
"""Raised whenever this file writes something else: older conversions are then made again."""
SAVED_AS = {"bfloat16": "float32", "int8_bfloat16": "int8"}
"""What can't be saved without torch is saved wider; CTranslate2 narrows it as it loads."""
COPIED = ("tokenizer.json", "preprocessor_config.json")

_TYPES: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_LARGEST_HEADER = 100_000_000

Array = NDArray[Any]


def converted(folder: Path, compute_type: str, cache: Path | None = None) -> Path:
    """The folder of this model as CTranslate2 loads it, made now if it is not there yet.

    `compute_type` is CTranslate2's ('int8', 'float16', 'float32' ...); `cache` where conversions of this model are kept.
    Raises SettingsError naming the file at fault.
    """
    quantisation = SAVED_AS.get(compute_type, compute_type)
    stamp = _stamp(folder)
    places = [cache] if cache is not None else [folder / FOLDER, _own_cache(folder)]
    for place in places:
        if _read(place / quantisation / STAMP) == stamp and (place / quantisation / "model.bin").is_file():
            return place / quantisation
    why = ""
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=f"{quantisation}-", dir=place))
        except OSError as error:
            why = f"{place}: {error.strerror}"
            continue
        try:
            convert(folder, made, quantisation)
            (made / STAMP).write_bytes(stamp)
            made.chmod(0o755)
            return _put(made, place / quantisation, stamp)
        except OSError as error:
            raise SettingsError(f"{folder} can't be converted for CTranslate2: {error}") from None
        finally:
            shutil.rmtree(made, ignore_errors=True)
    raise SettingsError(f"{folder} can't be converted for CTranslate2: no folder to keep the result in ({why})")


def convert(folder: Path, target: Path, quantisation: str) -> None:
    """Write the model of `folder` into the empty folder `target`. Raises SettingsError naming the file at fault."""
    from ctranslate2.specs import WhisperSpec

    layout = Layout.read(folder)
    shape = layout.shape
    weights = Weights(folder)
    spec = WhisperSpec(shape.encoder_layers, shape.encoder_heads, shape.decoder_layers, shape.decoder_heads)
    _encoder(spec.encoder, weights)
    _decoder(spec.decoder, weights)
    spec.register_vocabulary(_vocabulary(layout))
    _describe(spec.config, layout)
    try:
        spec.validate()
    except ValueError as error:
        raise SettingsError(f"{folder}: weights and tokenizer don't fit together: {error}") from None
    spec.optimize(quantization=quantisation)
    spec.save(str(target))
    for name in COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)


class Weights:
    """The tensors of a folder by the names Hugging Face gives them, without the leading 'model.'; read as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where: dict[str, tuple[Path, int, _Tensor]] = {}
        for path in _files(folder):
            for name, (base, tensor) in _header(path).items():
                self._where[name.removeprefix("model.")] = (path, base, tensor)

    def __getitem__(self, name: str) -> Array:
        """One tensor; bfloat16, which numpy lacks, as float32. Raises SettingsError where it is missing."""
        if name not in self._where:
            raise SettingsError(f"{self._folder}: the weights lack {name}, which config.json calls for")
        path, base, tensor = self._where[name]
        kind = _TYPES.get(tensor.dtype)
        if kind is None:
            raise SettingsError(f"{path}: {name} is {tensor.dtype}; weights must be float32, float16 or bfloat16")
        shape: tuple[int, ...] = tuple(tensor.shape) or (1,)
        at = base + tensor.data_offsets[0]
        values = np.memmap(path, kind, "r", at, shape)
        if tensor.dtype == "BF16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return np.array(values)

    def __contains__(self, name: str) -> bool:
        return name in self._where


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def _files(folder: Path) -> list[Path]:
    """The weight files; refuses pickled ones, whose loading runs what they say."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if not index.is_file():
        raise SettingsError(
            f"{folder} has no weights this engine can read: neither model.safetensors (Hugging Face) nor model.bin "
            "with config.json and tokenizer.json (CTranslate2)"
        )
    try:
        names = sorted(set(msgspec.json.decode(index.read_bytes(), type=_Index).weight_map.values()))
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{index} is broken: {error}") from None
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise SettingsError(f"{index} names {missing[0]}, which the folder lacks: the download is incomplete")
    return [folder / name for name in names]


def _header(path: Path) -> dict[str, tuple[int, _Tensor]]:
    """What a safetensors file holds: by name, where its data begins in the file and what it is."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            raw = msgspec.json.decode(file.read(min(size, _LARGEST_HEADER)), type=dict[str, msgspec.Raw])
        found = {
            name: (8 + size, msgspec.json.decode(each, type=_Tensor))
            for name, each in raw.items()
            if name != "__metadata__"
        }
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{path} is no safetensors file: {error}") from None
    end = max((base + tensor.data_offsets[1] for base, tensor in found.values()), default=0)
    if path.stat().st_size < end:
        raise SettingsError(f"{path} has {path.stat().st_size:,} bytes where its header says {end:,}: it is cut off")
    return found


def _encoder(spec: Any, weights: Weights) -> None:
    for name, convolution in (("conv1", spec.conv1), ("conv2", spec.conv2)):
        convolution.weight = weights[f"encoder.{name}.weight"]
        convolution.bias = weights[f"encoder.{name}.bias"]
    spec.position_encodings.encodings = weights["encoder.embed_positions.weight"]
    _norm(spec.layer_norm, weights, "encoder.layer_norm")
    for index, layer in enumerate(spec.layer):
        _layer(layer, weights, f"encoder.layers.{index}")


def _decoder(spec: Any, weights: Weights) -> None:
    spec.embeddings.weight = weights["decoder.embed_tokens.weight"]
    tied = "proj_out.weight" not in weights
    spec.projection.weight = spec.embeddings.weight if tied else weights["proj_out.weight"]
    spec.position_encodings.encodings = weights["decoder.embed_positions.weight"]
    _norm(spec.layer_norm, weights, "decoder.layer_norm")
    for index, layer in enumerate(spec.layer):
        name = f"decoder.layers.{index}"
        _layer(layer, weights, name)
        _attention(layer.attention, weights, f"{name}.encoder_attn", (("q_proj",), ("k_proj", "v_proj")))


def _layer(spec: Any, weights: Weights, name: str) -> None:
    """What layers of encoder and decoder share."""
    _attention(spec.self_attention, weights, f"{name}.self_attn", (("q_proj", "k_proj", "v_proj"),))
    _linear(spec.ffn.linear_0, weights, f"{name}.fc1")
    _linear(spec.ffn.linear_1, weights, f"{name}.fc2")
    _norm(spec.ffn.layer_norm, weights, f"{name}.final_layer_norm")


def _attention(spec: Any, weights: Weights, name: str, joined: tuple[tuple[str, ...], ...]) -> None:
    """CTranslate2 multiplies with several projections at once: their matrices are stacked."""
    for linear, parts in zip(spec.linear, joined, strict=False):
        _linear(linear, weights, *(f"{name}.{part}" for part in parts))
    _linear(spec.linear[-1], weights, f"{name}.out_proj")
    _norm(spec.layer_norm, weights, f"{name}_layer_norm")


def _linear(spec: Any, weights: Weights, *names: str) -> None:
    """Whisper's keys have no bias; among stacked projections that is a bias of zero."""
    matrices = [weights[f"{name}.weight"] for name in names]
    spec.weight = matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
    if any(f"{name}.bias" in weights for name in names):
        biases = [
            weights[f"{name}.bias"] if f"{name}.bias" in weights else np.zeros(len(matrix), matrix.dtype)
            for name, matrix in zip(names, matrices, strict=True)
        ]
        spec.bias = np.concatenate(biases)


def _norm(spec: Any, weights: Weights, name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _describe(config: Any, layout: Layout) -> None:
    """config.json: what CTranslate2 suppresses, and where it looks for languages and for times."""
    special, shape = layout.special, layout.shape
    heads = layout.heads("") or itertools.product(
        range(shape.decoder_layers // 2, shape.decoder_layers), range(shape.decoder_heads)
    )
    config.suppress_ids = list(special.suppressed)
    config.suppress_ids_begin = list(special.suppressed_first)
    config.lang_ids = sorted(special.languages.values())
    config.alignment_heads = [list(head) for head in heads]


def _vocabulary(layout: Layout) -> list[str]:
    """The spelling of every token. CTranslate2 finds four special tokens by theirs; ids without one are timestamps."""
    special, file = layout.special, saved.tokenizer(layout.folder)
    spelled = {token: text for text, token in file.model.vocab.items()}
    spelled |= {added.id: added.content for added in file.added_tokens}
    names = {
        special.end: "<|endoftext|>",
        special.start: "<|startoftranscript|>",
        special.no_timestamps: "<|notimestamps|>",
        special.no_speech: "<|nospeech|>",
    }
    taken = set(names.values()) | {"<|nocaptions|>"}
    spelled = {token: text for token, text in spelled.items() if text not in taken} | names
    if special.languages and "" not in spelled.values():
        spelled[special.previous - 1] = ""  # CTranslate2 knows a multilingual vocabulary by its piece without letters
    first = special.timestamps
    for token in range(layout.shape.vocabulary):
        stamp = f"<|{(token - first) * 0.02:.2f}|>" if token >= first else f"<|unused{token}|>"
        spelled.setdefault(token, stamp)
    return [spelled[token] for token in range(layout.shape.vocabulary)]


def _stamp(folder: Path) -> bytes:
    """What a conversion was made of: name, size and time of every file that goes into it."""
    patterns = ("*.json", "*.safetensors")
    files = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return msgspec.json.encode({"version": VERSION, "files": facts})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _own_cache(folder: Path) -> Path:
    """Where conversions of this model are kept when its own folder can't be written to."""
    root = os.environ.get("XDG_CACHE_HOME")
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return (Path(root) if root else Path.home() / ".cache") / "voxfleet" / "ctranslate2" / f"{folder.name}-{place}"


def _put(made: Path, target: Path, stamp: bytes) -> Path:
    """Put a finished conversion in its place; where another process was faster with the same, take its."""
    if target.exists() and _read(target / STAMP) != stamp:
        old = Path(tempfile.mkdtemp(prefix="old-", dir=target.parent))
        target.rename(old / target.name)
        shutil.rmtree(old, ignore_errors=True)
    try:
        made.rename(target)
    except OSError:
        if _read(target / STAMP) != stamp:
            raise
    return target
