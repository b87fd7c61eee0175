"""Which models can be served, from where, and what is said where one can't."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("safetensors")

from tests.serving.hub_server import WEIGHTS, tiny_model
from voxfleet.errors import SettingsError
from voxfleet.serving import catalog, snapshot
from voxfleet.serving.catalog import build, check, entry_of, models
from voxfleet.settings import WorkerSettings

needs_torch = pytest.mark.skipif(
    bool(entry_of("digits").missing), reason="torch, safetensors or tokenizers are missing"
)
MODEL = {name: content for name, content in tiny_model(1_000).items() if name.count("/") == 0}


def place(folder: Path, without: tuple[str, ...] = ()) -> Path:
    folder.mkdir(parents=True)
    for name in MODEL.keys() - set(without):
        (folder / name).write_bytes(MODEL[name])
    return folder


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder models are kept in, empty."""
    monkeypatch.setenv("VOXFLEET_MODELS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_names_are_distinct_and_each_entry_is_honest() -> None:
    names = [entry.name for entry in models()]
    whisper = ["tiny", "base", "small", "medium", "large-v3", "turbo"]
    assert names == [
        "embedded", "nemotron-3.5", "nemotron-speech", *(f"whisper-{name}" for name in whisper), "distil-large-v3.5", "digits"
    ]  # fmt: skip
    spelled = [name for entry in models() for name in (entry.name, *entry.spellings, entry.repository or entry.name)]
    assert all(catalog.canonical(name) in names for name in spelled)
    assert len(set(spelled) - set(names)) == len([name for name in spelled if name not in names]), (
        "no two share a spelling"
    )
    for entry in models():
        assert len(entry.note) > 80
        assert entry.summary
        assert entry.licence
        assert entry.languages
        assert catalog.note_of(entry.name) == entry.note
    assert catalog.note_of("python:a.b:C") == ""


def test_the_multilingual_model_hears_forty_locales() -> None:
    languages = set(entry_of("nemotron-3.5").languages)
    assert {"ro-RO", "ru-RU", "auto"} <= languages
    assert len(languages - {"auto"}) == 40


def test_models_are_kept_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOXFLEET_MODELS", str(tmp_path / "mine"))
    assert entry_of("nemotron-3.5").folder == tmp_path / "mine" / "nemotron-3.5"
    monkeypatch.delenv("VOXFLEET_MODELS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert snapshot.models_folder() == tmp_path / "cache" / "voxfleet" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert snapshot.models_folder() == tmp_path / ".cache" / "voxfleet" / "models"


def test_a_shipped_model_lies_in_the_package_or_beside_the_sources() -> None:
    folder = snapshot.shipped_folder("digits")
    assert folder.name == "digits"
    assert folder.parent.name == "models"
    assert folder.parents[1].name == "voxfleet" or (folder.parents[1] / "pyproject.toml").is_file()


def test_installed_means_packages_and_files(kept: Path) -> None:
    entry = entry_of("nemotron-3.5")
    assert not entry.downloaded
    assert not entry.installed
    assert entry.needs[-1] == "not downloaded: voxfleet models pull nemotron-3.5"
    place(kept / "nemotron-3.5")
    now = entry_of("nemotron-3.5")
    assert now.downloaded
    assert now.installed == (not now.missing)
    (kept / "nemotron-3.5" / WEIGHTS).unlink()
    assert not entry_of("nemotron-3.5").downloaded
    assert entry_of("embedded").downloaded


@needs_torch
def test_every_fault_of_a_model_is_one_sentence(kept: Path, tmp_path: Path) -> None:
    def refused(model: str, **more: object) -> str:
        with pytest.raises(SettingsError) as error:
            check(WorkerSettings(model=model, **more))  # type: ignore[arg-type]
        return str(error.value)

    assert "did you mean 'nemotron-3.5'" in refused("nemotron3.5")
    assert "is not downloaded (about 2.55 GB): voxfleet models pull nemotron-3.5" in refused("nemotron-3.5")
    assert "there is no model folder" in refused(str(tmp_path / "nowhere"))
    assert "tokenizer.json is missing" in refused(str(place(tmp_path / "a", without=("tokenizer.json",))))
    assert f"{WEIGHTS} is missing" in refused(f"transducer:{place(tmp_path / 'b', without=(WEIGHTS,))}")
    cut = place(tmp_path / "c")
    (cut / WEIGHTS).write_bytes(MODEL[WEIGHTS][:-7])
    assert "it is cut off" in refused(str(cut))
    (cut / WEIGHTS).write_bytes(b"\xff" * 100)
    assert "is no safetensors file" in refused(str(cut))
    other = place(tmp_path / "d")
    (other / "config.json").write_text('{"model_type": "whisper"}')
    assert "'whisper' is not a transducer" in refused(f"transducer:{other}")
    (other / "config.json").write_text('{"model_type": "wav2vec2"}')
    assert "model_type 'wav2vec2' is no model this version serves; known are" in refused(str(other))
    assert "'gpu:0' is no device" in refused(str(place(tmp_path / "e")), device="gpu:0")
    assert "has device 'cpu' and, among its options, 'cuda:0'" in refused(
        str(tmp_path / "e"), device="cpu", options={"device": "cuda:0"}
    )
    assert "runs on the CPU only, not on 'cuda:1'" in refused("embedded", device="cuda:1")
    check(WorkerSettings(model=str(tmp_path / "e"), device="cuda:7"))  # whether it is there, the engine finds out


@needs_torch
def test_weights_in_several_files_are_all_looked_for(tmp_path: Path) -> None:
    folder = place(tmp_path / "sharded", without=(WEIGHTS,))
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / shards[0]).write_bytes(MODEL[WEIGHTS])
    with pytest.raises(SettingsError, match=f"{shards[1]} is missing"):
        check(WorkerSettings(model=str(folder)))
    (folder / shards[1]).write_bytes(MODEL[WEIGHTS])
    check(WorkerSettings(model=str(folder)))
    index["weight_map"]["b"] = "../../etc/passwd"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SettingsError, match="outside of its folder"):
        check(WorkerSettings(model=str(folder)))


