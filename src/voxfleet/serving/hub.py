"""How a model comes from a Hugging Face hub to this machine: pinned, resumed where it broke off, checked byte by byte.

Only safetensors, JSON and tokenizer files are fetched, never anything that is run. Files grow in a folder
`NAME.REVISION.part` beside the place they shall have; it takes that place when every one of them has the size and hash the
hub names. huggingface_hub finds, signs and transfers; since its version 1.18 it drops what an interrupted download had
fetched (huggingface_hub#4196), so which bytes to ask for is decided here.
"""

import fcntl
import hashlib
import importlib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

from voxfleet.errors import SettingsError
from voxfleet.serving import snapshot
from voxfleet.serving.hub_errors import HubFailed, mapped
from voxfleet.serving.snapshot import FileRecord, Snapshot, size_text

FETCHED = ("*.safetensors", "*.json", "merges.txt", "tokenizer*", "*.model", "LICENSE*")
"""Names of what is fetched. Pickles, archives and programs are not, whatever the repository holds."""
NEVER = ("*.nemo", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.py", "*.zip", "*.tar*", "*.fp32*")
"""The last: a second copy of the weights in fp32, as openai/whisper-large-v3 has beside the ones in fp16."""
SPARE = 64 * 2**20
"""Bytes that must stay free on the disk."""
ANSWER_SECONDS = 20.0
"""How long the hub may take to say what a repository holds."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub describes it."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    """'' for small files, of which the hub knows only the git object id."""
    git_id: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds for us at one commit."""

    repository: str
    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Watcher(Protocol):
    """Told how far a download is."""

    def planned(self, listing: Listing, here: int) -> None:
        """This will be fetched, and so many bytes of it are here already."""
        ...

    def moved(self, name: str, here: int) -> None:
        """So many bytes of all files are here; this file is being fetched."""
        ...

    def checking(self, name: str) -> None:
        """This file is compared with what the hub promised."""
        ...


def pull(
    repository: str, revision: str | None, folder: Path, watcher: Watcher, *, offline: bool = False, endpoint: str = ""
) -> tuple[Snapshot, bool]:
    """The model in `folder`, fetched where it is not there yet; and whether anything had to be fetched.

    `revision` is a commit, a branch or a tag; None = what 'main' is now. Without the network a complete folder is enough,
    unless another commit than its own is asked for. An interrupted download goes on where it ended when called again.
    Raises SettingsError where a person must do something, HubFailed where trying again may help.
    """
    present = _present(folder)
    if present is not None and (offline or revision == present.revision):
        if revision is not None and _COMMIT.fullmatch(revision) and revision != present.revision:
            raise SettingsError(
                f"{folder} holds revision {present.revision} of {repository}, not {revision}, which can't be fetched offline"
            )
        return present, False
    if offline:
        raise SettingsError(
            f"{repository} is not in {folder}, and it can't be fetched offline (--offline or HF_HUB_OFFLINE): fetch it on a "
            "machine with network and copy the folder here"
        )
    endpoint = endpoint or _endpoint()
    with mapped(repository, revision or "main", endpoint, folder):
        listing = _listing(repository, revision or "main", endpoint)
        if present is not None and present.revision == listing.revision:
            return present, False
        part = folder.with_name(f"{folder.name}.{listing.revision[:12]}.part")
        part.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            _fetch(listing, part, endpoint, watcher)
            fetched = _checked(listing, part, watcher)
            snapshot.write(part, fetched)
            _put_in_place(part, folder)
    return fetched, True


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _present(folder: Path) -> Snapshot | None:
    """What is there and whole. Raises SettingsError for a folder that is somebody else's."""
    if snapshot.read(folder) is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SettingsError(f"{folder} exists and was not fetched by voxfleet: choose another folder with --to")
        return None
    try:
        return snapshot.check_sizes(folder)
    except SettingsError:
        return None


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _listing(repository: str, revision: str, endpoint: str) -> Listing:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, library_name="voxfleet")
    info = api.model_info(repository, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS)
    files = tuple(
        RemoteFile(
            file.rfilename,
            file.size or 0,
            file.lfs.sha256 if file.lfs is not None else "",
            file.blob_id or "",
        )
        for file in info.siblings or ()
        if _is_fetched(file.rfilename)
    )
    names = [file.name for file in files]
    if info.sha is None or "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise SettingsError(
            f"{endpoint}/{repository} at '{revision}' has no config.json with *.safetensors: only models in the Hugging Face "
            "layout can be served"
        )
    return Listing(repository, info.sha, files)


