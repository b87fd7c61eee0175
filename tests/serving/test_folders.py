"""What a folder holds is told by its files: the model it is, or what is known and what is missing."""

import json
from pathlib import Path

import pytest

from voxfleet.errors import SettingsError
from voxfleet.serving import catalog
from voxfleet.serving.entry import Form
from voxfleet.serving.folders import form_of
from voxfleet.settings import WorkerSettings

needs_both = pytest.mark.skipif(
    any(runtime.missing for runtime in catalog.entry_of("whisper-tiny").runtimes),
    reason="torch, ctranslate2, safetensors or tokenizers are missing",
)


def folder(path: Path, config: str | None, *others: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (path / "config.json").write_text(config)
    for name in others:
        (path / name).write_bytes(b"{}")
    return path


@pytest.mark.parametrize(
    ("config", "others", "form"),
    [
        ('{"model_type": "whisper"}', (), Form.WHISPER),
        ('{"model_type": "whisper"}', ("model.bin", "tokenizer.json"), Form.WHISPER),
        ('{"lang_ids": [1]}', ("model.bin", "tokenizer.json"), Form.CTRANSLATE2),
        ('{"model_type": "nemotron_asr_streaming"}', (), Form.TRANSDUCER),
        ('{"model_type": "nemotron3_5_asr"}', ("model.bin", "tokenizer.json"), Form.TRANSDUCER),
    ],
)
def test_a_folder_is_told_by_its_files(tmp_path: Path, config: str, others: tuple[str, ...], form: Form) -> None:
    assert form_of(folder(tmp_path / "m", config, *others)) is form
    assert catalog.entry_of(str(tmp_path / "m")).form is form


@pytest.mark.parametrize(
    ("config", "others", "sentence"),
    [
        (None, ("model.bin",), r"config\.json is missing: .* is no model folder; known are the model_types"),
        ("{", (), r"config\.json is broken"),
        ("[]", (), r"config\.json is broken"),
        ('{"model_type": 7}', (), r"config\.json is broken"),
        (
            '{"model_type": "wav2vec2"}',
            (),
            r"model_type 'wav2vec2' is no model this version serves; known are .* whisper",
        ),
        ("{}", ("tokenizer.json",), r"has no model_type: what the folder holds is unknown; known are"),
        ("{}", ("model.bin",), r"has no model_type, and beside model\.bin no tokenizer\.json"),
    ],
)
def test_what_is_no_model_is_named_with_what_is_known(
    tmp_path: Path, config: str | None, others: tuple[str, ...], sentence: str
) -> None:
    odd = folder(tmp_path / "odd", config, *others)
    with pytest.raises(SettingsError, match=sentence):
        form_of(odd)
    with pytest.raises(SettingsError, match=sentence):
        catalog.check(WorkerSettings(model=str(odd)))
    assert catalog.entry_of(str(odd)).form is None


def test_a_folder_that_is_not_there_is_said_whatever_it_is_called(tmp_path: Path) -> None:
    for model in (f"{tmp_path}/nowhere", f"whisper:{tmp_path}/nowhere"):
        with pytest.raises(SettingsError, match=r"there is no model folder .*nowhere"):
            catalog.check(WorkerSettings(model=model))


@needs_both
def test_a_prefix_decides_what_a_folder_is_taken_for(tmp_path: Path) -> None:
    whisper = folder(tmp_path / "w", '{"model_type": "whisper"}')
    converted = folder(tmp_path / "c", "{}", "model.bin", "tokenizer.json")
    transducer = folder(tmp_path / "t", '{"model_type": "nemotron_asr_streaming"}')
    assert catalog.entry_of(f"whisper:{whisper}").form is Form.WHISPER
    assert catalog.entry_of(f"whisper:{converted}").form is Form.CTRANSLATE2
    assert catalog.entry_of(f"transducer:{whisper}").form is Form.TRANSDUCER
    assert catalog.entry_of(f"whisper:{transducer}").form is Form.WHISPER
    (transducer / "model.safetensors").write_bytes(EMPTY)
    with pytest.raises(SettingsError, match="nemotron_asr_streaming"):
        catalog.check(WorkerSettings(model=f"whisper:{transducer}"))


EMPTY = len(b"{}").to_bytes(8, "little") + b"{}"
"""A safetensors file without tensors."""


@needs_both
def test_a_whisper_of_the_reference_is_found_whole_and_its_faults_are_named(tmp_path: Path) -> None:
    from tests.engines.whisper.folders import whisper_folder

    mine = whisper_folder(tmp_path / "mine")
    for model in (str(mine), f"whisper:{mine}"):
        catalog.check(WorkerSettings(model=model, device="cpu"))
        assert catalog.entry_of(model).name == "mine"
    (mine / "tokenizer.json").rename(mine / "elsewhere.json")
    with pytest.raises(SettingsError, match=r"tokenizer\.json"):
        catalog.check(WorkerSettings(model=str(mine), device="cpu"))
    (mine / "elsewhere.json").rename(mine / "tokenizer.json")
    with (mine / "model.safetensors").open("r+b") as file:
        file.truncate(1_000)
    with pytest.raises(SettingsError, match=r"model\.safetensors"):
        catalog.check(WorkerSettings(model=str(mine), device="cpu"))


@needs_both
def test_converted_folders_are_whole_when_their_three_files_hold_something(tmp_path: Path) -> None:
    converted = folder(tmp_path / "c", json.dumps({"lang_ids": [1]}), "model.bin", "tokenizer.json")
    catalog.check(WorkerSettings(model=str(converted)))
    (converted / "model.bin").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"model\.bin is empty"):
        catalog.check(WorkerSettings(model=str(converted)))
    with pytest.raises(SettingsError, match="'pytorch' needs the model in safetensors"):
        catalog.check(WorkerSettings(model=str(converted), options={"backend": "pytorch"}))