@needs_torch
def test_sizes_are_compared_with_the_record(kept: Path) -> None:
    folder = place(kept / "nemotron-speech")
    files = tuple(snapshot.FileRecord(name, len(content), "") for name, content in MODEL.items())
    snapshot.write(folder, snapshot.Snapshot("a/b", "1" * 40, files))
    check(WorkerSettings(model="nemotron-speech"))
    (folder / "config.json").write_bytes(MODEL["config.json"] + b" ")
    with pytest.raises(SettingsError, match=r"config.json has .* bytes, not the .* that were fetched"):
        check(WorkerSettings(model="nemotron-speech"))


def test_a_folder_in_the_way_of_a_name_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuned").mkdir()
    with pytest.raises(SettingsError, match=r"for the folder of that name say \./tuned"):
        entry_of("tuned")
    assert entry_of("./tuned").name == "tuned"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("nemotron-3.5", "nemotron-3.5"),
        ("./my models/call center/", "call-center"),
        ("transducer:/srv/models/ro_RO.v2", "ro_RO.v2"),
        ("python:tests.fakes.fake_engine:FakeEngine", "FakeEngine"),
        ("/", "model"),
    ],
)
def test_the_short_name_of_a_model(model: str, name: str) -> None:
    assert catalog.short_name(model) == name


def test_options_an_engine_does_not_take_are_named_and_its_own_errors_are_not_taken_for_that() -> None:
    fake = "python:tests.fakes.fake_engine:FakeEngine"
    with pytest.raises(SettingsError, match=r"options of engine .* unexpected keyword argument 'colour'"):
        build(WorkerSettings(model=fake, options={"colour": "red"}))
    with pytest.raises(TypeError, match="a bug"):
        build(WorkerSettings(model="python:tests.serving.test_catalog:Broken"))


class Broken:
    def __init__(self) -> None:
        raise TypeError("a bug of its own")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors can't be chosen here")
def test_places_are_advised_for_the_processors_this_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert catalog.advised_places() == 5
        assert catalog.part_of_machine(2, 0)[1]["processes"] == 1
    finally:
        os.sched_setaffinity(0, before)
    assert catalog.advised_places() == 5 * len(before)


def test_looking_at_the_catalogue_loads_no_engine() -> None:
    script = (
        "import sys\nfrom voxfleet.serving import catalog\n[entry.installed for entry in catalog.models()]\n"
        "print(sorted({'torch', 'huggingface_hub', 'tokenizers', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
