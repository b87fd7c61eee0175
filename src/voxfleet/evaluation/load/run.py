"""One load run: everybody comes, speaks and leaves by the plan; what is left is a record of every call.

The run never waits for the server: callers come when they are due, and one that is refused stays refused. It ends when the
last caller has ended, or when it is told to stop: then what there is is kept and called partial.
"""

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from voxfleet.evaluation.load.arrivals import Arrival
from voxfleet.evaluation.load.caller import FRAME, Caller, Record, Script, dial
from voxfleet.evaluation.load.dialect import Ask, Dialect
from voxfleet.evaluation.load.pacer import Pacer, Wakes

if TYPE_CHECKING:
    from voxfleet.wire.native import ReadyMessage

LEAST_CALL = 2.0
"""Seconds. A caller who would come later than this before the end is not sent."""
CLOSING = 0.05
"""Seconds for the last sockets to be closed: that takes a few rounds of the loop, which may be gone after the run."""

Scripts: TypeAlias = Callable[[float, random.Random], Script]
"""Makes what a caller says in so many seconds: distinct for every throw of the dice, the same again for the same."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who comes when, to whom, saying what."""

    ask: Ask
    dialect: Dialect
    calls: tuple[tuple[Arrival, Script], ...]
    warm_up: float
    seconds: float
    seed: int

    @property
    def end(self) -> float:
        return self.warm_up + self.seconds


def scripted(arrivals: Sequence[Arrival], end: float, scripts: Scripts, seed: int) -> Iterator[tuple[Arrival, Script]]:
    """Every arrival with what it will say; made before the run, so that nobody waits for it."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    for arrival in arrivals:
        left = end - arrival.at
        if left >= LEAST_CALL:
            length = left if arrival.seconds is None else min(arrival.seconds, left)
            yield arrival, scripts(max(length, LEAST_CALL), random.Random(dice.random()))  # noqa: S311


@dataclass(slots=True)
class Course:
    """How a run went. Times are seconds since it began."""

    plan: Plan
    records: list[Record] = field(default_factory=list)
    wakes: Wakes = field(default_factory=Wakes)
    changes: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])
    """(when, callers admitted and not ended) at each change."""
    partial: bool = False
    ended: float = 0.0
    on_line: int = 0
    most: int = 0

    def moved(self, at: float, by: int) -> None:
        """A caller was admitted, or left."""
        self.on_line += by
        self.most = max(self.most, self.on_line)
        self.changes.append((at, self.on_line))


Watch = Callable[[Course, float], None]
"""Told four times a second how the run goes, and its time."""


class Run:
    """One run on the event loop it is awaited on."""

    def __init__(self, plan: Plan, watch: Watch | None = None) -> None:
        self.course = Course(plan)
        self._plan = plan
        self._watch = watch
        self._dice = random.Random(plan.seed)  # noqa: S311 - repeatable on purpose
        self._callers: set[Caller] = set()
        self._began = 0.0
        self._stop = asyncio.Event()

    def now(self) -> float:
        """Seconds of the run: not the loop's clock, which stands still while a round of the loop lasts."""
        return time.perf_counter() - self._began

    def stop(self) -> None:
        """End at once; the course is partial."""
        self._stop.set()

    async def run(self) -> Course:
        """The whole run. Cancelling it loses it; `stop` keeps what there is."""
        with _without_collections():
            return await self._run()

    async def _run(self) -> Course:
        self._began = time.perf_counter()
        pacer = Pacer(self.now, self._plan.warm_up, self._plan.end)
        self.course.wakes = pacer.wakes
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(pacer.run()), group.create_task(self._watched())]
            calls = group.create_task(self._calls(pacer))
            stopped = group.create_task(self._stop.wait())
            await asyncio.wait([calls, stopped], return_when=asyncio.FIRST_COMPLETED)
            self.course.partial = not calls.done()
            for task in (*others, calls, stopped):
                task.cancel()
        for caller in tuple(self._callers):
            caller.end("cut short")
        self.course.ended = self.now()
        await asyncio.sleep(CLOSING)
        return self.course

    async def _calls(self, pacer: Pacer) -> None:
        async with asyncio.TaskGroup() as group:
            for number, (arrival, script) in enumerate(self._plan.calls):
                await asyncio.sleep(arrival.at - self.now())
                group.create_task(self._call(pacer, Record(number, arrival.at, script)))

    async def _call(self, pacer: Pacer, record: Record) -> None:
        over = asyncio.Event()

        def left(caller: Caller) -> None:
            self._callers.discard(caller)
            over.set()

        caller = Caller(record, self._plan.dialect, self.now, left)
        self.course.records.append(record)
        self._callers.add(caller)
        await dial(caller, self._plan.dialect, self._plan.ask)
        if record.admitted is None or caller.is_over:
            return
        self.course.moved(record.admitted, 1)
        pacer.add(caller, self.now() + self._dice.random() * FRAME)
        await over.wait()
        self.course.moved(record.ended, -1)

    async def _watched(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            if self._watch is not None:
                self._watch(self.course, self.now())


@contextmanager
def _without_collections() -> Iterator[None]:
    """No cyclic garbage collection: looking through the records of 2,000 callers, it stands still for 0.1 s each time."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def greeting(course: Course) -> "ReadyMessage | None":
    """What the server said of itself to the first caller it admitted."""
    from voxfleet.wire.native import ReadyMessage

    for record in course.records:
        if record.admitted is not None:
            for _, payload in record.heard[:3]:
                for message in course.plan.dialect.read(payload):
                    if isinstance(message, ReadyMessage):
                        return message
    return None
