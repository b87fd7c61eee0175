"""Where model folders lie on this machine, and whether what lies there is what was fetched.

A fetched folder has a `voxfleet-model.json` beside its files: where they came from, the exact revision, their sizes and
SHA-256. Sizes are compared whenever the model is loaded, hashes by `voxfleet models verify`. A folder of your own needs none.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

import voxfleet
from voxfleet.errors import SettingsError

RECORD = "voxfleet-model.json"
FOLDER_VARIABLE = "VOXFLEET_MODELS"
LARGEST_HEADER = 100_000_000
"""Bytes; what the safetensors format allows."""
BLOCK = 4 * 2**20
"""Bytes hashed at a time."""


class FileRecord(msgspec.Struct, frozen=True):
    """One file of a snapshot."""

    name: str
    size: int
    """Bytes."""
    sha256: str


class Snapshot(msgspec.Struct, frozen=True):
    """What was fetched."""

    repository: str
    revision: str
    """A commit, never a branch."""
    files: tuple[FileRecord, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def models_folder() -> Path:
    """Where models are fetched to: VOXFLEET_MODELS, or voxfleet/models in the user's cache folder (XDG_CACHE_HOME)."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "voxfleet" / "models"


def shipped_folder(name: str) -> Path:
    """The folder of a model that comes with Voxfleet: inside the package, or beside its sources in the repository."""
    package = Path(voxfleet.__file__).parent
    inside = package / "models" / name
    return inside if inside.is_dir() else package.parents[1] / "models" / name


def read(folder: Path) -> Snapshot | None:
    """What was fetched into the folder; None where it was not fetched by us. Raises SettingsError for a broken record."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Snapshot)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{folder / RECORD} can't be read: {error}; fetch the model again") from None


def write(folder: Path, snapshot: Snapshot) -> None:
    """Leave the record of what was fetched."""
    (folder / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(snapshot), indent=1) + b"\n")


def check_sizes(folder: Path) -> Snapshot | None:
    """What was fetched, found whole by its sizes; None without a record. Raises SettingsError naming the first fault."""
    snapshot = read(folder)
    for file in snapshot.files if snapshot is not None else ():
        path = folder / file.name
        if not path.is_file():
            raise SettingsError(f"{path} is missing: fetch the model again with voxfleet models pull")
        if path.stat().st_size != file.size:
            raise SettingsError(
                f"{path} has {path.stat().st_size:,} bytes, not the {file.size:,} that were fetched: "
                "fetch the model again with voxfleet models pull"
            )
    return snapshot


def check_weights(folder: Path) -> None:
    """Find the safetensors of a folder whole by their headers. Raises SettingsError naming the file at fault."""
    for path in weight_files(folder):
        try:
            with path.open("rb") as file:
                header = file.read(min(int.from_bytes(file.read(8), "little"), LARGEST_HEADER))
            end = max((entry.data_offsets[1] for entry in _tensors(header)), default=0)
        except FileNotFoundError:
            raise SettingsError(f"{path} is missing: the model's weights are not whole") from None
        except (OSError, msgspec.DecodeError) as error:
            raise SettingsError(f"{path} is no safetensors file: {error}") from None
        expected = 8 + len(header) + end
        if path.stat().st_size != expected:
            raise SettingsError(
                f"{path} has {path.stat().st_size:,} bytes where its header says {expected:,}: it is cut off"
            )


def check_present(folder: Path, names: Iterable[str]) -> None:
    """Raises SettingsError naming the first of these files that is not there, or holds nothing."""
    for name in names:
        if not (folder / name).is_file():
            raise SettingsError(f"{folder / name} is missing: the model is not whole")
        if not (folder / name).stat().st_size:
            raise SettingsError(f"{folder / name} is empty: the model is not whole")


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files of the weights: model.safetensors, or those its index names. Raises SettingsError for a broken index."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors",)
    try:
        names = set(msgspec.json.decode(index.read_bytes(), type=_Index).weight_map.values())
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{index} is broken: {error}") from None
    if any(Path(name).name != name for name in names):
        raise SettingsError(f"{index} names files outside of its folder")
    return tuple(folder / name for name in sorted(names))


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


class _Tensor(msgspec.Struct):
    data_offsets: tuple[int, int]


def _tensors(header: bytes) -> list[_Tensor]:
    """The tensors of a safetensors header; `__metadata__` is none."""
    entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
    return [msgspec.json.decode(raw, type=_Tensor) for name, raw in entries.items() if name != "__metadata__"]


def check_hashes(folder: Path, told: Callable[[int], None] = lambda _: None) -> Snapshot:
    """Compare every byte with the record. `told` hears of the bytes read. Raises SettingsError naming the first fault."""
    snapshot = check_sizes(folder)
    if snapshot is None:
        raise SettingsError(
            f"{folder} has no {RECORD}: it was not fetched by voxfleet, there is nothing to compare with"
        )
    for file in snapshot.files:
        found = sha256_of(folder / file.name, told)
        if found != file.sha256:
            raise SettingsError(
                f"{folder / file.name} was changed: its SHA-256 is {found}, fetched was {file.sha256}; "
                "remove the folder and fetch the model again with voxfleet models pull"
            )
    return snapshot


def sha256_of(path: Path, told: Callable[[int], None] = lambda _: None) -> str:
    """The SHA-256 of a file, in hexadecimal. `told` hears of the bytes read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            told(len(block))
    return digest.hexdigest()


def size_text(size: float) -> str:
    """Bytes for reading, in decimal units as disks are sold: 2.47 GB, 7.9 MB, 120 kB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.2f} {name}" if unit == 1e9 else f"{size / unit:.1f} {name}"
    return f"{size:.0f} bytes"
