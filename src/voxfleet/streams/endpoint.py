"""When a turn starts and when it ends, from speech probabilities alone.

A turn starts where the probability first reaches `speech_threshold`, once speech has lasted `min_speech`; it goes on
while the probability stays at or above `silence_threshold` (hysteresis), and ends `endpointing` after it last did.
"""

from dataclasses import dataclass, replace

from voxfleet.settings import TurnSettings
from voxfleet.speech import SAMPLE_RATE, SPEECH_FRAME


@dataclass(frozen=True, slots=True)
class TurnRules:
    """TurnSettings in the units of the session: samples, and seconds of clock time for partials."""

    speech_threshold: float
    silence_threshold: float
    min_speech: int
    endpointing: int
    max_turn: int
    preroll: int
    partial_interval: float

    @classmethod
    def of(cls, settings: TurnSettings, endpointing_ms: int | None = None) -> "TurnRules":
        """The rules of one stream; `endpointing_ms` is its caller's wish, if any."""
        return cls(
            speech_threshold=settings.speech_threshold,
            silence_threshold=settings.silence_threshold,
            min_speech=samples_of_ms(settings.min_speech_ms),
            endpointing=samples_of_ms(endpointing_ms or settings.endpointing_ms),
            max_turn=round(settings.max_turn * SAMPLE_RATE),
            preroll=samples_of_ms(settings.preroll_ms),
            partial_interval=settings.partial_interval_ms / 1000,
        )

    def with_endpointing(self, endpointing_ms: int) -> "TurnRules":
        """The same rules with another silence that ends a turn."""
        return replace(self, endpointing=samples_of_ms(endpointing_ms))


def samples_of_ms(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000


class Endpointer:
    """Watches one stream's speech probabilities. Positions are samples since the start of the stream."""

    def __init__(self, rules: TurnRules) -> None:
        self.rules = rules
        self.candidate: int | None = None
        """Where speech may have begun, while it has not lasted long enough to be a turn."""
        self.voice_end = 0
        """End of the last frame that was speech."""

    def starts(self, probability: float, position: int) -> bool:
        """Outside a turn: whether the frame that ends at `position` makes a turn; it began at `candidate`."""
        if self.candidate is None:
            if probability < self.rules.speech_threshold:
                return False
            self.candidate = position - SPEECH_FRAME
        elif probability < self.rules.silence_threshold:
            self.candidate = None
            return False
        self.voice_end = position
        return position - self.candidate >= self.rules.min_speech

    def ends(self, probability: float, position: int) -> bool:
        """Inside a turn: whether the frame that ends at `position` completes the silence that ends it."""
        if probability >= self.rules.silence_threshold:
            self.voice_end = position
            return False
        return position - self.voice_end >= self.rules.endpointing

    def reset(self) -> None:
        """Outside a turn again; speech must begin anew."""
        self.candidate = None
