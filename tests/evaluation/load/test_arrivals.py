"""When callers come: every pattern has its shape, Little's law holds from the first measured second, bad options are named."""

import itertools
import random
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.load.planted import Quiet
from voxfleet.evaluation.faults import BadManifest, BadOption
from voxfleet.evaluation.load.arrivals import Arrival, Arrivals, CallLength, read_trace
from voxfleet.evaluation.load.run import LEAST_CALL, scripted

WARM_UP, SECONDS = 10.0, 110.0
END = WARM_UP + SECONDS


def plan(pattern: str, streams: int, length: str | None = None, seed: int = 1) -> list[Arrival]:
    parsed = CallLength.parse(length) if length else None
    return Arrivals.parse(pattern).plan(streams, WARM_UP, SECONDS, parsed, random.Random(seed))


def present(calls: list[Arrival], at: float) -> int:
    return sum(call.at <= at < call.at + (END if call.seconds is None else call.seconds) for call in calls)


@pytest.mark.parametrize("length", ["fixed:30", "lognormal:30:0.8", "lognormal:30:1.5", "lognormal:600:0.8"])
@pytest.mark.parametrize("pattern", ["poisson", "constant"])
def test_as_many_callers_as_asked_for_are_there_from_the_first_measured_second_on(pattern: str, length: str) -> None:
    """Little's law: rate times mean length. Within five standard errors of a Poisson count, of 400 seeds."""
    runs = [plan(pattern, 40, length, seed) for seed in range(400)]
    for at in (WARM_UP, WARM_UP + 5, WARM_UP + 30, END - 0.001):
        mean = statistics.fmean(present(calls, at) for calls in runs)
        assert mean == pytest.approx(40, abs=5 * (40 / len(runs)) ** 0.5), at


def test_poisson_arrivals_are_poisson() -> None:
    counts = [
        sum(WARM_UP <= call.at < WARM_UP + 60 for call in plan("poisson", 30, "fixed:60", seed)) for seed in range(400)
    ]
    assert statistics.fmean(counts) == pytest.approx(30, abs=1.5)
    assert statistics.variance(counts) == pytest.approx(30, rel=0.3)


def test_constant_arrivals_come_evenly() -> None:
    times = [call.at for call in plan("constant", 30, "fixed:60") if call.at > WARM_UP]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == pytest.approx([2.0] * len(gaps))


def test_lognormal_lengths_have_the_mean_asked_for() -> None:
    dice = random.Random(3)
    length = CallLength.parse("lognormal:180:0.8")
    drawn = [length.draw(dice) for _ in range(40_000)]
    assert statistics.fmean(drawn) == pytest.approx(180, rel=0.03)
    assert CallLength.parse("fixed:60").draw(dice) == 60


def test_held_callers_come_during_the_warm_up_and_stay() -> None:
    calls = plan("hold", 50)
    assert present(calls, WARM_UP) == present(calls, END - 0.001) == len(calls) == 50
    assert [call.at for call in calls] == sorted(call.at for call in calls)
    assert all(k * WARM_UP / 50 <= call.at < (k + 1) * WARM_UP / 50 for k, call in enumerate(calls))


def test_a_ramp_grows_evenly_to_the_end() -> None:
    calls = plan("ramp", 100)
    assert [present(calls, END * share) for share in (0.25, 0.5, 0.75)] == pytest.approx([25, 50, 75], abs=1)


def test_steps_are_level_and_alike() -> None:
    calls = plan("step:4", 100)
    levels = [present(calls, END * (k + 1) / 4 - 0.001) for k in range(4)]
    assert levels == [25, 50, 75, 100]
    assert present(calls, WARM_UP) == 25  # each step is complete as long after it began as the warm-up lasts


def test_bursts_come_within_a_second_of_their_time() -> None:
    calls = plan("burst:2", 11)
    assert [sum(begin <= call.at < begin + 1 for call in calls) for begin in (WARM_UP, WARM_UP + SECONDS / 2)] == [5, 6]
    assert len(calls) == 11


@given(st.sampled_from(["hold", "ramp", "step:7", "burst:3"]), st.integers(1, 300), st.floats(0, 20), st.integers())
def test_everybody_who_is_asked_for_comes_in_order_and_in_time(
    pattern: str, streams: int, warm: float, seed: int
) -> None:
    calls = Arrivals.parse(pattern).plan(streams, warm, 60.0, None, random.Random(seed))
    assert len(calls) == streams
    assert [call.at for call in calls] == sorted(call.at for call in calls)
    assert all(0 <= call.at <= warm + 60.0 for call in calls)


