"""Networks that break between gateway and worker, and between caller and gateway."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from tests.faults.account import account
from tests.faults.callers import crowd
from tests.faults.calls import talk
from tests.faults.fleet import free_port, gateway, reference, worker
from tests.faults.proxy import wire

CALLS = [talk(number, 24.0) for number in range(12)]


async def test_the_link_is_cut_restored_stalled_and_slow(tmp_path: Path) -> None:
    expected = await reference(CALLS)
    ports = [free_port(), free_port()]
    with ExitStack() as workers:
        for number, port in enumerate(ports):
            workers.enter_context(worker(tmp_path, f"w{number}", port, 20))
        async with wire("127.0.0.1", ports[0]) as link:
            addresses = {"w0": f"127.0.0.1:{link.port}", "w1": f"127.0.0.1:{ports[1]}"}
            async with gateway(tmp_path, "gateway", addresses) as server:
                async with crowd(server.url, CALLS) as callers:
                    link.delay = 0.05
                    await asyncio.sleep(4.0)
                    link.cut()
                    await asyncio.sleep(3.0)
                    link.mend()
                    await asyncio.sleep(5.0)
                    link.stall()
                    await asyncio.sleep(4.0)
                    link.flow()
                    told = await callers.hung_up()
                found = account(told, expected)
                assert found.identical, found.json()
                await asyncio.to_thread(server.at_rest)


async def test_the_only_link_is_cut_and_restored(tmp_path: Path) -> None:
    """No worker can be reached for two seconds: streams keep their audio and wait."""
    expected = await reference(CALLS)
    port = free_port()
    with worker(tmp_path, "w0", port, 40):
        async with (
            wire("127.0.0.1", port) as link,
            gateway(tmp_path, "gateway", {"w0": f"127.0.0.1:{link.port}"}) as server,
        ):
            async with crowd(server.url, CALLS) as callers:
                await asyncio.sleep(8.0)
                link.cut()
                await asyncio.sleep(2.0)
                link.mend()
                told = await callers.hung_up()
            found = account(told, expected)
            assert found.identical, found.json()
            await asyncio.to_thread(server.at_rest)


async def test_callers_lose_their_connection_and_resume(tmp_path: Path) -> None:
    expected = await reference(CALLS)
    port = free_port()
    with worker(tmp_path, "w0", port, 60):
        async with gateway(tmp_path, "gateway", {"w0": f"127.0.0.1:{port}"}) as server:
            async with wire("127.0.0.1", int(server.url.rpartition(":")[2])) as line:
                async with crowd(f"http://127.0.0.1:{line.port}", CALLS) as callers:
                    for _ in range(3):
                        await asyncio.sleep(4.0)
                        line.cut()
                        await asyncio.sleep(0.3)
                        line.mend()
                    await asyncio.sleep(3.0)
                    line.stall()
                    await asyncio.sleep(2.0)
                    line.flow()
                    told = await callers.hung_up()
                found = account(told, expected)
                assert found.identical, found.json()
                assert found.resumes == 3 * len(CALLS), found.json()
            await asyncio.to_thread(server.at_rest)
