"""Models fetched from a hub that breaks off, refuses, lies and goes away."""

import errno
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")
pytest.importorskip("safetensors")

from tests.serving.hub_server import COMMIT, REPOSITORY, WEIGHTS, Hub, hub_of, tiny_model
from voxfleet.errors import SettingsError
from voxfleet.serving import hub as hub_module
from voxfleet.serving import snapshot
from voxfleet.serving.hub import Listing, pull
from voxfleet.serving.hub_errors import HubFailed

BLOCK = 10 * 2**20
"""What huggingface_hub hands on at a time; the rest of a broken transfer is lost."""
FETCHED = {"config.json", "processor_config.json", "tokenizer.json", WEIGHTS, "LICENSE"}
MODEL = tiny_model()


class Seen:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.here: list[int] = []
        self.total = 0
        self.started_with: int | None = None

    def planned(self, listing: Listing, here: int) -> None:
        self.total, self.started_with = listing.size, here

    def moved(self, name: str, here: int) -> None:
        self.here.append(here)

    def checking(self, name: str) -> None:
        assert name in FETCHED


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub_of(dict(MODEL)) as hub:
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "nemotron-3.5"


def fetch(hub: Hub, folder: Path, revision: str | None = None, **more: Any) -> tuple[snapshot.Snapshot, bool]:
    return pull(REPOSITORY, revision, folder, more.pop("watcher", Seen()), endpoint=hub.url, **more)


def test_only_what_is_safe_and_flat_is_fetched_and_recorded(hub: Hub, folder: Path) -> None:
    seen = Seen()
    told, fetched = fetch(hub, folder, watcher=seen)
    assert fetched
    assert {path.name for path in folder.iterdir()} == FETCHED | {snapshot.RECORD}
    assert all((folder / name).read_bytes() == MODEL[name] for name in FETCHED)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (told.repository, told.revision) == (REPOSITORY, COMMIT)
    assert {file.name: file.sha256 for file in told.files} == {
        name: hashlib.sha256(MODEL[name]).hexdigest() for name in FETCHED
    }
    assert snapshot.read(folder) == told == snapshot.check_hashes(folder)
    assert seen.here == sorted(seen.here)
    assert seen.here[-1] == seen.total == told.size


def test_what_is_there_is_not_fetched_again(hub: Hub, folder: Path) -> None:
    first, _ = fetch(hub, folder)
    hub.asked.clear()
    assert fetch(hub, folder) == (first, False)
    assert [path for path, _ in hub.asked] == [f"/api/models/{REPOSITORY}/revision/main"]
    hub.down = True
    assert fetch(hub, folder, COMMIT) == (first, False)  # a pinned revision asks nobody
    assert fetch(hub, folder, offline=True) == (first, False)


def test_a_newer_revision_takes_the_place_of_the_old_one(hub: Hub, folder: Path) -> None:
    fetch(hub, folder)
    hub.commit, hub.files["config.json"] = "5" * 40, MODEL["config.json"] + b"\n"
    told, fetched = fetch(hub, folder)
    assert (told.revision, fetched) == ("5" * 40, True)
    assert (folder / "config.json").read_bytes() == MODEL["config.json"] + b"\n"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_transfer_that_breaks_off_goes_on_by_itself(hub: Hub, folder: Path) -> None:
    hub.cuts = [BLOCK + 5_000]
    fetch(hub, folder)
    (whole, rest) = hub.ranges()
    assert whole == ""
    assert int(rest.removeprefix("bytes=").removesuffix("-")) >= BLOCK
    assert (folder / WEIGHTS).read_bytes() == MODEL[WEIGHTS]


def test_an_interrupted_download_goes_on_where_it_ended(hub: Hub, folder: Path) -> None:
    hub.cuts = [BLOCK + 5_000]

    class GoesDown(Seen):
        def moved(self, name: str, here: int) -> None:
            hub.down = name == WEIGHTS

    with pytest.raises(HubFailed, match=r"answered 503 .* what was fetched is kept"):
        fetch(hub, folder, watcher=GoesDown())
    assert not folder.exists()
    hub.down = False
    hub.asked.clear()
    seen = Seen()
    fetch(hub, folder, watcher=seen)
    assert [path for path, _ in hub.asked if path.startswith("/content/")] == [f"/content/{WEIGHTS}"]
    (asked,) = hub.ranges()
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    assert start >= BLOCK
    assert seen.started_with is not None
    assert seen.started_with >= start
    assert (folder / WEIGHTS).read_bytes() == MODEL[WEIGHTS]


