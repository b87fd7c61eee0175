"""Latency as a caller sees it, from the moments messages arrive: DESIGN.md "Latency, defined once", outside in.

A sample is *due* when the frame it travels in is complete: a live caller can't send it earlier. Measuring from the due
time and not from the moment a late sender got round to it keeps the sender's own delays in the figure.

Emission latency of a word: arrival of the first partial or final containing it − due time of its last sample. Negative
where an engine names a word before it has ended. Final latency of a turn: arrival of its final − due time of the last
sample of its last word; where the caller knows where speech ended in what it sent (`spans`), of the last sample of that
speech, which no server can talk away. Whether a partial contains a word is decided by aligning it with the beginning of
the final.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxfleet.speech import Seconds
from voxfleet.wire.native import FinalMessage, PartialMessage, ServerMessage, WordMessage


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of a set of latencies, in seconds, by nearest rank: each figure is one that really occurred."""

    count: int
    p50: float
    p95: float
    largest: float


def percentiles(values: Iterable[float]) -> Percentiles | None:
    """None for no values: there is no latency of nothing."""
    ranked = sorted(values)
    if not ranked:
        return None
    return Percentiles(len(ranked), rank(ranked, 50), rank(ranked, 95), ranked[-1])


def rank(ranked: Sequence[float], percent: float) -> float:
    """The smallest of the ascending values that `percent` of them don't exceed."""
    return ranked[max(math.ceil(percent * len(ranked) / 100), 1) - 1]


@dataclass(frozen=True, slots=True)
class Late:
    """One event: when it was due, in seconds since stream time zero, and how much later it came."""

    due: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Shown:
    at: float
    words: tuple[str, ...]


class LatencyMeter:
    """Told every message of one call with its arrival, in seconds since the caller's stream time zero.

    `frame` is the seconds of audio in each frame the caller sends; `spans` where speech is in it, ascending stream times,
    where the caller knows.
    """

    def __init__(self, frame: Seconds, spans: Sequence[tuple[Seconds, Seconds]] = ()) -> None:
        self._frame = frame
        self._span_starts = [start for start, _ in spans]
        self._span_ends = [end for _, end in spans]
        self._shown: dict[tuple[int, int], list[_Shown]] = {}
        self._finals: list[tuple[float, FinalMessage]] = []

    def due(self, at: Seconds) -> float:
        """When the sample at stream time `at` can be sent: at the end of its frame."""
        return math.ceil(round(at / self._frame, 6)) * self._frame

    def heard(self, message: ServerMessage, at: float) -> None:
        """A message arrived at `at`. Everything but partials and finals is passed over."""
        match message:
            case PartialMessage():
                words = f"{message.stable} {message.unstable}".split()
                shown = _Shown(at, tuple(map(plain, words)))
                self._shown.setdefault((message.channel, message.turn), []).append(shown)
            case FinalMessage():
                self._finals.append((at, message))

    def timed_emissions(self) -> list[list[Late]]:
        """Of every turn, the emission latency of each final word that has a time."""
        found: list[list[Late]] = []
        for at, final in self._finals:
            shown = self._shown.get((final.channel, final.turn), [])
            found.append(
                [
                    Late(due, first - due)
                    for first, word in self._first_shown(at, final, shown)
                    for due in (self.due(word.end),)
                ]
            )
        return found

    def timed_finals(self) -> list[Late]:
        """Final latency of every turn whose end of speech is known."""
        found: list[Late] = []
        for at, final in self._finals:
            spoken = self._spoken_until(final)
            if spoken is not None:
                due = self.due(spoken)
                found.append(Late(due, at - due))
        return found

    def emissions(self) -> list[float]:
        """Emission latency of every final word that has a time, in the order of the finals."""
        return [late.seconds for turn in self.timed_emissions() for late in turn]

    def first_partials(self) -> list[float]:
        """Emission latency of the first word of every turn: how long a caller sees nothing."""
        return [turn[0].seconds for turn in self.timed_emissions() if turn]

    def finals(self) -> list[float]:
        """Final latency of every turn whose end of speech is known."""
        return [late.seconds for late in self.timed_finals()]

    def _spoken_until(self, final: FinalMessage) -> Seconds | None:
        """Where the speech of this turn ended: by what was sent, else by the times of the words."""
        behind = bisect_left(self._span_starts, final.end)
        if behind and final.end <= self._span_ends[behind - 1]:
            return final.end  # the turn was cut in the middle of speech
        if behind and self._span_ends[behind - 1] > final.start:
            return self._span_ends[behind - 1]
        return max(word.end for word in final.words) if final.words else None

    @staticmethod
    def _first_shown(at: float, final: FinalMessage, shown: Sequence[_Shown]) -> list[tuple[float, WordMessage]]:
        words = final.words or []
        said = tuple(plain(word.word) for word in words)
        first = [at] * len(said)
        for partial in reversed(shown):
            for place in contained(partial.words, said):
                first[place] = partial.at
        return list(zip(first, words, strict=True))


def contained(partial: Sequence[str], final: Sequence[str]) -> list[int]:
    """Which words of the final a partial holds, as places in it.

    The partial is aligned, with the fewest edits, to whatever beginning of the final fits it best: a repeated word is
    not mistaken for one that comes later.
    """
    if partial == final[: len(partial)]:
        return list(range(len(partial)))
    costs = [list(range(len(final) + 1))]
    for i, word in enumerate(partial, start=1):
        row = [i]
        for j, other in enumerate(final, start=1):
            same = costs[-1][j - 1] + (word != other)
            row.append(min(same, costs[-1][j] + 1, row[-1] + 1))
        costs.append(row)
    i, j = len(partial), min(range(len(final) + 1), key=lambda end: costs[-1][end])
    places: list[int] = []
    while i and j:
        if costs[i][j] == costs[i - 1][j - 1] + (partial[i - 1] != final[j - 1]):
            i, j = i - 1, j - 1
            if partial[i] == final[j]:
                places.append(j)
        elif costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return places[::-1]


def plain(word: str) -> str:
    """A word without case and punctuation, which an engine may still add to a word it has shown."""
    return "".join(letter for letter in word.casefold() if letter.isalnum()) or word
