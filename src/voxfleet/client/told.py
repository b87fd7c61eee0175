"""What the caller of a stream has been told, so that a resumed stream tells it nothing twice. Pure."""

from dataclasses import dataclass

from voxfleet.wire.native import AckMessage, FinalMessage, PartialMessage, ServerMessage, SpeechStartedMessage


@dataclass(slots=True)
class _Channel:
    started: int = -1
    """Newest turn whose start was told."""
    final: int = -1
    """Newest turn whose final was told: finals of a channel come in the order of their turns."""
    partial: tuple[int, float] = (-1, 0.0)
    """Turn and reach of the newest partial."""
    settled: float = -1.0
    heard: float = -1.0


class Told:
    """Of one stream."""

    def __init__(self) -> None:
        self._channels: dict[int, _Channel] = {}

    def news(self, message: ServerMessage) -> bool:
        """Whether the message says anything new of its turn, which is then told. What has no turn is always new."""
        match message:
            case FinalMessage():
                channel = self._channel(message.channel)
                new = message.turn > channel.final
                channel.final = max(channel.final, message.turn)
            case PartialMessage():
                channel = self._channel(message.channel)
                reach = (message.turn, message.end)
                new = message.turn > channel.final and reach >= channel.partial
                channel.partial = max(channel.partial, reach)
            case SpeechStartedMessage():
                channel = self._channel(message.channel)
                new = message.turn > max(channel.started, channel.final)
                channel.started = max(channel.started, message.turn)
            case AckMessage():
                channel = self._channel(message.channel)
                new = message.settled > channel.settled or message.heard > channel.heard
                channel.settled = max(channel.settled, message.settled)
                channel.heard = max(channel.heard, message.heard)
            case _:
                return True
        return new

    def _channel(self, number: int) -> _Channel:
        return self._channels.setdefault(number, _Channel())
