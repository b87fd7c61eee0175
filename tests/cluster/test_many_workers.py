"""Many workers and many gateways: silence, leaving, who knows whom, and who goes first when places are few."""

import asyncio
from pathlib import Path

import pytest

from tests.cluster.conftest import WorkerMaker
from tests.cluster.test_link import SECOND, SETTINGS, Ear, pool_of, ready
from tests.fakes.fake_engine import FakeEngine
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster.journal import Happening, Journal
from voxfleet.cluster.pool import Pool
from voxfleet.engines.port import TrackOptions
from voxfleet.errors import AtCapacity, EngineLost, NotReady, WorkerNotFound
from voxfleet.settings import ClusterSettings, LinkSettings


async def until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_worker_that_reports_nothing_is_given_up_and_joined_again(tmp_path: Path, worker: WorkerMaker) -> None:
    impatient = LinkSettings(report_ms=50, silence_seconds=0.5)
    async with (
        worker("w", FakeEngine()),
        worker("mute", FakeEngine(), LinkSettings(report_ms=3_600_000)),
        pool_of(tmp_path, "w", "mute", settings=impatient) as pool,
    ):
        await ready(pool)
        ears = {name: Ear() for name in pool.links}
        for name, ear in ears.items():
            await pool.links[name].open(TrackOptions(), ear)
        await ears["mute"].until(lambda e: e.errors)
        assert isinstance(ears["mute"].errors[0], EngineLost)
        await until(lambda: pool.journal.totals[Happening.JOINED] == 3)
        assert not ears["w"].errors, "it reports, so it lives"


async def test_a_draining_worker_tells_its_tracks_and_gets_no_new_ones(tmp_path: Path, worker: WorkerMaker) -> None:
    async with (
        worker("a", FakeEngine(places=9)),
        worker("b", FakeEngine(places=3)),
        pool_of(tmp_path, "a", "b") as pool,
    ):
        await ready(pool)
        ears = [Ear() for _ in range(6)]
        tracks = [await pool.open(None, TrackOptions(), ear) for ear in ears]
        pool.worker("a").drain(20.0)
        for ear, track in zip(ears, tracks, strict=True):
            if track.worker == "a":
                await ear.until(lambda e: e.leaving)
        left = asyncio.get_running_loop().time()
        assert all(0 < ear.leaving[0] - left <= 20.0 for ear in ears if ear.leaving)
        assert pool.worker("a").state == "draining"
        there = sum(track.worker == "b" for track in tracks)
        for _ in range(3 - there):
            assert (await pool.open(None, TrackOptions(), Ear())).worker == "b"
        with pytest.raises(AtCapacity):
            await pool.open(None, TrackOptions(), Ear())
        with pytest.raises(WorkerNotFound, match="did you mean"):
            pool.worker("aa")


async def test_gateways_know_each_other_through_their_workers(tmp_path: Path, worker: WorkerMaker) -> None:
    def hello(name: str, pid: int) -> pb.Hello:
        return pb.Hello(gateway=name, pid=pid, host="here", state="ready", streams=pid)

    addresses = {"w": f"unix:{tmp_path}/w.sock"}
    async with (
        worker("w", FakeEngine()),
        Pool(addresses, SETTINGS, hello=lambda: hello("one", 1)) as one,
        Pool(addresses, SETTINGS, hello=lambda: hello("two", 2)) as two,
    ):
        await until(lambda: len(one.gateways()) == len(two.gateways()) == 2)
        assert [found.gateway for found in one.gateways()] == ["one", "two"]
        assert [found.gateway for found in two.gateways()] == ["two", "one"]


async def test_streams_that_lost_their_place_go_before_new_callers(tmp_path: Path, worker: WorkerMaker) -> None:
    async with worker("w", FakeEngine(places=2)), pool_of(tmp_path, "w") as pool:
        await ready(pool)
        await pool.open(None, TrackOptions(), Ear())
        with pool.displacing():
            with pytest.raises(AtCapacity) as refusal:
                await pool.open(None, TrackOptions(), Ear())
            assert refusal.value.retry_after
            displaced = await pool.open(None, TrackOptions(), Ear(), displaced=True)
        displaced.close()
        await pool.open(None, TrackOptions(), Ear())


async def test_a_model_that_is_away_for_a_moment_is_not_unknown(tmp_path: Path, worker: WorkerMaker) -> None:
    async with worker("other", FakeEngine()), pool_of(tmp_path, "w", "other") as pool:
        async with worker("w", FakeEngine()):
            await ready(pool)
        await until(lambda: pool.links["w"].state == "starting")
        assert pool.ready, "one of two is enough once all were there"
        pool.links["other"].info = None
        with pytest.raises(NotReady):
            await pool.open("fake", TrackOptions(), Ear())


async def test_discovered_workers_come_and_go(tmp_path: Path, worker: WorkerMaker) -> None:
    address = f"unix:{tmp_path}/w.sock"
    async with (
        worker("w", FakeEngine()),
        Pool({}, SETTINGS, cluster=ClusterSettings(workers=(address,), resolve_seconds=0.5)) as pool,
    ):
        await ready(pool)
        ear = Ear()
        track = await pool.open(None, TrackOptions(), ear)
        assert pool.worker("w").address == address
        pool._found({})
        await asyncio.sleep(0.2)
        track.hear(SECOND, end_of_turn=True)
        await ear.until(lambda e: e.finals)
        assert not ear.errors, "a worker gone from discovery keeps its streams"
        track.close()
        await until(lambda: not pool.links)


async def test_a_full_worker_gives_streams_to_an_empty_one(tmp_path: Path, worker: WorkerMaker) -> None:
    async with (
        worker("a", FakeEngine(places=10)),
        worker("b", FakeEngine(places=10)),
        pool_of(tmp_path, "a", "b") as pool,
    ):
        await ready(pool)
        ears = [Ear() for _ in range(8)]
        for ear in ears:
            await pool.links["a"].open(TrackOptions(), ear)
        async with asyncio.timeout(10):
            while not any(ear.leaving for ear in ears):
                await asyncio.sleep(0.05)
        assert next(ear.leaving[0] for ear in ears if ear.leaving) == float("inf"), "nobody is in a hurry"


def test_the_journal_counts_what_happens_together() -> None:
    journal = Journal()
    for _ in range(5):
        journal.note(Happening.MOVED, "a")
    journal.note(Happening.MOVED, "b")
    journal.note(Happening.LOST, "a", "5 tracks")
    assert [(entry.kind, entry.worker, entry.count) for entry in journal.entries] == [
        (Happening.MOVED, "a", 5),
        (Happening.MOVED, "b", 1),
        (Happening.LOST, "a", 1),
    ]
    assert journal.totals[Happening.MOVED] == 6


async def test_a_mute_worker_draws_no_streams(tmp_path: Path, worker: WorkerMaker) -> None:
    async with (
        worker("a", FakeEngine(places=9)),
        worker("b", FakeEngine(places=9)),
        pool_of(tmp_path, "a", "b") as pool,
    ):
        await ready(pool)
        pool.fell_silent("a")
        assert not pool.links["a"].is_mute(0.0), "one may be that stream's own fault"
        pool.fell_silent("a")
        assert {(await pool.open(None, TrackOptions(), Ear())).worker for _ in range(6)} == {"b"}
        ear = Ear()
        track = await pool.links["a"].open(TrackOptions(), ear)
        track.hear(SECOND, end_of_turn=True)
        await ear.until(lambda e: e.finals)
        assert (await pool.open(None, TrackOptions(), Ear())).worker == "a", "it speaks again"
