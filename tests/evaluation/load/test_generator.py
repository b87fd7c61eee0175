"""The generator watches itself: what it sends late is in the latencies, and a run it spoiled is invalid."""

import asyncio
import math
import time
from collections.abc import Callable

import pytest

from tests.cli.scripted_server import Caller as ScriptedCaller
from tests.cli.scripted_server import scripted_server
from tests.evaluation.load.planted import Quiet, called, plan
from voxfleet.evaluation.load.account import account, health, latencies, problems, streams
from voxfleet.evaluation.load.capacity import Objective, rung_of
from voxfleet.evaluation.load.run import Course, Run
from voxfleet.wire import native


async def echo(caller: ScriptedCaller) -> None:
    """Answers every frame with a partial that covers it."""
    await caller.ready()
    while await caller.listen():
        await caller.say(native.PartialMessage(0, 0, 0.0, round(caller.seconds, 3), "", f"w{caller.received}"))
    await caller.say(native.DoneMessage(caller.seconds, 0, 0, 0, 0))


def blocking(begin: float, seconds: float, every: float = math.inf) -> Callable[[], None]:
    """Makes the running loop stand still for so long, once or again and again, from `begin` seconds on."""
    loop = asyncio.get_running_loop()

    timers: list[asyncio.TimerHandle] = []

    def block() -> None:
        time.sleep(seconds)
        if every < math.inf:
            timers.append(loop.call_later(every, block))

    timers.append(loop.call_later(begin, block))
    return lambda: timers[-1].cancel()


@pytest.mark.parametrize(
    ("seconds", "every", "because"),
    [
        pytest.param(0.08, 0.1, "ms late at p99; 25 ms is allowed", id="often a little"),
        pytest.param(1.3, math.inf, "it stood still for 1.", id="once for long"),
    ],
)
async def test_a_generator_that_falls_behind_makes_its_run_invalid(seconds: float, every: float, because: str) -> None:
    async with scripted_server(echo) as url:
        cancel = blocking(0.5, seconds, every)
        try:
            found = await called(url, [Quiet(30) for _ in range(3)])
        finally:
            cancel()
    own = health(found.course.wakes)
    assert not own.valid
    assert any(because in reason for reason in own.because)
    rung = rung_of(found, 3, Objective())
    assert (rung.valid, rung.meets) == (False, False)
    assert any(reason.startswith("invalid: ") for reason in rung.why_not)
    assert streams(found.course).finished == 3, "whatever was late was sent all the same"


async def test_what_a_late_generator_sends_late_is_in_the_latencies() -> None:
    """Coordinated omission: frames that were due while the loop stood still count from when they were due."""
    async with scripted_server(echo) as url:
        blocking(1.0, 1.0)
        found = await called(url, [Quiet(30)])
    lags = sorted(late.seconds for _, reading in found.readings for late in reading.response_lag)
    assert len(lags) == 30
    assert lags[-1] > 0.9
    assert sum(lag > 0.4 for lag in lags) >= 5, "ten frames were due in that second, not one"


async def test_a_generator_in_time_is_valid_and_sends_every_frame_when_it_is_due() -> None:
    sent: list[float] = []

    async def listening(caller: ScriptedCaller) -> None:
        await caller.ready()
        while await caller.listen():
            sent.append(time.monotonic())
        await caller.say(native.DoneMessage(caller.seconds, 0, 0, 0, 0))

    async with scripted_server(listening) as url:
        began = time.monotonic()
        found = await called(url, [Quiet(20)])
    (record,) = found.course.records
    assert record.bytes_sent == 20 * 3_200
    early = [at - began - (record.started + (k + 1) * 0.1) for k, at in enumerate(sent)]
    assert min(early) > -0.005, "no frame is sent before its last sample was there"
    assert found.course.wakes.frames >= 20


async def test_a_run_that_is_stopped_is_partial_and_keeps_what_it_has() -> None:
    async with scripted_server(echo) as url:
        stops: list[float] = []

        def stop_once_one_finished(course: Course, now: float) -> None:
            if any(record.outcome == "finished" for record in course.records) and not stops:
                stops.append(now)
                run.stop()

        run = Run(plan(url, [Quiet(600), Quiet(600), Quiet(3)]), stop_once_one_finished)
        course = await run.run()
    assert course.partial
    assert [record.outcome for record in course.records] == ["cut short", "cut short", "finished"]
    assert stops[0] <= course.ended < 60, "at once, not at the end of the longest call"
    found = account(course)
    assert all(reading.response_lag for _, reading in found.readings)
    assert problems(found) == []


async def test_a_run_that_is_stopped_before_it_begins_says_nothing_of_the_server() -> None:
    run = Run(plan("http://127.0.0.1:9", [Quiet(10)]))
    run.stop()
    course = await run.run()
    assert (course.partial, problems(account(course)), latencies(account(course))) == (True, [], [])
