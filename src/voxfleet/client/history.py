"""What a stream has sent and its server has not settled yet: enough to say it again on another connection.

Pure. Everything is kept in the order in which it was said, each piece with the number of audio bytes said before it, because
a flush or a configure that is said again must come at the same sample. Memory is bounded: a stream whose server settles
less than it should loses its history, and with it the way to be resumed, but goes on.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET

from voxfleet.speech import Seconds
from voxfleet.wire.native import ClientMessage, ConfigureMessage, FlushMessage, PingMessage, encode
from voxfleet.wire.options import Encoding, StreamOptions

MOST_PINGS = 64
"""Unanswered pings kept; more of them say nothing more."""


@dataclass(frozen=True, slots=True)
class Said:
    """Something that was sent."""

    at: int
    """Bytes of audio before it."""
    what: bytes | ClientMessage
    flush: int = 0
    """The number of a flush, from 1."""

    @property
    def end(self) -> int:
        return self.at + len(self.what) if isinstance(self.what, bytes) else self.at


class History:
    """Of one stream. `longest` is the most audio kept."""

    def __init__(self, options: StreamOptions, longest: Seconds) -> None:
        self._options = options
        self._frame_bytes = options.encoding.sample_bytes * options.channels
        self._bound = round(longest * options.sample_rate) * self._frame_bytes
        self._said: deque[Said] = deque()
        self._pings: deque[PingMessage] = deque(maxlen=MOST_PINGS)
        self._end = 0
        self._kept_from = 0
        self._flushes = 0
        self._flushed = 0
        self._asked: deque[int] = deque()
        """Flushes said on the present connection whose answer is still to come: answers come in order."""
        self.complete = options.encoding is not Encoding.CONTAINER
        """False once anything that might be asked for again is forgotten: the stream can't be resumed."""

    def say(self, what: bytes | ClientMessage) -> None:
        """This is being sent now."""
        if isinstance(what, PingMessage):
            self._pings.append(what)
            return
        if isinstance(what, FlushMessage):
            self._flushes += 1
            self._asked.append(self._flushes)
        said = Said(self._end, what, self._flushes if isinstance(what, FlushMessage) else 0)
        self._end = said.end
        if self.complete:
            self._said.append(said)
            if self._end - self._kept_from > self._bound:
                self.forget()

    def settle(self, resume_from: Seconds) -> None:
        """Nothing before this time will be asked for again."""
        before = max(self._byte(resume_from), self._kept_from)
        self._kept_from = min(before, self._end)
        said = self._said
        while said and (said[0].end <= before if isinstance(said[0].what, bytes) else said[0].at < before):
            self._options = _configured(self._options, said.popleft())

    def forget(self) -> None:
        """Give up being resumed."""
        self.complete = False
        self._said.clear()

    def options(self, resume_from: Seconds) -> StreamOptions:
        """What the stream had been told to be at that time."""
        options, before = self._options, self._byte(resume_from)
        for said in self._said:
            if said.at >= before:
                break
            options = _configured(options, said)
        return options

    def since(self, resumed_from: Seconds) -> Sequence[bytes | str] | None:
        """The frames that say everything from this time on again, on a connection of its own; None if some is forgotten.

        Flushes are said again even where they were answered, because they ended a turn that must end there again.
        """
        start = self._byte(resumed_from)
        if not self.complete or not self._kept_from <= start <= self._end:
            return None
        frames: list[bytes | str] = [encode(ping) for ping in self._pings]
        self._asked.clear()
        for said in self._said:
            if isinstance(said.what, bytes):
                if said.end > start:
                    frames.append(said.what[max(start - said.at, 0) :])
            elif said.at >= start:
                frames.append(encode(said.what))
                if said.flush:
                    self._asked.append(said.flush)
        return frames

    def ponged(self) -> None:
        """A ping was answered."""
        if self._pings:
            self._pings.popleft()

    def flushed(self) -> int | None:
        """A flush was answered on this connection: its number in the stream, or None if that was told before."""
        number = self._asked.popleft() if self._asked else 0
        if number <= self._flushed:
            return None
        self._flushed = number
        return number

    def _byte(self, at: Seconds) -> int:
        return round(at * self._options.sample_rate) * self._frame_bytes


def _configured(options: StreamOptions, said: Said) -> StreamOptions:
    """The options after this was said."""
    what = said.what
    if isinstance(what, ConfigureMessage):
        if what.endpointing_ms is not UNSET:
            options = replace(options, endpointing_ms=what.endpointing_ms)
        if what.interim is not UNSET:
            options = replace(options, interim=what.interim)
    return options
