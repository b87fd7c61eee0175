"""Spoken digits, the real transducer, and workers that die, leave, stop and slow down in the middle of a string."""

import asyncio
import functools
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.digits.strings import DigitCall, calls
from tests.faults.account import Account, Fault, account
from tests.faults.callers import Crowd, Told, crowd, undisturbed
from tests.faults.fleet import WORKER, all_ready, hit, named, sections, started, struck, until
from tests.faults.test_leaving import gone, replaced
from tests.server import Server
from voxfleet.evaluation.wer import score_all
from voxfleet.wire.native import FinalMessage, PartialMessage

pytest.importorskip("torch", reason="needs torch: pip install -e '.[gpu]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CALLERS = 6
CHUNK_MS = 320
SLOWED = {"model": "python:tests.digits.slowed:SlowedEngine", "options": {"threads": 1, "step_seconds": 0.2}}
NEAR = 0.25
"""Seconds by which another chunk size may say the same word sooner or later: three frames."""


def worker(number: int, **more: Any) -> dict[str, Any]:
    """A worker that computes in one thread, with chunks of one size unless told otherwise."""
    plain = {"model": "digits", "options": {"threads": 1, "chunks": [CHUNK_MS]}}
    return plain | {"name": f"w{number}", "places": 12, "drain_seconds": 8.0} | more


def fleet(*workers: Mapping[str, Any]) -> dict[str, Any]:
    """Streams that nobody can hear wait longer than usual: it takes seconds to load an engine, more on a busy machine."""
    gateway = {"reseat_seconds": 90.0, "max_ahead": 90.0, "handover_seconds": 4.0}
    return sections(workers=list(workers) or [worker(0), worker(1)], gateway=gateway, vad={"model": "silero"})


@functools.cache
def spoken(seconds: float) -> tuple[DigitCall, ...]:
    """What the callers say; skips the test where there are no recordings."""
    return tuple(calls(CALLERS, seconds))


async def amid_a_string(server: Server, worker: str, callers: Crowd) -> None:
    """Wait until most of those who are heard there are in the midst of a string, and some of it was told for good."""
    sessions = await asyncio.to_thread(hit, server, worker)
    assert sessions
    async with asyncio.timeout(10.0):
        while True:
            last = [one.messages[-1][1] for one in callers.told if one.session in sessions and one.messages]
            if 2 * sum(isinstance(message, PartialMessage) and message.stable != "" for message in last) > len(
                sessions
            ):
                return
            await asyncio.sleep(0.02)


async def compared(server: Server, told: Sequence[Told], faults: Sequence[Fault]) -> Account:
    """The account of a fault that changed nothing; the fleet is whole again and has found its bookkeeping right."""
    found = account(told, await undisturbed(server.url, [one.call for one in told]), faults)
    assert found.identical, found.json()
    check_words(told)
    await asyncio.to_thread(server.at_rest)
    return found


def check_words(told: Sequence[Told]) -> None:
    """What was heard is what was said: that it is the same as undisturbed would else mean little."""
    pairs = [
        (one.call.text, " ".join(final.text for final in one.finals)) for one in told if isinstance(one.call, DigitCall)
    ]
    rate = score_all(pairs, normalise=str).rate
    assert rate is not None
    assert rate <= 0.03, pairs


async def test_killed_in_mid_string(tmp_path: Path) -> None:
    async with started(tmp_path, fleet()) as server:
        async with crowd(server.url, spoken(10.0)) as callers:
            await asyncio.sleep(3.0)
            await amid_a_string(server, "w0", callers)
            fault = await struck(server, "w0", signal.SIGKILL)
            told = await callers.hung_up()
        await all_ready(server, 2)
        found = await compared(server, told, [fault])
        assert found.affected > 0, found.json()


async def test_both_killed_at_once(tmp_path: Path) -> None:
    """Nobody can hear the streams until an engine is loaded: they wait with their audio."""
    async with started(tmp_path, fleet()) as server:
        async with crowd(server.url, spoken(10.0)) as callers:
            await asyncio.sleep(3.0)
            await amid_a_string(server, "w0", callers)
            faults = [await struck(server, name, signal.SIGKILL) for name in ("w0", "w1")]
            told = await callers.hung_up()
        await all_ready(server, 2)
        found = await compared(server, told, faults)
        assert found.affected >= CALLERS, found.json()


async def test_asked_to_leave_in_mid_string(tmp_path: Path) -> None:
    async with started(tmp_path, fleet()) as server:
        pid = (await asyncio.to_thread(named, server, WORKER))["w0"]
        async with crowd(server.url, spoken(10.0)) as callers:
            await asyncio.sleep(3.0)
            await amid_a_string(server, "w0", callers)
            fault = await struck(server, "w0", signal.SIGTERM)
            await gone(pid, 20.0)
            told = await callers.hung_up()
        assert not server.events("process_died")
        expected = await undisturbed(server.url, spoken(10.0))
        found = account(told, expected, [fault])
        assert found.identical, found.json()
        assert found.affected > 0, found.json()


async def test_stopped_and_woken(tmp_path: Path) -> None:
    """Its streams go to the other; what it says once it is awake again is nobody's."""
    async with started(tmp_path, fleet()) as server:
        pid = (await asyncio.to_thread(named, server, WORKER))["w0"]
        async with crowd(server.url, spoken(10.0)) as callers:
            await asyncio.sleep(3.0)
            await amid_a_string(server, "w0", callers)
            fault = await struck(server, "w0", signal.SIGSTOP)
            await asyncio.sleep(5.0)
            os.kill(pid, signal.SIGCONT)
            told = await callers.hung_up()
        await all_ready(server, 2)
        found = await compared(server, told, [fault])
        assert found.affected > 0, found.json()


async def test_replaced_one_after_the_other(tmp_path: Path) -> None:
    async with started(tmp_path, fleet()) as server:
        before = await asyncio.to_thread(named, server, WORKER)
        async with crowd(server.url, spoken(20.0)) as callers:
            await asyncio.sleep(3.0)
            os.kill(server.process.pid, signal.SIGHUP)
            told = await callers.hung_up()
            await replaced(server, WORKER, before, 90.0)
        await all_ready(server, 2)
        await compared(server, told, [])


async def test_a_worker_of_large_chunks_killed(tmp_path: Path) -> None:
    """One worker is slow and takes larger and larger chunks in the midst of strings; then it dies, and what it had
    heard is heard once more with small ones by the other."""
    slowed = worker(0, **SLOWED)
    brisk = worker(1, options={"threads": 1, "chunks": [160]})
    async with started(tmp_path, fleet(slowed, brisk)) as server:
        async with crowd(server.url, spoken(20.0)) as callers:
            await until(server, lambda status: status["workers"][0]["chunk_ms"] > 160, 30.0)
            fault = await struck(server, "w0", signal.SIGKILL)
            told = await callers.hung_up()
        expected = await undisturbed(server.url, spoken(20.0))
    found = account(told, {one.call: one.finals for one in told}, [fault])
    assert found.affected > 0, found.json()
    assert found.identical, found.json()
    check_words(told)
    for one in told:
        assert [(f.turn, f.text, f.start, f.end) for f in one.finals] == [
            (f.turn, f.text, f.start, f.end) for f in expected[one.call]
        ]
        assert apart(one.finals, expected[one.call]) < NEAR


def apart(a: Sequence[FinalMessage], b: Sequence[FinalMessage]) -> float:
    """Seconds by which the same words lie apart at most."""
    pairs = zip(a, b, strict=True)
    return max(
        abs(word.start - other.start)
        for one, two in pairs
        for word, other in zip(one.words or (), two.words or (), strict=True)
    )
