"""What a folder for CTranslate2 holds, and how it is loaded: as it was published, or made of a Hugging Face folder."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

import voxfleet.engines.network  # noqa: F401  what it sets must be set before a library brings its threads
from voxfleet.engines.network.saved import decode
from voxfleet.engines.whisper import saved
from voxfleet.engines.whisper.convert import converted
from voxfleet.engines.whisper.languages import WHISPER, codes
from voxfleet.engines.whisper.layout import Layout, Special
from voxfleet.engines.whisper.tokens import Vocabulary
from voxfleet.errors import SettingsError

if TYPE_CHECKING:
    from ctranslate2.models import Whisper

INSTALL = "pip install 'voxfleet[whisper-cpu]'"
STAMPS = 1501
"""Time stamps behind <|notimestamps|>, 20 ms apart."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can be used, and what is known of it."""

    name: str
    model: "Whisper"
    special: Special
    vocabulary: Vocabulary
    hidden: int
    """Numbers per encoder position: the size of the network."""
    timed: bool
    """Whether it is known which heads' attention follows the sound."""
    finds_language: bool
    source: int = 1500
    """Encoder positions of a whole window, 20 ms each."""
    target: int = 448
    """Decoder positions: prompt, prefix and transcript together."""


def load(folder: Path, device: str, compute_type: str, workers: int, cache: Path | None = None) -> Loaded:
    """Load either layout. `device`: cpu, cuda or cuda:N. `workers`: calls that run side by side, a thread each.

    Raises SettingsError naming the file at fault, or the package that is missing.
    """
    try:
        import ctranslate2
        import tokenizers  # noqa: F401 - words need it
    except ModuleNotFoundError as error:
        raise SettingsError(f"Whisper on a CPU needs the package {error.name}: {INSTALL}") from None
    if not folder.is_dir():
        raise SettingsError(f"there is no model folder {folder}")
    kind, _, index = device.partition(":")
    try:
        known = ctranslate2.get_supported_compute_types(kind, int(index or 0))
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"CTranslate2 can't use the device '{device}': {error}") from None
    if compute_type not in known:
        raise SettingsError(f"CTranslate2 can't compute in '{compute_type}' on {device}: {', '.join(sorted(known))}")
    if (folder / "model.bin").is_file():
        return _published(folder, device, compute_type, workers)
    layout = Layout.read(folder)
    model = _model(converted(folder, compute_type, cache), device, compute_type, workers, {})
    special, shape = layout.special, layout.shape
    return Loaded(
        layout.name, model, special, layout.vocabulary(), shape.hidden, bool(layout.heads("")),
        bool(special.languages) and model.is_multilingual, shape.source, shape.target,
    )  # fmt: skip


class _Config(msgspec.Struct):
    """config.json as CTranslate2 spells it."""

    suppress_ids: list[int] | None = None
    suppress_ids_begin: list[int] | None = None
    alignment_heads: list[tuple[int, int]] | None = None
    lang_ids: list[int] | None = None


def _published(folder: Path, device: str, compute_type: str, workers: int) -> Loaded:
    """The layout of the published faster-whisper folders: model.bin, config.json, tokenizer.json, a vocabulary."""
    path = folder / "config.json"
    config = decode(path, _Config) if path.is_file() else _Config()
    file = saved.tokenizer(folder)
    named = {text: token for text, token in file.model.vocab.items() if text.startswith("<|")}
    named |= {added.content: added.id for added in file.added_tokens}
    languages = {name: named[name] for name in map("<|{}|>".format, WHISPER) if name in named}
    ids = sorted(languages.values())
    changed: dict[str, Any] = {}
    if not config.lang_ids and ids:  # converted with a newer transformers than CTranslate2 knew: it finds no language
        values = decode(path, dict[str, Any]) if path.is_file() else {}
        changed["config.json"] = msgspec.json.encode(values | {"lang_ids": ids})
    model = _model(folder, device, compute_type, workers, changed)
    special = _special(folder, named, languages if model.is_multilingual else {}, config)
    silent = [*named.values(), special.no_timestamps]
    size = special.no_timestamps + 1 + STAMPS
    vocabulary = Vocabulary.read(folder / "tokenizer.json", size, (token for token in silent if token >= special.end))
    timed = bool(config.alignment_heads)
    hidden = _hidden(model)
    return Loaded(folder.resolve().name, model, special, vocabulary, hidden, timed, model.is_multilingual)


def _special(folder: Path, named: dict[str, int], languages: dict[str, int], config: _Config) -> Special:
    def token(*names: str) -> int:
        for name in names:
            if name in named:
                return named[name]
        raise SettingsError(f"{folder / 'tokenizer.json'} has no token {names[0]}: it is no Whisper's")

    last = token("<|notimestamps|>")
    return Special(
        start=token("<|startoftranscript|>"),
        end=token("<|endoftext|>"),
        transcribe=token("<|transcribe|>"),
        translate=token("<|translate|>"),
        previous=token("<|startofprev|>"),
        no_speech=token("<|nospeech|>", "<|nocaptions|>"),
        no_timestamps=last,
        timestamps=last + 1,
        languages=MappingProxyType(dict(codes(languages))),
        suppressed=tuple(config.suppress_ids or ()),
        suppressed_first=tuple(config.suppress_ids_begin or ()),
    )


def _model(folder: Path, device: str, compute_type: str, workers: int, changed: dict[str, Any]) -> "Whisper":
    """`changed`: contents of files that are not to be read from the folder."""
    from ctranslate2.models import Whisper

    kind, _, index = device.partition(":")
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} | changed if changed else None
    try:
        return Whisper(
            str(folder), kind, device_index=int(index or 0), compute_type=compute_type, inter_threads=workers,
            intra_threads=1, files=files,
        )  # fmt: skip
    except (RuntimeError, ValueError, OSError) as error:
        raise SettingsError(f"CTranslate2 can't load {folder} as {compute_type} on {device}: {error}") from None


def _hidden(model: "Whisper") -> int:
    """CTranslate2 does not say: what comes out of the encoder does."""
    from ctranslate2 import StorageView

    nothing = np.zeros((1, model.n_mels, 2), np.float32)
    return int(model.encode(StorageView.from_array(nothing)).shape[-1])
