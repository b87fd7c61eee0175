"""Processes that die or are asked to leave, with live calls on them."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import FAKE, Server, serving
from tests.speech_audio import padded, spoken
from voxfleet.client import ConnectionFailed, RemoteError, StreamOptions, connect
from voxfleet.wire import native

HELLO = "the quick brown fox jumps over the lazy dog"
WORKER, GATEWAY = "voxfleet.cli.worker_process", "voxfleet.cli.gateway_process"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, workers=[{"model": FAKE, "name": "fake", "places": 3}]) as server:
        yield server


async def _texts(server: Server) -> list[str]:
    async with connect(server.url) as stream:
        await stream.send(padded(spoken(HELLO)).tobytes())
        await stream.finish()
        return [m.text async for m in stream if isinstance(m, native.FinalMessage)]


async def test_calls_wait_for_the_only_worker_when_it_is_killed(server: Server) -> None:
    expected = await _texts(server)
    (worker,) = server.pids(WORKER)
    data = padded(spoken(HELLO)).repeat(2).tobytes()
    async with connect(server.url, StreamOptions(channels=2), resume=False) as stream:
        await stream.send(data[:100_000])
        await asyncio.sleep(0.3)
        os.kill(worker, signal.SIGKILL)
        await stream.send(data[100_000:])
        await stream.finish()
        finals = [m async for m in stream if isinstance(m, native.FinalMessage)]
    for channel in (0, 1):
        assert [m.text for m in finals if m.channel == channel] == expected
    (restarted,) = server.pids(WORKER)
    assert restarted != worker
    server.at_rest()


async def test_while_no_worker_is_there_callers_are_told_to_come_back(server: Server) -> None:
    for _ in range(3):  # each restart waits longer
        for worker in server.pids(WORKER):
            os.kill(worker, signal.SIGKILL)
        await asyncio.to_thread(server.wait, lambda s: s["workers"][0]["state"] == "starting")
        with pytest.raises(RemoteError) as refusal:
            async with connect(server.url):
                pass
        assert refusal.value.remote_code == "not_ready"
        assert refusal.value.remote_retryable
        await asyncio.to_thread(server.wait, lambda s: s["workers"][0]["state"] == "ready")
    assert await _texts(server)


async def test_a_killed_gateway_comes_back_on_its_port(server: Server) -> None:
    expected = await _texts(server)
    (gateway,) = server.pids(GATEWAY)
    os.kill(gateway, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while True:
        try:
            assert await _texts(server) == expected
            break
        except (ConnectionFailed, RemoteError):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    await asyncio.to_thread(server.at_rest)


async def test_asked_to_leave_it_lets_live_calls_finish_and_refuses_new_ones(server: Server) -> None:
    expected = await _texts(server)
    data = padded(spoken(HELLO)).tobytes()
    async with connect(server.url) as stream:
        await stream.send(data[: len(data) // 2])
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1.0)
        with pytest.raises(RemoteError) as refusal:
            async with connect(server.url):
                pass
        assert refusal.value.remote_code == "draining"
        assert refusal.value.remote_retryable
        await stream.send(data[len(data) // 2 :])
        await stream.finish()
        finals = [m.text async for m in stream if isinstance(m, native.FinalMessage)]
    assert finals == expected
    assert await asyncio.to_thread(server.process.wait, 10) == 0


async def test_children_end_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    workers = [{"model": FAKE, "name": "fake", "places": 3}]
    with serving(tmp_path, exit_code=-signal.SIGKILL, workers=workers) as server:
        children = [*server.pids(WORKER), *server.pids(GATEWAY)]
        assert len(children) == 2
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 10
        while any(_alive(child) for child in children):
            assert time.monotonic() < deadline, "a child outlived its supervisor"
            await asyncio.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_an_engine_that_breaks_every_time_ends_its_calls_by_name(tmp_path: Path) -> None:
    broken = {"model": FAKE, "name": "fake", "places": 2, "options": {"fail_on_step": 1}}
    with serving(tmp_path, gateway={"reseat_seconds": 0.2}, workers=[broken]) as server:
        async with connect(server.url, resume=False) as stream:
            await stream.send(padded(spoken(HELLO)).tobytes())
            with pytest.raises(RemoteError) as failure:
                async for _ in stream:
                    pass
        assert failure.value.remote_code == "engine_lost"
        assert failure.value.remote_retryable
        assert failure.value.remote_close_code == 1012
        await asyncio.to_thread(server.wait, lambda s: s["workers"][0]["state"] == "ready")


async def test_an_engine_that_never_answers_costs_a_live_caller_its_call_not_its_time(tmp_path: Path) -> None:
    mute = {"model": FAKE, "name": "fake", "places": 2, "options": {"mute_from_step": 1}}
    with serving(tmp_path, gateway={"max_ahead": 2.0}, workers=[mute]) as server:
        async with connect(server.url) as stream:
            data = padded(spoken(HELLO + " " + HELLO), after=0.0).tobytes()

            async def send() -> None:
                for start in range(0, len(data), 3200):
                    await stream.send(data[start : start + 3200])
                    await asyncio.sleep(0.1)

            sending = asyncio.create_task(send())
            with pytest.raises(RemoteError) as failure:
                async for _ in stream:
                    pass
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        assert failure.value.remote_code == "engine_behind"
        assert failure.value.remote_close_code == 1013
        server.at_rest()
