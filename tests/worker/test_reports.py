"""What a worker tells its gateways about itself and about each other, over real links."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from tests.fakes.fake_engine import FakeEngine
from tests.worker.raw_gateway import RawGateway, joined
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster import link_pb2_grpc
from voxfleet.settings import LinkSettings, WorkerSettings
from voxfleet.worker.service import Service


@asynccontextmanager
async def serving(tmp_path: Path, engine: FakeEngine, report_ms: int = 50) -> AsyncIterator[tuple[Service, str]]:
    service = Service("w", LinkSettings(report_ms=report_ms), WorkerSettings(labels={"gpu": "h100", "region": "eu"}))
    await asyncio.to_thread(service.load, lambda: engine)
    server = grpc.aio.server()
    link_pb2_grpc.add_LinkServicer_to_server(service, server)
    address = f"unix:{tmp_path}/w.sock"
    server.add_insecure_port(address)
    await server.start()
    reporter = asyncio.create_task(service.report())
    try:
        yield service, address
    finally:
        reporter.cancel()
        await asyncio.gather(reporter, return_exceptions=True)
        service.part()
        await server.stop(1)
        await asyncio.to_thread(service.close)


def names(answer: pb.Answer) -> list[str]:
    return sorted(hello.gateway for hello in answer.load.gateways)


def knows(*expected: str):
    return lambda answer: names(answer) == sorted(expected)


async def test_welcome_says_where_the_worker_stands(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeEngine(places=7)) as (_, address), joined(address) as gateway:
        welcome, load = gateway.answers[0].welcome, gateway.answers[0].load
        assert dict(welcome.labels) == {"gpu": "h100", "region": "eu"}
        assert (welcome.worker, welcome.places, load.places, load.capacity, load.taken) == ("w", 7, 7, 7, 0)
        assert (load.draining, load.drain_left, load.recorded_paused) == (False, 0.0, False)
        later = await gateway.heard(lambda a: a.load.uptime > load.uptime)
        assert later.load.uptime < 60


async def test_gateways_learn_of_each_other_at_once(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, FakeEngine(), report_ms=60_000) as (_, address),  # no report comes in time for this test
        joined(address, "a") as a,
        joined(address) as nameless,
    ):
        await a.heard(knows("a"))
        async with joined(address, "b") as b:
            for gateway in (a, b, nameless):
                await gateway.heard(knows("a", "b"))
            since = len(a.answers)
        await a.heard(knows("a"), since)


async def test_the_newest_word_of_a_gateway_is_passed_on(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeEngine()) as (_, address), joined(address, "a") as a, joined(address, "b") as b:
        await b.heard(knows("a", "b"))
        await a.say(hello=pb.Hello(gateway="a", state="draining", streams=3))
        told = await b.heard(lambda answer: any(hello.streams == 3 for hello in answer.load.gateways))
        assert [hello.state for hello in told.load.gateways if hello.gateway == "a"] == ["draining"]
        before = len(b.answers)
        await b.heard(lambda answer: names(answer) == [], before)
        assert any(names(answer) == ["a", "b"] for answer in b.answers), "most reports do without the gateways"


async def test_a_drain_waits_for_a_place_that_is_just_being_taken(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeEngine(step_seconds=0.3)) as (service, address), joined(address) as gateway:
        first = await gateway.open(1)
        await gateway.speak(first, end=False)
        await asyncio.sleep(0.1)  # the engine thread is within a step: the next place has to wait
        await gateway.say(opens=[pb.Open(request=2, language="en")])
        await _until(lambda: service.taken == 2)
        service.drain(30.0, replace=False, why="test")
        leaving = asyncio.create_task(service.drained())
        second = await _place(gateway, 2)
        await gateway.say(closes=[first])
        await _until(lambda: service.taken == 1)
        assert not leaving.done()
        await gateway.say(closes=[second])
        async with asyncio.timeout(10):
            assert await leaving == 0


async def test_every_gateway_that_leaves_frees_its_places(tmp_path: Path) -> None:
    """However the end of the call and the end of its messages come together: some of many would show it."""
    engine = FakeEngine(places=200)
    async with serving(tmp_path, engine) as (service, address):
        for _ in range(200):
            async with joined(address) as gateway:
                await gateway.open()
        await _until(lambda: service.taken == 0 and engine.places.taken == 0)


async def _place(gateway: RawGateway, request: int) -> int:
    answer = await gateway.heard(lambda a: any(o.request == request for o in a.opened))
    return answer.opened[0].place


async def _until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
