"""One turn of a stream: where it lies, who hears it, and what may be said of it."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from voxfleet.speech import SAMPLE_RATE, Hypothesis, Word

NOWHERE = -1
"""The seat of a stream that has no track now."""
SAME_WORD = 0.05
"""Seconds by which two engines may place the same word differently."""


def _same(one: Word, other: Word) -> bool:
    return one.text == other.text and abs(one.start - other.start) < SAME_WORD


@dataclass(slots=True)
class Turn:
    """One turn of this stream; positions are samples of the stream."""

    number: int
    start: int
    """First sample given to the engine, pre-roll included."""
    end: int = -1
    """-1 while somebody speaks."""
    speech_end: int = 0
    heard: int = 0
    """Samples of the turn that the engine has taken into account."""
    seat: int = NOWHERE
    """Where it is heard."""
    final: Hypothesis | None = None
    """Its last word, while turns before it still wait for theirs."""
    replayed: bool = False
    continued: bool = False
    """The turn before it was cut at its greatest length: it begins in mid-speech."""
    stable: tuple[Word, ...] = ()
    """The stable words of the last partial, in the turn's own time."""
    flushes: list[int] = field(default_factory=list)
    """Flushes to be answered once this turn is final."""

    def said(self, hypothesis: Hypothesis) -> Hypothesis:
        """The hypothesis, with the stable words that were told before: a replay on another engine may not take them back."""
        told, words = self.stable, hypothesis.words
        if not self.replayed or not told or hypothesis.stable[: len(told)] == told:
            return hypothesis
        if len(words) >= len(told) and all(map(_same, told, words)):  # but for rounding, which hangs on the batch
            later = list(words[len(told) :])
        else:
            later = [word for word in words if word.start >= told[-1].end - SAME_WORD]
        count = sum(word in hypothesis.stable for word in later)
        return replace(hypothesis, stable=told + tuple(later[:count]), unstable=tuple(later[count:]))

    def placed(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """The words in stream time, inside the turn and in order, whatever rounding the engine does."""
        offset = latest = self.start / SAMPLE_RATE
        limit = self.end / SAMPLE_RATE if self.end >= 0 else float("inf")
        placed = []
        for word in words:
            start = min(max(offset + word.start, latest), limit)
            end = min(max(offset + word.end, start), limit)
            placed.append(Word(word.text, start, end, word.confidence))
            latest = start
        return tuple(placed)
