"""Too many callers, too fast ones and silent ones: who was admitted is served as if they were alone."""

import asyncio
from functools import partial
from pathlib import Path

from benchmarks.raw_caller import Heard, RawCaller

from tests.faults.account import account
from tests.faults.callers import Caller, crowd
from tests.faults.calls import Talk
from tests.faults.fleet import GATEWAY, fake_workers, named, reference, sections, started, until
from voxfleet.client.connect import RemoteError

CALLS = [Talk(number, 14.0) for number in range(12)]
SILENT = 1_000


async def test_three_times_as_many_callers_as_places(tmp_path: Path) -> None:
    expected = await reference(CALLS)
    async with started(tmp_path, sections(workers=fake_workers(3, 4))) as server:
        async with crowd(server.url, CALLS) as admitted:
            await admitted.admitted()
            async with crowd(server.url, CALLS * 2, within=5.0) as others:
                turned_away = await others.hung_up()
            told = await admitted.hung_up()
        found = account(told, expected)
        assert found.identical, found.json()
        assert [one.code for one in turned_away] == ["at_capacity"] * 24
        for one in turned_away:
            assert isinstance(one.error, RemoteError)
            assert one.error.retry_after is not None
            assert 0 < one.error.retry_after <= 60
        await asyncio.to_thread(server.at_rest)
        async with crowd(server.url, [Talk(500, 2.0)]) as again:
            assert (await again.hung_up())[0].done


async def test_one_caller_fifty_times_as_fast(tmp_path: Path) -> None:
    long = Talk(99, 300.0)
    expected = await reference([*CALLS, long])
    async with started(tmp_path, sections(workers=fake_workers(1, 20))) as server:
        async with crowd(server.url, CALLS) as callers:
            await asyncio.sleep(4.0)
            flood = await Caller(99, long, server.url, frames_at_once=5, pace=50.0).run()
            told = await callers.hung_up()
        found = account(told, expected)
        assert found.identical, found.json()
        assert flood.code == "too_fast" or account([flood], expected).identical, flood.code
        await asyncio.to_thread(server.at_rest)


async def test_a_thousand_who_never_speak(tmp_path: Path) -> None:
    """They hold places until the idle timeout and are told why they lose them; talkers beside them notice nothing."""
    expected = await reference(CALLS)
    settings = sections(workers=fake_workers(3, 400), gateway={"idle_timeout": 5.0})
    async with started(tmp_path, settings) as server:
        (gateway,) = (await asyncio.to_thread(named, server, GATEWAY)).values()
        async with crowd(server.url, CALLS) as callers:
            await callers.admitted()
            before = resident_mb(gateway)
            silent = await _silent(server.url, SILENT)
            peak = resident_mb(gateway)
            await until(server, lambda s: s["streams"]["live"] <= len(CALLS), 30.0)
            told = await callers.hung_up()
        for caller in silent:
            caller.transport.abort()
        found = account(told, expected)
        assert found.identical, found.json()
        assert [caller.errors for caller in silent] == [["no_audio"]] * SILENT
        assert peak - before < 300, f"{SILENT} silent callers cost {peak - before:.0f} MB"
        await asyncio.to_thread(server.at_rest)
        again = await _silent(server.url, SILENT)
        assert resident_mb(gateway) < peak + 30, "the second thousand needs no memory beyond that of the first"
        for caller in again:
            caller.transport.abort()
        await asyncio.to_thread(server.at_rest)


async def _silent(url: str, count: int) -> list[RawCaller]:
    host, _, port = url.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()

    def ignore(_caller: RawCaller, _message: Heard, _now: float) -> None:
        """They listen to nothing."""

    callers: list[RawCaller] = []
    for _ in range(count // 20):
        made = [loop.create_connection(partial(RawCaller, "/v1/stream", ignore), host, int(port)) for _ in range(20)]
        some = [caller for _, caller in await asyncio.gather(*made)]
        await asyncio.gather(*(caller.ready for caller in some))
        callers += some
    return callers


def resident_mb(pid: int) -> float:
    """Memory of a process that is in use now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4_096 / 1e6