def test_damage_is_found_and_not_kept(hub: Hub, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.{COMMIT[:12]}.part")
    part.mkdir(parents=True)
    (part / WEIGHTS).write_bytes(b"x" * BLOCK)  # resumed, but not what the hub has
    with pytest.raises(HubFailed, match=r"model.safetensors .* arrived damaged and was removed"):
        fetch(hub, folder)
    assert not folder.exists()
    assert (part / "config.json").exists()
    fetch(hub, folder)
    assert (folder / WEIGHTS).read_bytes() == MODEL[WEIGHTS]


def test_a_small_file_is_held_against_its_git_id(hub: Hub, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.{COMMIT[:12]}.part")
    part.mkdir(parents=True)
    (part / "config.json").write_bytes(b" " * len(MODEL["config.json"]))
    with pytest.raises(HubFailed, match=r"config.json .* arrived damaged"):
        fetch(hub, folder)


def test_gated(hub: Hub, folder: Path) -> None:
    hub.gated = True
    with pytest.raises(SettingsError, match=rf"accept its terms at {hub.url}/{REPOSITORY}, .* HF_TOKEN"):
        fetch(hub, folder)


def test_unknown_repository_and_revision(hub: Hub, folder: Path) -> None:
    hub.repository = "nvidia/another"
    with pytest.raises(SettingsError, match=rf"there is no model {hub.url}/{REPOSITORY}, or it is private"):
        fetch(hub, folder)
    hub.repository = REPOSITORY
    with pytest.raises(SettingsError, match="has no revision 'nightly'"):
        fetch(hub, folder, "nightly")
    with pytest.raises(SettingsError, match="write OWNER/NAME"):
        pull("a//b", None, folder, Seen(), endpoint=hub.url)


def test_a_repository_without_safetensors(hub: Hub, folder: Path) -> None:
    del hub.files[WEIGHTS]
    with pytest.raises(SettingsError, match=r"has no config.json with \*.safetensors"):
        fetch(hub, folder)


def test_no_network(folder: Path) -> None:
    with pytest.raises(HubFailed, match=r"can't reach http://127.0.0.1:1 .*run the command again"):
        pull(REPOSITORY, None, folder, Seen(), endpoint="http://127.0.0.1:1")


def test_offline_without_files(hub: Hub, folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"can't be fetched offline \(--offline or HF_HUB_OFFLINE\)"):
        fetch(hub, folder, offline=True)
    first, _ = fetch(hub, folder)
    with pytest.raises(SettingsError, match=f"holds revision {COMMIT}"):
        fetch(hub, folder, "6" * 40, offline=True)
    (folder / "config.json").unlink()
    with pytest.raises(SettingsError, match="can't be fetched offline"):
        fetch(hub, folder, offline=True)
    assert fetch(hub, folder) == (first, True)  # what was damaged is made whole


def test_a_disk_that_is_too_small_is_found_before_anything_is_fetched(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=0, used=0, free=50_000_000))
    with pytest.raises(SettingsError) as refused:
        fetch(hub, folder)
    assert (
        "is 24.0 MB, of which 0 bytes are here: 24.0 MB more and 67.1 MB to spare do not fit into the 50.0 MB"
        in str(refused.value)
    )
    assert "41.1 MB are lacking" in str(refused.value)
    assert hub.ranges() == []


def test_a_disk_that_fills_up_and_one_that_may_not_be_written(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(hub_module.Counted, "write", full)
        with pytest.raises(SettingsError, match=r"the disk of .* is full"):
            fetch(hub, folder)
    blocked = folder.parent / "file"
    blocked.write_text("")
    with pytest.raises(SettingsError, match="can't write to"):
        fetch(hub, blocked / "below")


def test_two_downloads_of_one_model_do_not_write_into_each_other(hub: Hub, folder: Path) -> None:
    class Second(Seen):
        def planned(self, listing: Listing, here: int) -> None:
            with pytest.raises(SettingsError, match="another voxfleet is fetching"):
                fetch(hub, folder)
            super().planned(listing, here)

    fetch(hub, folder, watcher=Second())


def test_somebody_elses_folder_is_left_alone(hub: Hub, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("do not lose")
    with pytest.raises(SettingsError, match="was not fetched by voxfleet"):
        fetch(hub, folder)
    assert (folder / "thesis.txt").read_text() == "do not lose"
    assert hub.asked == []


def test_sizes_and_hashes_of_a_fetched_folder(hub: Hub, folder: Path) -> None:
    told, _ = fetch(hub, folder)
    read: list[int] = []
    assert snapshot.check_hashes(folder, read.append) == told
    assert sum(read) == told.size
    content = bytearray(MODEL[WEIGHTS])
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    assert snapshot.check_sizes(folder) == told
    with pytest.raises(SettingsError, match=r"model.safetensors was changed: its SHA-256 is"):
        snapshot.check_hashes(folder)
    (folder / WEIGHTS).write_bytes(content[:-1])
    with pytest.raises(SettingsError, match=r"model.safetensors has 24,000,\d+ bytes, not the"):
        snapshot.check_sizes(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(SettingsError, match=r"model.safetensors is missing"):
        snapshot.check_sizes(folder)
    (folder / snapshot.RECORD).write_text("{")
    with pytest.raises(SettingsError, match=r"voxfleet-model.json can't be read"):
        snapshot.read(folder)
