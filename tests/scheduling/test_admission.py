"""Overload meets the ladder first, then recorded work, then the door; nothing flutters, and nobody is evicted."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scheduling.simulated import Cost, SimulatedWorker
from voxfleet.scheduling.admission import MARGIN, Admission, Recent, catching_up
from voxfleet.scheduling.ladder import Ladder
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Urgency, Work
from voxfleet.speech import SAMPLE_RATE

TARGET = 0.8
RUNGS = (80, 160, 400)


def by_step(base: float, each: float) -> Cost:
    """A GPU: pays for the step and for every row of the batch, not for what they hold."""
    return lambda works, audio: base + each * works


def by_audio(each: float) -> Cost:
    """A CPU decoder: pays for every second of audio."""
    return lambda works, audio: 0.002 + each * audio


def fill(worker: SimulatedWorker, per_second: float, most: int = 1000) -> None:
    """Streams join until one is refused."""
    for _ in range(most):
        if not worker.join():
            return
        worker.run(1 / per_second)


def changes(values: list[int]) -> int:
    return sum(one != other for one, other in pairwise(values))


@pytest.mark.parametrize(
    ("cost", "rungs"),
    [
        (by_step(0.02, 0.008), RUNGS),
        (by_step(0.005, 0.006), RUNGS),
        (by_step(0.06, 0.006), RUNGS),
        (by_step(0.02, 0.004), (160,)),
    ],
)
def test_streams_are_refused_where_the_largest_chunk_reaches_the_target(cost: Cost, rungs: tuple[int, ...]) -> None:
    worker = SimulatedWorker(cost, places=150, rungs=rungs)
    fill(worker, per_second=2)
    assert worker.refused_at, "the places were taken to the last"
    assert worker.chunks[-1] == rungs[-1], "the ladder went to its top before anybody was refused"
    utilisation = cost(worker.refused_at[0], 0.0) * 1000 / rungs[-1]
    assert 0.7 <= utilisation <= 0.85
    assert worker.admission.decision.startswith(
        f"closed at {worker.taken} of 150 places: {worker.taken + 1} would take"
    )
    assert worker.admission.decision.endswith(f"of a {rungs[-1]} ms chunk")

    worker.run(60)
    assert worker.refused_at == worker.refused_at[:1]
    assert max(worker.waits[-200:]) < 2 * rungs[-1] / 1000, "those who are in keep their latency"
    assert changes(worker.chunks) == len(rungs) - 1, "up, and no flutter"


def test_the_door_opens_again_well_below_the_target_and_does_not_flutter() -> None:
    worker = SimulatedWorker(by_step(0.02, 0.008), places=100, rungs=RUNGS)
    fill(worker, per_second=2)
    full = worker.taken
    worker.leave(1)
    worker.run(2)
    assert not worker.join(), "one that leaves does not open it"
    worker.leave(full // 5)
    worker.run(2)
    assert worker.join()
    before = worker.admission.decisions
    for _ in range(20):
        worker.leave(3)
        worker.run(2)
        fill(worker, per_second=5)
    assert worker.taken <= full + 1
    assert worker.admission.decisions - before <= 20
    worker.leave(worker.taken - 1)
    worker.run(30)
    assert (worker.ladder.chunk_ms, worker.admission.capacity, worker.admission.closed) == (RUNGS[0], 100, False)


def test_an_engine_that_pays_by_the_audio_is_not_taken_for_slow_because_its_works_waited() -> None:
    """As PocketSphinx on two cores: five places a lane, all of which it carries, with finals in time."""
    worker = SimulatedWorker(by_audio(0.14), places=10, rungs=(100, 200, 400), lanes=2, max_batch=2)
    fill(worker, per_second=2)
    assert worker.refused_at == [10]
    worker.run(60)
    assert 0.6 < worker.admission.utilisation < TARGET
    assert not worker.admission.closed
    assert worker.admission.capacity == 10


def test_an_engine_that_pays_by_the_audio_is_protected_from_more_than_it_can_do() -> None:
    worker = SimulatedWorker(by_audio(0.02), places=100, rungs=(400,))
    fill(worker, per_second=1)
    assert 35 <= worker.refused_at[0] <= 43
    worker.run(30)
    assert max(worker.waits[-100:]) < 1.0


def test_silent_streams_close_no_door_as_long_as_the_engine_is_idle() -> None:
    worker = SimulatedWorker(by_step(0.02, 0.008), places=60, rungs=(160,))
    for _ in range(60):
        assert worker.join()
        worker.run(0.5, speaking=lambda place: place.index < 4)
    assert worker.admission.capacity == 60


def test_nobody_is_evicted_and_an_empty_worker_always_takes_one() -> None:
    worker = SimulatedWorker(by_step(0.5, 0.0), places=8, rungs=(100,))
    for _ in range(3):
        assert worker.join()
    worker.run(60)
    assert worker.admission.closed
    assert worker.admission.capacity == 3
    worker.leave(3)
    assert worker.join()
    assert worker.admission.decision == "open at 0 of 8 places: 1 take 1.00 of a 100 ms chunk"


def test_a_hiccup_closes_no_door() -> None:
    worker = SimulatedWorker(by_step(0.02, 0.004), places=60, rungs=(400,))
    for _ in range(50):
        worker.join()
    worker.run(40)
    worker.hiccup = 5.0
    worker.run(40)
    assert worker.admission.decisions == 0
    assert worker.join()


def test_a_replay_is_neither_pressure_nor_a_slow_step() -> None:
    worker = SimulatedWorker(lambda works, audio: 0.01 + 0.05 * audio, places=12, rungs=(100, 200, 400), max_batch=4)
    for _ in range(8):
        worker.join()
    worker.run(20)
    before = worker.admission.utilisation
    for _ in range(4):
        worker.replay(60.0)
        worker.run(15)
    assert set(worker.chunks) == {100}
    assert worker.admission.utilisation == pytest.approx(before, rel=0.2)
    assert worker.admission.decisions == 0


def test_recorded_work_pauses_under_live_load_and_goes_on_after_it() -> None:
    worker = SimulatedWorker(by_step(0.02, 0.008), places=60, rungs=(400,))
    worker.record()
    for _ in range(20):
        worker.join()
    worker.run(40)
    assert worker.recorded_steps >= 5, "a live load within the target leaves room for it"
    fill(worker, per_second=2)
    for _ in range(8):
        worker.seat()
    worker.run(20)
    steps = worker.recorded_steps
    worker.run(20)
    assert (worker.admission.recorded_paused, worker.recorded_steps) == (True, steps)
    assert worker.scheduler.waiting, "it waits, it is not lost"
    worker.leave(30)
    worker.run(20)
    assert worker.recorded_steps > steps + 10, "a step about every RECORDED_PATIENCE, and whenever nobody speaks"
    assert worker.admission.recorded_paused is False
    assert "recorded work goes on" in worker.admission.decision


def test_the_ladder_comes_down_where_the_smaller_chunk_costs_no_more() -> None:
    worker = SimulatedWorker(by_audio(0.1), places=16, rungs=(100, 200, 400), max_batch=2)
    for _ in range(9):
        worker.join()
    worker.run(40)
    assert worker.chunks[-1] == 400, "nine take 0.9 of the time, and it was worth a try"
    worker.leave(3)
    worker.run(60)
    assert worker.chunks[-1] == 100


def test_recorded_audio_and_audio_faster_than_real_time_are_told_apart_from_lateness() -> None:
    place = Place(0, 1)
    late = Work(place, Urgency.PARTIAL, 1.0, added=0.0, samples=5 * SAMPLE_RATE)
    assert not catching_up(late, 5.0, 100)
    assert catching_up(late, 0.2, 100)
    preroll = Work(place, Urgency.PARTIAL, 1.0, added=0.0, samples=SAMPLE_RATE // 2)
    assert not catching_up(preroll, 0.0, 100)


def test_what_is_recent_fades() -> None:
    recent = Recent()
    assert recent.rate(5.0) == 0.0
    recent.add([0.0003, 0.0003], 5.0)
    assert recent.rate(5.0) == pytest.approx(0.0002, rel=0.01)
    assert recent.rate(4.0) == recent.rate(5.0), "clocks of two threads may differ a little"
    assert recent.rate(8.0) == pytest.approx(0.0002 / 2.718, rel=0.01)
    recent.add([100.0], 105.0)
    assert recent.rate(105.0) == pytest.approx(1.0), "a long stretch filled the time, not more than it"


def test_steps_without_live_works_teach_nothing() -> None:
    admission = Admission(4, Ladder((100,)), 4)
    recorded = Work(Place(0, 1), Urgency.RECORDED, 1.0, 0.0, 16_000)
    for number in range(100):
        admission.observe((recorded,), float(number), 0.9)
    admission.observe((), 100.0, 0.9)
    admission.review(1, 101.0)
    assert (admission.utilisation, admission.speaking(101.0), admission.busy(101.0)) == (0.0, 0.0, 0.0)


def test_capacity_tells_how_many_the_steps_sustain_before_the_door_closes() -> None:
    worker = SimulatedWorker(by_step(0.02, 0.004), places=100, rungs=(400,))
    for _ in range(60):
        worker.join()
    worker.run(20)
    assert not worker.admission.closed
    assert 70 <= worker.admission.capacity <= 80


def test_loads_far_beyond_what_was_seen_are_not_refused() -> None:
    admission = Admission(1000, Ladder((400,)), 1000)
    for number in range(200):
        admission.observe((Work(Place(0, 1), Urgency.PARTIAL, 0.0, number * 0.4, 6_400),), number * 0.4, 0.31)
    admission.review(4, 80.0)
    assert admission.capacity == 1000, "one work costs 0.31 s; thirty-two may cost no more"


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.05),
    st.floats(0.0, 0.3),
    st.integers(1, 3),
    st.sampled_from(((100,), RUNGS)),
    st.lists(st.tuples(st.booleans(), st.integers(1, 8)), max_size=12),
)
def test_capacity_lies_between_what_is_taken_and_the_places(
    base: float, each: float, audio: float, lanes: int, rungs: tuple[int, ...], facts: list[tuple[bool, int]]
) -> None:
    worker = SimulatedWorker(lambda works, heard: base + each * works + audio * heard, 24, rungs, lanes, max_batch=8)
    for joins, count in facts:
        if joins:
            for _ in range(count):
                worker.join()
        else:
            worker.leave(count)
        worker.run(1.5)
        worker.admission.review(worker.taken, worker.now, asked=True)
        assert worker.taken <= worker.admission.capacity <= 24
        assert worker.admission.capacity > 0
        assert worker.admission.utilisation >= 0.0
    assert MARGIN < TARGET
