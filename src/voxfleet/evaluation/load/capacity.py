"""How many streams a server carries: rungs of a ladder, each long enough to show a queue, and what is beyond the last.

The search doubles until a rung fails, halves the gap, then holds the best rung for longer before it is called the capacity.
A rung meets the objective when everybody was admitted and nobody failed, p95 of emissions and finals is within it, nothing
stalled and the lag does not grow: a server slightly past its capacity passes every short test (load rule 8).
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from voxfleet.evaluation.load.account import Account, health, latencies, streams
from voxfleet.evaluation.report.document import Capacity, Figure, Latency, Rung
from voxfleet.evaluation.statistics.trend import Trend, trend

HELD_LONGER = 3
"""The best rung is held for so many times the length of the others before it is believed."""
FINENESS = 0.05
"""The search ends when the gap between a rung that meets and one that does not is so small a share of it."""
LEAST_EVENTS = 20
"""Fewer latencies than this decide nothing."""
TOO_SHORT = "hold it longer"


@dataclass(frozen=True, slots=True)
class Objective:
    """What callers are promised, seconds at p95, with no errors."""

    emission: float = 2.0
    final: float = 2.0

    def __str__(self) -> str:
        return f"p95 of emissions ≤ {self.emission:g} s and of finals ≤ {self.final:g} s, no errors, no growing lag"


Hold = Callable[[int, float], Awaitable[Account]]
"""Runs so many streams for so long, against a server at rest."""


class Interrupted(Exception):
    """The user has had enough; what was found so far stands."""


async def find_capacity(
    hold: Hold,
    objective: Objective,
    *,
    first: int,
    most: int,
    seconds: float,
    told: Callable[[Rung], None] = lambda _rung: None,
) -> tuple[Capacity, list[Account], bool]:
    """The search, between `first` and `most` streams, with rungs of `seconds`; every account, and whether it was cut short.

    `hold` may raise Interrupted.
    """
    search = _Search(hold, objective, seconds, told)
    cut_short = await search.run(first, most)
    return search.capacity(most), search.accounts, cut_short


class _Search:
    """The rungs tried so far, and the next."""

    def __init__(self, hold: Hold, objective: Objective, seconds: float, told: Callable[[Rung], None]) -> None:
        self.rungs: list[Rung] = []
        self.accounts: list[Account] = []
        self._hold = hold
        self._objective = objective
        self._seconds = seconds
        self._told = told
        self._cut_short = False

    @property
    def best(self) -> int:
        """The largest number that met, below every one that did not; 0 for none."""
        failed = self.worst
        return max((rung.streams for rung in self.rungs if rung.meets and rung.streams < failed), default=0)

    @property
    def worst(self) -> float:
        """The smallest number that did not meet."""
        return min((rung.streams for rung in self.rungs if rung.valid and not rung.meets), default=math.inf)

    @property
    def limit(self) -> Rung | None:
        """The smallest rung above the best that could not be judged."""
        above = [rung for rung in self.rungs if not rung.valid and rung.streams > self.best]
        return min(above, key=lambda rung: rung.streams, default=None)

    async def run(self, first: int, most: int) -> bool:
        """The whole search; whether it was cut short."""
        try:
            await self.up(first, most)
            await self.between()
            await self.confirm()
            await self.beyond(most)
        except Interrupted:
            self._cut_short = True
        return self._cut_short

    async def up(self, first: int, most: int) -> None:
        streams = min(first, most)
        while True:
            rung = await self._try(streams, self._seconds)
            if streams >= most or not (rung.meets or _too_short(rung)):
                break
            streams = min(streams * 2, most)
        await self.down()

    async def down(self) -> None:
        """Halve what failed until something meets."""
        while self.rungs[-1].valid and not self.best and 1 < self.worst < math.inf:
            await self._try(int(self.worst) // 2, self._seconds)

    async def between(self) -> None:
        while self.best:
            edge = min(self.worst, self.limit.streams if self.limit else math.inf)
            gap = edge - self.best
            if gap == math.inf or gap <= max(1, FINENESS * self.best):
                return
            await self._try(self.best + int(gap) // 2, self._seconds)

    async def confirm(self) -> None:
        """Hold the best for longer; where it fails then, the search goes on below it."""
        while self.best and not await self._holds(self.best):
            await self.down()
            await self.between()

    async def _holds(self, streams: int) -> bool:
        rung = await self._try(streams, self._seconds * HELD_LONGER)
        return rung.meets or not rung.valid  # what the generator could not hold says nothing of the server

    async def beyond(self, most: int) -> None:
        """One rung a fifth past the knee, if none near it was tried."""
        if not self.best or self.worst == math.inf:
            return
        past = math.ceil(self.best * 1.2)
        if past <= most and not any(rung.streams >= past and rung.valid and not rung.meets for rung in self.rungs):
            await self._try(past, self._seconds)

    async def _try(self, streams: int, seconds: float) -> Rung:
        found = await self._hold(streams, seconds)
        rung = rung_of(found, streams, self._objective)
        self.rungs.append(rung)
        self.accounts.append(found)
        self._told(rung)
        if found.course.partial:
            raise Interrupted
        return rung

    def capacity(self, most: int) -> Capacity:
        best = self.best
        return Capacity(
            objective=str(self._objective),
            streams=best or None,
            is_lower_bound=self.worst == math.inf,
            beyond=self._beyond(most),
            final_p95_limit=self._objective.final,
            emission_p95_limit=self._objective.emission,
            rungs=sorted(self.rungs, key=lambda rung: (rung.streams, rung.seconds)),
        )

    def _beyond(self, most: int) -> str:
        failed = [rung for rung in self.rungs if rung.valid and not rung.meets]
        if not failed:
            if self._cut_short:
                return "not seen: the search was stopped"
            if self.limit is not None and _too_short(self.limit):
                return f"not seen: at {self.limit.streams} streams: {'; '.join(self.limit.why_not)}"
            if self.limit is not None:
                return (
                    f"not seen: at {self.limit.streams} streams the load generator, not the server, fell behind; "
                    "run it from a faster or a second machine"
                )
            return f"not seen: the search ended at its own limit of {most} streams"
        rung = max(failed, key=lambda rung: rung.streams)
        counts = rung.counts
        parts = [f"at {rung.streams} streams"]
        if counts.refused:
            reasons = ", ".join(counts.reasons)
            parts.append(f"{counts.refused} of {counts.offered} callers were refused ({reasons})")
        if counts.failed:
            parts.append(f"{counts.failed} callers failed ({', '.join(counts.reasons)})")
        finals = next((kind.p95 for kind in rung.latencies if kind.name == "final"), None)
        if finals is not None:
            parts.append(f"p95 of finals was {finals.value:.2f} s")
        if rung.lag_growth is not None and rung.lag_growth.low is not None and rung.lag_growth.low > 0:
            parts.append(f"the lag grew by {rung.lag_growth.value:.2f} s a minute")
        return parts[0] + ": " + ", ".join(parts[1:])


def _too_short(rung: Rung) -> bool:
    """The server did nothing wrong, and said too little to be called right."""
    return not rung.valid and all(TOO_SHORT in why for why in rung.why_not)


def rung_of(found: Account, streams_asked: int, objective: Objective) -> Rung:
    """One held number of streams against the objective."""
    counts = streams(found.course)
    kinds = latencies(found)
    own = health(found.course.wakes)
    lag = found.measured(lambda reading: reading.response_lag)
    growth = trend([late.due for late in lag], [late.seconds for late in lag]) if lag else None
    why_not = _why_not(found, kinds, growth, objective)
    return Rung(
        streams=streams_asked,
        seconds=found.course.plan.seconds,
        meets=own.valid and not why_not,
        why_not=[f"invalid: {reason}" for reason in own.because] + why_not,
        valid=own.valid and not found.course.partial and not (why_not and all(TOO_SHORT in why for why in why_not)),
        counts=counts,
        latencies=kinds,
        lag_growth=None
        if growth is None
        else Figure(growth.slope * 60, growth.interval.low * 60, growth.interval.high * 60),
        stalls=len(found.stalls),
    )


def _why_not(found: Account, kinds: list[Latency], growth: Trend | None, objective: Objective) -> list[str]:
    if found.course.partial:
        return ["stopped before its time"]
    counts = streams(found.course)
    why = []
    if counts.refused:
        why.append(f"{counts.refused} refused")
    if counts.failed:
        why.append(f"{counts.failed} failed")
    by_name = {kind.name: kind for kind in kinds}
    for name, limit in (("emission", objective.emission), ("final", objective.final)):
        kind = by_name.get(name)
        if kind is None or kind.count < LEAST_EVENTS:
            why.append(f"only {kind.count if kind else 0} {name} latencies: {TOO_SHORT}")
        elif kind.p95 is not None and kind.p95.value > limit:
            why.append(f"p95 {name} {kind.p95.value:.2f} s")
    if found.stalls:
        why.append(f"{len(found.stalls)} stalls of more than 5 s")
    if growth is not None and growth.growing:
        why.append(f"lag grows by {growth.slope * 60:.2f} s a minute")
    return why
