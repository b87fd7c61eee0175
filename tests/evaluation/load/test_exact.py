"""Latencies planted in virtual time come out exactly, and move only as whoever caused them moved."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.load.planted import NATIVE, Planted, Spoken, record_of
from voxfleet.evaluation.latency import Late, rank
from voxfleet.evaluation.load.account import Account, latencies
from voxfleet.evaluation.load.caller import Record
from voxfleet.evaluation.load.reading import Reading, read
from voxfleet.evaluation.report.document import Latency

LATE = st.floats(0.0, 4.0)
KINDS: dict[str, Callable[[Reading], list[Late]]] = {
    "emission": lambda reading: reading.emissions,
    "first_partial": lambda reading: reading.first_partials,
    "final": lambda reading: reading.finals,
    "response_lag": lambda reading: reading.response_lag,
}


@st.composite
def calls(draw: st.DrawFn) -> list[Spoken]:
    """Up to four turns, one after the other, each word and each final late by its own."""
    turns, at = [], draw(st.floats(0.0, 1.0))
    for _ in range(draw(st.integers(1, 4))):
        late = draw(st.lists(LATE, min_size=1, max_size=5))
        turns.append(Spoken(at, tuple(late), draw(LATE)))
        at = turns[-1].end + draw(st.floats(0.6, 2.0))
    return turns


def seconds(found: list[Late]) -> list[float]:
    return [late.seconds for late in found]


def figures(found: Account) -> dict[str, Latency]:
    return {kind.name: kind for kind in latencies(found)}


def values(kind: Latency) -> list[float]:
    return [figure.value for figure in (kind.p50, kind.p90, kind.p95, kind.p99) if figure is not None]


@given(calls())
def test_every_planted_latency_is_recovered(turns: list[Spoken]) -> None:
    reading = read(record_of(turns), NATIVE)
    by_final = sorted(turns, key=lambda turn: turn.final_at)
    assert seconds(reading.finals) == pytest.approx([turn.final for turn in by_final], abs=1e-9)
    assert seconds(reading.first_partials) == pytest.approx([turn.emissions[0] for turn in by_final], abs=1e-9)
    assert seconds(reading.emissions) == pytest.approx([x for turn in by_final for x in turn.emissions], abs=1e-9)
    assert sorted(seconds(reading.response_lag)) == pytest.approx(
        sorted(x for turn in turns for x in turn.emissions), abs=1e-9
    )
    assert seconds(reading.admission) == pytest.approx([0.25])


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda dice: 0.8, id="constant"),
        pytest.param(lambda dice: dice.lognormvariate(-0.5, 1.2), id="heavy-tailed"),
    ],
)
def test_the_report_tells_the_planted_quantiles(draw: Callable[[random.Random], float]) -> None:
    dice = random.Random(5)
    turns = [Spoken(0.3, (draw(dice),), draw(dice)) for _ in range(1_200)]
    found = figures(Planted([record_of([turn], number) for number, turn in enumerate(turns)]).account())
    for name, planted in (
        ("emission", [turn.emissions[0] for turn in turns]),
        ("final", [turn.final for turn in turns]),
    ):
        ranked = sorted(planted)
        assert values(found[name]) == pytest.approx([rank(ranked, q) for q in (50, 90, 95, 99)], abs=1e-4)
        assert found[name].largest == pytest.approx(ranked[-1], abs=1e-4)
        assert (found[name].count, found[name].too_few) == (1_200, [])


@given(calls(), st.floats(0.0, 30.0))
def test_all_messages_later_by_so_much_are_latencies_larger_by_so_much(turns: list[Spoken], by: float) -> None:
    before, after = read(record_of(turns), NATIVE), read(record_of(turns, shift=by), NATIVE)
    for name, pick in KINDS.items():
        assert seconds(pick(after)) == pytest.approx([x + by for x in seconds(pick(before))], abs=1e-9), name
    assert [late.due for late in after.emissions] == [late.due for late in before.emissions]


@given(st.lists(calls(), min_size=2, max_size=4), st.floats(0.1, 30.0), st.data())
def test_a_late_stream_changes_only_its_own(streams: list[list[Spoken]], by: float, data: st.DataObject) -> None:
    late = data.draw(st.integers(0, len(streams) - 1))
    before = Planted([record_of(turns, k) for k, turns in enumerate(streams)]).account()
    after = Planted([record_of(turns, k, shift=by * (k == late)) for k, turns in enumerate(streams)]).account()
    for (record, was), (_, now) in zip(before.readings, after.readings, strict=True):
        if record.number == late:
            assert all(b.seconds > a.seconds for a, b in zip(was.finals, now.finals, strict=True))
        else:
            assert now == was


@given(st.lists(calls(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_streams_changes_nothing(streams: list[list[Spoken]], dice: random.Random) -> None:
    records = [record_of(turns, k) for k, turns in enumerate(streams)]
    mixed = list(records)
    dice.shuffle(mixed)
    assert figures(Planted(mixed).account()) == figures(Planted(records).account())


@given(st.lists(calls(), min_size=1, max_size=4), st.integers(2, 5))
def test_more_of_the_same_streams_leave_every_percentile(streams: list[list[Spoken]], times: int) -> None:
    once = [record_of(turns, k) for k, turns in enumerate(streams)]
    many = [record_of(turns, n * len(streams) + k) for n in range(times) for k, turns in enumerate(streams)]
    few, more = figures(Planted(once).account()), figures(Planted(many).account())
    for name, kind in few.items():
        assert values(more[name]) == values(kind)
        assert (more[name].count, more[name].largest) == (kind.count * times, kind.largest)


@given(calls(), st.floats(0.0, 12.0))
def test_only_what_was_due_after_the_warm_up_counts(turns: list[Spoken], warm_up: float) -> None:
    record = record_of(turns)
    found = figures(Planted([record], warm_up=warm_up).account())
    for name, pick in KINDS.items():
        kept = [late for late in pick(read(record, NATIVE)) if late.due >= warm_up]
        assert (name in found) == bool(kept)
        assert not kept or found[name].count == len(kept)
    assert found["admission"].count == 1


@given(calls(), st.floats(0.1, 5.0))
def test_a_late_sender_makes_no_figure_smaller(turns: list[Spoken], late: float) -> None:
    """Coordinated omission: what is sent late is answered late, and counts from when it should have been sent."""
    in_time, behind = record_of(turns), record_of(turns, shift=late)
    behind.frames_sent -= 1
    for pick in KINDS.values():
        for now, was in zip(pick(read(behind, NATIVE)), pick(read(in_time, NATIVE)), strict=True):
            assert now.seconds >= was.seconds + late - 1e-9


def test_a_call_that_was_never_admitted_has_no_latencies() -> None:
    record = Record(3, 1.0, record_of([]).script, outcome="refused", reason="at_capacity")
    assert read(record, NATIVE) == Reading()


def test_a_turn_ends_where_the_callers_speech_ended_not_where_the_server_says() -> None:
    (turn,) = turns = [Spoken(0.3, (0.2, 0.2), 1.0)]
    record = record_of(turns)
    longer = Record(**{name: getattr(record, name) for name in record.__slots__})
    object.__setattr__(longer.script, "speech_spans", ((0.3, 1.0),))  # speech ended 0.3 s before the last word's time
    assert seconds(read(longer, NATIVE).finals) == pytest.approx([turn.final + 0.3], abs=1e-9)
