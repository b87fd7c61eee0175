"""The bootstrap over units: it covers the truth, and it knows that words of one call fail together."""

import math
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.statistics import Estimate, Interval, f1, figure_interval, rate_interval

UNITS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.tuples(st.integers(0, 30), st.integers(0, 40)),
    min_size=2,
    max_size=12,
)


def corpus(generator: np.random.Generator, calls: int, rate: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Errors and words of 12 utterances of each call; every call has an error rate of its own, `rate` on average."""
    own = np.minimum(rate * generator.lognormal(-0.125, 0.5, calls), 1)
    words = generator.integers(5, 25, (calls, 12))
    return generator.binomial(words, own[:, None]), words


def by_call(errors: np.ndarray, words: np.ndarray) -> dict[str, tuple[float, float]]:
    return {f"call {i}": (float(errors[i].sum()), float(words[i].sum())) for i in range(len(errors))}


def by_utterance(errors: np.ndarray, words: np.ndarray) -> dict[str, tuple[float, float]]:
    pairs = zip(errors.ravel().tolist(), words.ravel().tolist(), strict=True)
    return {f"utterance {i}": pair for i, pair in enumerate(pairs)}


def interval_of(units: dict[str, tuple[float, float]], **options) -> Interval:
    interval = rate_interval(units, **options).interval
    assert interval is not None
    return interval


@pytest.mark.parametrize("calls", [8, 30])
def test_the_interval_over_calls_holds_the_truth(calls: int) -> None:
    generator = np.random.default_rng(calls)
    held = sum(
        0.1 in interval_of(by_call(*corpus(generator, calls)), resamples=1000, seed=repeat) for repeat in range(200)
    )
    assert 0.90 <= held / 200 <= 0.99


def test_the_interval_over_utterances_of_the_same_calls_does_not() -> None:
    generator = np.random.default_rng(30)
    held, wider = 0, 0
    for repeat in range(60):
        errors, words = corpus(generator, 30)
        naive = interval_of(by_utterance(errors, words), resamples=500, seed=repeat)
        held += 0.1 in naive
        wider += interval_of(by_call(errors, words), resamples=500, seed=repeat).width > 1.3 * naive.width
    assert held / 60 < 0.85
    assert wider >= 54


def test_of_a_proportion_it_agrees_with_the_closed_form() -> None:
    units = {str(i): (float(i < 120), 1.0) for i in range(400)}
    interval = interval_of(units)
    half = 1.96 * math.sqrt(0.3 * 0.7 / 400)
    assert (interval.low, interval.high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.006)


def test_of_a_mean_of_few_units_it_agrees_with_students_t() -> None:
    words = 1000.0
    errors = [60, 75, 80, 90, 95, 105, 110, 120, 125, 140]
    interval = interval_of({str(i): (count, words) for i, count in enumerate(errors)})
    mean, half = fmean(errors) / words, 2.262 * stdev(errors) / math.sqrt(10) / words
    assert (interval.low, interval.high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)


def test_the_interval_leans_to_the_side_where_the_bad_calls_are() -> None:
    units = {str(i): (float(4 + i % 3), 100.0) for i in range(29)} | {"bad": (60.0, 100.0)}
    value, interval = rate_interval(units).value, interval_of(units)
    assert value is not None
    assert interval.high - value > 2.8 * (value - interval.low)  # 3.9; plain percentiles give 1.9


def test_entity_f1_is_pooled() -> None:
    generator = np.random.default_rng(5)
    units = {str(i): (generator.binomial(20, 0.8), generator.binomial(20, 0.2), 2) for i in range(60)}
    hits, missed, invented = (sum(row[column] for row in units.values()) for column in range(3))
    found = figure_interval(units, f1)
    assert found.value == pytest.approx(2 * hits / (2 * hits + missed + invented))
    assert found.value is not None
    assert found.interval is not None
    assert found.value in found.interval
    assert 0.005 < found.interval.width < 0.1
    assert found.note == ""


def test_the_same_counts_give_the_same_answer_in_any_order() -> None:
    units = by_call(*corpus(np.random.default_rng(7), 20))
    turned = dict(reversed(units.items()))
    assert list(turned) != list(units)
    assert rate_interval(turned) == rate_interval(units)
    assert rate_interval(units, seed=1) != rate_interval(units)


@settings(max_examples=40, deadline=None)
@given(UNITS)
def test_the_figure_lies_in_its_interval_whatever_the_counts(units) -> None:
    found = rate_interval(units, resamples=200)
    words = sum(row[1] for row in units.values())
    assert found.units == len(units)
    if not words:
        assert (found.value, found.interval) == (None, None)
        return
    assert found.value == pytest.approx(sum(row[0] for row in units.values()) / words)
    assert found.value is not None
    assert found.interval is not None
    assert found.interval.low <= found.value <= found.interval.high


def test_rare_errors_at_a_low_level_still_have_a_figure_inside_the_interval() -> None:
    generator = np.random.default_rng(0)  # among these, corrected ends pass the figure by, and ends cross by rounding
    for seed in range(300):
        units = {str(i): (float(generator.poisson(0.2)), 50.0) for i in range(int(generator.integers(2, 40)))}
        found = rate_interval(units, level=0.05, resamples=200, seed=seed)
        assert found.value is not None
        assert found.interval is not None
        assert found.value in found.interval


@settings(max_examples=20, deadline=None)
@given(UNITS.filter(lambda units: all(words for _, words in units.values())))
def test_twice_the_errors_have_twice_the_interval(units) -> None:
    once = rate_interval(units, resamples=200).interval
    twice = rate_interval({unit: (2 * errors, words) for unit, (errors, words) in units.items()}, resamples=200)
    assert once is not None
    assert twice.interval is not None
    assert (twice.interval.low, twice.interval.high) == pytest.approx((2 * once.low, 2 * once.high))


def test_what_has_no_interval_says_why() -> None:
    assert rate_interval({"one": (3, 10)}) == Estimate(0.3, None, 1, "one unit alone can't tell how much units differ")
    nothing = rate_interval({})
    assert (nothing.value, nothing.interval, nothing.units) == (None, None, 0)
    assert "no reference words" in nothing.note
    silence = rate_interval({"a": (3, 0), "b": (1, 0)})
    assert (silence.value, silence.interval, silence.units) == (None, None, 2)


def test_what_promises_too_much_says_so() -> None:
    same = rate_interval({str(i): (2, 20) for i in range(10)})
    assert same.interval == Interval(0.1, 0.1)
    assert "no width" in same.note
    few = rate_interval({str(i): (i, 20) for i in range(5)})
    assert few.interval is not None
    assert few.note == "5 units are too few for an interval that is right 95 % of the time"
    assert rate_interval({str(i): (i, 20) for i in range(6)}).note == ""


def test_draws_of_silent_clips_alone_are_left_out() -> None:
    found = rate_interval({"silence": (4, 0), "speech": (5, 50), "more": (1, 50)})
    assert found.value == pytest.approx(0.1)
    assert found.interval is not None


def test_memory_is_bounded_by_the_batch_and_not_by_the_units() -> None:
    import tracemalloc

    units = {str(i): (i % 7, 50.0) for i in range(20_000)}
    tracemalloc.start()
    rate_interval(units, resamples=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6  # 25 MB; drawn at once, 500 · 20,000 places of three arrays would take 240


@pytest.mark.parametrize("wrong", [(-1, 10), (math.nan, 10), (1, math.inf)])
def test_counts_that_can_not_be_are_named_with_their_unit(wrong: tuple[float, float]) -> None:
    with pytest.raises(BadOption, match="counts of 'b' must be finite and not negative"):
        rate_interval({"a": (1, 10), "b": wrong})


def test_units_have_the_same_columns_and_resamples_are_many() -> None:
    with pytest.raises(BadOption, match="same columns"):
        figure_interval({"a": (1, 2, 3), "b": (1, 2)}, f1)
    with pytest.raises(BadOption, match="at least 100"):
        rate_interval({"a": (1, 2), "b": (1, 2)}, resamples=99)


def test_how_an_estimate_is_written() -> None:
    assert str(Estimate(0.0831, Interval(0.071, 0.099), 40)) == "8.3 %, 7.1 to 9.9 % (95 %), 40 units"
    assert str(rate_interval({"a": (1, 10)})) == "10.0 %, 1 unit; one unit alone can't tell how much units differ"
