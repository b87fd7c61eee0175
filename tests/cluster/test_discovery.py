"""Addresses are understood or refused by name; names are followed; a name server that fails takes nobody away."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from voxfleet.cluster import discovery
from voxfleet.cluster.discovery import Dns, Static, parse, watch
from voxfleet.errors import SettingsError


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("worker-1:50051", Static("worker-1:50051", "worker-1:50051")),
        ("10.0.0.7:1", Static("10.0.0.7:1", "10.0.0.7:1")),
        ("[2001:db8::1]:50051", Static("[2001:db8::1]:50051", "[2001:db8::1]:50051")),
        ("unix:/run/voxfleet/w.sock", Static("unix:/run/voxfleet/w.sock", "unix:/run/voxfleet/w.sock")),
        ("dns:workers.asr.svc:50051", Dns("workers.asr.svc", 50051)),
    ],
)
def test_addresses(spec: str, meant: Static | Dns) -> None:
    assert parse(spec) == meant


@pytest.mark.parametrize(
    "spec",
    ["", "worker", "worker:", "worker:0", "worker:65536", ":50051", "::1:50051", "[::1]", "unix:", "dns:workers",
     "dns:", "http://worker:50051", "a b:1", "worker:50051 ", "worker:٣"],
)  # fmt: skip
def test_what_is_no_address_is_named(spec: str) -> None:
    with pytest.raises(SettingsError, match="is not a worker's address") as caught:
        parse(spec)
    assert f"'{spec}'" in str(caught.value)


class Names:
    """A name server: what each name has now; None = it fails. `asked` counts, `told` has every call of `changed`."""

    def __init__(self, **records: list[str] | None) -> None:
        self.records = records
        self.told: list[dict[str, str]] = []
        self.asked = 0
        self._turn = asyncio.Condition()

    async def resolve(self, host: str) -> Sequence[str]:
        async with self._turn:
            self.asked += 1
            self._turn.notify_all()
        found = self.records[host]
        if found is None:
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return found

    def changed(self, workers: Mapping[str, str]) -> None:
        self.told.append(dict(workers))

    async def rounds(self, more: int = 2) -> None:
        """Wait until the names were asked for so often again; the first of these may have been under way."""
        until = self.asked + more
        async with self._turn:
            await self._turn.wait_for(lambda: self.asked >= until)
        await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(names: Names, *specs: str) -> AsyncIterator[None]:
    task = asyncio.create_task(watch(specs, 0.005, names.changed, names.resolve))
    try:
        yield
    finally:
        assert not task.done(), "it watches until it is cancelled"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_known_addresses_are_told_at_once_and_once():
    names = Names()
    async with watching(names, "a:1", "unix:/b"):
        await asyncio.sleep(0.05)
    assert names.told == [{"a:1": "a:1", "unix:/b": "unix:/b"}]


async def test_no_workers_elsewhere_is_an_answer_too():
    names = Names()
    async with watching(names):
        await asyncio.sleep(0.02)
    assert names.told == [{}]


async def test_pods_that_come_and_go_are_followed_and_nothing_is_told_twice():
    names = Names(workers=["10.0.0.2", "10.0.0.1", "10.0.0.1"])
    async with watching(names, "dns:workers:50051"):
        await names.rounds()
        names.records["workers"] = ["10.0.0.1", "10.0.0.2"]  # the same in another order
        await names.rounds()
        names.records["workers"] = ["10.0.0.2", "10.0.0.3"]
        await names.rounds()
    first, second = names.told
    assert first == {"10.0.0.1:50051": "workers@10.0.0.1:50051", "10.0.0.2:50051": "workers@10.0.0.2:50051"}
    assert list(second) == ["10.0.0.2:50051", "10.0.0.3:50051"]


async def test_ip6_addresses_come_in_brackets():
    names = Names(workers=["fd00::1"])
    async with watching(names, "dns:workers:50051"):
        await names.rounds()
    assert names.told == [{"[fd00::1]:50051": "workers@[fd00::1]:50051"}]


async def test_a_failing_name_server_takes_nobody_away_and_is_logged_once():
    names = Names(workers=["10.0.0.1"], others=["10.1.0.1"])
    with capture_logs() as logs:
        async with watching(names, "dns:workers:1", "dns:others:1"):
            await names.rounds(4)
            names.records["workers"] = None
            await names.rounds(12)
            names.records["others"] = ["10.1.0.2"]
            await names.rounds(4)
            names.records["workers"] = ["10.0.0.1"]
            await names.rounds(8)
    assert [list(told) for told in names.told] == [["10.0.0.1:1", "10.1.0.1:1"], ["10.0.0.1:1", "10.1.0.2:1"]]
    assert [entry["event"] for entry in logs] == ["name_not_resolved", "name_resolved_again"]


async def test_a_name_that_fails_from_the_start_does_not_hide_the_others():
    names = Names(workers=None)
    async with watching(names, "a:1", "dns:workers:2"):
        await names.rounds()
        names.records["workers"] = ["10.0.0.1"]
        await names.rounds()
    assert [list(told) for told in names.told] == [["a:1"], ["10.0.0.1:2", "a:1"]]


async def test_a_name_server_that_never_answers_is_a_failing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "RESOLVE_TIMEOUT", 0.02)
    names = Names(workers=["10.0.0.1"])

    async def hangs_at_times(host: str) -> Sequence[str]:
        found = await names.resolve(host)
        if host == "slow":
            await asyncio.Event().wait()
        return found

    names.records["slow"] = []
    task = asyncio.create_task(watch(["dns:workers:1", "dns:slow:1"], 0.005, names.changed, hangs_at_times))
    await names.rounds(6)
    task.cancel()
    assert names.told == [{"10.0.0.1:1": "workers@10.0.0.1:1"}]


async def test_what_is_no_address_is_said_before_anything_is_told():
    names = Names()
    with pytest.raises(SettingsError, match="'nonsense'"):
        await watch(["a:1", "nonsense"], 1.0, names.changed, names.resolve)
    assert names.told == []


async def test_localhost_is_resolved_by_this_machine():
    told: asyncio.Queue[Mapping[str, str]] = asyncio.Queue()
    task = asyncio.create_task(watch(["dns:localhost:50051"], 60.0, told.put_nowait))
    try:
        found = await asyncio.wait_for(told.get(), 10)
    finally:
        task.cancel()
    assert set(found) <= {"127.0.0.1:50051", "[::1]:50051"}
    assert found
    assert all(address == f"localhost@{name}" for name, address in found.items())


async def test_a_name_that_can_not_be_one_fails_as_a_resolution_does():
    told: list[Mapping[str, str]] = []
    specs = ["a:1", f"dns:{'x' * 64}:1"]  # no label is so long; this machine's resolver says so without asking anybody
    with capture_logs() as logs:
        task = asyncio.create_task(watch(specs, 0.01, told.append))
        async with asyncio.timeout(10):
            while not logs:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # a few more rounds
        task.cancel()
    assert [entry["event"] for entry in logs] == ["name_not_resolved"]
    assert told == [{"a:1": "a:1"}]
