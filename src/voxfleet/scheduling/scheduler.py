"""Who goes next. Pure: the worker drives it with real time, the planner with simulated time.

Every work added is run, replaced, expired or cancelled, exactly once. A place has at most one waiting work, because a
step takes all pending audio of a place; while a place is in a running step, its next work waits for `settle`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from voxfleet.scheduling.admission import catching_up
from voxfleet.scheduling.ladder import Ladder
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan, Urgency, Work

RECORDED_PATIENCE = 5.0
"""Seconds after which a recorded work gets a step of its own although live works are ready: where streams keep an engine
stepping all the time, it would else wait for ever. Not while recorded work is paused."""
AFTERMATH = 10.0
"""Most seconds after a replay or recording in which waiting is put down to it."""


class Scheduler:
    """Plans steps of at most `max_batch` places per lane.

    Lanes are processors inside the engine that work side by side; place i lies on lane i % lanes. A GPU is one lane.
    """

    def __init__(self, max_batch: int, ladder: Ladder, lanes: int = 1) -> None:
        self.max_batch = max_batch
        self.ladder = ladder
        self.lanes = lanes
        self.outcomes: Counter[str] = Counter()
        """How many works were added, planned, settled, replaced and cancelled so far."""
        self.recorded_paused = False
        """Recorded works are kept waiting; set by whoever measures the load."""
        self._waiting: dict[Place, Work] = {}
        self._running: dict[Place, Work] = {}
        self._disturbed_at: float | None = None
        """When the last step began, if it held a replay or a recording."""
        self._calm_at = -math.inf
        """When what waited for such a step must have been worked off."""

    def add(self, work: Work) -> Work | None:
        """Take a work; returns the one it makes unnecessary: the stale partial it replaces, or `work` itself where a
        final already waits (the final's step covers it). The earliest deadline of both is kept."""
        self.outcomes["added"] += 1
        earlier = self._waiting.get(work.place)
        if earlier is None:
            self._waiting[work.place] = work
            return None
        self.outcomes["replaced"] += 1
        samples = max(earlier.samples, work.samples)
        if earlier.urgency < work.urgency:
            self._waiting[work.place] = replace(earlier, samples=samples)
            return work
        due, added = min(earlier.due, work.due), min(earlier.added, work.added)
        self._waiting[work.place] = replace(work, samples=samples, due=due, added=added)
        return earlier

    def plan(self, now: float) -> Plan:
        """The next step: finals before partials before recorded work, earliest deadline first; empty if nothing waits.

        Recorded work runs only in steps that hold no live work, when there is none or after RECORDED_PATIENCE, and not
        while paused. The planned works are running until settled.
        """
        ready = [work for place, work in self._waiting.items() if place not in self._running and self._may_run(work)]
        if not ready:
            return Plan(chunk_ms=self.ladder.chunk_ms)
        live = [work for work in ready if work.urgency is not Urgency.RECORDED]
        aged = [work for work in ready if work.urgency is Urgency.RECORDED and now - work.added > RECORDED_PATIENCE]
        chosen = self._seated(sorted(aged or live or ready, key=_order))
        for work in chosen:
            del self._waiting[work.place]
            self._running[work.place] = work
        self.outcomes["planned"] += len(chosen)
        self._tell_ladder(len(ready), chosen, now)
        return Plan(tuple(chosen), self.ladder.chunk_ms)

    def _may_run(self, work: Work) -> bool:
        return work.urgency is not Urgency.RECORDED or not self.recorded_paused

    def _tell_ladder(self, ready: int, chosen: Sequence[Work], now: float) -> None:
        """Replays and recordings take long because of what they hold, which is no pressure; nor is waiting for one."""
        chunk_ms = self.ladder.chunk_ms
        if self._disturbed_at is not None:
            self._calm_at = now + min(AFTERMATH, now - self._disturbed_at)
        if any(work.urgency is Urgency.RECORDED or catching_up(work, now, chunk_ms) for work in chosen):
            self._disturbed_at = now
            return
        self._disturbed_at = None
        if now >= self._calm_at:
            self.ladder.planned(ready, max(now - work.added for work in chosen), now)

    def _seated(self, works: Sequence[Work]) -> list[Work]:
        """The first works that fit: an even load per lane, because the step lasts as long as its fullest lane."""
        load = [0] * self.lanes
        seated = []
        for work in works:
            lane = work.place.index % self.lanes
            if load[lane] < self.max_batch:
                load[lane] += 1
                seated.append(work)
        return seated

    def settle(self, works: Iterable[Work]) -> None:
        """These works have run."""
        for work in works:
            del self._running[work.place]
            self.outcomes["settled"] += 1

    def cancel(self, place: Place) -> Work | None:
        """The place is given up: its waiting work is not needed any more. A running one still settles."""
        work = self._waiting.pop(place, None)
        if work is not None:
            self.outcomes["cancelled"] += 1
        return work

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def runnable(self) -> bool:
        """Whether a plan made now would hold something, once what runs has settled."""
        return any(self._may_run(work) for work in self._waiting.values())

    def check(self) -> None:
        """Raises AssertionError if a work was lost or counted twice."""
        seen = self.outcomes
        if seen["added"] != seen["planned"] + seen["replaced"] + seen["cancelled"] + len(self._waiting):
            raise AssertionError(f"works do not add up: {dict(seen)}, {len(self._waiting)} waiting")
        if seen["planned"] != seen["settled"] + len(self._running):
            raise AssertionError(f"steps do not add up: {dict(seen)}, {len(self._running)} running")


def _order(work: Work) -> tuple[Urgency, float]:
    return work.urgency, work.due
