"""A stream and its places, with real workers behind real links: whatever happens to them, its finals stay the same."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.cluster.conftest import WorkerMaker, worker
from tests.cluster.test_link import SETTINGS, ready
from tests.cluster.test_many_workers import until
from tests.fakes.fake_engine import FakeEngine
from voxfleet.cluster.pool import Pool
from voxfleet.engines.port import TrackOptions
from voxfleet.errors import EngineLost, VoxfleetError
from voxfleet.serving.seating import Seating
from voxfleet.settings import GatewaySettings, TurnSettings
from voxfleet.speech import SPEECH_FRAME, Final, Hypothesis, text_of
from voxfleet.streams.effects import Effect, Emit, Fail, Feed, Finished, Leave, Reseat
from voxfleet.streams.endpoint import TurnRules
from voxfleet.streams.session import Session
from voxfleet.telemetry.metrics import GatewayMetrics

__all__ = ["worker"]

RULES = TurnRules.of(TurnSettings(partial_interval_ms=0))


class Stream:
    """The least that drives a session: what a channel does, without audio formats and callers."""

    def __init__(self, pool: Pool, settings: GatewaySettings) -> None:
        self.session = Session(0, RULES)
        self.metrics = GatewayMetrics()
        self.finals: list[Final] = []
        self.failure: VoxfleetError | None = None
        self.finished = False
        self.heard = asyncio.Event()
        options = TrackOptions()
        self.seating = Seating(self.session, pool, None, options, settings, self.metrics, self.apply, self.learn)

    def apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Feed():
                    self.seating.feed(effect)
                case Reseat():
                    self.seating.reseat()
                case Leave():
                    self.seating.let_go(effect.seat)
                case Emit():
                    if isinstance(effect.event, Final):
                        self.finals.append(effect.event)
                case Finished():
                    self.finished = True
                case Fail():
                    self.failure = effect.error

    def learn(self, hypothesis: Hypothesis, seat: int) -> None:
        self.apply(self.session.learn(hypothesis, 0.0, seat))
        self.heard.set()

    def speak(self, seconds: float, probability: float = 0.9) -> None:
        frames = round(seconds * 16_000 / SPEECH_FRAME)
        self.apply(self.session.hear(np.zeros(frames * SPEECH_FRAME, np.float32), [probability] * frames, 0.0))

    async def hears(self) -> None:
        """Until the engine has said something more."""
        self.heard.clear()
        async with asyncio.timeout(10):
            await self.heard.wait()

    async def end(self) -> int:
        """Finals of the whole stream, each found to have exactly the words of its audio."""
        self.apply(self.session.finish())
        await until(lambda: self.finished or self.failure is not None)
        self.seating.close()
        for number, final in enumerate(self.finals):
            count = int((final.end - final.start) * 2.5 + 1e-6)
            assert (final.turn, text_of(final.words)) == (number, " ".join(f"w{k}" for k in range(count)))
        return len(self.finals)

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"voxfleet_streams_{name}_total") or 0.0


@asynccontextmanager
async def stream_at(
    tmp_path: Path, names: str, settings: GatewaySettings | None = None
) -> AsyncIterator[tuple[Pool, Stream]]:
    """A stream with its first place; `names` are letters."""
    pool = Pool({name: f"unix:{tmp_path}/{name}.sock" for name in names}, SETTINGS)
    async with pool:
        await ready(pool)
        stream = Stream(pool, settings or GatewaySettings())
        await stream.seating.open()
        yield pool, stream
        stream.seating.close()


async def test_a_stream_that_loses_its_worker_goes_on_at_another(tmp_path: Path, worker: WorkerMaker) -> None:
    async with worker("a", FakeEngine()), worker("b", FakeEngine()), stream_at(tmp_path, "ab") as (pool, stream):
        stream.speak(2.0)
        stream.speak(0.6, 0.0)
        stream.speak(2.0)
        await stream.hears()
        first = stream.seating.worker
        track = stream.seating._tracks[stream.session.seat]
        for task in list(pool._running):  # cut the link from this side
            if task.get_coro().cr_frame.f_locals.get("link") is pool.links[first]:  # type: ignore[union-attr]
                task.cancel()
        await until(lambda: track.ended)
        stream.speak(1.0)
        await until(lambda: stream.seating.worker not in ("", first))
        assert await stream.end() == 2
        assert stream.count("replayed") == 1


async def test_between_turns_a_stream_moves_without_replay(tmp_path: Path, worker: WorkerMaker) -> None:
    async with worker("a", FakeEngine()), worker("b", FakeEngine()), stream_at(tmp_path, "ab") as (pool, stream):
        stream.speak(2.0)
        await stream.hears()
        first = stream.seating.worker
        pool.links[first].drain(20.0)
        await until(lambda: pool.links[first].state == "draining" and len(stream.seating._tracks) == 2)
        stream.speak(1.0)
        assert stream.seating.worker == first, "it finishes its turn where it began"
        stream.speak(0.6, 0.0)
        assert stream.seating.worker not in ("", first)
        stream.speak(2.0)
        assert await stream.end() == 2
        assert (stream.count("moved"), stream.count("replayed")) == (1, 0)
        await until(lambda: pool.links[first].tracks == 0)


async def test_a_stream_that_talks_on_is_moved_before_the_deadline(tmp_path: Path, worker: WorkerMaker) -> None:
    settings = replace(GatewaySettings(), handover_seconds=18.0)
    async with (
        worker("a", FakeEngine()),
        worker("b", FakeEngine()),
        stream_at(tmp_path, "ab", settings) as (pool, stream),
    ):
        stream.speak(2.0)
        await stream.hears()
        first = stream.seating.worker
        pool.links[first].drain(18.5)
        await until(lambda: stream.seating.worker not in ("", first))
        assert pool.links[first].tracks == 0
        stream.speak(1.0)
        assert await stream.end() == 1
        assert (stream.count("moved"), stream.count("replayed")) == (0, 1)


async def test_nowhere_to_go_ends_the_stream_by_name(tmp_path: Path, worker: WorkerMaker) -> None:
    settings = replace(GatewaySettings(), reseat_seconds=0.3)
    async with worker("a", FakeEngine()), stream_at(tmp_path, "a", settings) as (pool, stream):
        stream.speak(2.0)
        pool.links["a"].retired = True
        pool.links["a"]._lose_all()
        await until(lambda: stream.failure is not None)
        assert isinstance(stream.failure, EngineLost)
        assert stream.failure.retryable
        assert pool.displaced == 0


async def test_a_track_that_falls_silent_is_replaced(tmp_path: Path, worker: WorkerMaker) -> None:
    engines = {"a": FakeEngine(), "b": FakeEngine()}
    async with (
        worker("a", engines["a"]),
        worker("b", engines["b"]),
        stream_at(tmp_path, "ab") as (_, stream),
    ):
        stream.speak(1.0)
        await stream.hears()
        first = stream.seating.worker
        engines[first]._mute_from_step = 1
        stream.speak(1.0)
        await asyncio.sleep(0.2)
        stream.seating.check(asyncio.get_running_loop().time())
        assert stream.seating.worker == first, "not silent for long"
        stream.seating._quiet_since -= 5.5
        stream.seating.check(asyncio.get_running_loop().time())
        await until(lambda: stream.seating.worker not in ("", first))
        assert await stream.end() == 1


async def test_silence_between_turns_is_not_held_against_the_engine(tmp_path: Path, worker: WorkerMaker) -> None:
    async with worker("a", FakeEngine()), stream_at(tmp_path, "a") as (_, stream):
        stream.speak(1.0)
        stream.speak(1.0, 0.0)
        await until(lambda: stream.finals)
        stream.seating._quiet_since -= 60
        stream.speak(1.0)
        stream.seating.check(asyncio.get_running_loop().time())
        assert stream.seating.worker == "a"
        assert await stream.end() == 2


async def test_audio_that_kills_every_engine_ends_its_stream(tmp_path: Path, worker: WorkerMaker) -> None:
    engines = {name: FakeEngine() for name in "ab"}
    async with worker("a", engines["a"]), worker("b", engines["b"]), stream_at(tmp_path, "ab") as (_, stream):
        stream.speak(1.0)
        async with asyncio.timeout(20):
            while stream.failure is None:
                for engine in engines.values():
                    engine._fail_place, engine._fail_place_on_step = 0, 0
                stream.speak(0.1)
                await asyncio.sleep(0.05)
        assert stream.failure.code == "engine_failed"
        stream.seating.close()


async def test_a_stream_closed_while_it_looks_for_a_place_keeps_none(tmp_path: Path, worker: WorkerMaker) -> None:
    engine = FakeEngine(places=1)
    async with worker("a", engine), stream_at(tmp_path, "a") as (pool, stream):
        stream.speak(1.0)
        stream.seating.lost(stream.session.seat, EngineLost("a"))
        await asyncio.sleep(0)
        stream.seating.close()
        stream.seating.close()
        await asyncio.sleep(0.1)
        assert pool.displaced == 0
