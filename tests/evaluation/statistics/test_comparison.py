"""Two systems on the same audio: planted differences are found, chance is not taken for one."""

import math

import msgspec
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.statistics import (
    Comparison,
    Interval,
    Verdict,
    compare,
    compare_percentiles,
    holm,
    percentile_interval,
)

Units = dict[str, tuple[float, float]]


def systems(generator: np.random.Generator, calls: int, worse: float = 0.0, words: int = 180) -> tuple[Units, Units]:
    """Two systems that find the same calls hard; B's true rate is A's plus `worse`."""
    own = 0.1 * generator.lognormal(-0.125, 0.5, calls)
    a = generator.binomial(words, np.clip(own, 0, 1))
    b = generator.binomial(words, np.clip(own + worse, 0, 1))
    one, other = ({str(i): (float(count), float(words)) for i, count in enumerate(system)} for system in (a, b))
    return one, other


def test_a_system_compared_with_itself_differs_by_exactly_nothing() -> None:
    a, _ = systems(np.random.default_rng(1), 40)
    same = compare(a, dict(a))
    assert same.difference == 0
    assert same.interval == Interval(0, 0)
    assert same.upper == 0
    assert same.p_value == 1
    assert same.p_beyond < 0.001
    assert same.verdict is Verdict.NOT_WORSE
    assert str(same).startswith("B is not worse than A by more than 0.2 points (95 %)")
    assert compare(a, dict(a), margin=0).verdict is Verdict.NOT_WORSE


@pytest.mark.parametrize(
    ("worse", "verdict"), [(0.03, Verdict.WORSE), (-0.03, Verdict.BETTER), (0.0, Verdict.UNDECIDED)]
)
def test_planted_differences_are_found(worse: float, verdict: Verdict) -> None:
    found = compare(*systems(np.random.default_rng(2), 60, worse))
    assert found.verdict is verdict
    assert found.interval is not None
    assert worse in found.interval
    assert found.verdict.passes is (worse < 0)


def differing(mean: float, deviation: float = 0.01, calls: int = 20) -> tuple[Units, Units]:
    """Two systems whose rates differ by `mean`, with that standard deviation among the calls, exactly."""
    spread = scipy.stats.norm.ppf((np.arange(calls) + 0.5) / calls)
    differences = mean + deviation * spread / np.std(spread, ddof=1)
    a = {str(i): (200.0, 1000.0) for i in range(calls)}
    return a, {str(i): (200.0 + 1000 * float(moved), 1000.0) for i, moved in enumerate(differences)}


@pytest.mark.parametrize("calls", [8, 20, 60])
def test_bounds_and_p_values_are_those_of_a_t_test_where_that_applies(calls: int) -> None:
    error = 0.01 / math.sqrt(calls)
    found = compare(*differing(0.4 * error, calls=calls), margin=2 * error)
    t = scipy.stats.t(calls - 1)
    assert found.interval is not None
    assert found.interval.low == pytest.approx((0.4 - t.ppf(0.975)) * error, abs=0.15 * error)
    assert found.interval.high == pytest.approx((0.4 + t.ppf(0.975)) * error, abs=0.15 * error)
    assert found.upper == pytest.approx((0.4 + t.ppf(0.95)) * error, abs=0.1 * error)
    assert found.p_value == pytest.approx(2 * t.sf(0.4), abs=0.03)
    assert found.p_beyond == pytest.approx(t.sf(1.6), abs=0.015)


@pytest.mark.parametrize(
    ("standard_errors", "margin", "verdict"),  # of 20 calls: one-sided 1.73, two-sided 2.09 standard errors
    [
        (0.0, 1.9, Verdict.NOT_WORSE),
        (0.0, 1.5, Verdict.UNDECIDED),
        (-1.9, 0.0, Verdict.NOT_WORSE),
        (-2.3, 0.0, Verdict.BETTER),
        (1.9, 0.5, Verdict.UNDECIDED),
        (2.3, 0.5, Verdict.WORSE),
        (2.3, 4.3, Verdict.NOT_WORSE),
    ],
)
def test_which_bound_decides(standard_errors: float, margin: float, verdict: Verdict) -> None:
    error = 0.01 / math.sqrt(20)
    assert compare(*differing(standard_errors * error), margin=margin * error).verdict is verdict


def test_enough_data_shows_that_nothing_was_lost() -> None:
    found = compare(*systems(np.random.default_rng(3), 1500, words=1000))
    assert found.verdict is Verdict.NOT_WORSE
    assert found.upper is not None
    assert 0 < found.upper < 0.002


