"""Which words stay: a stable word is never withdrawn within its turn.

LocalAgreement-n: a word settles when n decodes in a row say it in the same place. AlignAtt: a word settles at once when
its tokens attended to audio well before the end of what was heard. The last word of a decode never settles while the turn
goes on: more audio may make it longer.

Only decodes at fixed points of a turn are told here (`window.py`), so what settles depends on the audio alone: not on
how busy the machine was, nor on whether the turn was heard live or replayed on another worker.
"""

from collections.abc import Sequence

from voxfleet.engines.windowed.transcriber import Spelled
from voxfleet.speech import Seconds

OVERLAP = 0.05
"""Seconds a word may reach into a settled one and still be another."""


class Stabilizer:
    """The settled words of one window, and what the last decodes said after them. Times are those of the turn."""

    __slots__ = ("_agreement", "_attention", "_before", "settled")

    def __init__(self, agreement: int, attention: Seconds) -> None:
        self.settled: tuple[Spelled, ...] = ()
        """Never withdrawn; cut off at the front only (`cut`)."""
        self._agreement = agreement
        self._attention = attention
        self._before: list[tuple[Spelled, ...]] = []

    def learn(self, words: Sequence[Spelled], end: Seconds) -> int:
        """A decode of audio up to `end` says these words after the settled ones; how many of them settle."""
        count = self._attended(words, end)
        if count < 0:
            count = self._agreed(words)
        self._before.append(tuple(words))
        del self._before[: -(self._agreement - 1) or None]
        self.settle(words, count)
        return count

    def settle(self, words: Sequence[Spelled], count: int) -> None:
        """So many of these words, which follow the settled ones, stay."""
        self.settled += tuple(words[:count])
        self._before = [before[count:] for before in self._before]

    def cut(self, count: int) -> tuple[Spelled, ...]:
        """The first `count` settled words leave the window; returned."""
        gone, self.settled = self.settled[:count], self.settled[count:]
        return gone

    def _agreed(self, words: Sequence[Spelled]) -> int:
        if len(self._before) < self._agreement - 1:
            return 0
        most = min(len(words), *(len(before) for before in self._before)) - 1 if self._before else len(words) - 1
        for index in range(most):
            if any(not same(before[index], words[index]) for before in self._before):
                return index
        return max(0, most)

    def _attended(self, words: Sequence[Spelled], end: Seconds) -> int:
        """Words settled by attention; -1 where it isn't asked for or known."""
        if not self._attention or any(word.attended is None for word in words):
            return -1
        for index, word in enumerate(words[:-1]):
            if word.attended is not None and word.attended > end - self._attention:
                return index
        return max(0, len(words) - 1)


def same(one: Spelled, other: Spelled) -> bool:
    """Whether two decodes say the same word, letter for letter and token for token."""
    return one.tokens == other.tokens and one.word.text == other.word.text


def after(settled: Sequence[Spelled], words: Sequence[Spelled]) -> tuple[Spelled, ...]:
    """Of all the words of a window, those that follow the settled ones: for recognisers that can't be made to begin
    with given words."""
    if not settled:
        return tuple(words)
    if [word.word.text for word in words[: len(settled)]] == [word.word.text for word in settled]:
        return tuple(words[len(settled) :])
    end = settled[-1].word.end
    return tuple(word for word in words if word.word.start >= end - OVERLAP)
