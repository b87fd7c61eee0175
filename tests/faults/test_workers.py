"""Workers that die, stop, or answer late in the middle of sentences: no transcript may show it."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.faults.account import account
from tests.faults.callers import crowd
from tests.faults.calls import talk
from tests.faults.fleet import WORKER, all_ready, fake_workers, named, reference, sections, started, struck

CALLS = [talk(number, 22.0) for number in range(15)]
BRIEF = [talk(number, 14.0) for number in range(15)]


async def test_killed_in_mid_sentence(tmp_path: Path) -> None:
    expected = await reference(CALLS)
    async with started(tmp_path, sections(workers=fake_workers(3, 20))) as server:
        async with crowd(server.url, CALLS) as callers:
            faults = []
            for worker in ("w0", "w1", "w2"):
                await asyncio.sleep(4.0)
                await all_ready(server, 3)
                faults.append(await struck(server, worker, signal.SIGKILL))
            told = await callers.hung_up()
        found = account(told, expected, faults)
        assert found.identical, found.json()
        assert found.affected >= 15, found.json()
        await all_ready(server, 3)
        await asyncio.to_thread(server.at_rest)


async def test_all_killed_at_once_and_started_again(tmp_path: Path) -> None:
    """There is no place for a while: streams wait for one with their audio."""
    expected = await reference(BRIEF)
    async with started(tmp_path, sections(workers=fake_workers(2, 20))) as server:
        async with crowd(server.url, BRIEF) as callers:
            await asyncio.sleep(5.0)
            faults = [await struck(server, worker, signal.SIGKILL) for worker in ("w0", "w1")]
            told = await callers.hung_up()
        found = account(told, expected, faults)
        assert found.identical, found.json()
        await all_ready(server, 2)
        await asyncio.to_thread(server.at_rest)


@pytest.mark.slow
@pytest.mark.parametrize("beat_seconds", [60.0, 4.0], ids=["woken", "replaced"])
async def test_stopped_for_ten_seconds(tmp_path: Path, beat_seconds: float) -> None:
    """Its streams go elsewhere; what it says once it is awake again is nobody's. A short watch replaces it meanwhile."""
    expected = await reference(CALLS)
    settings = sections(workers=fake_workers(3, 20), supervisor={"beat_seconds": beat_seconds})
    async with started(tmp_path, settings) as server:
        before = await asyncio.to_thread(named, server, WORKER)
        async with crowd(server.url, CALLS) as callers:
            await asyncio.sleep(5.0)
            fault = await struck(server, "w0", signal.SIGSTOP)
            await asyncio.sleep(10.0)
            try:
                os.kill(before["w0"], signal.SIGCONT)
            except ProcessLookupError:
                assert beat_seconds < 10
            told = await callers.hung_up()
        found = account(told, expected, [fault])
        assert found.identical, found.json()
        await all_ready(server, 3)
        after = await asyncio.to_thread(named, server, WORKER)
        assert (after["w0"] == before["w0"]) == (beat_seconds > 10)
        await asyncio.to_thread(server.at_rest)


async def test_workers_that_answer_late_or_fall_silent(tmp_path: Path) -> None:
    """The silent one reports, takes streams and steps, and nothing comes of it: its streams go to the others."""
    expected = await reference(BRIEF)
    workers = fake_workers(3, 20)
    workers[0]["options"] |= {"step_seconds": 0.25}
    workers[1]["options"] |= {"mute_from_step": 40}
    async with started(tmp_path, sections(workers=workers, gateway={"silence_seconds": 2.0})) as server:
        async with crowd(server.url, BRIEF) as callers:
            told = await callers.hung_up()
        found = account(told, expected)
        assert found.identical, found.json()
        await asyncio.to_thread(server.at_rest)
