"""The gateway's end of the link to one worker: gathers increments into ticks, spreads answers to tracks.

One task writes, one reads, both belong to `run`. Opening waits for the worker's answer; everything else never waits.
A broken link loses every track on it, by name, and is tried again until it is retired. A worker that reports nothing for
a while is taken for stopped: its link is broken from this side.
"""

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Protocol

import grpc
import structlog

from voxfleet.cluster import credentials, link_pb2_grpc, messages
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster.journal import Happening, Journal
from voxfleet.cluster.messages import Columns
from voxfleet.cluster.track import Listener, Track
from voxfleet.engines.port import EngineInfo, TrackOptions
from voxfleet.errors import EngineError, EngineLost, NotReady, SettingsError, VoxfleetError
from voxfleet.settings import ClusterSettings, LinkSettings

log = structlog.get_logger()

RETRY_SECONDS = 0.25
"""Between two attempts to reach a worker that is not there (it may be loading its model)."""
MUTE_TRACKS = 2
MUTE_SECONDS = 30.0
"""So many tracks that fell silent within so long, and no word from any other, make a worker the last choice."""
HELLO_SECONDS = 1.0
"""How often a worker is told how this gateway fares."""


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
        ("grpc.so_reuseport", 0),  # a second worker on a port that is taken must fail, not share it
    ]


class House(Protocol):
    """What links share and whom they tell: the pool they belong to."""

    journal: Journal

    def hello(self) -> pb.Hello: ...

    def changed(self) -> None:
        """A worker came, went, or changed its mind about new streams."""
        ...


