"""Every work added is run, replaced or cancelled, exactly once, whatever the order of things."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.errors import AtCapacity
from voxfleet.scheduling.ladder import PATIENCE, Ladder
from voxfleet.scheduling.places import Place, Places
from voxfleet.scheduling.scheduler import Scheduler
from voxfleet.scheduling.work import Urgency, Work


def work(index: int, urgency: Urgency = Urgency.PARTIAL, due: float = 1.0, added: float = 0.0) -> Work:
    return Work(Place(index, 1), urgency, due, added, 1600)


def indices(plan) -> list[int]:
    return [work.place.index for work in plan.works]


def test_finals_first_then_earliest_deadline_and_recorded_work_only_alone() -> None:
    scheduler = Scheduler(8, Ladder((100,)))
    scheduler.add(work(0, Urgency.RECORDED, due=0.0))
    scheduler.add(work(1, due=3.0))
    scheduler.add(work(2, due=2.0))
    scheduler.add(work(3, Urgency.FINAL, due=9.0))
    plan = scheduler.plan(1.0)
    assert indices(plan) == [3, 2, 1]
    scheduler.settle(plan.works)
    assert indices(scheduler.plan(1.0)) == [0]


def test_a_newer_partial_replaces_a_waiting_one_and_keeps_the_earlier_deadline() -> None:
    scheduler = Scheduler(8, Ladder((100,)))
    first = work(0, due=1.0)
    scheduler.add(first)
    assert scheduler.add(work(0, due=2.0, added=0.5)) == first
    (planned,) = scheduler.plan(1.0).works
    assert (planned.due, planned.added) == (1.0, 0.0)


def test_a_partial_is_absorbed_by_a_waiting_final() -> None:
    scheduler = Scheduler(8, Ladder((100,)))
    scheduler.add(work(0, Urgency.FINAL))
    late = work(0)
    assert scheduler.add(late) is late
    assert scheduler.plan(1.0).works[0].urgency is Urgency.FINAL


def test_lanes_are_filled_evenly() -> None:
    scheduler = Scheduler(1, Ladder((100,)), lanes=2)
    for index, due in ((0, 1.0), (2, 2.0), (4, 3.0), (1, 9.0)):
        scheduler.add(work(index, due=due))
    steps = []
    while plan := scheduler.plan(10.0):
        steps.append(indices(plan))
        scheduler.settle(plan.works)
    assert steps == [[0, 1], [2], [4]]


def test_a_running_place_waits_for_settle() -> None:
    scheduler = Scheduler(8, Ladder((100,)))
    scheduler.add(work(0))
    plan = scheduler.plan(0.0)
    scheduler.add(work(0))
    assert not scheduler.plan(0.0)
    scheduler.settle(plan.works)
    assert scheduler.plan(0.0)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 5), st.sampled_from(Urgency)),
            st.tuples(st.just("plan"), st.just(0), st.none()),
            st.tuples(st.just("settle"), st.just(0), st.none()),
            st.tuples(st.just("cancel"), st.integers(0, 5), st.none()),
            st.tuples(st.just("pause"), st.integers(0, 1), st.none()),
        ),
        max_size=60,
    ),
    st.integers(1, 4),
)
def test_works_add_up(facts: list[Any], max_batch: int) -> None:
    scheduler = Scheduler(max_batch, Ladder((100, 200)))
    running: list[Work] = []
    run: list[Place] = []
    for now, (kind, index, urgency) in enumerate(facts):
        if kind == "add":
            scheduler.add(work(index, urgency, due=float(now), added=float(now)))
        elif kind == "plan" and not running:
            running = list(scheduler.plan(float(now)).works)
            assert len(running) <= max_batch
            assert len({w.place for w in running}) == len(running)
            run += [w.place for w in running]
        elif kind == "settle":
            scheduler.settle(running)
            running = []
        elif kind == "cancel":
            scheduler.cancel(Place(index, 1))
        elif kind == "pause":
            scheduler.recorded_paused = bool(index)
        scheduler.check()
    scheduler.settle(running)
    scheduler.recorded_paused = False
    while plan := scheduler.plan(1e9):
        scheduler.settle(plan.works)
    scheduler.check()
    assert scheduler.waiting == 0


def test_a_lost_work_is_noticed() -> None:
    scheduler = Scheduler(4, Ladder((100,)))
    scheduler.add(work(0))
    scheduler._waiting.clear()
    with pytest.raises(AssertionError, match="do not add up"):
        scheduler.check()
    scheduler = Scheduler(4, Ladder((100,)))
    scheduler.add(work(0))
    scheduler.plan(0.0)
    scheduler._running.clear()
    with pytest.raises(AssertionError, match="steps do not add up"):
        scheduler.check()


def test_a_recorded_work_gets_its_step_although_live_works_never_end() -> None:
    scheduler = Scheduler(8, Ladder((100,)))
    scheduler.add(work(0, Urgency.RECORDED))
    planned = []
    for number in range(60):
        scheduler.add(work(1, added=0.1 * number))
        plan = scheduler.plan(0.1 * number)
        planned += indices(plan)
        scheduler.settle(plan.works)
    assert planned[:50] == [1] * 50
    assert 0 in planned


def test_recorded_works_wait_while_paused_and_are_not_lost() -> None:
    scheduler = Scheduler(8, Ladder((100,)))
    scheduler.add(work(0, Urgency.RECORDED))
    scheduler.recorded_paused = True
    assert (scheduler.runnable, indices(scheduler.plan(1.0))) == (False, [])
    scheduler.add(work(1))
    told, plan = scheduler.runnable, scheduler.plan(1.0)
    assert (told, indices(plan)) == (True, [1])
    scheduler.settle(plan.works)
    scheduler.check()
    scheduler.recorded_paused = False
    assert (scheduler.runnable, indices(scheduler.plan(1.0))) == (True, [0])


@pytest.mark.parametrize("urgency", [Urgency.RECORDED, Urgency.PARTIAL])
def test_waiting_for_a_recording_or_a_replay_is_no_pressure(urgency: Urgency) -> None:
    scheduler = Scheduler(8, Ladder((100, 200)))
    for number in range(2 * PATIENCE):
        now = 10.0 * number
        scheduler.add(Work(Place(0, 1), urgency, now, now, 60 * 16_000))
        scheduler.settle(scheduler.plan(now).works)
        scheduler.add(work(1, added=now))
        scheduler.settle(scheduler.plan(now + 5).works)
    assert scheduler.ladder.chunk_ms == 100
    for number in range(2 * PATIENCE + 10):
        scheduler.add(work(1, added=1000.0 + number))
        scheduler.settle(scheduler.plan(1000.9 + number).works)
    assert scheduler.ladder.chunk_ms == 200


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=80))
def test_places_are_never_lost_or_given_twice(facts: list[Any]) -> None:
    places = Places(4)
    held: list[Place] = []
    seen: set[Place] = set()
    for take, which in facts:
        if take and places.taken < 4:
            place = places.take()
            assert place not in seen, "a reused place carries a new identity"
            seen.add(place)
            held.append(place)
        elif take:
            with pytest.raises(AtCapacity):
                places.take()
        elif held:
            gone = held.pop(which % len(held))
            places.free(gone)
            assert not places.holds(gone)
            with pytest.raises(ValueError, match="not taken"):
                places.free(gone)
        places.check()
        assert all(places.holds(place) for place in held)


def test_keys_carry_both_index_and_generation() -> None:
    place = Place(5, 77)
    assert Place.of(place.key) == place


def test_current_tells_stale_keys_from_held_ones() -> None:
    import numpy as np

    places = Places(2)
    old = places.take()
    places.free(old)
    new = places.take()
    keys = np.array([old.key, new.key, Place(9, 1).key], np.uint64)
    assert places.current(keys).tolist() == [False, True, False]


def test_a_lost_place_is_noticed() -> None:
    places = Places(2)
    places._free.pop()
    with pytest.raises(AssertionError, match="disagree"):
        places.check()
    with pytest.raises(ValueError, match="at least one"):
        Places(0)
