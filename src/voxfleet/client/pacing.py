"""How fast a recording may be sent: as fast as the server recognises it, and never so far ahead that it is refused.

Pure: told what was sent and what the server said, asked how much may be sent now. A call is as far as its slowest channel.

The rule: at most `SHARE` of the server's `max_ahead` between what was sent and what the server is known to have heard
(`ack.heard`, and the ends of partials and finals). A server says how far it is only every four seconds of audio, so a
small `max_ahead` could leave both sides waiting; after `PATIENCE` without progress audio therefore goes on at the speed of
a live caller, whom no server refuses, up to `LAST_SHARE` of the limit.
"""

from voxfleet.speech import Seconds
from voxfleet.wire.native import AckMessage, FinalMessage, PartialMessage, ServerMessage

SHARE = 0.6
LAST_SHARE = 0.9
PATIENCE = 1.0
ACK_STEP = 3.0
"""A server that keeps up says so within this much audio: its step of two seconds and a second for the engine."""


class Pacing:
    """The flow control of one call that is sent faster than real time. `now` is seconds on any clock that only grows."""

    def __init__(self, channels: int, max_ahead: Seconds, now: float) -> None:
        self._heard = [0.0] * channels
        self._window = max_ahead * SHARE
        self._edge = max(max_ahead * LAST_SHARE, ACK_STEP)
        self._sent: Seconds = 0.0
        self._moved_at = now

    @property
    def sent(self) -> Seconds:
        """Audio sent so far."""
        return self._sent

    @property
    def heard(self) -> Seconds:
        """Audio the server has recognised on every channel."""
        return min(self._heard)

    def learn(self, message: ServerMessage, now: float) -> bool:
        """What the server said; true where it tells of progress."""
        match message:
            case AckMessage():
                until = max(message.heard, message.settled)
            case PartialMessage() | FinalMessage():
                until = message.end
            case _:
                return False
        before = self.heard
        if message.channel < len(self._heard):
            self._heard[message.channel] = max(self._heard[message.channel], until)
        if self.heard == before:
            return False
        self._moved_at = now
        return True

    def send(self, seconds: Seconds) -> None:
        """So much audio was sent."""
        self._sent += seconds

    def allowed(self, now: float) -> Seconds:
        """Audio that may be sent now; 0 = wait for progress, or for `wait` seconds."""
        waited = max(now - self._moved_at - PATIENCE, 0.0)
        return max(self.heard + min(self._window + waited, self._edge) - self._sent, 0.0)

    def wait(self, seconds: Seconds, now: float) -> float:
        """Seconds until `seconds` of audio may be sent if the server stays silent; infinite at the edge."""
        missing = self._sent + seconds - self.heard - self._window
        if missing <= 0:
            return 0.0
        if self._window + missing > self._edge:
            return float("inf")
        return max(self._moved_at + PATIENCE + missing - now, 0.0)
