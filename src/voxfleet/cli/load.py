"""`voxfleet load`: many live callers at once, at one load or at growing ones, and a report that says whether to believe it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from voxfleet.cli import exits
from voxfleet.cli.load_view import show_load, show_rung
from voxfleet.cli.measure import (
    HARMLESS,
    bars,
    created,
    need,
    on_interrupt,
    problems_of,
    raise_file_limit,
    sample_manifest,
    steps,
    this_command,
    this_machine,
)
from voxfleet.cli.supervisor import server_at, with_model
from voxfleet.cli.terminal import console, print_json
from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.load.arrivals import Arrivals, CallLength
from voxfleet.evaluation.load.capacity import Objective, find_capacity
from voxfleet.evaluation.load.dialect import Ask, Dialect
from voxfleet.evaluation.load.run import Course, Plan, Run, greeting, scripted
from voxfleet.evaluation.manifests.read import read_manifest
from voxfleet.evaluation.report.document import About, LoadReport, Problem, Target, to_json
from voxfleet.evaluation.sound.calls import compose
from voxfleet.evaluation.sound.line import Line
from voxfleet.evaluation.sound.pool import RATES, Pool
from voxfleet.evaluation.text.normalise import Normaliser, for_language
from voxfleet.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from voxfleet.evaluation.load.account import Account

WARM_UP = 5.0
"""Seconds, and one more for every hundred callers: servers are measured at work, not at the door."""
SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """What the user asked for."""

    url: str | None
    streams: int
    seconds: float
    warm_up: float | None
    audio: str | None
    """A manifest, 'synthetic', or None for the bundled call."""
    match: str
    """Only recordings whose id contains it."""
    arrivals: Arrivals
    length: CallLength | None
    speech_share: float
    line: Line
    sample_rate: int
    dialect: Dialect
    language: str
    model: str | None
    endpointing_ms: int | None
    api_key: str | None
    seed: int
    find_capacity: bool
    objective: Objective
    most: int
    report: Path | None
    as_json: bool


def load(order: LoadOrder, settings: Settings) -> int:
    """Carry out an order; the exit code."""
    from voxfleet.cli.measure import run_loop

    need("voxfleet load", "picows", "scipy")
    if order.sample_rate not in RATES:
        raise BadOption("--sample-rate", order.sample_rate, "8000 or 16000")
    raise_file_limit()
    screen = console(error=order.as_json)
    with bars(screen) as progress:
        pool, about_audio, problems = _pool(order, steps(progress, "reading the audio"))
        report = run_loop(_Loading(order, settings, pool, screen, progress).report(about_audio, problems))
    if order.report is not None:
        from voxfleet.evaluation.report.write import write

        name = "capacity" if order.find_capacity else f"load-{order.streams}"
        written = write(report, order.report, name)
        show_load(report, screen, written)
    else:
        show_load(report, screen, ())
    if order.as_json:
        import json

        print_json(json.loads(to_json(report)))
    return exit_code(report)


def exit_code(report: LoadReport) -> int:
    """What a script may conclude."""
    if report.about.partial:
        return exits.INTERRUPTED
    if report.capacity is not None:
        return exits.OK if report.capacity.streams else exits.FAILED
    if not report.health.valid:
        return exits.INVALID
    counts = report.streams
    bad = counts.refused + counts.failed + len(report.stalls) + report.stability.committed_revisions
    failed = any(problem.code not in HARMLESS for problem in report.problems)
    return exits.FAILED if bad or failed or not counts.finished else exits.OK


def _pool(order: LoadOrder, progress: Callable[[int, int], None]) -> tuple[Pool, str, list[Problem]]:
    """The audio of all callers, and what to say of it."""
    from voxfleet.evaluation.manifests.audio import samples_of

    rate = order.sample_rate
    if order.audio == SYNTHETIC:
        if order.match:
            raise BadOption("--match", order.match, "part of the name of a recording; synthetic sounds have none")
        pool = Pool.synthetic(rate, line=order.line, seed=order.seed)
        named, problems = "synthetic bursts of sound, no words in them", []
    else:
        manifest = sample_manifest() if order.audio is None else read_manifest(Path(order.audio))
        chosen = [item for item in manifest.items if order.match in item.id]
        if not chosen:
            raise BadOption("--match", order.match, "part of the name of a recording")
        pool = Pool.load(chosen, samples_of, rate=rate, line=order.line, seed=order.seed, progress=progress)
        named = manifest.path.name if order.audio else manifest.form
        named += f", those with '{order.match}' in their name" if order.match else ""
        problems = problems_of(manifest.bad + pool.bad, order.match)
    line = "" if order.line.clean else f"; {order.line}"
    about = (
        f"{named}: {len(pool.clips)} clips, {pool.seconds / 60:.1f} min, put together to calls with about "
        f"{order.speech_share:.0%} speech, a different one for each caller, {rate // 1000} kHz{line}"
    )
    return pool, about, problems


class _Loading:
    """One order while it is carried out."""

    def __init__(
        self, order: LoadOrder, settings: Settings, pool: Pool, screen: "Console", progress: "Progress"
    ) -> None:
        self._order = order
        self._settings = settings
        self._pool = pool
        self._screen = screen
        self._progress = progress
        self._run: Run | None = None
        self._interrupted = False

    async def report(self, about_audio: str, problems: list[Problem]) -> LoadReport:
        from voxfleet.evaluation.load.account import load_report

        waiting = self._progress.add_task("starting a private server", total=None, note="")
        settings = with_model(self._settings, self._order.model)
        async with server_at(self._order.url, settings, lambda _note: None) as url:
            self._progress.update(waiting, visible=False)
            with on_interrupt(self._interrupt):
                capacity = None
                if self._order.find_capacity:
                    capacity, accounts, _ = await find_capacity(
                        lambda streams, seconds: self._hold(url, streams, seconds),
                        self._order.objective,
                        first=min(self._order.streams, self._order.most),
                        most=self._order.most,
                        seconds=self._order.seconds,
                        told=lambda rung: show_rung(rung, self._screen),
                    )
                    shown = _shown(accounts, capacity.streams)
                else:
                    shown = await self._hold(url, self._order.streams, self._order.seconds)
            about = self._about(shown.course, url, about_audio)
        found = load_report(shown, about, str(self._order.arrivals), self._normaliser)
        return msgspec.structs.replace(found, capacity=capacity, problems=problems + found.problems)

    @property
    def _normaliser(self) -> Normaliser:
        return for_language(self._order.language)

    def _interrupt(self) -> None:
        self._interrupted = True
        self._screen.print("[yellow]stopping; what there is will be read and written[/]")
        if self._run is not None:
            self._run.stop()

    async def _hold(self, url: str, streams: int, seconds: float) -> "Account":
        """One run, read."""
        from voxfleet.evaluation.load.account import account

        order = self._order
        warm_up = WARM_UP + streams / 100 if order.warm_up is None else order.warm_up
        end = warm_up + seconds
        dice = random.Random(order.seed)  # noqa: S311 - repeatable on purpose
        arrivals = order.arrivals.plan(streams, warm_up, seconds, order.length, dice)
        calls = tuple(
            scripted(
                arrivals,
                end,
                lambda length, own: compose(self._pool, length, own, order.speech_share),
                order.seed,
            )
        )
        if not calls:
            raise BadOption("--seconds", seconds, "long enough for a call")
        ask = Ask(url, order.sample_rate, order.language, order.model, order.endpointing_ms, order.api_key)
        plan = Plan(ask, order.dialect, calls, warm_up, seconds, order.seed)
        task = self._progress.add_task(f"{streams} callers", total=end, note="")

        def watch(course: Course, now: float) -> None:
            failed = sum(record.outcome in ("refused", "failed") for record in course.records)
            trouble = f", {failed} refused or failed" if failed else ""
            self._progress.update(task, completed=min(now, end), note=f"{course.on_line} on the line{trouble}")

        self._run = Run(plan, watch)
        if self._interrupted:
            self._run.stop()
        course = await self._run.run()
        self._progress.update(task, visible=False)
        return await asyncio.to_thread(account, course, steps(self._progress, "reading what came back"))

    def _about(self, course: Course, url: str, audio: str) -> About:
        order = self._order
        ready = greeting(course)
        return About(
            title=f"Load: {order.streams} callers" if not order.find_capacity else "Capacity",
            created=created(),
            command=this_command(),
            seed=order.seed,
            machine=this_machine(),
            target=Target(
                url=url if order.url else "a private server on this machine",
                dialect=order.dialect.name,
                private=order.url is None,
                model=ready.model if ready else order.model,
                language=ready.language if ready else order.language,
                sample_rate=order.sample_rate,
                chunk_ms=ready.chunk_ms if ready else None,
                endpointing_ms=ready.endpointing_ms if ready else order.endpointing_ms,
            ),
            audio=audio,
            partial=self._interrupted or course.partial,
        )


def _shown(accounts: "list[Account]", streams: int | None) -> "Account":
    """Whose figures stand in the report of a search: the longest at the capacity, else the first."""
    at = [found for found in accounts if streams and len(found.course.plan.calls) == streams]
    return max(at, key=lambda found: found.course.plan.seconds) if at else accounts[0]
