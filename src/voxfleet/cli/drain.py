"""`voxfleet drain`: workers told to leave, their streams moved elsewhere, and what that did to the streams.

Several are drained one after another, each only once the one before it is done.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxfleet.cli import exits
from voxfleet.cli.terminal import console, print_error
from voxfleet.client import ConnectionFailed, RemoteError
from voxfleet.client.fleet import Operator
from voxfleet.wire.fleet import DrainAsked, DrainOrder, Fleet, WorkerRow

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

LOOK = 0.25
"""Seconds between two looks at a fleet in which somebody leaves."""
THERE = ("ready", "draining")
"""States of a worker that is linked."""
LEAVING = 30.0
"""Seconds beyond its own deadline in which a draining worker must be gone."""
LOADING = 120.0
"""Seconds in which its successor must be ready."""


@dataclass(frozen=True, slots=True)
class Leave:
    """What the user asked for."""

    worker: str | None
    """None: all, one after another."""
    seconds: float | None
    """None: as the worker is set."""
    replace: bool
    wait: bool


async def drain(url: str, secret: str, leave: Leave) -> int:
    """Carry it out; the exit code. Raises ConnectionFailed, or RemoteError where the server refuses."""
    operator = Operator(url, secret)
    screen = console()
    try:
        fleet = await operator.fleet()
        for row in _chosen(fleet, leave.worker):
            if not await _drain(operator, row, leave, screen):
                return exits.FAILED
    finally:
        operator.close()
    return exits.OK


def _chosen(fleet: Fleet, name: str | None) -> list[WorkerRow]:
    """The workers to drain; of all those that are there, not those that are only just starting."""
    if name is None:
        return [row for row in fleet.workers if row.state in THERE]
    return [row for row in fleet.workers if row.name == name] or [WorkerRow(name, "unknown")]


async def _drain(operator: Operator, before: WorkerRow, leave: Leave, screen: "Console") -> bool:
    asked = await operator.drain(before.name, DrainOrder(leave.seconds or 0.0, leave.replace))
    if not leave.wait:
        screen.print(f"{before.name} was told to leave", highlight=False)
        return True
    course = Course(before, asked)
    with screen.status(f"{before.name}: told to leave") as status:
        done = await _follow(operator, course, status)
    if not done:
        print_error(f"'{before.name}' is still {course.state} {course.waited:.0f} s after it was told to leave")
        return False
    screen.print(f"[green]✓[/] {course.summary()}", highlight=False, soft_wrap=True)
    return True


async def _follow(operator: Operator, course: "Course", status: "Status") -> bool:
    """Until the worker is gone, or back. False where it takes far too long."""
    while not course.done:
        if course.overdue:
            return False
        await asyncio.sleep(LOOK)
        operator.close()  # several gateways may share the address: each has seen other streams leave
        try:
            course.saw(await operator.fleet())
        except (ConnectionFailed, RemoteError):  # a gateway may be leaving as well
            continue
        status.update(course.progress())
    return True


class Course:
    """How one worker leaves, by what gateways tell of it."""

    def __init__(self, before: WorkerRow, asked: DrainAsked) -> None:
        self.done = False
        self.state = before.state
        self._before = before
        self._asked = asked
        self._begun = time.monotonic()
        self._deadline = asked.seconds
        self._left_at: float | None = None
        self._now: WorkerRow | None = before
        self._moved: dict[tuple[str, float], int] = {}
        self._replayed: dict[tuple[str, float], int] = {}

    @property
    def waited(self) -> float:
        return time.monotonic() - self._begun

    @property
    def overdue(self) -> bool:
        """Beyond every deadline: the process does not end, or its successor does not start."""
        if self._left_at is not None:
            return time.monotonic() - self._left_at > LOADING
        return self.waited > self._deadline + LEAVING

    def saw(self, fleet: Fleet) -> None:
        """Take in what one gateway tells."""
        for event in fleet.events:
            if event.worker == self._before.name and event.at >= self._asked.at - 1:
                counts = {"moved": self._moved, "replayed": self._replayed}.get(event.kind)
                if counts is not None:
                    counts[fleet.gateway, event.at] = event.count
        row = self._now = next((row for row in fleet.workers if row.name == self._before.name), None)
        self.state = "gone" if row is None else row.state
        if row is not None and row.drain_left:
            self._deadline = max(self._deadline, self.waited + row.drain_left)
        left = row is None or row.state not in THERE or self._is_another(row)
        if left and self._left_at is None:
            self._left_at = time.monotonic()
        self.done = left if not self._asked.replace else row is not None and left and row.state == "ready"

    def progress(self) -> str:
        """One line about a worker that is leaving."""
        name, row = self._before.name, self._now
        if self._left_at is not None:
            return f"{name}: left, its successor is {self.state}{self._effects()}"
        assert row is not None
        left = f", {row.drain_left:.0f} s left" if row.drain_left is not None else ""
        return f"{name}: {_streams(row.taken)} to go{left}{self._effects()}"

    def summary(self) -> str:
        """What happened, once it is done."""
        row = self._now
        back = f", back as pid {row.pid}" if self._asked.replace and row is not None and row.pid else ""
        became = "was replaced" if self._asked.replace else "has left"
        return f"{self._before.name} {became} in {self.waited:.1f} s{self._effects(final=True)}{back}"

    def _effects(self, *, final: bool = False) -> str:
        moved, replayed = sum(self._moved.values()), sum(self._replayed.values())
        if not moved and not replayed:
            return ": no stream was on it" if final and not self._before.taken else ""
        parts = [f"{_streams(moved)} moved"] if moved else []
        parts += [f"{_streams(replayed)} replayed"] if replayed else []
        return (": " if final else "; ") + ", ".join(parts)

    def _is_another(self, row: WorkerRow) -> bool:
        """The name is the same, the process is not. In containers every process has the same number."""
        before = self._before
        if (row.host, row.pid) != (before.host, before.pid):
            return True
        return row.uptime is not None and before.uptime is not None and row.uptime < before.uptime


def _streams(number: int) -> str:
    return f"{number:,} stream" if number == 1 else f"{number:,} streams"
