"""What a step costs is learned from steps of few sizes, and forgotten; one slow step teaches nothing."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.scheduling.costs import EVIDENCE, HALF_LIFE, NOTHING, REACH, Curve, StepCosts

CHUNK = 0.4


def taught(*sizes: int, base: float = 0.02, each: float = 0.004, steps: int = 40) -> StepCosts:
    """Costs of an engine that pays by the step and the work, seen at these sizes, a step every 0.1 s until 0."""
    costs = StepCosts()
    for number in range(steps):
        for size in sizes:
            costs.observe(400, size, size * CHUNK, base + each * size, 0.1 * (number - steps))
    return costs


def test_costs_between_what_was_seen_lie_on_a_line_and_beyond_it_on_the_nearest_one() -> None:
    curve = taught(2, 8, 32).curve(400, 0.0)
    for works in (2, 5, 8, 20, 32, 50, 100):
        assert curve.seconds(works) == pytest.approx(0.02 + 0.004 * works, rel=1e-6)
    assert curve.seconds(1) == curve.seconds(2), "fewer works than ever seen cost no less than the fewest"
    assert curve.reach == 32 * REACH


def test_nothing_is_known_of_an_engine_that_was_not_seen() -> None:
    assert StepCosts().curve(400, 0.0) is NOTHING
    assert (NOTHING.seconds(5), NOTHING.reach) == (0.0, 0.0)


def test_a_single_size_is_taken_for_the_cost_of_every_larger_one() -> None:
    curve = taught(8).curve(400, 0.0)
    assert curve.seconds(100) == pytest.approx(curve.seconds(8))


def test_few_steps_reach_nowhere() -> None:
    assert taught(8, steps=round(EVIDENCE) - 2).curve(400, 0.0).reach == 0.0
    assert taught(8, steps=1).curve(400, 0.0) is NOTHING, "a first step may be start-up"


def test_a_start_up_step_and_a_hiccup_hardly_count() -> None:
    costs = StepCosts()
    for number in range(60):
        seconds = 5.0 if number in (0, 50) else 0.1
        costs.observe(400, 8, 8 * CHUNK, seconds, number * 0.4)
    assert costs.curve(400, 24.0).seconds(8) < 0.11


def test_an_engine_that_cost_nothing_may_become_slow() -> None:
    costs = taught(8, base=0.0, each=0.0)
    for number in range(200):
        costs.observe(400, 8, 8 * CHUNK, 0.3, number * 0.4)
    assert costs.curve(400, 80.0).seconds(8) > 0.28


def test_lasting_slowness_counts_in_full() -> None:
    costs = taught(8, base=0.1, each=0.0)
    for number in range(150):
        costs.observe(400, 8, 8 * CHUNK, 1.0, number * 1.0)
    assert costs.curve(400, 150.0).seconds(8) > 0.95


def test_what_is_not_seen_any_more_is_forgotten() -> None:
    costs = taught(4, 64, steps=300)
    for number in range(1000):
        costs.observe(400, 4, 4 * CHUNK, 0.036, number * 1.0)
    assert costs.curve(400, 1000.0).reach == 4 * REACH
    assert costs.curve(400, 1000.0 + 8 * HALF_LIFE) is NOTHING


def test_works_that_waited_and_hold_more_than_a_chunk_are_no_slow_step() -> None:
    costs = StepCosts()
    for number in range(40):
        costs.observe(100, 2, 2 * 0.3, 0.12, number * 0.12)
    assert costs.curve(100, 5.0).seconds(2) == pytest.approx(0.04), "three chunks each in 120 ms"


def test_a_larger_chunk_is_first_taken_to_cost_as_much_as_a_smaller_one_and_then_measured() -> None:
    costs = StepCosts()
    for number in range(40):
        costs.observe(100, 4, 4 * 0.1, 0.05, number * 0.1)
    assert costs.curve(400, 4.0).seconds(4) == pytest.approx(0.05)
    for number in range(5):
        costs.observe(400, 4, 4 * 0.4, 0.2, 4 + number * 0.4)
    assert costs.curve(400, 6.0).seconds(4) == pytest.approx(0.2)
    assert costs.curve(400, 6.0).reach == 4 * REACH, "steps seen at smaller chunks are evidence, too"
    assert costs.curve(100, 6.0).seconds(4) == pytest.approx(0.05)


def test_steps_that_seem_to_cost_less_in_larger_batches_are_averaged() -> None:
    costs = StepCosts()
    for number in range(40):
        for works, seconds in ((1, 0.02), (2, 0.08), (4, 0.04), (8, 0.1)):
            costs.observe(400, works, works * CHUNK, seconds, number * 0.1)
    curve = costs.curve(400, 4.0)
    assert [round(seconds, 6) for _, seconds in curve.points] == [0.02, 0.06, 0.06, 0.1]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((100, 200)),
            st.integers(1, 70),
            st.floats(0.0, 60.0),
            st.floats(0.0, 9.0),
            st.floats(0.0, 50.0),
        ),
        max_size=80,
    ),
    st.lists(st.floats(0.1, 500.0), min_size=2, max_size=5),
)
def test_more_works_never_cost_less(steps: list[tuple[int, int, float, float, float]], works: list[float]) -> None:
    costs = StepCosts()
    now = 0.0
    for chunk_ms, size, audio, seconds, later in steps:
        now += later
        costs.observe(chunk_ms, size, audio, seconds, now)
    curve: Curve = costs.curve(200, now)
    told = [curve.seconds(each) for each in sorted(works)]
    assert all(low <= high + 1e-9 for low, high in pairwise(told))
    assert all(0.0 <= seconds < 100.0 * 500 for seconds in told)