class Link:
    """One worker as seen from a gateway."""

    def __init__(
        self, name: str, address: str, settings: LinkSettings, house: House, cluster: ClusterSettings | None = None
    ) -> None:
        self.key = name
        """What the pool knows it by."""
        self.name = name
        """The worker's own name once it has told it, until then what it was configured as."""
        self.address = address
        self.info: EngineInfo | None = None
        """What the worker offers; None while it can't be reached."""
        self.load = pb.Load()
        self.labels: Mapping[str, str] = {}
        self.pid = 0
        self.host = ""
        self.columns = Columns()
        self.retired = False
        """Not configured any more: it ends with its last track."""
        self._settings = settings
        self._cluster = cluster or ClusterSettings()
        self._house = house
        self._tracks: dict[int, Track] = {}
        self._opening: dict[int, tuple[asyncio.Future[Track], Listener]] = {}
        self._requests = itertools.count(1)
        self._opens: list[pb.Open] = []
        self._closes: list[int] = []
        self._drain: pb.Drain | None = None
        self._urgent = asyncio.Event()
        self._told_at = 0.0
        """Clock time of the worker's last answer."""
        self._greeted_at = 0.0
        self._status = ""
        """How the last attempt to connect ended."""
        self._leaving = False
        self._silent = 0
        """Tracks that fell silent since any of them spoke."""
        self._silent_at = 0.0
        self._changed_at = 0.0
        """Clock time of the last place taken or given back by this gateway; reports older than that are not the truth."""
        self._reported_at = 0.0

    @property
    def state(self) -> str:
        """starting, ready, draining: as shown to operators."""
        if self.info is None:
            return "starting"
        return "draining" if self.load.draining else "ready"

    @property
    def tracks(self) -> int:
        """Tracks of this gateway."""
        return len(self._tracks)

    @property
    def taken(self) -> int:
        """Places taken as far as this gateway can know: its own tracks, or more by the worker's last report."""
        return max(self.load.taken, len(self._tracks) + len(self._opening))

    @property
    def capacity(self) -> int:
        """Streams the worker takes now."""
        if self.info is None:
            return 0
        return self.load.capacity or self.info.places

    @property
    def surely_full(self) -> bool:
        """Whether asking it for a place is useless: its report says full, and nothing was given back here since."""
        return self._reported_at > self._changed_at and self.load.taken >= self.capacity > 0

    def fell_silent(self, now: float) -> None:
        """One of its tracks said nothing for too long."""
        self._silent += 1
        self._silent_at = now

    def is_mute(self, now: float) -> bool:
        """Whether several tracks fell silent lately and none has spoken since: it would look empty and draw streams."""
        return self._silent >= MUTE_TRACKS and now - self._silent_at < MUTE_SECONDS

    def drain(self, seconds: float = 0.0, *, replace: bool = False) -> None:
        """Ask the worker to leave within so many seconds (0 = its own setting)."""
        self._drain = pb.Drain(seconds=seconds, replace=replace)
        self._urgent.set()

    def give_one_away(self) -> bool:
        """Ask one of this gateway's streams to move elsewhere at the end of its turn; False if none is left."""
        for track in self._tracks.values():
            track.listener.leave(float("inf"))
            return True
        return False

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
        finally:
            del answer  # it holds the refusal, whose traceback holds this frame

    def _give_up(self, request: int, answer: "asyncio.Future[Track]") -> None:
        """Nobody waits for this answer any more: a place that came just now is given back, as is one that comes later."""
        self._opening.pop(request, None)
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            answer.result().close()

    def forget(self, place: int) -> None:
        """The track on this place is closed: the worker gets it back with the next tick."""
        self._tracks.pop(place).ended = True
        self._closes.append(place)
        self._changed_at = monotonic()
        self._urgent.set()

    async def run(self) -> None:
        """Keep the link up until cancelled, or until it is down and retired."""
        while not self.retired:
            try:
                await self._connected()
            except grpc.aio.AioRpcError as error:
                self._down(error.code().name, error.details() or "")
            except asyncio.InvalidStateError:  # grpc's way to say that the call ended while something was written
                self._down("ENDED", "")
            except (
                messages.LinkError,
                SettingsError,
            ) as error:  # a certificate may be replaced by a bad one at any time
                log.warning("link_broken", worker=self.name, error=str(error))
            finally:
                self._lose_all()
            await asyncio.sleep(RETRY_SECONDS)

    def _down(self, status: str, details: str) -> None:
        """Refusals are told once, for an operator must act; a worker that is not there yet is nothing special."""
        refused = status in ("UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT")
        if refused and status != self._status:
            log.warning("link_refused", worker=self.name, status=status, details=details)
        else:
            log.debug("link_down", worker=self.name, status=status)
        self._status = status

    async def _connected(self) -> None:
        options = channel_options(self._settings)
        async with credentials.channel(self.address, self._cluster, options) as channel:
            stub = link_pb2_grpc.LinkStub(channel)  # type: ignore[no-untyped-call]  # generated
            call = stub.Join(metadata=credentials.metadata(self._cluster))
            self._greeted_at = monotonic()
            await call.write(pb.Tick(hello=self._house.hello()))  # a call exists for the worker with its first message
            ends = [asyncio.create_task(work) for work in (self._read(call), self._write(call), self._watch())]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in ends:  # the reader first: what the writer meets then is only its echo
                    if task.done():
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
            tick = self._tick(monotonic())
            if tick is not None:
                await call.write(tick)

    async def _watch(self) -> None:
        """Find a silent worker; not in `_write`, which waits for ever where a stopped worker's windows are full."""
        step = self._settings.silence_seconds / 8
        seen = monotonic()
        while True:
            await asyncio.sleep(step)
            before, seen = seen, monotonic()
            self._check_alive(seen, ran=seen - before < 3 * step)

    def _check_alive(self, now: float, *, ran: bool) -> None:
        """Raises LinkError when the worker is silent; time in which this process itself did not run (`ran`) is nobody's
        fault."""
        if not ran:
            self._told_at = now
        silent = now - self._told_at
        if self.info is not None and silent > self._settings.silence_seconds:
            raise messages.LinkError(f"no report for {silent:.1f} s")
        if self.retired and not self._tracks and not self._opening:
            raise messages.LinkError("retired")

    def _tick(self, now: float) -> pb.Tick | None:
        self._urgent.clear()
        greets = now - self._greeted_at >= HELLO_SECONDS
        if not (self.columns or self._opens or self._closes or greets or self._drain):
            return None
        hello = self._house.hello() if greets else None
        tick = pb.Tick(opens=self._opens, closes=self._closes, hello=hello, drain=self._drain)
        self._opens, self._closes, self._drain = [], [], None
        if greets:
            self._greeted_at = now
        if self.columns:
            self.columns.fill(tick, self._settings.catch_up_bytes // messages.SAMPLE.itemsize)
            if self.columns:
                self._urgent.set()
        return tick

    def _spread(self, answer: pb.Answer) -> None:
        self._told_at = monotonic()
        if answer.heard:
            self._silent = 0
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
            self._reported(answer.load)
        if answer.HasField("welcome"):
            self._welcomed(answer.welcome)

    def _opened(self, request: int, place: int) -> None:
        waiting = self._opening.pop(request, None)
        if waiting is None or waiting[0].done() or self.info is None:
            self._closes.append(place)  # the caller has left meanwhile
            self._urgent.set()
            return
        answer, listener = waiting
        self._changed_at = monotonic()
        track = self._tracks[place] = Track(self, place, self.info, listener)
        answer.set_result(track)

    def _reported(self, load: pb.Load) -> None:
        gateways = load.gateways or self.load.gateways  # only some reports carry them
        self.load = load
        if not load.gateways:
            self.load.gateways.extend(gateways)
        self._reported_at = self._told_at
        if load.draining and not self._leaving:
            self._leaving = True
            log.info("worker_draining", worker=self.name, tracks=len(self._tracks), seconds=load.drain_left)
            self._house.journal.note(Happening.DRAINING, self.name, f"within {load.drain_left:.0f} s")
            deadline = self._told_at + load.drain_left
            for track in tuple(self._tracks.values()):
                track.listener.leave(deadline)
            self._house.changed()

    def _welcomed(self, welcome: pb.Welcome) -> None:
        self.info = messages.info_of(welcome)
        self._status = ""
        self.name = welcome.worker or self.name
        self.labels, self.pid, self.host = dict(welcome.labels), welcome.pid, welcome.host
        log.info("link_up", worker=self.name, model=self.info.name, places=self.info.places)
        self._house.journal.note(Happening.JOINED, self.name, f"{self.info.name}, {self.info.places} places")
        self._house.changed()

    def _lose_all(self) -> None:
        was_up, self.info = self.info is not None, None
        left, self._leaving = self._leaving, False
        tracks, self._tracks = self._tracks, {}
        opening, self._opening = self._opening, {}
        self.columns, self._opens, self._closes, self._drain = Columns(), [], [], None
        self.load = pb.Load()
        self._reported_at = 0.0
        error: VoxfleetError = EngineLost(self.name)
        for answer, _ in opening.values():
            if not answer.done():
                answer.set_exception(error)
        for track in tracks.values():
            track.ended = True
        if was_up:
            log.warning("link_lost", worker=self.name, tracks=len(tracks))
            self._house.journal.note(Happening.LEFT if left else Happening.LOST, self.name, f"{len(tracks)} tracks")
            self._house.changed()
        for track in tracks.values():
            track.listener.lost(EngineLost(self.name))
