"""Progress of recordings that are sent as fast as the server goes: a bar each on a terminal, a line each elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from voxfleet.cli.terminal import clock_time


class FileProgress(Protocol):
    """Told how far each file is."""

    def begin(self, name: str, seconds: float) -> int:
        """A file is being worked on, its length (0 = unknown) in seconds; the number returned stands for it."""
        ...

    def begun(self, number: int, seconds: float) -> None:
        """It is decoded and holds so much audio."""
        ...

    def moved(self, number: int, seconds: float) -> None:
        """So much of it is recognised."""
        ...

    def end(self, number: int, summary: str) -> None:
        """It is done, or has failed; the summary says how."""
        ...


@contextmanager
def file_progress(console: Console) -> Iterator[FileProgress]:
    """Bars where there is a terminal, else lines. The terminal is left clean whatever happens."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(console)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30, complete_style="cyan", finished_style="green"),
        _Position(),
        _Remaining(),
        console=console,
        transient=True,
        refresh_per_second=8,
    ) as bars:
        yield Bars(console, bars)


class Bars:
    def __init__(self, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars

    def begin(self, name: str, seconds: float) -> int:
        return int(self._bars.add_task(escape(_short(name)), total=seconds or None))

    def begun(self, number: int, seconds: float) -> None:
        for task in self._bars.tasks:
            if task.id == number:
                self._bars.update(task.id, total=seconds)

    def moved(self, number: int, seconds: float) -> None:
        for task in self._bars.tasks:
            if task.id == number:
                self._bars.update(task.id, completed=seconds)

    def end(self, number: int, summary: str) -> None:
        for task in self._bars.tasks:
            if task.id == number:
                self._bars.remove_task(task.id)
        self._console.print(summary, soft_wrap=True)


class Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._count = 0

    def begin(self, name: str, seconds: float) -> int:  # noqa: ARG002 - a line is written at the end only
        self._count += 1
        return self._count

    def begun(self, number: int, seconds: float) -> None:
        """Nothing is painted here."""

    def moved(self, number: int, seconds: float) -> None:
        """Nothing is repainted here."""

    def end(self, number: int, summary: str) -> None:  # noqa: ARG002
        self._console.print(summary, soft_wrap=True)


class _Position(ProgressColumn):
    """How much of the audio is recognised."""

    def render(self, task: Task) -> Text:
        return Text(f"{clock_time(task.completed)} / {clock_time(task.total or 0)}", style="dim")


class _Remaining(ProgressColumn):
    """Speed in multiples of real time, and when the file will be done."""

    def render(self, task: Task) -> Text:
        if not task.speed or task.total is None:
            return Text("")
        left = (task.total - task.completed) / task.speed
        return Text(f"{task.speed:.1f}× real time, {clock_time(left)} left", style="dim")


def _short(name: str, limit: int = 32) -> str:
    return name if len(name) <= limit else f"…{name[-(limit - 1) :]}"
