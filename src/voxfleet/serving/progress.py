"""What of a call has reached its caller: the place from which another connection can take the call up.

A checkpoint counts what was sent, never what is only known: whoever resumes from it misses nothing and hears nothing
twice that was settled before it.
"""

from voxfleet.speech import SAMPLE_RATE, Event, Final, Flushed, Settled
from voxfleet.wire.resume import Checkpoint, Mark


class Progress:
    """The sent progress of one call, by channel."""

    def __init__(self, channels: int, resumed: Checkpoint | None = None) -> None:
        self.flushes = resumed.flushes if resumed is not None else 0
        self.turns = resumed.turns if resumed is not None else 0
        self.words = resumed.words if resumed is not None else 0
        self.partials = resumed.partials if resumed is not None else 0
        self._marks = list(resumed.marks) if resumed is not None else [Mark(0, 0)] * channels
        self._told = [
            Settled(number, mark.settled / SAMPLE_RATE, mark.settled / SAMPLE_RATE, mark.turn, mark.continued)
            for number, mark in enumerate(self._marks)
        ]

    def mark(self, channel: int) -> Mark:
        """How far this channel is settled: where its session begins."""
        return self._marks[channel]

    def held_back(self, event: Settled) -> Settled:
        """The progress of recognition alone, while finals of this channel wait for those of another."""
        told = self._told[event.channel]
        return Settled(event.channel, told.at, event.heard, told.turn, told.continued)

    def again(self) -> Settled:
        """What the caller was told last of its first channel."""
        return self._told[0]

    def sent(self, event: Event, partials: int) -> None:
        """The event has left; so many partials had been made by then."""
        match event:
            case Final():
                self.turns += 1
                self.words += len(event.words)
            case Flushed():
                self.flushes = event.flush
            case Settled():
                self._told[event.channel] = event
                self._marks[event.channel] = Mark(round(event.at * SAMPLE_RATE), event.turn, event.continued)
                self.partials = partials

    def checkpoint(self, session: str, issued: float) -> Checkpoint:
        """What a token says of the call now. `issued` is Unix time."""
        marks = tuple(self._marks)
        return Checkpoint(session, issued, marks, self.flushes, self.turns, self.words, self.partials)
