"""The link end to end: real gRPC over a real Unix socket, a real engine thread, many streams."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.cluster.conftest import WorkerMaker
from tests.fakes.fake_engine import FakeEngine
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster.messages import Columns, LinkError, increments_of, info_of, open_of, options_of, welcome_of
from voxfleet.cluster.pool import Pool
from voxfleet.engines.port import EngineInfo, TrackOptions
from voxfleet.errors import (
    AtCapacity,
    BadGrammar,
    BadRequest,
    EngineBehind,
    EngineLost,
    LanguageNotSupported,
    ModelNotFound,
    NotReady,
)
from voxfleet.settings import LinkSettings
from voxfleet.speech import Hypothesis
from voxfleet.wire.phrases import Phrase

SETTINGS = LinkSettings(report_ms=50)
SECOND = np.zeros(16_000, np.float32)


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.hypotheses: list[Hypothesis] = []
        self.errors: list[Exception] = []
        self.leaving: list[float] = []
        self.news = asyncio.Event()

    def learn(self, hypothesis: Hypothesis) -> None:
        self.hypotheses.append(hypothesis)
        self.news.set()

    def lost(self, error: Exception) -> None:
        self.errors.append(error)
        self.news.set()

    def leave(self, deadline: float) -> None:
        self.leaving.append(deadline)
        self.news.set()

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition(self):
                await self.news.wait()
                self.news.clear()

    @property
    def finals(self) -> list[str]:
        return [" ".join(w.text for w in h.words) for h in self.hypotheses if h.final]


async def ready(pool: Pool) -> None:
    async with asyncio.timeout(10):
        while not pool.ready:
            await asyncio.sleep(0.01)


def pool_of(tmp_path: Path, *names: str, settings: LinkSettings = SETTINGS) -> Pool:
    return Pool({name: f"unix:{tmp_path}/{name}.sock" for name in names}, settings)


async def test_words_come_back_on_the_right_track(tmp_path: Path, worker: WorkerMaker) -> None:
    engine = FakeEngine(places=40)
    async with worker("w", engine), pool_of(tmp_path, "w") as pool:
        await ready(pool)
        ears = [Ear() for _ in range(40)]
        tracks = [await pool.open(None, TrackOptions(), ear) for ear in ears]
        for number, track in enumerate(tracks):  # each says a different number of words
            for _ in range(number % 5 + 1):
                track.hear(SECOND)
            track.hear(SECOND[:0], end_of_turn=True)
        for number, ear in enumerate(ears):
            await ear.until(lambda e: e.finals)
            assert len(ear.finals[0].split()) == int((number % 5 + 1) * 2.5)
        for track in tracks:
            track.close()
            track.close()
        await _empty(engine)


async def test_many_opens_at_once_do_not_hold_up_the_audio(tmp_path: Path, worker: WorkerMaker) -> None:
    engine = FakeEngine(places=400)
    async with worker("w", engine), pool_of(tmp_path, "w") as pool:
        await ready(pool)
        ears = [Ear() for _ in range(400)]
        tracks = [await pool.open(None, TrackOptions(), ear) for ear in ears]
        began = asyncio.get_running_loop().time()
        tracks[0].hear(SECOND, end_of_turn=True)
        await ears[0].until(lambda e: e.finals)
        assert asyncio.get_running_loop().time() - began < 4.0, "each open once delayed the next tick by 20 ms"


async def test_a_full_worker_says_so_and_the_next_one_is_tried(tmp_path: Path, worker: WorkerMaker) -> None:
    async with (
        worker("a", FakeEngine(places=1)),
        worker("b", FakeEngine(places=2)),
        pool_of(tmp_path, "a", "b") as pool,
    ):
        await ready(pool)
        tracks = await asyncio.gather(*(pool.open(None, TrackOptions(), Ear()) for _ in range(3)))
        assert sorted(track.worker for track in tracks) == ["a", "b", "b"]
        with pytest.raises(AtCapacity) as refusal:
            await pool.open(None, TrackOptions(), Ear())
        assert refusal.value.retryable
        assert refusal.value.retry_after
        tracks[0].close()
        again = await pool.open(None, TrackOptions(), Ear())
        assert again.worker == tracks[0].worker


async def test_a_caller_that_leaves_while_it_waits_for_a_place_keeps_none(tmp_path: Path, worker: WorkerMaker) -> None:
    engine = FakeEngine(places=8)
    async with worker("w", engine), pool_of(tmp_path, "w") as pool:
        await ready(pool)
        for pause in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016):
            opening = [asyncio.create_task(pool.open(None, TrackOptions(), Ear())) for _ in range(8)]
            await asyncio.sleep(pause)
            for task in opening:
                task.cancel()
            for outcome in await asyncio.gather(*opening, return_exceptions=True):
                if not isinstance(outcome, BaseException):
                    outcome.close()
            await _empty(engine)


async def test_what_a_worker_cannot_do_is_refused_by_name(tmp_path: Path, worker: WorkerMaker) -> None:
    pool = pool_of(tmp_path, "w")
    with pytest.raises(NotReady):
        await pool.open(None, TrackOptions(), Ear())
    engine = FakeEngine(places=2)
    async with worker("w", engine), pool:
        await ready(pool)
        with pytest.raises(ModelNotFound, match="served: fake"):
            await pool.open("whisper", TrackOptions(), Ear())
        with pytest.raises(LanguageNotSupported, match="'ro'"):
            await pool.open(None, TrackOptions(language="ro"), Ear())
        with pytest.raises(BadGrammar):
            await pool.open(None, TrackOptions(grammar="digits"), Ear())
        with pytest.raises(BadRequest, match="'fake' can't be told which phrases to expect"):
            await pool.open(None, TrackOptions(phrases=(Phrase("Ana"),)), Ear())
        with pytest.raises(BadRequest, match="'fake' can't translate"):
            await pool.open(None, TrackOptions(translate=True), Ear())
        assert engine.places.taken == 0


@pytest.mark.parametrize(
    "options",
    [
        TrackOptions(),
        TrackOptions("ro-MD", "digits", (), recorded=True),
        TrackOptions("en", None, (Phrase("Ana Popescu", 0.1), Phrase("Chișinău", 0.0))),
        TrackOptions("auto", translate=True),
    ],
    ids=["plain", "all else", "phrases", "translation"],
)
def test_what_a_stream_asks_for_arrives_whole(options: TrackOptions) -> None:
    assert options_of(pb.Open.FromString(open_of(7, options).SerializeToString())) == options


def test_what_an_engine_offers_arrives_whole() -> None:
    able = EngineInfo("m", ("en",), 4, (80, 160), grammars=True, phrases=True, context=1.5, advice="Serve another.")
    for info in (able, EngineInfo("m", ("en", "auto"), 4, (1_000,), translates=True)):
        assert info_of(pb.Welcome.FromString(welcome_of("w", info, {}).SerializeToString())) == info


async def test_a_failing_place_leaves_its_neighbours_alone(tmp_path: Path, worker: WorkerMaker) -> None:
    engine = FakeEngine(places=3, fail_place=0)
    async with worker("w", engine), pool_of(tmp_path, "w") as pool:
        await ready(pool)
        ears = [Ear() for _ in range(3)]
        tracks = [await pool.open(None, TrackOptions(), ear) for ear in ears]
        for track in tracks:
            track.hear(SECOND, end_of_turn=True)
        await ears[0].until(lambda e: e.errors)
        for ear in ears[1:]:
            await ear.until(lambda e: e.finals)
            assert not ear.errors
        tracks[0].close()
        await pool.open(None, TrackOptions(), Ear())
        engine.places.check()


async def test_a_lost_gateway_frees_its_places(tmp_path: Path, worker: WorkerMaker) -> None:
    engine = FakeEngine(places=3)
    async with worker("w", engine):
        async with pool_of(tmp_path, "w") as pool:
            await ready(pool)
            for _ in range(3):
                await pool.open(None, TrackOptions(), Ear())
        await _empty(engine)


async def test_a_lost_worker_loses_its_tracks_by_name_and_comes_back(tmp_path: Path, worker: WorkerMaker) -> None:
    async with pool_of(tmp_path, "w") as pool:
        ear = Ear()
        async with worker("w", FakeEngine(places=3)):
            await ready(pool)
            track = await pool.open(None, TrackOptions(), ear)
            track.hear(SECOND)
        await ear.until(lambda e: e.errors)
        assert isinstance(ear.errors[0], EngineLost)
        track.hear(SECOND)  # nobody is there: nothing happens, nothing is kept for the next worker
        track.close()
        with pytest.raises(NotReady):
            await pool.open(None, TrackOptions(), Ear())
        engine = FakeEngine(places=3)
        async with worker("w", engine):
            await ready(pool)
            fresh = Ear()
            again = await pool.open(None, TrackOptions(), fresh)
            again.hear(SECOND, end_of_turn=True)
            await fresh.until(lambda e: e.finals)
            assert fresh.finals == ["w0 w1"]


async def test_an_engine_that_falls_behind_one_stream_fails_that_stream(tmp_path: Path, worker: WorkerMaker) -> None:
    settings = LinkSettings(report_ms=50, stream_bound=2.0)
    engine = FakeEngine(places=2, step_seconds=0.3)
    async with worker("w", engine, settings), pool_of(tmp_path, "w", settings=settings) as pool:
        await ready(pool)
        flooded, calm = Ear(), Ear()
        flood, gentle = [await pool.open(None, TrackOptions(), ear) for ear in (flooded, calm)]
        gentle.hear(SECOND, end_of_turn=True)
        for _ in range(200):
            flood.hear(SECOND)
        await flooded.until(lambda e: e.errors)
        assert isinstance(flooded.errors[0], EngineBehind)
        await calm.until(lambda e: e.finals)
        assert not calm.errors


async def test_a_broken_engine_ends_its_worker(tmp_path: Path, worker: WorkerMaker) -> None:
    async with worker("w", FakeEngine(places=2, fail_on_step=1)) as service, pool_of(tmp_path, "w") as pool:
        await ready(pool)
        track = await pool.open(None, TrackOptions(), Ear())
        track.hear(SECOND)
        with pytest.raises(Exception, match="engine"):
            async with asyncio.timeout(5):
                await service.report()


async def test_a_long_replay_is_spread_over_ticks_and_loses_nothing() -> None:
    columns = Columns()
    columns.add(7, np.arange(250, dtype=np.float32) / np.float32(32768), 1)
    columns.add(9, np.arange(30, dtype=np.float32) / np.float32(32768), 0)
    heard: dict[int, list[int]] = {7: [], 9: []}
    flags: list[tuple[int, int]] = []
    while columns:
        tick = pb.Tick()
        columns.fill(tick, 100)
        rows = increments_of(tick)
        assert rows is not None
        assert rows[1].samples.size <= 100
        begin = 0
        for key, length, flag in zip(rows[0].tolist(), rows[1].lengths.tolist(), rows[1].flags.tolist(), strict=True):
            heard[key] += rows[1].samples[begin : begin + length].tolist()
            flags.append((key, flag))
            begin += length
    assert heard == {7: list(range(250)), 9: list(range(30))}
    assert flags == [(7, 0), (7, 0), (7, 1), (9, 0)], "the end of the turn comes with its last sample"


async def test_columns_that_disagree_are_refused_whole() -> None:
    columns = Columns()
    columns.add(7, np.array([0.5, -0.5, 2.0], np.float32), 1)
    columns.add(9, np.zeros(0, np.float32), 0)
    tick = pb.Tick()
    assert len(columns) == 2
    columns.fill(tick, 1_000)
    assert len(columns) == 0
    rows = increments_of(tick)
    assert rows is not None
    keys, increments = rows
    assert keys.tolist() == [7, 9]
    assert increments.samples.tolist() == [16384, -16384, 32767]
    assert increments.lengths.tolist() == [3, 0]
    assert increments.flags.tolist() == [1, 0]
    assert increments_of(pb.Tick()) is None
    for column, value in (
        ("lengths", b"\1\0\0\0\1\0\0\0"),
        ("flags", b"\0"),
        ("samples", b"\0\0"),
        ("places", b"\0\0\0"),
    ):
        broken = pb.Tick()
        broken.CopyFrom(tick)
        setattr(broken, column, value)
        with pytest.raises(LinkError):
            increments_of(broken)


async def _empty(engine: FakeEngine) -> None:
    async with asyncio.timeout(10):
        while engine.places.taken:
            await asyncio.sleep(0.01)
    engine.places.check()
