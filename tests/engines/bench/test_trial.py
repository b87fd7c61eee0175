"""A trial hands an engine exactly what a worker would, keeps its times, and leaves the engine as it found it."""

import time

import numpy as np
import pytest

from tests.fakes.fake_engine import FakeEngine
from voxfleet.engines.bench import closed
from voxfleet.engines.bench.callers import Callers
from voxfleet.engines.bench.trial import Terms, hold
from voxfleet.engines.port import END_OF_TURN, Increments
from voxfleet.errors import AtCapacity
from voxfleet.scheduling.places import Place

PLACES = [Place(index, 1) for index in (3, 0, 7, 5)]


def test_callers_bring_real_time_at_phases_of_their_own() -> None:
    callers = Callers(PLACES, tick_ms=20, chunk_ms=320)
    brought = dict.fromkeys((3, 0, 7, 5), 0)
    for number in range(200):
        increments = callers.tick(number)
        assert int(increments.lengths.sum()) == len(increments.samples)
        for place, length in zip(increments.places.tolist(), increments.lengths.tolist(), strict=True):
            assert 0 < length <= 320
            brought[place] += length
    behind = [200 * 320 - samples for samples in brought.values()]
    assert all(0 <= samples < 320 * 16 for samples in behind)  # nobody begins later than a chunk
    assert len({samples % 320 for samples in behind}) > 1  # nor at the same moment of a tick


def test_callers_end_their_turns() -> None:
    callers = Callers(PLACES, tick_ms=20, chunk_ms=320, turn_seconds=1.0)
    ends = np.zeros(8)
    for number in range(20, 20 + 250):
        increments = callers.tick(number)
        np.add.at(ends, increments.places, (increments.flags & END_OF_TURN) != 0)
    assert ends[[3, 0, 7, 5]].tolist() == [5, 5, 5, 5]


def test_the_same_seed_the_same_callers() -> None:
    one, other, third = (Callers(PLACES, 20, 320, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one.tick(n).samples, other.tick(n).samples) for n in range(9))
    assert not np.array_equal(one.tick(50).samples, third.tick(50).samples)


class Listening(FakeEngine):
    """Counts what it hears, by place."""

    def __init__(self, places: int, step_seconds: float = 0.0) -> None:
        super().__init__(places, step_seconds=step_seconds)
        self.heard = np.zeros(places)
        self.asked: list[float] = []

    def hear(self, increments: Increments) -> None:
        np.add.at(self.heard, increments.places, increments.lengths)
        super().hear(increments)


def test_a_trial_is_in_real_time_and_gives_all_places_back() -> None:
    engine = Listening(6)
    readings = iter([{"steps": 0.0}, {"steps": 7.0}])
    began = time.perf_counter()
    trial = hold(engine, Terms(6, 100, 0.6, 0.2), lambda: next(readings))
    lasted = time.perf_counter() - began
    assert trial.span >= 0.59
    assert lasted >= trial.span
    assert engine.heard.min() >= (trial.span - 0.2) * 16_000
    assert engine.heard.max() <= (lasted + 0.1) * 16_000
    assert trial.probed == {"steps": 7.0}
    assert trial.step
    assert len(trial.step) == len(trial.lag) == len(trial.rows)
    assert all(lag >= step for lag, step in zip(trial.lag, trial.step, strict=True))
    assert engine.places.taken == 0


def test_a_step_longer_than_its_chunk_is_no_success() -> None:
    trial = hold(Listening(3, step_seconds=0.12), Terms(3, 100, 0.8, 0.0))
    assert not trial.met
    assert trial.worst > 0.12


def test_an_engine_that_never_keeps_up_ends_the_trial_early() -> None:
    engine = Listening(2, step_seconds=1.2)
    began = time.perf_counter()
    trial = hold(engine, Terms(2, 100, 60.0, 0.0))
    assert trial.lost
    assert time.perf_counter() - began < 30
    assert engine.places.taken == 0


def test_more_streams_than_places_leave_none_taken() -> None:
    engine = Listening(2)
    with pytest.raises(AtCapacity):
        hold(engine, Terms(3, 100, 1.0, 0.0))
    assert engine.places.taken == 0


def test_closed_steps_hear_one_chunk_each() -> None:
    engine = Listening(4, step_seconds=0.01)
    found = closed.batch(engine, 4, 100, repeats=3, warm_up=1)
    assert engine.heard.tolist() == [4 * 1_600 + 1_600] * 4  # and what is ahead of the first
    assert 0.01 <= found.least <= found.middle
    assert found.streams == pytest.approx(4 * 0.1 / found.middle)
    assert engine.places.taken == 0


def test_a_curve_ends_where_a_step_outlasts_its_chunk() -> None:
    found = closed.curve(Listening(8, step_seconds=0.11), 100, (1, 2, 4, 8), repeats=1)
    assert [each.rows for each in found] == [1]
    assert closed.guess(found) == 1
