"""One live call driven: commands in, events out; its places are taken at the start and always given back.

The call fails as a whole: an error of one channel ends it with that error. Finals of different channels are told in the
order in which their turns ended, so a reader can print them as they come.
"""

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field

import numpy as np

from voxfleet.audio.container import ContainerDecoder
from voxfleet.audio.decode import Decoder, Frames, raw_decoder
from voxfleet.audio.detector import VoiceDetector
from voxfleet.clock import Clock
from voxfleet.cluster.pool import Pool
from voxfleet.engines.port import EngineInfo, TrackOptions
from voxfleet.errors import BadAudio, EngineBehind, ResumeRefused, UnexpectedFrame, VoxfleetError
from voxfleet.serving.catalog import meant
from voxfleet.serving.channel import TELEPHONE_RATE, Channel
from voxfleet.serving.lateness import Lateness
from voxfleet.serving.outbox import HandOver, Outbox, Pong, Post
from voxfleet.serving.progress import Progress
from voxfleet.serving.seating import Seating
from voxfleet.settings import Settings
from voxfleet.speech import SAMPLE_RATE, Event, Final, Flushed, Partial, Seconds, Settled
from voxfleet.streams.endpoint import TurnRules
from voxfleet.streams.session import Session
from voxfleet.telemetry.metrics import GatewayMetrics
from voxfleet.wire.commands import Audio, Command, Configure, Finish, Flush, Ping
from voxfleet.wire.options import Encoding, StreamOptions
from voxfleet.wire.resume import Checkpoint, Signer

FAST_BY = 1.0
"""Seconds ahead of the clock that make a caller a fast one: a file, not a microphone."""
STALLED_SECONDS = 60.0
"""How long a fast caller is kept waiting without any progress of recognition."""


@dataclass(slots=True)
class Totals:
    """What a call came to."""

    audio: Seconds = 0.0
    words: int = 0
    partials: int = 0
    finals: int = 0
    """One for every turn."""


@dataclass(slots=True)
class Traffic:
    """Audio received, all calls; plain numbers because they change with every frame. Exported when asked for."""

    frames: int = 0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class House:
    """What all conversations of a gateway share."""

    settings: Settings
    pool: Pool
    detector: VoiceDetector
    metrics: GatewayMetrics
    clock: Clock
    signer: Signer
    """Makes and reads the tokens that resume streams."""
    traffic: Traffic = field(default_factory=Traffic)


