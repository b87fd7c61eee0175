"""Summaries of latencies: figures that occurred, doubts that are flagged, values that add up."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.latency import percentiles
from voxfleet.evaluation.statistics import Interval, Sample, Summary, percentile_interval, summarise

VALUES = st.lists(st.floats(-1e3, 1e6), min_size=1, max_size=150)


def told(values) -> Summary:
    summary = summarise(values)
    assert summary is not None
    return summary


def test_figures_are_nearest_ranks() -> None:
    summary = told(range(1, 1001))
    assert [quantile.value for quantile in summary.quantiles] == [500, 900, 950, 990]
    assert (summary.count, summary.largest) == (1000, 1000)
    assert summary.p95.interval == percentile_interval(range(1, 1001), 95) == Interval(936, 964)
    assert summary.enough


@pytest.mark.parametrize(("count", "flagged"), [(99, {95, 99}), (100, {99}), (999, {99}), (1000, set()), (1, {95, 99})])
def test_too_few_events_are_flagged_and_the_figure_kept(count: int, flagged: set[int]) -> None:
    summary = told(range(count))
    assert {quantile.percent for quantile in summary.quantiles if quantile.too_few} == flagged
    assert summary.enough is (not flagged)
    assert summary.p99.value == math.ceil(count * 99 / 100) - 1


def test_nothing_has_no_summary() -> None:
    assert summarise([]) is None
    assert Sample().summary() is None


@given(VALUES)
def test_a_percentile_lies_inside_its_interval_and_agrees_with_the_latency_module(values) -> None:
    summary, plain = told(values), percentiles(values)
    assert plain is not None
    assert (summary.count, summary.p50.value, summary.p95.value, summary.largest) == (
        plain.count,
        plain.p50,
        plain.p95,
        plain.largest,
    )
    for quantile in summary.quantiles:
        assert quantile.value in values
        assert quantile.interval is None or quantile.value in quantile.interval
    figures = [quantile.value for quantile in summary.quantiles]
    assert figures == sorted(figures)
    assert figures[-1] <= summary.largest


@given(VALUES, VALUES, VALUES)
def test_samples_add_up_in_any_order(one, two, three) -> None:
    a, b, c = Sample.of(one), Sample.of(two), Sample.of(three)
    assert (a + b) + c == a + (b + c) == (c + b) + a == Sample.of([*one, *two, *three])
    assert a + Sample() == a
    assert (a + b).summary() == summarise([*two, *one])


def test_written_as_json_and_read_again() -> None:
    generator = np.random.default_rng(3)
    sample = Sample.of(generator.lognormal(size=500))
    for value in (sample, sample.summary(), told([1.0])):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value)) == value


def test_a_sample_checks_itself() -> None:
    with pytest.raises(BadOption, match="finite numbers, not 'nan"):
        Sample.of([1.0, math.nan])
    with pytest.raises(BadOption, match="finite numbers, not 'inf"):
        summarise([math.inf])
    with pytest.raises(ValueError, match="ascending"):
        Sample((2.0, 1.0))


def test_how_a_summary_is_written() -> None:
    assert str(told([0.25, 0.5])) == (
        "p50 0.25, p90 0.5, p95 0.5 (too few events), p99 0.5 (too few events), max 0.5 of 2"
    )
    assert "p50 50 [40 to 61]" in str(told(range(1, 101)))