def test_worse_beyond_doubt_but_within_the_margin_passes_and_is_told() -> None:
    a = {str(i): (10.0 + i % 5, 1000.0) for i in range(50)}
    b = {unit: (errors + 1, words) for unit, (errors, words) in a.items()}
    found = compare(a, b)
    assert found.verdict is Verdict.NOT_WORSE
    assert found.difference == pytest.approx(0.001)
    assert "B is worse than A, but not by more than 0.2 points" in str(found)
    assert compare(a, b, margin=0.0005).verdict is Verdict.WORSE


def test_pairing_finds_what_the_difference_between_calls_would_hide() -> None:
    generator = np.random.default_rng(4)
    errors = generator.integers(10, 400, 30)
    a = {str(i): (float(count), 1000.0) for i, count in enumerate(errors)}
    b = {str(i): (float(count + 8 + i % 3), 1000.0) for i, count in enumerate(errors)}
    found = compare(a, b)
    assert found.verdict is Verdict.WORSE
    assert found.interval is not None
    assert found.interval.width < 0.001
    assert np.std(errors) / 1000 > 0.05


def test_the_mirror_image_has_the_mirrored_interval() -> None:
    a, b = systems(np.random.default_rng(5), 40, 0.01)
    there, back = compare(a, b), compare(b, a)
    assert there.difference == -back.difference
    assert there.interval is not None
    assert back.interval is not None
    assert (there.interval.low, there.interval.high) == pytest.approx((-back.interval.high, -back.interval.low))
    assert there.p_value == pytest.approx(back.p_value)


@pytest.mark.parametrize("calls", [8, 30])
def test_at_the_margin_a_worse_system_passes_no_more_often_than_promised(calls: int) -> None:
    generator = np.random.default_rng(100 + calls)
    found = [compare(*systems(generator, calls, 0.002), resamples=1000, seed=repeat) for repeat in range(200)]
    assert sum(one.upper is not None and one.upper < 0.002 for one in found) / 200 <= 0.09  # 5 %, and noise of 200
    held = sum(one.interval is not None and 0.002 in one.interval for one in found)
    assert 0.90 <= held / 200 <= 0.99


