"""The engine's thread takes, refuses, pauses and tells how it fares; driven as the service drives it."""

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tests.fakes.fake_engine import FakeEngine
from voxfleet.clock import SystemClock
from voxfleet.engines.port import END_OF_TURN, Heard, Increments, TrackOptions
from voxfleet.errors import AtCapacity, EngineBehind, LanguageNotSupported, VoxfleetError
from voxfleet.scheduling.places import Place
from voxfleet.speech import SAMPLE_RATE
from voxfleet.worker.device import Device, Free, Hear, Take


class Driven:
    """A device and what it said."""

    def __init__(self, engine: FakeEngine, stream_bound: float, utilisation: float) -> None:
        self.engine = engine
        self.said: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.device = Device(lambda: engine, self._spread, SystemClock(), stream_bound, utilisation=utilisation)

    def _spread(self, outcomes: Iterable[Heard]) -> None:
        for outcome in outcomes:
            self.said.put(outcome)

    def take(self, **options: Any) -> Place | VoxfleetError:
        answer: queue.SimpleQueue[Place | VoxfleetError] = queue.SimpleQueue()
        self.device.submit(Take(TrackOptions(**options), answer.put))
        return answer.get(timeout=10)

    def place(self, **options: Any) -> Place:
        place = self.take(**options)
        assert isinstance(place, Place), place
        return place

    def hear(self, places: list[Place], seconds: float, end: bool = False) -> None:
        count, length = len(places), round(seconds * SAMPLE_RATE)
        rows = Increments(
            np.array([place.index for place in places], np.uint32),
            np.full(count, length, np.uint32),
            np.full(count, END_OF_TURN if end else 0, np.uint8),
            np.zeros(count * length, np.int16),
        )
        self.device.submit(Hear(np.array([place.key for place in places], np.uint64), rows))

    def until(self, condition: Callable[[], bool], live: list[Place] | None = None, seconds: float = 20.0) -> None:
        """Waits for it; `live` streams speak meanwhile."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s; last decision: {self.device.decision!r}"
            if live:
                self.hear(live, 0.02)
            time.sleep(0.02)

    def final(self, place: Place, seconds: float = 10.0) -> Heard:
        end = time.monotonic() + seconds
        while True:
            outcome = self.said.get(timeout=max(0.01, end - time.monotonic()))
            if outcome.place == place and (outcome.error is not None or outcome.hypothesis.final):
                return outcome


@contextmanager
def driving(engine: FakeEngine, stream_bound: float = 75.0, utilisation: float = 0.8) -> Iterator[Driven]:
    driven = Driven(engine, stream_bound, utilisation)
    driven.device.start()
    try:
        yield driven
    finally:
        driven.device.stop()
        assert driven.device.failure is None


def test_full_is_said_at_once_with_advice_that_follows_turnover() -> None:
    with driving(FakeEngine(places=3)) as driven:
        places = [driven.place() for _ in range(3)]
        refusal = driven.take()
        assert isinstance(refusal, AtCapacity)
        assert (refusal.places, refusal.retry_after) == (3, 5.0)
        for _ in range(8):
            driven.device.submit(Free((places.pop(),)))
            places.append(driven.place())
        refusal = driven.take()
        assert isinstance(refusal, AtCapacity)
        assert refusal.retry_after == 8.0, "eight left in the last minute"
        assert (driven.device.capacity, driven.device.taken, driven.device.utilisation) == (3, 3, 0.0)
        assert (driven.device.decision, driven.device.decisions) == ("", 0)


def test_what_the_engine_refuses_is_passed_on() -> None:
    with driving(FakeEngine()) as driven:
        assert isinstance(driven.take(language="fi"), LanguageNotSupported)
        assert driven.device.taken == 0


def test_a_worker_whose_steps_are_too_slow_refuses_and_opens_when_its_streams_leave() -> None:
    with driving(FakeEngine(places=50, chunk_ms=(100,), step_seconds=0.15)) as driven:
        live = [driven.place() for _ in range(4)]
        driven.until(lambda: driven.device.capacity == 4, live)
        refusal = driven.take()
        assert isinstance(refusal, AtCapacity)
        assert refusal.places == 4
        assert driven.device.utilisation > 0.8
        assert driven.device.decision.startswith("closed at 4 of 50 places: 5 would take ")
        driven.device.submit(Free(tuple(live)))
        driven.place()


def test_the_target_is_the_operators() -> None:
    with driving(FakeEngine(places=50, chunk_ms=(200,), step_seconds=0.05), utilisation=0.15) as driven:
        live = [driven.place() for _ in range(4)]
        driven.until(lambda: driven.device.capacity == 4, live)


def test_a_running_step_tells_how_long_it_has_lasted() -> None:
    with driving(FakeEngine(step_seconds=0.6)) as driven:
        place = driven.place()
        assert driven.device.stuck_for() == 0.0
        driven.hear([place], 0.2)
        driven.until(lambda: driven.device.stuck_for() > 0.2)
        driven.until(lambda: driven.device.stuck_for() == 0.0)


def test_a_minute_replayed_at_once_is_worked_on_and_is_no_pressure() -> None:
    with driving(FakeEngine(places=4, chunk_ms=(100, 200))) as driven:
        replayed, other = driven.place(), driven.place()
        driven.hear([replayed], 60.0, end=True)
        driven.hear([other], 1.0, end=True)
        assert driven.final(replayed).hypothesis.heard == 60.0
        assert driven.device.chunk_ms == 100
        assert driven.device.decisions == 0


def test_a_stream_beyond_the_bound_fails_alone() -> None:
    with driving(FakeEngine(places=2), stream_bound=2.0) as driven:
        flooded, other = driven.place(), driven.place()
        driven.hear([flooded], 2.5)
        assert isinstance(driven.final(flooded).error, EngineBehind)
        driven.hear([other], 1.0, end=True)
        assert driven.final(other).hypothesis.final
        assert driven.device.taken == 1


def test_recorded_work_waits_while_live_work_needs_every_step_and_is_done_afterwards() -> None:
    with driving(FakeEngine(places=8, chunk_ms=(100,), step_seconds=0.13)) as driven:
        live = [driven.place() for _ in range(4)]
        recorded = driven.place(recorded=True)
        driven.until(lambda: driven.device.recorded_paused, live)
        driven.hear([recorded], 3.0, end=True)
        steps = driven.device.log.steps
        driven.until(lambda: driven.device.log.steps > steps + 10, live)
        heard = [driven.said.get() for _ in range(driven.said.qsize())]
        assert driven.device.recorded_paused
        assert recorded not in [outcome.place for outcome in heard]
        checks = driven.device.log.checks
        assert driven.final(recorded, seconds=20.0).hypothesis.heard == 3.0
        assert driven.device.log.checks > checks, "nothing to run: the thread slept meanwhile"
        assert "recorded work goes on" in driven.device.decision
