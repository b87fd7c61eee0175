"""What refused callers are told is near what then happens."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.cluster.turnover import Turnover


def test_with_nothing_seen_five_seconds():
    assert Turnover().retry_after(1_000.0) == 5.0


@pytest.mark.parametrize("seconds_each", [0.1, 1.0, 4.0, 12.0])
def test_a_steady_turnover_is_found(seconds_each: float) -> None:
    turnover, now = Turnover(), 50.0
    for _ in range(int(600 / seconds_each)):
        now += seconds_each
        turnover.freed(1, now)
    assert turnover.retry_after(now) == pytest.approx(max(seconds_each, 0.5), rel=0.15)
    assert turnover.retry_after(now, 8) == pytest.approx(min(8 * seconds_each, 30.0), rel=0.15)


def test_many_places_at_once_count_each():
    one, many = Turnover(), Turnover()
    for now in range(0, 300, 10):
        many.freed(10, float(now))
        for _ in range(10):
            one.freed(1, float(now))
    assert many.retry_after(300.0, 5) == one.retry_after(300.0, 5) == pytest.approx(5.0, rel=0.2)


def test_what_was_long_ago_is_forgotten():
    turnover = Turnover(half_life=10.0)
    for now in range(100):
        turnover.freed(1, float(now))
    busy = turnover.retry_after(100.0, 4)
    assert turnover.retry_after(110.0, 4) == pytest.approx(2 * busy, rel=0.25)
    assert turnover.retry_after(1_000.0) > 15


def test_a_crowd_is_told_to_come_one_after_the_other():
    turnover = Turnover()
    for now in range(600):
        turnover.freed(1, float(now))
    told = [turnover.retry_after(600.0, turnover.refused(600.0)) for _ in range(20)]
    assert told == sorted(told)
    assert told[9] == pytest.approx(10.0, rel=0.1)


def test_who_was_to_come_back_by_now_waits_no_longer():
    turnover = Turnover()
    for _ in range(3):
        turnover.refused(0.0)
    assert turnover.waiting(0.0) == 3
    assert turnover.waiting(5.0) == 2  # told 5, 10, 15 s
    assert turnover.refused(12.0) == 2
    assert turnover.waiting(100.0) == 0


def test_a_full_house_at_three_times_its_capacity_admits_most_callers_when_they_come_back():
    """100 places, calls of 60 s on average, 200 more callers: who comes when told mostly finds a place."""
    dice, turnover = random.Random(3), Turnover()
    ends = sorted(dice.expovariate(1 / 60) for _ in range(100))
    coming = sorted((dice.uniform(10, 20), 0) for _ in range(200))
    tries: list[int] = []
    while coming:
        now, tried = coming.pop(0)
        while ends and ends[0] <= now:
            turnover.freed(1, ends.pop(0))
        if len(ends) < 100:
            ends = sorted([*ends, now + dice.expovariate(1 / 60)])
            tries.append(tried)
        else:
            wait = turnover.retry_after(now, turnover.refused(now))
            coming = sorted([*coming, (now + wait, tried + 1)])
    assert len(tries) == 200
    assert sum(tries) / len(tries) < 4  # 2.5 by turnover; 12 if all were told five seconds


@given(st.lists(st.tuples(st.sampled_from(["freed", "refused"]), st.floats(-5, 500))), st.integers(1, 100_000))
def test_never_under_half_a_second_nor_over_thirty(events: list[tuple[str, float]], waiting: int) -> None:
    turnover, now = Turnover(), 0.0
    for kind, later in events:
        now += later
        turnover.freed(3, now) if kind == "freed" else turnover.refused(now)
        assert 0.5 <= turnover.retry_after(now, waiting) <= 30.0
