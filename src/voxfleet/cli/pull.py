"""`voxfleet models pull` and `verify`: a model fetched or compared, with a bar on a terminal and a line a step elsewhere."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from voxfleet.cli import exits
from voxfleet.cli.terminal import console, print_json
from voxfleet.errors import SettingsError, nearest
from voxfleet.serving import catalog, hub, snapshot
from voxfleet.serving.entry import Form, ModelEntry
from voxfleet.serving.hub import Listing
from voxfleet.serving.snapshot import Snapshot, size_text

HUB_INSTALL = "pip install 'huggingface-hub>=1.0'"
LINES = 10
"""A download that is not watched on a terminal writes a line per tenth."""


def pull_model(name: str, to: Path | None, revision: str | None, *, offline: bool, as_json: bool) -> int:
    """Fetch a model of the catalogue or any repository of that layout; the exit code.

    Raises SettingsError where a person must do something, HubFailed where trying again may help.
    """
    repository, pinned, usual = _source(name)
    if importlib.util.find_spec("huggingface_hub") is None:
        raise SettingsError(f"fetching models needs huggingface_hub: {HUB_INSTALL}")
    folder = (to or usual).expanduser().absolute()
    screen = console(error=as_json)
    with _progress(screen) as bars:
        told, fetched = hub.pull(
            repository, revision or pinned, folder, Watched(screen, bars), offline=offline or hub.is_offline()
        )
    entry = _known(name)
    named = entry.name if entry is not None and folder == usual.absolute() else str(folder)
    if as_json:
        print_json(_facts(told, folder) | {"fetched": fetched, "serve": f"voxfleet serve --model {named}"})
        return exits.OK
    state = "fetched" if fetched else "already here, nothing to fetch"
    screen.print(f"[bold green]{state}[/]: {told.repository} at {told.revision[:12]}, {size_text(told.size)}")
    screen.print(f"in {folder}", soft_wrap=True)
    device = (
        " --device cuda:0" if catalog.entry_of(str(folder)).form is Form.TRANSDUCER else ""
    )  # Whisper finds its own
    screen.print(f"[dim]serve it:[/] voxfleet serve --model {named}{device}", soft_wrap=True)
    return exits.OK


def verify_model(name: str, *, as_json: bool) -> int:
    """Compare a fetched model with its record; the exit code. Raises SettingsError naming the first fault."""
    folder = _folder(name)
    screen = console(error=as_json)
    with _progress(screen) as bars:
        told = snapshot.check_hashes(folder, _hashing(bars, snapshot.check_sizes(folder)))
    if as_json:
        print_json(_facts(told, folder) | {"verified": True})
        return exits.OK
    screen.print(
        f"[bold green]unchanged[/]: {len(told.files)} files, {size_text(told.size)}, as fetched from {told.repository} "
        f"at {told.revision[:12]}",
        soft_wrap=True,
    )
    return exits.OK


class Watched:
    """What a person sees of a download."""

    def __init__(self, screen: Console, bars: Progress | None) -> None:
        self._screen = screen
        self._bars = bars
        self._task = None if bars is None else bars.add_task("asking the hub", total=None)
        self._total = 0
        self._lines = 0

    def planned(self, listing: Listing, here: int) -> None:
        self._total = listing.size
        going_on = f", {size_text(here)} are here already" if here else ""
        self._screen.print(
            f"{listing.repository} at {listing.revision[:12]}: {len(listing.files)} files, {size_text(listing.size)}{going_on}",
            soft_wrap=True,
        )
        self._lines = here * LINES // max(1, self._total)
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, total=listing.size, completed=here)

    def moved(self, name: str, here: int) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, description=name, completed=here)
        elif here * LINES // max(1, self._total) > self._lines:
            self._lines = here * LINES // self._total
            self._screen.print(
                f"{here / self._total:4.0%}  {size_text(here)} of {size_text(self._total)}", soft_wrap=True
            )

    def checking(self, name: str) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, description=f"checking {name}")


@contextmanager
def _progress(screen: Console) -> Iterator[Progress | None]:
    """A bar where there is a terminal; it is gone at the end."""
    if not screen.is_terminal or screen.is_dumb_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30, complete_style="cyan", finished_style="green"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        refresh_per_second=8,
    ) as bars:
        yield bars


def _hashing(bars: Progress | None, told: Snapshot | None) -> Callable[[int], None]:
    if bars is None:
        return lambda _: None
    task = bars.add_task("reading", total=told.size if told is not None else None)
    return lambda count: bars.advance(task, count)


def _source(name: str) -> tuple[str, str | None, Path]:
    """Repository, pinned revision and usual folder of what a person names. Raises SettingsError."""
    entry = _known(name)
    if entry is None and "/" in name:
        return name, None, snapshot.models_folder() / name.replace("/", "--")
    if entry is not None and (not entry.repository or entry.folder is None):
        raise SettingsError(f"model '{name}' needs no download: {entry.summary}")
    if entry is None or entry.folder is None:
        known = [
            spelled for entry in catalog.models() if entry.repository for spelled in (entry.name, *entry.spellings)
        ]
        raise SettingsError(f"unknown model '{name}'{nearest(name, known)} (or OWNER/REPOSITORY)")
    return entry.repository, entry.revision, entry.folder


def _known(name: str) -> ModelEntry | None:
    """The model of the catalogue that is called so, or is fetched from there."""
    known = catalog.canonical(name)
    return next((entry for entry in catalog.models() if entry.name == known), None)


def _folder(name: str) -> Path:
    """The folder a person names by model, repository or path. Raises SettingsError where nothing was fetched there."""
    path = Path(name).expanduser()
    folder = path if path.is_dir() else _source(name)[2]
    if not folder.is_dir():
        raise SettingsError(f"'{name}' is not downloaded ({folder} is not there): voxfleet models pull {name}")
    return folder


def _facts(told: Snapshot, folder: Path) -> dict[str, object]:
    return {
        "repository": told.repository,
        "revision": told.revision,
        "folder": str(folder),
        "size_bytes": told.size,
        "files": {file.name: {"size_bytes": file.size, "sha256": file.sha256} for file in told.files},
    }
