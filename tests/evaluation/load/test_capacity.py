"""The search for a planted capacity: found, refused or growing beyond it, stopped, or the generator's own limit."""

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.evaluation.load.planted import NATIVE, Quiet
from voxfleet.evaluation.latency import Late
from voxfleet.evaluation.load.account import Account
from voxfleet.evaluation.load.arrivals import Arrival
from voxfleet.evaluation.load.caller import Record
from voxfleet.evaluation.load.capacity import Interrupted, Objective, find_capacity, rung_of
from voxfleet.evaluation.load.dialect import Ask
from voxfleet.evaluation.load.pacer import Wakes
from voxfleet.evaluation.load.reading import Reading
from voxfleet.evaluation.load.run import Course, Plan
from voxfleet.evaluation.report.document import Capacity, Rung, Stall

PLANTED = 137
Server = Callable[[int, float], Account]


def account_of(
    streams: int,
    seconds: float = 60.0,
    *,
    late: float = 0.5,
    growth: float = 0.0,
    refused: int = 0,
    failed: int = 0,
    stalled: int = 0,
    send_lag: float = 0.001,
    partial: bool = False,
    every: float = 1.0,
) -> Account:
    """What such a run would be read as: a latency of each kind per caller in `every` seconds. `growth` is in s per s."""
    script = Quiet(round(seconds * 10))
    calls = tuple((Arrival(0.0, None), script) for _ in range(streams))
    course = Course(Plan(Ask("http://nowhere", 16_000), NATIVE, calls, 0.0, seconds, 1), partial=partial, ended=seconds)
    course.wakes = Wakes(frames=1)
    course.wakes.late.extend([send_lag] * 100)
    readings = []
    for number in range(streams):
        if number < refused:
            record, reading = Record(number, 0.0, script, outcome="refused", reason="at_capacity"), Reading()
        else:
            outcome, reason = ("failed", "no_goodbye") if number < refused + failed else ("finished", "")
            record = Record(number, 0.0, script, 0.01, outcome=outcome, reason=reason)
            events = [Late(k * every, late + growth * k * every) for k in range(int(seconds / every))]
            reading = Reading(emissions=events, finals=events, response_lag=events)
            if number < stalled:
                reading.stalls.append(Stall(number, 3.0, 9.0))
        course.records.append(record)
        readings.append((record, reading))
    return Account(course, readings)


def search(server: Server, first: int = 10, most: int = 4_096) -> tuple[Capacity, list[Rung]]:
    told: list[Rung] = []

    async def hold(streams: int, seconds: float) -> Account:
        return server(streams, seconds)

    found, _, _ = asyncio.run(find_capacity(hold, Objective(), first=first, most=most, seconds=60.0, told=told.append))
    return found, told


def refusing(streams: int, seconds: float) -> Account:
    return account_of(streams, seconds, refused=max(0, streams - PLANTED), every=4.0)


def slow(streams: int, seconds: float) -> Account:
    return account_of(streams, seconds, late=0.4 if streams <= PLANTED else 2.3, every=4.0)


def queueing(streams: int, seconds: float) -> Account:
    return account_of(streams, seconds, growth=0.0 if streams <= PLANTED else 0.01, every=4.0)


@pytest.mark.parametrize("first", [1, 10, 64, 137, 500])
@pytest.mark.parametrize("server", [refusing, slow, queueing])
def test_a_planted_capacity_is_found_within_5_percent_and_never_exceeded(server: Server, first: int) -> None:
    found, rungs = search(server, first)
    assert found.streams is not None
    assert 0.95 * PLANTED <= found.streams <= PLANTED
    assert not found.is_lower_bound
    assert len(rungs) <= 20
    assert max(rung.seconds for rung in rungs if rung.streams == found.streams) == 180.0, (
        "held longer before it is believed"
    )


def test_what_is_beyond_is_told_as_it_was() -> None:
    assert "callers were refused (at_capacity)" in search(refusing)[0].beyond
    assert "p95 of finals was 2.30 s" in search(slow)[0].beyond
    assert re.search(r"the lag grew by 0\.6\d s a minute", search(queueing)[0].beyond)


def test_there_is_always_a_rung_past_the_knee() -> None:
    for server in (refusing, slow, queueing):
        found, _ = search(server)
        assert found.streams is not None
        assert any(rung.streams >= 1.05 * found.streams and not rung.meets for rung in found.rungs)


def test_where_the_long_rung_fails_the_search_goes_on_below_it() -> None:
    """A minute is held with up to 600 streams, three minutes with up to 450."""
    found, rungs = search(
        lambda streams, seconds: account_of(
            streams, seconds, late=0.4 if streams <= (600 if seconds <= 60 else 450) else 9.0, every=20.0
        ),
        first=100,
    )
    assert found.streams is not None
    assert 0.9 * 450 <= found.streams <= 450
    assert len(rungs) <= 40


