"""Steps without a clock: so many streams that all have a chunk ready, again and again. How a step's time grows with its batch."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import numpy as np

from voxfleet.engines.bench.seats import seats
from voxfleet.engines.port import END_OF_TURN, Engine, Increments
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE

AHEAD = 0.1
"""Seconds of audio beyond the first chunk, for engines that look a little further."""


class Choir:
    """Streams that all get the next chunk at the same time."""

    def __init__(
        self, engine: Engine, places: list[Place], chunk_ms: int, turn_seconds: float = 0.0, seed: int = 0
    ) -> None:
        """`turn_seconds`: how long everybody's turns are; 0 = they never end."""
        self._engine = engine
        self._indices = np.array([place.index for place in places], np.uint32)
        self.plan = Plan(tuple(Work(place, Urgency.PARTIAL, 0.0, 0.0) for place in places), chunk_ms)
        samples = chunk_ms * SAMPLE_RATE // 1000
        self._lengths = np.full(len(places), samples, np.uint32)
        self._flags = np.zeros(len(places), np.uint8)
        self._turn = max(1, round(turn_seconds * 1000 / chunk_ms)) if turn_seconds else 0
        dice = np.random.default_rng(seed)
        self._voices = [dice.normal(0, 1_500, len(places) * samples).astype(np.int16) for _ in range(2)]
        self._chunks = 0
        ahead = np.full(len(places), round(AHEAD * SAMPLE_RATE), np.uint32)
        self._engine.hear(Increments(self._indices, ahead, self._flags, self._voices[0][: int(ahead.sum())]))

    def hear(self) -> None:
        """One more chunk for everybody."""
        voice = self._voices[self._chunks % len(self._voices)]
        self._chunks += 1
        flags = self._flags + END_OF_TURN if self._turn and self._chunks % self._turn == 0 else self._flags
        self._engine.hear(Increments(self._indices, self._lengths, flags.astype(np.uint8), voice))

    def step(self, clock: Callable[[], float] = time.perf_counter) -> float:
        """Hear a chunk and work on it; seconds of the step alone, by this clock."""
        self.hear()
        began = clock()
        self._engine.step(self.plan)
        return clock() - began


@contextmanager
def choir(engine: Engine, rows: int, chunk_ms: int, turn_seconds: float = 0.0) -> Iterator[Choir]:
    """Streams on so many of an engine's places, which are given back at the end."""
    with seats(engine, rows) as places:
        yield Choir(engine, places, chunk_ms, turn_seconds)


@dataclass(frozen=True, slots=True)
class Batch:
    """What steps over so many rows took. Seconds."""

    rows: int
    chunk_ms: int
    least: float
    middle: float

    @property
    def streams(self) -> float:
        """Streams that would be held if all steps were like these and followed one another without a gap."""
        return self.rows * self.chunk_ms / 1000 / self.middle

    def json(self) -> dict[str, float]:
        return {
            "rows": self.rows,
            "step_ms": round(self.middle * 1000, 2),
            "least_step_ms": round(self.least * 1000, 2),
            "streams_without_a_gap": round(self.streams, 2),
        }


def batch(engine: Engine, rows: int, chunk_ms: int, repeats: int = 5, warm_up: int = 2) -> Batch:
    """Time steps over so many rows."""
    with choir(engine, rows, chunk_ms) as voices:
        for _ in range(warm_up):
            voices.step()
        seconds = [voices.step() for _ in range(repeats)]
    return Batch(rows, chunk_ms, min(seconds), median(seconds))


def curve(engine: Engine, chunk_ms: int, sizes: Iterable[int], repeats: int = 5) -> list[Batch]:
    """Steps of growing batches, until one lasts longer than its chunk."""
    found: list[Batch] = []
    for rows in sizes:
        found.append(batch(engine, rows, chunk_ms, repeats))
        if found[-1].middle > chunk_ms / 1000:
            break
    return found


def guess(curve: list[Batch]) -> int:
    """Streams a search may begin with: those of the largest steps that leave half their chunk to the ones that wait."""
    room = [each for each in curve if each.middle <= 0.4 * each.chunk_ms / 1000]
    return max(1, int(0.85 * (room[-1].streams if room else 0.5 * curve[0].streams)))
