"""One trial: so many live streams on an engine, for so long, in real time, on one thread as the worker does it.

Each tick of the link that has come due is heard and asked for what is ready; then one step works on all that is ready.
The host's part is in every figure: audio in, hypotheses out. A chunk is due when the tick that completes it is; if a
step lasts longer than a tick, the ticks it delayed keep their times. `step` is how long a step took, `lag` the time from
when the first chunk of a step was due until its hypotheses were there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.bench.callers import Callers
from voxfleet.engines.bench.seats import at_percent, seats, shares
from voxfleet.engines.port import Engine
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan, Urgency, Work

SHARE = 0.8
"""Of a chunk that p95 of steps and of lags may last."""
LOST = 4.0
"""Chunks of lag after which a trial is not going to be saved."""
NEVER = np.inf


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be held."""

    streams: int
    chunk_ms: int
    seconds: float
    """Measured, after the warm-up."""
    warm_up: float
    tick_ms: int = 20
    turn_seconds: float = 6.0
    seed: int = 0


@dataclass(slots=True)
class Trial:
    """What it showed. Seconds."""

    terms: Terms
    step: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)
    """Of the first chunk of each step."""
    lags: list[NDArray[np.float64]] = field(default_factory=list)
    """Of all chunks."""
    rows: list[int] = field(default_factory=list)
    """Places in each step."""
    hearing: float = 0.0
    """Time spent in `hear` and `ready`."""
    planning: float = 0.0
    span: float = 0.0
    """How long was measured."""
    lost: bool = False
    """Given up: it fell behind and stayed behind."""
    probed: dict[str, float] = field(default_factory=dict)
    """By how much the readings of the probe grew."""

    @property
    def streams(self) -> int:
        return self.terms.streams

    @property
    def met(self) -> bool:
        """Whether p95 of steps and of lags stayed under the share of a chunk."""
        return bool(self.step) and not self.lost and self.worst <= SHARE * self.terms.chunk_ms / 1000

    @property
    def worst(self) -> float:
        """The larger of p95 of steps and p95 of lags."""
        return max(at_percent(self.step, 95), at_percent(self.lag, 95)) if self.step else NEVER

    @property
    def stepping(self) -> float:
        """Share of the time spent in steps."""
        return sum(self.step) / self.span if self.span else 0.0

    def json(self) -> dict[str, object]:
        """Its figures; times in milliseconds."""
        every = np.concatenate(self.lags) if self.lags else np.zeros(0)
        return {
            "streams": self.terms.streams,
            "chunk_ms": self.terms.chunk_ms,
            "met": self.met,
            "fell_behind": self.lost,
            "seconds": round(self.span, 1),
            "steps": len(self.step),
            "places_per_step": round(float(np.mean(self.rows)), 1) if self.rows else 0,
            "step_ms": shares(self.step, 2),
            "lag_ms": shares(self.lag, 2),
            "lag_of_every_chunk_ms": shares(every, 2),
            "share_of_time_in_steps": round(self.stepping, 3),
        }


def hold(engine: Engine, terms: Terms, probe: Callable[[], dict[str, float]] = dict) -> Trial:
    """Let so many callers talk to an engine nobody else uses. `probe` is read at the begin and end of what is measured.

    Raises AtCapacity when the engine has fewer places.
    """
    with seats(engine, terms.streams) as places:
        return _Holding(engine, terms, places, probe).run()


class _Holding:
    def __init__(
        self, engine: Engine, terms: Terms, places: list[Place], probe: Callable[[], dict[str, float]]
    ) -> None:
        self._engine, self._terms, self._probe = engine, terms, probe
        self._callers = Callers(places, terms.tick_ms, terms.chunk_ms, terms.turn_seconds, terms.seed)
        self._by_index = {place.index: place for place in places}
        self._due = np.full(engine.info.places, NEVER)
        """When the chunk each place waits with was due."""
        self._trial = Trial(terms)
        self._measuring = False
        self._behind = 0
        """Steps in a row whose lag was beyond hope."""

    def run(self) -> Trial:
        terms, trial = self._terms, self._trial
        tick, number = terms.tick_ms / 1000, 0
        start = time.perf_counter() + tick
        begin, end = start + terms.warm_up, start + terms.warm_up + terms.seconds
        before: dict[str, float] = {}
        while (now := time.perf_counter()) < end and not trial.lost:
            if not self._measuring and now >= begin:
                self._measuring, begin, before = True, now, self._probe()
            while start + number * tick <= now:
                self._hear(number, start + number * tick)
                number += 1
            if not self._step():
                time.sleep(max(0.0, start + number * tick - time.perf_counter()))
        trial.span = max(0.0, time.perf_counter() - begin)
        after = self._probe()
        trial.probed = {name: value - before.get(name, 0.0) for name, value in after.items()}
        return trial

    def _hear(self, number: int, due: float) -> None:
        increments = self._callers.tick(number)
        if not increments.places.size:
            return
        began = time.perf_counter()
        self._engine.hear(increments)
        ready = increments.places[self._engine.ready(increments.places, self._terms.chunk_ms)]
        self._due[ready] = np.minimum(self._due[ready], due)
        if self._measuring:
            self._trial.hearing += time.perf_counter() - began

    def _step(self) -> bool:
        """Work on everything that is ready, if anything is."""
        began = time.perf_counter()
        ready = np.flatnonzero(self._due < NEVER)
        if not ready.size:
            return False
        due = self._due[ready]
        works = tuple(
            Work(self._by_index[index], Urgency.PARTIAL, at, began)
            for index, at in zip(ready.tolist(), due.tolist(), strict=True)
        )
        plan = Plan(works, self._terms.chunk_ms)
        planned = time.perf_counter()
        self._engine.step(plan)
        ended = time.perf_counter()
        self._due[ready] = np.where(self._engine.ready(ready.astype(np.uint32), plan.chunk_ms), due, NEVER)
        self._note(planned - began, ended - planned, ended - due)
        return True

    def _note(self, planning: float, seconds: float, lags: NDArray[np.float64]) -> None:
        trial, first = self._trial, float(lags.max())
        self._behind = self._behind + 1 if first > LOST * self._terms.chunk_ms / 1000 else 0
        trial.lost = self._behind >= 3
        if self._measuring or trial.lost:
            trial.planning += planning
            trial.step.append(seconds)
            trial.lag.append(first)
            trial.lags.append(lags)
            trial.rows.append(len(lags))
