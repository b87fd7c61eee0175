"""A converted model computes what the reference does, needs no torch to be made, and is made once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.faster_whisper.conftest import sound
from tests.engines.whisper.folders import edited, needed
from voxfleet.engines.faster_whisper.folder import Loaded
from voxfleet.engines.whisper.convert import FOLDER, Weights, converted
from voxfleet.engines.whisper.layout import Layout
from voxfleet.engines.whisper.mel import log_mel
from voxfleet.errors import SettingsError


def _encoded(model: Any, mel: Any) -> Any:
    ctranslate2 = needed("ctranslate2")
    return np.array(model.encode(ctranslate2.StorageView.from_array(mel)))


def _generated(model: Any, mel: Any, prompt: tuple[int, ...], suppressed: tuple[int, ...]) -> list[int]:
    ctranslate2 = needed("ctranslate2")
    view = ctranslate2.StorageView.from_array(mel)
    found = model.generate(view, [list(prompt)], beam_size=1, max_length=80, suppress_tokens=list(suppressed))
    return list(found[0].sequences_ids[0])


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_encoder_and_tokens_are_those_of_transformers(folder: Path, tmp_path: Path, kind: str) -> None:
    torch, transformers = needed("torch"), needed("transformers")
    from ctranslate2.models import Whisper

    saved = _saved_as(folder, tmp_path / "saved", kind)
    reference = transformers.WhisperForConditionalGeneration.from_pretrained(saved, dtype=torch.float32)
    layout = Layout.read(saved)
    ours = Whisper(str(converted(saved, "float32")), "cpu", compute_type="float32")
    mel = log_mel(sound(4.0), layout.shape.mels, 3000)[None]
    with torch.inference_mode():
        expected = reference.model.encoder(torch.from_numpy(mel)).last_hidden_state.numpy()
    np.testing.assert_allclose(_encoded(ours, mel), expected, atol=2e-4)
    for seed in range(4):
        mel = log_mel(sound(3.0 + seed, seed), layout.shape.mels, 3000)[None]
        for language, translate in (("en", False), ("ro", True)):
            prompt = layout.special.prefix(language, translate)
            with torch.inference_mode():
                said = reference.generate(
                    input_features=torch.from_numpy(mel),
                    decoder_input_ids=torch.tensor([prompt]),
                    max_new_tokens=40,
                    do_sample=False,
                    num_beams=1,
                )
            wanted = [
                int(token) for token in said[0] if token < layout.special.end or token >= layout.special.timestamps
            ]
            found = _generated(ours, mel, prompt, layout.special.suppressed)
            assert found == wanted
            assert found


def _saved_as(folder: Path, target: Path, kind: str) -> Path:
    """The same model in another precision."""
    if kind == "float32":
        return folder
    torch = needed("torch")
    import safetensors.torch

    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(FOLDER))
    weights = safetensors.torch.load_file(target / "model.safetensors")
    cast = {name: tensor.to(getattr(torch, kind)) for name, tensor in weights.items()}
    safetensors.torch.save_file(cast, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("quantisation", ["float32", "int8", "float16"])
def test_weights_are_those_of_ctranslates_own_converter(folder: Path, tmp_path: Path, quantisation: str) -> None:
    needed("torch"), needed("transformers")
    from ctranslate2.converters import TransformersConverter

    theirs = Path(TransformersConverter(str(folder)).convert(str(tmp_path / "theirs"), quantization=quantisation))
    ours = converted(folder, quantisation)
    assert (ours / "model.bin").read_bytes() == (theirs / "model.bin").read_bytes()
    special = Layout.read(folder).special
    mine, others = (json.loads((each / "config.json").read_text()) for each in (ours, theirs))
    assert mine["lang_ids"] == sorted(special.languages.values())
    for key in ("alignment_heads", "suppress_ids", "suppress_ids_begin"):
        assert mine[key] == others[key]


def test_bfloat16_is_widened_exactly(folder: Path, tmp_path: Path) -> None:
    torch = needed("torch")
    import safetensors.torch

    values = torch.randn(7, 3).to(torch.bfloat16)
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"model.a": values, "b": values.to(torch.float16)}, path)
    weights = Weights(tmp_path)
    np.testing.assert_array_equal(weights["a"], values.float().numpy())
    assert weights["b"].dtype == np.float16
    assert "model.a" not in weights


def test_is_made_once_and_again_when_the_source_changes(folder: Path, tmp_path: Path) -> None:
    source = shutil.copytree(folder, tmp_path / "source", ignore=shutil.ignore_patterns(FOLDER))
    first = converted(source, "int8")
    assert first == source / FOLDER / "int8"
    made = (first / "model.bin").stat().st_ino
    assert converted(source, "int8") == first
    assert (first / "model.bin").stat().st_ino == made
    os.utime(source / "model.safetensors", ns=(1, 1))
    assert converted(source, "int8") == first
    assert (first / "model.bin").stat().st_ino != made
    assert [path.name for path in (source / FOLDER).iterdir()] == ["int8"]


def test_a_folder_that_cannot_be_written_to_is_kept_in_the_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(folder, tmp_path / "source", ignore=shutil.ignore_patterns(FOLDER))
    (source / FOLDER).write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = converted(source, "int8")
    assert made.is_relative_to(tmp_path / "cache" / "voxfleet")
    assert converted(source, "int8") == made
    assert (made / "model.bin").is_file()


def test_a_conversion_that_fails_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    source = edited(folder, tmp_path / "deeper", "config.json", encoder_layers=3)
    with pytest.raises(SettingsError, match=r"lack encoder\.layers\.2\."):
        converted(source, "int8", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_needs_no_torch_and_no_transformers(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from pathlib import Path\n"
        "from voxfleet.engines.faster_whisper.folder import load\n"
        f"print(load(Path({str(folder)!r}), 'cpu', 'int8', 1, Path({str(tmp_path)!r})).model.n_mels)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "80", done.stderr


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "model.safetensors").unlink(), "no weights this engine can read"),
        (lambda path: (path / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\x00" * 20), "no safetensors file"),
        (lambda path: os.truncate(path / "model.safetensors", 200_000), "it is cut off"),
    ],
)
def test_bad_folders_are_named(folder: Path, tmp_path: Path, damage: Any, said: str) -> None:
    source = shutil.copytree(folder, tmp_path / "source", ignore=shutil.ignore_patterns(FOLDER))
    damage(source)
    with pytest.raises(SettingsError, match=said):
        converted(source, "int8")


def test_the_loaded_model_finds_languages(loaded: Loaded) -> None:
    assert loaded.finds_language
    assert loaded.model.num_languages == len(loaded.special.languages)
