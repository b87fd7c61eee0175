"""What every measurement of the command line has in common: the machine, the command, the audio, the bars, the way out."""

import os
import platform
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voxfleet import __version__
from voxfleet.cli.sample_call import load_sample_call
from voxfleet.evaluation.faults import MissingExtra
from voxfleet.evaluation.manifests.items import BadItem, Item, Manifest
from voxfleet.evaluation.report.document import Machine, Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")


def this_machine() -> Machine:
    """Where this program runs."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(_memory_gib(), 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        voxfleet=__version__,
    )


def this_command() -> str:
    """What the user typed, to be typed again; keys are not repeated."""
    words = list(sys.argv[1:])
    for place, word in enumerate(words):
        if word == "--api-key" and place + 1 < len(words):
            words[place + 1] = "…"
        elif word.startswith("--api-key="):
            words[place] = "--api-key=…"
    return shlex.join(["voxfleet", *words])


def created() -> str:
    """Now, as it is written into reports."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def need(purpose: str, *libraries: str, extra: str = "evaluation") -> None:
    """Raise MissingExtra before anything is started where a library is not installed."""
    from importlib.util import find_spec

    for library in libraries:
        if find_spec(library) is None:
            raise MissingExtra(purpose, extra, library)


def sample_manifest() -> Manifest:
    """The turns of the bundled call as recordings: what is measured where no other audio is named."""
    path = Path(str(files("voxfleet.cli") / "sample" / "call.flac"))
    call = load_sample_call()
    items = tuple(
        Item(
            id=f"sample-call/{number:02}-{turn.speaker}",
            audio=path,
            reference=turn.text,
            start=max(turn.start - 0.15, 0.0),
            end=turn.end + 0.15,
            channel=turn.channel,
            language="en",
            columns={"speaker": turn.speaker},
        )
        for number, turn in enumerate(call.turns)
    )
    return Manifest(path.with_name("call.json"), "the bundled sample call, synthetic voices", items)


HARMLESS = frozenset({"not_audio", "no_reference"})
"""Problems that are told and fail nothing: lists of recordings hold such rows on purpose."""


def problems_of(bad: "tuple[BadItem, ...]", match: str = "") -> list[Problem]:
    """Rows and recordings that could not be used, of those that were asked for."""
    return [Problem(one.where, one.code, one.message) for one in bad if match in one.where or match in one.message]


@contextmanager
def bars(console: "Console") -> "Iterator[Progress]":
    """Progress with the time that is left; lines at the end only where there is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30, complete_style="cyan", finished_style="green"),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        refresh_per_second=4,
        disable=not console.is_terminal or console.is_dumb_terminal,
    ) as progress:
        yield progress


def steps(progress: "Progress", what: str) -> Callable[[int, int], None]:
    """A bar that is told how many of how many are done."""
    task = progress.add_task(what, total=None, note="")

    def done(count: int, of: int) -> None:
        progress.update(task, completed=count, total=of, visible=count < of)

    return done


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` on the fastest loop there is."""
    import asyncio

    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first Ctrl-C does this and the second stops the program."""
    import asyncio

    loop = asyncio.get_running_loop()

    def first() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        act()

    before = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, first)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


def raise_file_limit() -> None:
    """As many sockets as the system lets this process have."""
    try:
        import resource
    except ImportError:
        return
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return 0.0


def show_problems(problems: Sequence[Problem], screen: "Console", most: int = 5) -> None:
    """How many of each kind, and the first of them in words."""
    from rich.markup import escape

    if not problems:
        return
    codes = Counter(problem.code for problem in problems)
    told = ", ".join(f"{code} {count}" for code, count in codes.most_common())
    screen.print(f"[red]problems[/]    {escape(told)}", soft_wrap=True)
    for problem in problems[:most]:
        screen.print(f"            {escape(problem.where)}: {escape(problem.message)}", soft_wrap=True)
    if len(problems) > most:
        screen.print(f"            [dim]and {len(problems) - most} more in the report[/]", soft_wrap=True)
