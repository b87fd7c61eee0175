"""Queues that grow are told from servers that are merely slow, on queues that are really simulated."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.statistics import trend


def queue(load: float, seed: int, seconds: float = 120, per_second: float = 30) -> tuple[np.ndarray, np.ndarray]:
    """Arrivals and latencies of one server with Poisson arrivals and exponential service at `load` of its capacity."""
    generator = np.random.default_rng(seed)
    count = int(seconds * per_second)
    gaps = generator.exponential(1 / per_second, count)
    service = generator.exponential(load / per_second, count)
    backlog = np.concatenate([[0], np.cumsum(service[:-1] - gaps[1:])])  # Lindley's recursion, unrolled
    waiting = backlog - np.minimum.accumulate(backlog)
    return np.cumsum(gaps), waiting + service + 0.3


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_a_server_that_keeps_up_has_no_growing_lag(load: float) -> None:
    found = [trend(*queue(load, seed)) for seed in range(20)]
    assert sum(one is None or one.growing for one in found) == 0


def test_a_server_past_its_capacity_has() -> None:
    found = [one for seed in range(20) if (one := trend(*queue(1.1, seed)))]
    assert [one.growing for one in found] == [True] * 20
    # a tenth of a second of work too much in every second
    assert np.mean([one.slope for one in found]) == pytest.approx(0.1, rel=0.2)


def test_a_line_is_recovered_exactly() -> None:
    times = np.linspace(0, 60, 601)
    found = trend(times, 0.5 + 0.02 * times, tolerance=1)
    assert found is not None
    assert found.slope == pytest.approx(0.02, rel=0.02)  # the last span also holds the end of the window
    assert found.growth == pytest.approx(1.2, rel=0.02)
    assert (found.window, found.bins, found.growing) == (60, 30, True)
    assert str(found).startswith("growing: +1.2 over 60 s")


def test_growth_within_the_tolerance_is_none() -> None:
    times = np.linspace(0, 60, 600)
    found = trend(times, 0.5 + 0.001 * times)
    assert found is not None
    assert found.interval.low > 0
    assert not found.growing
    tight = trend(times, 0.5 + 0.001 * times, tolerance=0.05)
    assert tight is not None
    assert tight.growing


def test_neither_outliers_nor_one_stalled_stream_make_a_trend() -> None:
    generator = np.random.default_rng(1)
    times = generator.uniform(0, 60, 3000)
    values = generator.lognormal(-1, 0.3, 3000)
    values[times > 55] += np.where(generator.uniform(size=(times > 55).sum()) < 0.3, 100, 0)
    values[::40] += 2 * times[::40]  # one of forty streams falls behind for ever
    found = trend(times, values)
    assert found is not None
    assert not found.growing


def test_what_is_only_noise_is_no_growth_however_large() -> None:
    generator = np.random.default_rng(3)
    found = [one for _ in range(100) if (one := trend(range(300), generator.normal(9, 5, 300)))]
    assert sum(one.growth > 0.1 for one in found) > 30
    assert sum(one.growing for one in found) <= 6  # 2.5 of 100 by the level


def test_a_line_hidden_in_noise_lies_inside_its_interval() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        times = generator.uniform(0, 60, 300)
        found = trend(times, 0.01 * times + generator.normal(0, 0.3, 300))
        held += found is not None and 0.01 in found.interval
    assert 0.90 <= held / 200 <= 0.99


def test_too_little_is_no_answer() -> None:
    assert trend([], []) is None
    assert trend([1.0, 1.0], [0.1, 9.0]) is None
    assert trend(range(7), range(7)) is None
    eight = trend(range(8), range(8))
    assert eight is not None
    assert eight.growing
    burst = [*np.linspace(0, 1, 500), 60.0]
    assert trend(burst, range(501)) is None


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(-50, 50)), min_size=10, max_size=80),
    st.sampled_from([0.25, 2.0, 8.0]),
    st.randoms(use_true_random=False),
)
def test_trends_ignore_order_and_follow_scale(points, factor, random) -> None:
    times, values = zip(*points, strict=True)
    found = trend(times, values)
    assert trend(*zip(*random.sample(points, len(points)), strict=True)) == found
    scaled = trend(times, [value * factor for value in values], tolerance=0.1 * factor)
    if found is None:
        assert scaled is None
        return
    assert scaled is not None
    assert found.interval.low <= found.slope <= found.interval.high
    assert scaled.slope == pytest.approx(found.slope * factor)
    assert scaled.growing == found.growing


def test_options_that_can_not_be() -> None:
    with pytest.raises(BadOption, match="2 for 1 values"):
        trend([1, 2], [1])
    with pytest.raises(BadOption, match="times must be finite"):
        trend([1, math.nan], [1, 1])
    with pytest.raises(BadOption, match="values must be finite"):
        trend([1, 2], [1, math.inf])
    with pytest.raises(BadOption, match="at least 8"):
        trend([1, 2], [1, 2], bins=7)
