"""The wall clock of every process is set forward and back an hour under live calls: only the life of tokens may depend on it."""

import asyncio
import os
import signal
from pathlib import Path

from tests.faults.account import account
from tests.faults.callers import crowd
from tests.faults.calls import talk
from tests.faults.fleet import free_port, gateway, reference, worker
from tests.faults.proxy import wire

CALLS = [talk(number, 18.0) for number in range(10)]
STEPPING = "tests.faults.stepping"


async def test_clocks_set_forward_and_back(tmp_path: Path) -> None:
    expected = await reference(CALLS)
    port = free_port()
    with worker(tmp_path, "w0", port, 40, STEPPING) as process:
        async with gateway(tmp_path, "gateway", {"w0": f"127.0.0.1:{port}"}, STEPPING) as server:
            async with crowd(server.url, CALLS) as callers:
                for step in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2, signal.SIGUSR1):
                    await asyncio.sleep(3.0)
                    os.kill(process.pid, step)
                    os.kill(server.process.pid, step)
                told = await callers.hung_up()
            found = account(told, expected)
            assert found.identical, found.json()
            assert server.status()["streams"]["failed"] == 0
            await asyncio.to_thread(server.at_rest)


async def test_tokens_of_another_hour_are_honoured_or_refused_by_name(tmp_path: Path) -> None:
    """Forward: older than they may be. Back: from an hour that has not come yet."""
    expected = await reference(CALLS)
    port = free_port()
    with worker(tmp_path, "w0", port, 40):
        for step in (signal.SIGUSR1, signal.SIGUSR2):
            name = f"gateway-{step.name}"
            async with (
                gateway(tmp_path, name, {"w0": f"127.0.0.1:{port}"}, STEPPING) as server,
                wire("127.0.0.1", int(server.url.rpartition(":")[2])) as line,
                crowd(f"http://127.0.0.1:{line.port}", CALLS) as callers,
            ):
                await asyncio.sleep(6.0)
                os.kill(server.process.pid, step)
                line.cut()
                await asyncio.sleep(0.2)
                line.mend()
                told = await callers.hung_up()
                honoured = [one for one in told if one.done]
                assert account(honoured, expected).identical
                assert {one.code for one in told if not one.done} <= {"resume_refused"}
                await asyncio.to_thread(server.at_rest)
