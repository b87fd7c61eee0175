"""Intervals of percentiles and proportions: against figures worked out by hand, and against what they promise."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.faults import BadOption, MissingExtra
from voxfleet.evaluation.statistics import Interval, percentile_interval, proportion_interval

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=120)
PERCENTS = st.sampled_from([10, 50, 90, 95])


def binomial_cdf(most: int, count: int, share: float) -> float:
    return sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(most + 1))


@pytest.mark.parametrize(("count", "percent"), [(6, 50), (25, 50), (100, 50), (100, 90), (100, 95), (1000, 99)])
def test_a_percentile_lies_between_the_order_statistics_the_binomial_names(count: int, percent: float) -> None:
    interval = percentile_interval(range(1, count + 1), percent)  # value = rank
    assert interval is not None
    low, high, share = int(interval.low), int(interval.high), percent / 100
    assert binomial_cdf(low - 1, count, share) <= 0.025 < binomial_cdf(low, count, share) + 1e-12
    assert 1 - binomial_cdf(high - 1, count, share) <= 0.025
    assert 1 - binomial_cdf(high - 2, count, share) > 0.025


def test_the_interval_of_a_median_of_25_is_the_one_of_the_textbooks() -> None:
    assert percentile_interval(range(1, 26), 50) == Interval(8, 18)


@pytest.mark.parametrize(("percent", "least"), [(50, 6), (90, 36), (95, 72), (99, 368)])
def test_too_few_values_have_no_interval(percent: float, least: int) -> None:
    assert (0.5 ** (least - 1) > 0.025) if percent == 50 else ((percent / 100) ** (least - 1) > 0.025)
    assert percentile_interval(range(least - 1), percent) is None
    assert percentile_interval(range(least), percent) is not None
    assert percentile_interval([], percent) is None


@pytest.mark.parametrize("percent", [50, 90, 95])
def test_a_percentile_interval_holds_the_truth_as_often_as_it_says(percent: float) -> None:
    generator = np.random.default_rng(20)
    truth = -math.log(1 - percent / 100)
    held = 0
    for _ in range(400):
        interval = percentile_interval(generator.exponential(size=200), percent)
        assert interval is not None
        held += truth in interval
    assert 0.93 <= held / 400 <= 0.995  # order statistics promise at least 95 %; 400 repeats show it to 2 points


@given(VALUES, PERCENTS, st.randoms(use_true_random=False), st.sampled_from([0.5, 2.0, 1024.0]))
def test_percentile_intervals_ignore_order_and_follow_scale(values, percent, random, factor) -> None:
    interval = percentile_interval(values, percent)
    shuffled = random.sample(values, len(values))
    assert percentile_interval(shuffled, percent) == interval
    scaled = percentile_interval([value * factor for value in values], percent)
    if interval is None:
        assert scaled is None
    else:
        assert scaled == Interval(interval.low * factor, interval.high * factor)


@given(VALUES, PERCENTS)
def test_a_higher_level_is_never_narrower(values, percent) -> None:
    narrow, wide = percentile_interval(values, percent, 0.8), percentile_interval(values, percent, 0.99)
    if wide is not None:
        assert narrow is not None
        assert wide.low <= narrow.low <= narrow.high <= wide.high


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_named(wrong: float) -> None:
    with pytest.raises(BadOption, match=rf"values must be finite numbers, not '{wrong} \(number 2 of 3\)'"):
        percentile_interval([1.0, wrong, 2.0], 50)


@pytest.mark.parametrize(("percent", "level"), [(0, 0.95), (100, 0.95), (95, 0), (95, 1), (95, 95)])
def test_percents_and_levels_that_can_not_be(percent: float, level: float) -> None:
    with pytest.raises(BadOption):
        percentile_interval(range(1000), percent, level)


def wilson(happened: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    share = happened / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(middle - half, 0), min(middle + half, 1)


@pytest.mark.parametrize(("happened", "count"), [(0, 100), (1, 10), (5, 10), (100, 100), (37, 2000), (1, 1)])
def test_a_proportion_has_wilsons_interval(happened: int, count: int) -> None:
    interval = proportion_interval(happened, count)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(wilson(happened, count), abs=1e-12)


@given(st.integers(0, 500), st.integers(1, 500))
def test_a_proportion_lies_in_its_interval_and_that_between_0_and_1(happened: int, more: int) -> None:
    interval = proportion_interval(happened, happened + more)
    assert interval is not None
    assert 0 <= interval.low <= happened / (happened + more) <= interval.high <= 1


def test_no_trials_have_no_interval_and_more_cannot_happen_than_was_tried() -> None:
    assert proportion_interval(0, 0) is None
    with pytest.raises(BadOption, match="between 0 and the 3 trials"):
        proportion_interval(4, 3)
    with pytest.raises(BadOption):
        proportion_interval(-1, 3)


def test_how_intervals_are_written() -> None:
    assert Interval(0.081, 0.0944).percents() == "8.1 to 9.4 % (95 %)"
    assert Interval(-0.003, 0.00123, 0.9).points() == "-0.30 to +0.12 points (90 %)"
    assert Interval(-0.000001, 0.0).points() == "0.00 to 0.00 points (95 %)"
    assert str(Interval(0.25, 1.5, 0.99)) == "0.25 to 1.5 (99 %)"


def test_widened_until_it_holds_a_figure() -> None:
    assert Interval(1, 2, 0.9).around(3) == Interval(1, 3, 0.9)
    assert Interval(1, 2, 0.9).around(0) == Interval(0, 2, 0.9)
    assert Interval(1, 2, 0.9).around(1.5) == Interval(1, 2, 0.9)


@pytest.mark.parametrize(("low", "high", "level"), [(2, 1, 0.95), (math.nan, 1, 0.95), (0, math.inf, 0.95), (0, 1, 95)])
def test_intervals_that_can_not_be(low: float, high: float, level: float) -> None:
    with pytest.raises(ValueError):
        Interval(low, high, level)


def test_without_scipy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingExtra, match=r"confidence intervals: scipy.*pip install 'voxfleet\[evaluation\]'"):
        proportion_interval(1, 2)
