"""Workers and gateways that are asked to leave, or replaced, with everybody talking: nobody is cut off."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.account import Fault, account
from tests.faults.callers import crowd
from tests.faults.calls import talk
from tests.faults.fleet import GATEWAY, WORKER, all_ready, fake_workers, named, reference, sections, started, struck
from tests.server import Server

CALLS = [talk(number, 24.0) for number in range(15)]


async def gone(pid: int, seconds: float) -> None:
    """Wait until there is no such process."""
    end = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, f"process {pid} is still there after {seconds:g} s"
        await asyncio.sleep(0.1)


async def replaced(server: Server, module: str, before: dict[str, int], seconds: float) -> dict[str, int]:
    """Wait until every process of this kind is another one."""
    end = time.monotonic() + seconds
    while True:
        now = await asyncio.to_thread(named, server, module)
        if now.keys() == before.keys() and not set(now.values()) & set(before.values()):
            return now
        assert time.monotonic() < end, f"{before} became {now} within {seconds:g} s"
        await asyncio.sleep(0.1)


async def test_a_worker_drains_with_everybody_talking(tmp_path: Path) -> None:
    expected = await reference(CALLS)
    workers = [worker | {"drain_seconds": 10.0} for worker in fake_workers(2, 30)]
    async with started(tmp_path, sections(workers=workers, gateway={"handover_seconds": 4.0})) as server:
        pid = (await asyncio.to_thread(named, server, WORKER))["w0"]
        async with crowd(server.url, CALLS) as callers:
            await asyncio.sleep(5.0)
            fault = await struck(server, "w0", signal.SIGTERM)
            await gone(pid, 14.0)
            told = await callers.hung_up()
        found = account(told, expected, [fault])
        assert found.identical, found.json()
        log = (tmp_path / "server.log").read_text()
        assert '"process_died"' not in log, log[-2_000:]


@pytest.mark.slow
async def test_everything_is_replaced_under_load(tmp_path: Path) -> None:
    """SIGHUP: one worker after another, then one gateway after another."""
    calls = [talk(number, 40.0) for number in range(12)]
    expected = await reference(calls)
    workers = [worker | {"drain_seconds": 6.0} for worker in fake_workers(3, 20)]
    settings = sections(
        workers=workers, gateway={"handover_seconds": 4.0, "drain_seconds": 8.0}, supervisor={"gateways": 2}
    )
    async with started(tmp_path, settings) as server:
        old_workers = await asyncio.to_thread(named, server, WORKER)
        old_gateways = await asyncio.to_thread(named, server, GATEWAY)
        assert (len(old_workers), len(old_gateways)) == (3, 2)
        async with crowd(server.url, calls) as callers:
            await asyncio.sleep(4.0)
            os.kill(server.process.pid, signal.SIGHUP)
            await replaced(server, WORKER, old_workers, 40.0)
            await replaced(server, GATEWAY, old_gateways, 40.0)
            told = await callers.hung_up()
        found = account(told, expected)
        assert found.identical, found.json()
        assert found.resumes > 0
        await all_ready(server, 3)
        await asyncio.to_thread(server.at_rest)


async def test_gateways_asked_to_leave_and_killed(tmp_path: Path) -> None:
    """Callers resume at the other one by themselves."""
    expected = await reference(CALLS)
    settings = sections(workers=fake_workers(2, 40), supervisor={"gateways": 2}, gateway={"drain_seconds": 8.0})
    async with started(tmp_path, settings) as server:
        async with crowd(server.url, CALLS) as callers:
            faults = []
            for name, kind in (("gateway-0", signal.SIGTERM), ("gateway-1", signal.SIGKILL)):
                await asyncio.sleep(5.0)
                before = await asyncio.to_thread(named, server, GATEWAY)
                os.kill(before[name], kind)
                faults.append(Fault(f"{kind.name} {name}", time.monotonic(), frozenset()))
                await gone(before[name], 12.0)
                await asyncio.sleep(1.0)  # it is started again
            told = await callers.hung_up()
        found = account(told, expected, faults)
        assert found.identical, found.json()
        assert found.resumes >= len(CALLS) // 2, found.json()
        await asyncio.to_thread(server.at_rest)


async def test_the_only_gateway_killed(tmp_path: Path) -> None:
    """Callers wait for the new one on the same port, and lose nothing."""
    expected = await reference(CALLS)
    async with started(tmp_path, sections(workers=fake_workers(2, 40))) as server:
        async with crowd(server.url, CALLS) as callers:
            await asyncio.sleep(8.0)
            (pid,) = (await asyncio.to_thread(named, server, GATEWAY)).values()
            os.kill(pid, signal.SIGKILL)
            told = await callers.hung_up()
        found = account(told, expected)
        assert found.identical, found.json()
        assert found.resumes == len(CALLS), found.json()
        await asyncio.to_thread(server.at_rest)