class Conversation:
    """One call. `open` takes places, `command` never waits, in `pace` a fast caller waits, `close` is final.

    With `resumed` it goes on from where another connection had got: its first audio is that of `resumed.resume_from`.
    """

    def __init__(
        self, house: House, options: StreamOptions, *, recorded: bool = False, resumed: Checkpoint | None = None
    ) -> None:
        """Raises ResumeRefused for a checkpoint that does not fit the options."""
        self.options = options
        self._recorded = recorded
        self.outbox = Outbox(house.settings.gateway.finals_waiting)
        self.progress = Progress(options.channels, resumed)
        if resumed is not None and (len(resumed.marks) != options.channels or not self.resumable):
            raise ResumeRefused("it had another encoding or other channels")
        self.totals = Totals(words=self.progress.words, partials=self.progress.partials, finals=self.progress.turns)
        self.failure: VoxfleetError | None = None
        """Why the call ended, if it did not end well."""
        self.done = False
        """Everything was heard and told."""
        self.info: EngineInfo
        self.opened_at = house.clock.now()
        self.lateness = Lateness(house.metrics)
        self._house = house
        self._interim = options.interim
        self._decoder: Decoder | None = None
        self._channels: list[Channel] = []
        self._finished = 0
        self._finishing = False
        self._flushes = self.progress.flushes
        self._flushed: dict[int, int] = {}
        self._held: list[tuple[Seconds, int, Final]] = []
        self._order = itertools.count()
        self._paused = 0.0
        self._first_audio: float | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._max_ahead = house.settings.gateway.max_ahead
        self._began = resumed.resume_from if resumed is not None else 0.0
        """Stream time of the first audio of this connection."""
        self.last_word = self.opened_at
        """Clock time at which the caller last said or sent anything."""

    async def open(self) -> None:
        """Take a place for every channel. Raises CallerError or CapacityError with nothing left taken."""
        options, house = self.options, self._house
        wanted = TrackOptions(
            options.language, options.grammar, options.phrases, translate=options.translate, recorded=self._recorded
        )
        rules = TurnRules.of(house.settings.turn, options.endpointing_ms)
        raw = options.encoding is not Encoding.CONTAINER
        self._decoder = (
            raw_decoder(options.encoding, options.sample_rate, options.channels)
            if raw
            else ContainerDecoder(house.settings.gateway.max_file_bytes)
        )
        try:
            for number in range(options.channels):
                await self._open_channel(number, rules, wanted)
        except BaseException:
            self.close()
            raise
        house.metrics.streams_opened.inc(options.channels)

    async def _open_channel(self, number: int, rules: TurnRules, wanted: TrackOptions) -> None:
        house = self._house
        rate = self.options.sample_rate if self.options.encoding is not Encoding.CONTAINER else None
        voice = house.detector.open(sample_rate=TELEPHONE_RATE if rate == TELEPHONE_RATE else SAMPLE_RATE)
        start, mark = round(self._began * SAMPLE_RATE), self.progress.mark(number)
        session = Session(number, rules, start=start, settled=mark.settled, turn=mark.turn, continued=mark.continued)
        channel = Channel(self, session, voice, rate, not self._recorded, house.clock)
        voice.owner = channel
        channel.seating = Seating(
            session,
            house.pool,
            meant(self.options.model, house.pool.models),
            wanted,
            house.settings.gateway,
            house.metrics,
            channel.apply,
            channel.learn,
        )
        self._channels.append(channel)
        await channel.seating.open(near=self._channels[0].seating.worker)
        self.info = channel.seating.info

    def close(self) -> None:
        """Give everything back. May be called at any time, more than once; nothing happens afterwards."""
        channels, self._channels = self._channels, []
        for channel in channels:
            channel.close()
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        self._room.set()

    # ---- from the caller --------------------------------------------------------------------------------------

    def command(self, command: Command) -> None:
        """Carry out what the caller said. Raises CallerError for what can't be done; the call is over then."""
        self.last_word = self._house.clock.now()
        match command:
            case Audio():
                self._hear(command.data)
            case Flush():
                self._flush()
            case Finish():
                self._finish()
            case Configure():
                if command.endpointing_ms is not None:
                    for channel in self._channels:
                        channel.configure(command.endpointing_ms)
                if command.interim is not None:
                    self._interim = command.interim
            case Ping():
                self._put(Pong(command.id))
                self._put(self.progress.again())  # its token is fresh: a silent call can be resumed, too

    async def pace(self) -> None:
        """Wait while a caller that is faster than real time is too far ahead of recognition.

        A caller in real time is not asked to wait, except for a lost worker's work to be done again: if recognition falls
        that far behind it, the call fails with EngineBehind instead of hiding the lag in the network.
        """
        while self.crowded and self.failure is None:
            recovering = any(channel.seating.recovering for channel in self._channels)
            if not (recovering or self._recorded or self._is_fast()):
                self.failed(EngineBehind(self.backlog))
                return
            self._room.clear()
            since = self._house.clock.now()
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    await self._room.wait()
            except TimeoutError:  # nothing was recognised for so long: a caller cannot wait for that for ever
                self.failed(EngineBehind(self.backlog))
                return
            self._paused += self._house.clock.now() - since
            self.last_word = self._house.clock.now()

    @property
    def crowded(self) -> bool:
        """Whether the caller must see `pace` before its next frame is read."""
        return self.backlog > self._max_ahead

    @property
    def backlog(self) -> Seconds:
        """Audio received and not dealt with yet, of the channel that is furthest behind."""
        if len(self._channels) == 1:
            return self._channels[0].backlog
        return max((channel.backlog for channel in self._channels), default=0.0)

    @property
    def received(self) -> Seconds:
        return max((channel.received for channel in self._channels), default=0.0)

    def _is_fast(self) -> bool:
        if self._first_audio is None:
            return False
        elapsed = self._house.clock.now() - self._first_audio - self._paused
        return self.received - self._began - elapsed > FAST_BY

    def _hear(self, data: bytes) -> None:
        if self._finishing:
            raise UnexpectedFrame("audio arrived after 'finish'")
        if self._first_audio is None:
            self._first_audio = self.last_word
        if self._decoder is not None:
            self._spread(self._decoder.feed(data))

    def _spread(self, frames: Frames, *, last: bool = False) -> None:
        """Decoded audio, shape (n, channels), to its channels. A file for one stream is mixed down to it."""
        assert self._decoder is not None
        channels, now, rate = self._channels, self.last_word, self._decoder.sample_rate
        if frames.shape[1] != len(channels) and frames.size:
            if len(channels) > 1:
                raise BadAudio(f"the file has {frames.shape[1]} channels, {len(channels)} were announced")
            frames = frames.mean(axis=1, keepdims=True)
        if len(channels) == 1:
            channels[0].hear(frames.reshape(-1), rate, now, last=last)
        else:
            for number, channel in enumerate(channels):
                column = np.ascontiguousarray(frames[:, number]) if frames.size else _NOTHING
                channel.hear(column, rate, now, last=last)
        traffic = self._house.traffic
        traffic.frames += 1
        traffic.samples += frames.size * SAMPLE_RATE // (rate or SAMPLE_RATE)

    def _flush(self) -> None:
        self._flushes += 1
        self._flushed[self._flushes] = 0
        for channel in self._channels:
            channel.flush(self._flushes)

    def _finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        if self._decoder is not None:
            self._spread(self._decoder.finish(), last=True)

    # ---- from the channels ------------------------------------------------------------------------------------

    def emit(self, channel: Channel, event: Event) -> None:
        """An event of a channel, on its way to the caller."""
        if self.failure is not None:
            return
        match event:
            case Final():
                self.lateness.known(channel, event)
                heapq.heappush(self._held, (event.end, next(self._order), event))
                self._release()
            case Flushed():
                self._flushed[event.flush] += 1
                if self._flushed[event.flush] == len(self._channels):
                    del self._flushed[event.flush]
                    self._put(event)
            case Partial():
                if self._interim:
                    self.totals.partials += 1
                    self._put(event)
            case Settled():
                held = any(final.channel == event.channel for _, _, final in self._held)
                self._put(self.progress.held_back(event) if held else event)
            case _:
                self._put(event)

    def finished(self, channel: Channel) -> None:  # noqa: ARG002 - which one does not matter
        """A channel has told everything. Once all have, so has the call."""
        self._finished += 1
        self._release()
        if self._finished == len(self._channels):
            self.totals.audio = self.received
            for each in self._channels:
                each.close()  # before the caller is told: its next call must find these places free
            self.done = True
            self.outbox.end()

    def failed(self, error: VoxfleetError) -> None:
        """The call can't go on; its driver finds `failure` and ends it."""
        if self.failure is None:
            self.failure = error.with_traceback(None)
            error.__context__ = None  # frames of either would lead back here
        self.outbox.end()
        self._room.set()

    def progressed(self) -> None:
        if not self._room.is_set() and self.backlog <= self._max_ahead / 2:
            self._room.set()

    @property
    def waits_for_caller(self) -> bool:
        """Whether it is the caller's turn: not asked to wait, and more to come."""
        return self._room.is_set() and not self._finishing

    def _release(self) -> None:
        """Tell the finals that no other channel can still come before."""
        awaited = [at for channel in self._channels if (at := channel.session.awaited) is not None]
        while self._held and all(self._held[0][0] <= at for at in awaited):
            final = heapq.heappop(self._held)[2]
            self.totals.finals += 1
            self.totals.words += len(final.words)
            self._house.metrics.turns.inc()
            self._put(final)

    def _put(self, event: Post) -> None:
        try:
            self.outbox.put(event)
        except VoxfleetError as error:
            self.failed(error)

    # ---- to the caller ----------------------------------------------------------------------------------------

    @property
    def resumable(self) -> bool:
        """Whether another connection may take this call up: not in the middle of a file format."""
        return not self._recorded and self.options.encoding is not Encoding.CONTAINER

    def checkpoint(self, session: str, issued: float) -> Checkpoint:
        """Where another connection can take this call up, by what has been sent so far. `issued` is Unix time."""
        return self.progress.checkpoint(session, issued)

    @property
    def workers(self) -> list[str]:
        """Who hears each channel now, by the pool's keys; '' for one that looks for a place."""
        return [channel.seating.worker for channel in self._channels]

    def hand_over(self) -> None:
        """Ask the caller to go on at another gateway."""
        if self.resumable and self.failure is None and not self.done:
            self._put(HandOver())

    def watch(self, now: float) -> None:
        """About once a second (monotonic clock): find tracks that have fallen silent."""
        for channel in self._channels:
            channel.seating.check(now)

    def sent(self, event: Event) -> None:
        """The event has left; latencies are measured here, with the moment its audio arrived."""
        self.progress.sent(event, self.totals.partials)
        if isinstance(event, Partial | Final) and event.channel < len(self._channels):
            self.lateness.sent(self._channels[event.channel], event, self._house.clock.now())


_NOTHING = np.empty(0, np.float32)