def _is_fetched(name: str) -> bool:
    """Flat names only: what lies in folders is not part of the layout, and '..' shall lead nowhere."""
    if "/" in name or "\\" in name or name.startswith("."):
        return False
    return any(fnmatch(name, each) for each in FETCHED) and not any(fnmatch(name, each) for each in NEVER)


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Nobody else writes there within the block. Raises SettingsError."""
    handle = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SettingsError(f"another voxfleet is fetching into {part}") from None
    finally:
        os.close(handle)


def _fetch(listing: Listing, part: Path, endpoint: str, watcher: Watcher) -> None:
    for name in _sizes(part).keys() - {file.name for file in listing.files}:
        (part / name).unlink()
    sizes = _sizes(part)
    for file in listing.files:
        if sizes.get(file.name, 0) > file.size:
            (part / file.name).unlink()
    here = sum(_sizes(part).values())
    _check_disk(listing, part, here)
    watcher.planned(listing, here)
    for file in sorted(listing.files, key=lambda file: file.size):  # what is wrong with the small ones shows at once
        _transfer(listing, file, part / file.name, endpoint, here, watcher)
        here = sum(_sizes(part).values())


def _transfer(listing: Listing, file: RemoteFile, path: Path, endpoint: str, before: int, watcher: Watcher) -> None:
    """Append what is missing of one file. `before` counts the bytes of all files that are here."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get

    hub: Any = importlib.import_module("huggingface_hub.utils")
    hub.disable_progress_bars()
    hub.logging.set_verbosity_error()
    path.touch()
    start = path.stat().st_size
    if start == file.size:
        return
    url = hf_hub_url(listing.repository, file.name, revision=listing.revision, endpoint=endpoint)
    headers = hub.build_hf_headers(library_name="voxfleet") | {"Accept-Encoding": "identity"}
    with Counted(path, lambda position: watcher.moved(file.name, before - start + position)) as target:
        target.seek(start)
        http_get(url, target, resume_size=start, headers=headers, expected_size=file.size)


class Counted(io.BufferedRandom):
    """A file that tells how far it has grown."""

    def __init__(self, path: Path, told: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path, "r+"))
        self._told = told

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        self._told(self.tell())
        return written


def _checked(listing: Listing, part: Path, watcher: Watcher) -> Snapshot:
    """The record of what was fetched. Raises HubFailed, and removes the file, where it is not what the hub named."""
    records = []
    for file in listing.files:
        path = part / file.name
        watcher.checking(file.name)
        found = snapshot.sha256_of(path)
        right = found == file.sha256 if file.sha256 else file.git_id in ("", _git_id(path))
        if not right or path.stat().st_size != file.size:
            path.unlink()
            raise HubFailed(
                f"{file.name} of {listing.repository} arrived damaged and was removed: run the command again"
            )
        records.append(FileRecord(file.name, file.size, found))
    return Snapshot(listing.repository, listing.revision, tuple(records))


def _git_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _put_in_place(part: Path, folder: Path) -> None:
    """The new folder for the old one, and away with what earlier downloads of this model left unfinished."""
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    for left in folder.parent.glob(f"{folder.name}.*.part"):
        if re.fullmatch(rf"{re.escape(folder.name)}\.[0-9a-f]{{12}}\.part", left.name):
            shutil.rmtree(left, ignore_errors=True)


def _sizes(part: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in part.iterdir()}


def _check_disk(listing: Listing, part: Path, here: int) -> None:
    free, missing = shutil.disk_usage(part).free, listing.size - here
    if missing + SPARE > free:
        raise SettingsError(
            f"{listing.repository} is {size_text(listing.size)}, of which {size_text(here)} are here: {size_text(missing)} "
            f"more and {size_text(SPARE)} to spare do not fit into the {size_text(free)} that are free at {part.parent}; "
            f"{size_text(missing + SPARE - free)} are lacking (--to FOLDER or VOXFLEET_MODELS choose another disk)"
        )
