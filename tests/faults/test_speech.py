"""Real speech, the engine that really hears, and a worker killed in mid-sentence."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.faults.account import account
from tests.faults.callers import crowd, undisturbed
from tests.faults.calls import Call, reading
from tests.faults.fleet import all_ready, started, struck

CALLERS = 3


@pytest.mark.slow
async def test_the_transcripts_of_real_speech_survive_a_killed_worker(tmp_path: Path) -> None:
    try:
        calls: list[Call] = [reading(number, 16.0) for number in range(CALLERS)]
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
    worker = {"model": "embedded", "places": 2, "options": {"quick": True}}
    workers = [worker | {"name": f"w{number}"} for number in range(3)]
    settings = {"workers": workers, "supervisor": {"restart_first": 0.1}, "telemetry": {"log_level": "error"}}
    async with started(tmp_path, settings) as server:
        expected = await undisturbed(server.url, calls)
        assert sum(len(final.text.split()) for finals in expected.values() for final in finals) > 60
        async with crowd(server.url, calls) as callers:
            await asyncio.sleep(8.0)
            fault = await struck(server, "w0", signal.SIGKILL)
            told = await callers.hung_up()
        found = account(told, expected, [fault])
        assert found.identical, found.json()
        await all_ready(server, 3)
        await asyncio.to_thread(server.at_rest)