def test_the_same_seed_gives_the_same_callers() -> None:
    assert plan("poisson", 20, "lognormal:60:0.8", 4) == plan("poisson", 20, "lognormal:60:0.8", 4)
    assert plan("poisson", 20, "lognormal:60:0.8", 4) != plan("poisson", 20, "lognormal:60:0.8", 5)


def test_nobody_is_sent_for_less_than_a_moment_or_speaks_beyond_the_end() -> None:
    calls = [Arrival(0.0, None), Arrival(5.0, 100.0), Arrival(6.0, 0.1), Arrival(9.0, 4.0)]
    sent = [
        (arrival.at, script.frames / 10)
        for arrival, script in scripted(calls, 10.0, lambda length, _dice: Quiet(round(length * 10)), 1)
    ]
    assert sent == [(0.0, 10.0), (5.0, 5.0), (6.0, LEAST_CALL)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "closed",
        "poisson:3",
        "step:0",
        "step:x",
        "step:9999",
        "step:-1",
        "step:²",
        "burst:",
        "trace",
        "trace:",
        "hold:1",
    ],
)
def test_bad_patterns_are_named(text: str) -> None:
    if text == "burst:":
        assert Arrivals.parse(text).parts == 1
        return
    with pytest.raises(BadOption, match="--arrivals must be hold, poisson"):
        Arrivals.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "60", "fixed", "fixed:0", "fixed:-1", "fixed:nan", "fixed:inf", "fixed:1:2", "lognormal:60", "lognormal:60:0",
     "lognormal:60:9", "lognormal:inf:1", "lognormal:60:nan", "lognormal:a:b", "uniform:1:2"],
)  # fmt: skip
def test_bad_lengths_are_named(text: str) -> None:
    with pytest.raises(BadOption, match="--call-seconds must be fixed:SECONDS or lognormal"):
        CallLength.parse(text)


@pytest.mark.parametrize("pattern", ["poisson", "constant"])
def test_endless_calls_can_not_be_stationary(pattern: str) -> None:
    with pytest.raises(BadOption, match=f"--call-seconds must be given with {pattern} arrivals"):
        plan(pattern, 5)


# ---- traces -----------------------------------------------------------------------------------------------------


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "calls.csv"


@pytest.mark.parametrize(
    "text",
    [
        "start,seconds\n3,20\n1.5,10\n",
        "3\t20\n1.5\t10",
        "\n 3 , 20 \n\n1.5, 10,comment\n",
        "start\tseconds\r\n3\t20\r\n1.5\t10\r\n",
    ],
)
def test_traces_with_commas_or_tabs_and_with_or_without_a_heading(trace: Path, text: str) -> None:
    trace.write_text(text, newline="")
    assert read_trace(trace) == [Arrival(1.5, 10.0), Arrival(3.0, 20.0)]


def test_a_traces_calls_beyond_the_end_are_not_sent(trace: Path) -> None:
    trace.write_text("1,5\n119,5\n121,5\n")
    assert [call.at for call in plan(f"trace:{trace}", 1)] == [1, 119]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no calls in it"),
        ("start,seconds\n", "no calls in it"),
        ("1,5\nsoon,5\n", "line 2 is not 'start,seconds'"),
        ("1,5\n\n7\n", "line 3 is not 'start,seconds'"),
        ("1,5\n-1,5\n", "line 2: a call can't start at -1"),
        ("1,0\n", "line 1: a call can't start at 1 and last 0"),
        ("1,5\nnan,5\n", "line 2: a call can't start at nan"),
        ("1,inf\n", "line 1: a call can't start at 1 and last inf"),
        ('1,5\n"2,5\n', "line 2 is not"),
        ("1,5\n" + "x" * 200_000 + "\n", "line 2 is not"),
    ],
)
def test_bad_traces_are_named_by_line(trace: Path, text: str, why: str) -> None:
    trace.write_text(text)
    with pytest.raises(BadManifest, match=why):
        read_trace(trace)


def test_traces_that_can_not_be_read_are_named(trace: Path) -> None:
    with pytest.raises(BadManifest, match=r"calls\.csv"):
        read_trace(trace)
    trace.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BadManifest, match=r"calls\.csv"):
        read_trace(trace)
