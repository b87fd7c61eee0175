"""Whisper with random weights, whose noise hangs on every sample it heard, and workers that die, leave and stop in mid-turn.

What such a network says changes with the smallest difference in the audio, the window or the prefix of a decode: that all
words are the same again, to the letter and the millisecond, shows that every decode that counts was made again as it was.
"""

import asyncio
import functools
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.digits.strings import DigitCall, calls
from tests.engines.whisper.folders import whisper_folder
from tests.faults.account import Account, account
from tests.faults.callers import Crowd, crowd, undisturbed
from tests.faults.fleet import WORKER, all_ready, hit, named, sections, started, struck
from tests.faults.test_leaving import gone, replaced
from tests.server import Server
from voxfleet.wire.native import PartialMessage

pytest.importorskip("torch", reason="needs torch: pip install -e '.[gpu]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CALLERS = 5
BACKENDS = ("pytorch", "ctranslate2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_folder(tmp_path_factory.mktemp("whisper") / "micro")


def fleet(folder: Path, backend: str, count: int = 2) -> dict[str, Any]:
    if backend == "ctranslate2":
        pytest.importorskip("ctranslate2", reason="needs ctranslate2: pip install -e '.[whisper-cpu]'")
    options = {"backend": backend, "threads": 1, "chunks": [1000, 2000]}
    options |= {"precision": "float32"} if backend == "pytorch" else {"compute_type": "float32"}
    workers = [
        {"model": str(folder), "name": f"w{number}", "places": 10, "drain_seconds": 8.0, "options": options}
        for number in range(count)
    ]
    gateway = {"reseat_seconds": 90.0, "max_ahead": 90.0, "handover_seconds": 4.0}
    return sections(workers=workers, gateway=gateway, vad={"model": "silero"})


@functools.cache
def spoken(seconds: float, backend: str = "pytorch") -> tuple[DigitCall, ...]:
    """Turns of ten seconds and more, in which words settle while somebody speaks; skips the test without recordings.

    Calls of their own for each backend: what is said undisturbed is kept by call, and the two say it a little otherwise.
    """
    return tuple(calls(CALLERS, seconds, digits=(14, 18)))


async def amid_a_turn(server: Server, worker: str, callers: Crowd) -> None:
    """Wait until most of those who are heard there were just told something that is not final."""
    sessions = await asyncio.to_thread(hit, server, worker)
    assert sessions
    async with asyncio.timeout(20.0):
        while True:
            last = [one.messages[-1][1] for one in callers.told if one.session in sessions and one.messages]
            if 2 * sum(
                isinstance(message, PartialMessage) and message.stable + message.unstable != "" for message in last
            ) > len(sessions):
                return
            await asyncio.sleep(0.02)


def check_words(found: Account, callers: Crowd) -> None:
    """Something was said, not the same by all, and words settled on the way: else sameness would mean little."""
    texts = [" ".join(final.text for final in one.finals) for one in callers.told]
    assert all(len(text) > 20 for text in texts), texts
    assert len(set(texts)) == len(texts)
    partials = [message for one in callers.told for _, message in one.messages if isinstance(message, PartialMessage)]
    assert any(message.stable for message in partials), "nothing ever settled in mid-turn"
    assert found.identical, json.dumps(found.json(), indent=1, default=str)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_killed_in_mid_turn(folder: Path, tmp_path: Path, backend: str) -> None:
    async with started(tmp_path, fleet(folder, backend)) as server:
        async with crowd(server.url, spoken(16.0, backend)) as callers:
            await asyncio.sleep(6.0)
            await amid_a_turn(server, "w0", callers)
            fault = await struck(server, "w0", signal.SIGKILL)
            told = await callers.hung_up()
        await all_ready(server, 2)
        found = account(told, await undisturbed(server.url, [one.call for one in told]), [fault])
        check_words(found, callers)
        assert found.affected > 0, found.json()
        await asyncio.to_thread(server.at_rest)


async def test_the_only_one_killed(folder: Path, tmp_path: Path) -> None:
    async with started(tmp_path, fleet(folder, "pytorch", 1)) as server:
        async with crowd(server.url, spoken(16.0)) as callers:
            await asyncio.sleep(5.0)
            await amid_a_turn(server, "w0", callers)
            fault = await struck(server, "w0", signal.SIGKILL)
            told = await callers.hung_up()
        await all_ready(server, 1)
        found = account(told, await undisturbed(server.url, [one.call for one in told]), [fault])
        check_words(found, callers)
        assert found.affected >= CALLERS, found.json()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_asked_to_leave_in_mid_turn(folder: Path, tmp_path: Path, backend: str) -> None:
    async with started(tmp_path, fleet(folder, backend)) as server:
        pid = (await asyncio.to_thread(named, server, WORKER))["w0"]
        async with crowd(server.url, spoken(16.0, backend)) as callers:
            await asyncio.sleep(6.0)
            await amid_a_turn(server, "w0", callers)
            fault = await struck(server, "w0", signal.SIGTERM)
            await gone(pid, 25.0)
            told = await callers.hung_up()
        assert not server.events("process_died")
        found = account(told, await undisturbed(server.url, spoken(16.0, backend)), [fault])
        check_words(found, callers)
        assert found.affected > 0, found.json()


async def test_stopped_and_woken(folder: Path, tmp_path: Path) -> None:
    async with started(tmp_path, fleet(folder, "pytorch")) as server:
        pid = (await asyncio.to_thread(named, server, WORKER))["w0"]
        async with crowd(server.url, spoken(16.0)) as callers:
            await asyncio.sleep(6.0)
            await amid_a_turn(server, "w0", callers)
            fault = await struck(server, "w0", signal.SIGSTOP)
            await asyncio.sleep(5.0)
            os.kill(pid, signal.SIGCONT)
            told = await callers.hung_up()
        await all_ready(server, 2)
        found = account(told, await undisturbed(server.url, [one.call for one in told]), [fault])
        check_words(found, callers)
        assert found.affected > 0, found.json()


async def test_replaced_one_after_the_other(folder: Path, tmp_path: Path) -> None:
    async with started(tmp_path, fleet(folder, "pytorch")) as server:
        before = await asyncio.to_thread(named, server, WORKER)
        async with crowd(server.url, spoken(24.0)) as callers:
            await asyncio.sleep(3.0)
            os.kill(server.process.pid, signal.SIGHUP)
            told = await callers.hung_up()
            await replaced(server, WORKER, before, 90.0)
        await all_ready(server, 2)
        found = account(told, await undisturbed(server.url, [one.call for one in told]), [])
        check_words(found, callers)
