"""The gateway's end of the link to one worker: gathers increments into ticks, spreads answers to tracks.

One task writes, one reads, both belong to `run`. Opening waits for the worker's answer; everything else never waits.
A broken link loses every track on it, by name, and is tried again until the pool closes.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import grpc
import structlog

from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster import link_pb2_grpc, messages
from voxfleet.cluster.messages import Columns
from voxfleet.engines.port import END_OF_TURN, EngineInfo, TrackOptions
from voxfleet.errors import EngineError, EngineLost, NotReady, VoxfleetError
from voxfleet.settings import LinkSettings
from voxfleet.speech import Hypothesis, Samples

log = structlog.get_logger()

RETRY_SECONDS = 0.25
"""Between two attempts to reach a worker that is not there (it may be loading its model)."""


def channel_options(settings: LinkSettings) -> list[tuple[str, int]]:
    """Options of both ends. Without `bdp_probe=0` gRPC widens its window to megabytes: minutes of hidden audio."""
    return [
        ("grpc.http2.bdp_probe", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


class Listener(Protocol):
    """Who a track speaks to. Called on the event loop, never concurrently; must not block."""

    def learn(self, hypothesis: Hypothesis) -> None: ...

    def lost(self, error: EngineError) -> None:
        """The track ended without being closed; nothing more comes from it."""
        ...


class Track:
    """One stream's way to its engine. `hear` never blocks; how far audio may run ahead is its driver's rule."""

    def __init__(self, link: "Link", place: int, info: EngineInfo, listener: Listener) -> None:
        self.info = info
        self.worker = link.name
        self.ended = False
        """Closed, failed or lost: its place may belong to somebody else by now, so nothing is sent to it any more."""
        self.listener = listener
        self._link = link
        self._place = place

    def hear(self, samples: Samples, *, end_of_turn: bool = False) -> None:
        """Send audio with the next tick; nothing happens once the track has ended."""
        if not self.ended:
            self._link.columns.add(self._place, samples, END_OF_TURN if end_of_turn else 0)

    def close(self) -> None:
        """Give the place back. Nothing is heard from the track afterwards; closing twice does nothing."""
        if not self.ended:
            self._link.forget(self._place)


class Link:
    """One worker as seen from a gateway."""

    def __init__(self, name: str, address: str, settings: LinkSettings, changed: Callable[[], None]) -> None:
        self.name = name
        self.address = address
        self.info: EngineInfo | None = None
        """What the worker offers; None while it can't be reached."""
        self.load = pb.Load()
        self.columns = Columns()
        self._settings = settings
        self._changed = changed
        self._tracks: dict[int, Track] = {}
        self._opening: dict[int, tuple[asyncio.Future[Track], Listener]] = {}
        self._requests = itertools.count(1)
        self._opens: list[pb.Open] = []
        self._closes: list[int] = []
        self._urgent = asyncio.Event()

    @property
    def state(self) -> str:
        """starting, ready, draining: as shown to operators."""
        if self.info is None:
            return "starting"
        return "draining" if self.load.draining else "ready"

    @property
    def taken(self) -> int:
        """Places taken as far as this gateway can know: its own tracks, or more by the worker's last report."""
        return max(self.load.taken, len(self._tracks) + len(self._opening))

    async def open(self, options: TrackOptions, listener: Listener) -> Track:
        """Take a place. Raises CapacityError or CallerError as the worker answers, EngineLost where it is gone."""
        if self.info is None:
            raise NotReady
        request = next(self._requests)
        answer: asyncio.Future[Track] = asyncio.get_running_loop().create_future()
        self._opening[request] = answer, listener
        self._opens.append(messages.open_of(request, options))
        self._urgent.set()
        try:
            async with asyncio.timeout(self._settings.open_timeout):
                return await answer
        except TimeoutError:
            self._give_up(request, answer)
            raise EngineLost(self.name) from None
        except asyncio.CancelledError:
            self._give_up(request, answer)
            raise

    def _give_up(self, request: int, answer: "asyncio.Future[Track]") -> None:
        """Nobody waits for this answer any more: a place that came just now is given back, as is one that comes later."""
        self._opening.pop(request, None)
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            answer.result().close()

    def forget(self, place: int) -> None:
        """The track on this place is closed: the worker gets it back with the next tick."""
        self._tracks.pop(place).ended = True
        self._closes.append(place)
        self._urgent.set()

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            try:
                await self._connected()
            except grpc.aio.AioRpcError as error:
                log.debug("link_down", worker=self.name, status=error.code().name)
            except messages.LinkError as error:
                log.warning("link_broken", worker=self.name, error=str(error))
            finally:
                self._lose_all()
            await asyncio.sleep(RETRY_SECONDS)

    async def _connected(self) -> None:
        async with grpc.aio.insecure_channel(self.address, options=channel_options(self._settings)) as channel:
            call = link_pb2_grpc.LinkStub(channel).Join()  # type: ignore[no-untyped-call]  # generated
            await call.write(pb.Tick())  # a call exists for the worker with its first message
            ends = {asyncio.create_task(self._write(call)), asyncio.create_task(self._read(call))}
            try:
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in ends:
                    task.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
                call.cancel()

    async def _read(self, call: "grpc.aio.StreamStreamCall[pb.Tick, pb.Answer]") -> None:
        while (answer := await call.read()) is not grpc.aio.EOF:
            self._spread(answer)

    async def _write(self, call: "grpc.aio.StreamStreamCall[pb.Tick, pb.Answer]") -> None:
        tick_seconds = self._settings.tick_ms / 1000
        while True:
            with suppress(TimeoutError):  # opens and closes do not wait for the tick; they must not delay it either
                async with asyncio.timeout(tick_seconds):
                    await self._urgent.wait()
            tick = self._tick()
            if tick is not None:
                await call.write(tick)

    def _tick(self) -> pb.Tick | None:
        self._urgent.clear()
        if not (self.columns or self._opens or self._closes):
            return None
        tick = pb.Tick(opens=self._opens, closes=self._closes)
        self._opens, self._closes = [], []
        if self.columns:
            self.columns.fill(tick)
        return tick

    def _spread(self, answer: pb.Answer) -> None:
        for heard in answer.heard:
            if (track := self._tracks.get(heard.place)) is not None:
                track.listener.learn(messages.hypothesis_of(heard))
        for failed in answer.failed:
            if (track := self._tracks.pop(failed.place, None)) is not None:
                track.ended = True
                error = messages.error_of(failed)
                track.listener.lost(error if isinstance(error, EngineError) else EngineLost(self.name))
        for opened in answer.opened:
            self._opened(opened.request, opened.place)
        for refused in answer.refused:
            waiting = self._opening.pop(refused.request, None)
            if waiting is not None and not waiting[0].done():
                waiting[0].set_exception(messages.error_of(refused))
        if answer.HasField("load"):
            self.load = answer.load
        if answer.HasField("welcome"):
            self.info = messages.info_of(answer.welcome)
            log.info("link_up", worker=self.name, model=self.info.name, places=self.info.places)
            self._changed()

    def _opened(self, request: int, place: int) -> None:
        waiting = self._opening.pop(request, None)
        if waiting is None or waiting[0].done() or self.info is None:
            self._closes.append(place)  # the caller has left meanwhile
            self._urgent.set()
            return
        answer, listener = waiting
        track = self._tracks[place] = Track(self, place, self.info, listener)
        answer.set_result(track)

    def _lose_all(self) -> None:
        was_up, self.info = self.info is not None, None
        tracks, self._tracks = self._tracks, {}
        opening, self._opening = self._opening, {}
        self.columns, self._opens, self._closes = Columns(), [], []
        self.load = pb.Load()
        error: VoxfleetError = EngineLost(self.name)
        for answer, _ in opening.values():
            if not answer.done():
                answer.set_exception(error)
        for track in tracks.values():
            track.ended = True
            track.listener.lost(EngineLost(self.name))
        if was_up:
            log.warning("link_lost", worker=self.name, tracks=len(tracks))
            self._changed()