def test_p_values_of_equal_systems_are_spread_evenly() -> None:
    generator = np.random.default_rng(6)
    values = [compare(*systems(generator, 12), resamples=500, seed=repeat).p_value for repeat in range(200)]
    assert scipy.stats.kstest(values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_and_the_interval_tell_the_same(seed: int) -> None:
    for worse in (0.0, 0.01, 0.02):
        found = compare(*systems(np.random.default_rng(seed), 20, worse))
        if not 0.04 < found.p_value < 0.06:
            assert found.interval is not None
            assert (found.p_value < 0.05) is (0 not in found.interval)
        if not 0.04 < found.p_beyond < 0.06:
            assert found.upper is not None
            assert (found.p_beyond < 0.05) is (found.upper < found.margin)


@pytest.mark.parametrize("units", [1, 2, 5])
def test_few_units_decide_nothing(units: int) -> None:
    a = {str(i): (20.0, 100.0) for i in range(units)}
    b = {str(i): (90.0, 100.0) for i in range(units)}
    found = compare(a, b)
    assert found.verdict is Verdict.UNDECIDED
    assert not found.verdict.passes
    assert found.p_value > 0.05 or units > 2
    assert (found.interval is None) is (units == 1)
    assert str(found).startswith(
        "Undecided whether B is worse than A by more than 0.2 points: needs more data: 90.00 %"
    )


def test_only_the_same_items_under_the_same_normaliser_are_compared() -> None:
    a = {"x": (1.0, 10.0), "y": (2.0, 10.0)}
    with pytest.raises(BadOption, match="1 in one only, 'y' first"):
        compare(a, {"x": (1.0, 10.0)})
    with pytest.raises(BadOption, match="words of 'y' must be the same for both systems, not '10 and 11'"):
        compare(a, {"x": (1.0, 10.0), "y": (2.0, 11.0)})
    with pytest.raises(BadOption, match="units with reference words"):
        compare({"x": (1, 0)}, {"x": (2, 0)})
    with pytest.raises(BadOption, match="units with reference words"):
        compare({}, {})
    with pytest.raises(BadOption, match="counts of B of 'y'"):
        compare(a, {"x": (1.0, 10.0), "y": (-2.0, 10.0)})
    with pytest.raises(BadOption, match="margin"):
        compare(a, a, margin=-0.1)
    with pytest.raises(BadOption, match="level"):
        compare({"x": (1.0, 10.0)}, {"x": (1.0, 10.0)}, level=95)


def test_the_sentence_names_the_systems_and_what_it_rests_on() -> None:
    a = {str(i): (10.0, 100.0) for i in range(10)}
    b = {str(i): (float(3 + i % 2), 100.0) for i in range(10)}
    sentence = compare(a, b, level=0.9).sentence("old", "new")
    assert sentence.startswith(
        "new is better than old (90 %): 3.50 % against 10.00 %, difference -6.50 points, interval -6"
    )
    assert sentence.endswith("points (90 %), 10 units")


def test_a_comparison_is_written_as_json_and_read_again() -> None:
    found = compare(*systems(np.random.default_rng(7), 10))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


def test_a_percentile_that_moved_is_found_and_one_that_did_not_is_not() -> None:
    generator = np.random.default_rng(8)
    a, b = generator.lognormal(-1, 0.5, 4000), generator.lognormal(-1, 0.5, 4000)
    slower = compare_percentiles(a, b * 1.2, 95)
    truth = 0.2 * math.exp(-1 + 0.5 * 1.6448536)
    assert slower.differs
    assert slower.interval is not None
    assert truth in slower.interval
    assert slower.p_value < 0.001
    assert not compare_percentiles(a, b, 95).differs
    same = compare_percentiles(a, a, 95)
    assert (same.difference, same.differs) == (0, False)


def test_drawing_ranks_is_the_bootstrap_that_scipy_does() -> None:
    generator = np.random.default_rng(9)
    a, b = generator.exponential(size=300), generator.exponential(size=400) + 0.5

    def difference(x, y, axis):
        ranks = {"method": "inverted_cdf", "axis": axis}
        return np.quantile(y, 0.9, **ranks) - np.quantile(x, 0.9, **ranks)

    slow = scipy.stats.bootstrap((a, b), difference, method="percentile", n_resamples=4000, batch=500, rng=generator)
    fast = compare_percentiles(a, b, 90).interval
    assert fast is not None
    ends = slow.confidence_interval
    assert (fast.low, fast.high) == pytest.approx((ends.low, ends.high), abs=0.1 * fast.width)


@pytest.mark.parametrize(("count", "percent"), [(20, 80), (50, 50), (100, 90)])
def test_ranks_are_drawn_as_often_as_they_are_resampled(count: int, percent: float) -> None:
    place = count * percent // 100

    def rank_at(share: float) -> int:
        """The k-th smallest of a resample is at most rank j where k or more of its values are."""
        return next(j for j in range(1, count + 1) if scipy.stats.binom.sf(place - 1, count, j / count) >= share)

    for level in (0.3, 0.6, 0.95):
        found = compare_percentiles([0.0] * count, range(1, count + 1), percent, level, resamples=100_000).interval
        assert found is not None
        assert (found.low, found.high) == (rank_at((1 - level) / 2), rank_at((1 + level) / 2))


def test_the_interval_of_a_shift_holds_the_truth() -> None:
    generator = np.random.default_rng(10)
    held = 0
    for repeat in range(200):
        found = compare_percentiles(
            generator.exponential(size=300), 0.3 + generator.exponential(size=300), 90, resamples=1000, seed=repeat
        )
        held += found.interval is not None and 0.3 in found.interval
    assert 0.91 <= held / 200 <= 0.99


def test_too_few_values_have_a_shift_without_an_interval() -> None:
    found = compare_percentiles(range(50), range(1000), 95)
    assert percentile_interval(range(50), 95) is None
    assert (found.interval, found.differs, found.p_value) == (None, False, 1)
    assert "too few values for an interval" in str(found)
    with pytest.raises(BadOption, match="at least one"):
        compare_percentiles([], [1.0], 95)
    with pytest.raises(BadOption, match="values of B must be finite"):
        compare_percentiles([1.0], [math.nan], 95)


def test_holm_by_hand() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(found) == ["a", "b", "c", "d"]
    assert [found[name].adjusted for name in "dacb"] == pytest.approx([0.02, 0.03, 0.06, 0.06])
    assert {name for name, one in found.items() if one.significant} == {"a", "d"}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_is_never_kinder_than_nothing_nor_harder_than_bonferroni(p_values) -> None:
    found = holm(p_values)
    for name, one in found.items():
        assert one.p_value <= one.adjusted <= min(1, len(p_values) * one.p_value) + 1e-12
        for other in found.values():
            if one.p_value < other.p_value:
                assert one.adjusted <= other.adjusted
        assert p_values[name] == one.p_value


def test_holm_of_nothing_and_of_what_is_no_p_value() -> None:
    assert holm({}) == {}
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(BadOption, match="p-value of 'x'"):
            holm({"x": wrong})


def test_holm_raises_a_false_alarm_in_few_of_many_families() -> None:
    generator = np.random.default_rng(11)
    alarms = sum(
        any(one.significant for one in holm(dict(enumerate_names(generator.uniform(size=10)))).values())
        for _ in range(400)
    )
    assert alarms / 400 <= 0.08
    naive = sum(generator.uniform(size=10).min() <= 0.05 for _ in range(400))
    assert naive / 400 > 0.3


def enumerate_names(values) -> list[tuple[str, float]]:
    return [(str(i), float(value)) for i, value in enumerate(values)]