def test_a_queue_that_only_a_long_rung_shows_lowers_the_capacity() -> None:
    """Past 100 streams the lag grows so slowly that a minute does not show it, and three do."""

    def server(streams: int, seconds: float) -> Account:
        return account_of(streams, seconds, growth=0.0 if streams <= 100 else 0.001, every=4.0, late=0.2)

    found, _ = search(server, most=128)
    assert found.streams is not None
    assert found.streams <= 100


def test_a_server_that_is_never_full_gives_a_lower_bound() -> None:
    found, rungs = search(lambda streams, seconds: account_of(streams, seconds, every=4.0), most=200)
    assert (found.streams, found.is_lower_bound) == (200, True)
    assert "its own limit of 200" in found.beyond
    assert all(rung.meets for rung in rungs)


def test_a_server_that_meets_nothing_has_no_capacity() -> None:
    found, rungs = search(lambda streams, seconds: account_of(streams, seconds, late=3.0), first=8)
    assert (found.streams, found.is_lower_bound) == (None, False)
    assert [rung.streams for rung in rungs] == [8, 4, 2, 1]


def test_where_the_generator_falls_behind_the_server_is_not_blamed() -> None:
    def server(streams: int, seconds: float) -> Account:
        return account_of(
            streams, seconds, send_lag=0.001 if streams <= 100 else 0.3, late=0.5 if streams <= 100 else 9.0
        )

    found, rungs = search(server)
    assert found.streams is not None
    assert 95 <= found.streams <= 100
    assert found.is_lower_bound
    assert "the load generator, not the server, fell behind" in found.beyond
    assert all(not rung.valid and not rung.meets for rung in rungs if rung.streams > 100)


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_search_that_is_stopped_keeps_what_it_found(number: int) -> None:
    tried: list[int] = []

    def server(streams: int, seconds: float) -> Account:
        tried.append(streams)
        return account_of(streams, seconds, refused=max(0, streams - PLANTED), partial=len(tried) == number, every=4.0)

    found, rungs = search(server)
    assert len(rungs) == number
    assert found.streams == max((n for n in tried[:-1] if n <= PLANTED), default=None)
    assert not any(rung.meets for rung in rungs[-1:]), "a rung that was stopped proves nothing"
    assert rungs[-1].why_not == ["stopped before its time"]
    if all(n <= PLANTED for n in tried[:-1]):
        assert (found.is_lower_bound, found.beyond) == (True, "not seen: the search was stopped")


def test_a_hold_may_be_interrupted_itself() -> None:
    def server(streams: int, seconds: float) -> Account:
        if streams > 30:
            raise Interrupted
        return account_of(streams, seconds, every=4.0)

    assert search(server)[0].streams == 20


def test_a_search_whose_rungs_are_too_short_says_so() -> None:
    found, rungs = search(lambda streams, seconds: account_of(streams, seconds, every=70.0), first=2, most=8)
    assert (found.streams, found.is_lower_bound) == (None, True)
    assert "hold it longer" in found.beyond
    assert [rung.streams for rung in rungs] == [2, 4, 8]


def test_downwards_the_search_ends_where_nothing_can_be_told() -> None:
    def server(streams: int, seconds: float) -> Account:
        return account_of(streams, seconds, late=3.0, every=4.0 if streams > 5 else 70.0)

    found, rungs = search(server, first=10)
    assert (found.streams, [rung.streams for rung in rungs]) == (None, [10, 5])


# ---- one rung ---------------------------------------------------------------------------------------------------


def rung(**planted: float) -> Rung:
    return rung_of(account_of(10, **planted), 10, Objective())  # type: ignore[arg-type]


def test_a_rung_meets_when_nothing_is_wrong() -> None:
    found = rung()
    assert (found.meets, found.valid, found.why_not, found.stalls) == (True, True, [], 0)


@pytest.mark.parametrize(
    ("planted", "why"),
    [
        ({"late": 2.1}, "p95 emission 2.10 s"),
        ({"late": 2.1}, "p95 final 2.10 s"),
        ({"refused": 1}, "1 refused"),
        ({"failed": 2}, "2 failed"),
        ({"stalled": 3}, "3 stalls of more than 5 s"),
        ({"growth": 0.01}, "lag grows by 0.6"),
        ({"every": 50.0}, "only 10 emission latencies: hold it longer"),
        ({"refused": 10}, "only 0 final latencies: hold it longer"),
        ({"send_lag": 0.2}, "invalid: it sent 200 ms late at p99; 25 ms is allowed"),
        ({"partial": True}, "stopped before its time"),
    ],
)
def test_a_rung_says_everything_that_is_wrong(planted: dict[str, float], why: str) -> None:
    found = rung(**planted)
    assert any(reason.startswith(why) for reason in found.why_not)
    assert not found.meets


def test_a_lag_that_is_high_but_level_does_not_grow() -> None:
    found = rung(late=1.9)
    assert found.meets
    assert found.lag_growth is not None
    assert found.lag_growth.value == pytest.approx(0.0, abs=1e-6)
