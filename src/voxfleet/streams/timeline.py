"""What a stream remembers of its audio, and when each part of it arrived. Positions are samples since its start."""

from bisect import bisect_left
from collections import deque

import numpy as np

from voxfleet.speech import SAMPLE_RATE, Samples, Seconds


class Timeline:
    """The audio of one stream from `kept_from` on; older audio is forgotten as soon as nothing can need it."""

    def __init__(self, start: int = 0) -> None:
        self.position = start
        """End of everything heard."""
        self.kept_from = start
        self._pieces: deque[Samples] = deque()

    def append(self, samples: Samples) -> None:
        """Audio that follows what is known. The array is kept, not copied: don't write to it."""
        if samples.size:
            self._pieces.append(samples)
            self.position += samples.size

    def between(self, start: int, end: int) -> Samples:
        """The audio in [start, end), shape (end - start,). Raises IndexError for audio forgotten or to come."""
        if not self.kept_from <= start <= end <= self.position:
            raise IndexError(f"[{start}, {end}) is not within [{self.kept_from}, {self.position})")
        found: list[Samples] = []
        piece_end = self.position
        for piece in reversed(self._pieces):  # what is asked for is almost always the newest
            piece_start = piece_end - piece.size
            if piece_start < end and piece_end > start:
                found.append(piece[max(0, start - piece_start) : end - piece_start])
            if piece_start <= start:
                break
            piece_end = piece_start
        if len(found) == 1:
            return found[0]
        return np.concatenate(found[::-1]) if found else np.empty(0, np.float32)

    def forget(self, before: int) -> None:
        """Audio before this position is no longer needed."""
        while self._pieces and self.kept_from + self._pieces[0].size <= before:
            self.kept_from += self._pieces.popleft().size


MOST_ARRIVALS = 4_096
"""Arrivals kept; half of them are more than the longest turn, even in frames of 20 ms."""


class Arrivals:
    """When the audio of a stream arrived, on the gateway's clock, for latencies measured from its last sample."""

    def __init__(self, start: Seconds = 0.0) -> None:
        self.end = start
        """Stream time up to which audio has arrived."""
        self._ends: list[Seconds] = []
        self._clock: list[float] = []

    def arrived(self, samples: int, now: float) -> None:
        """So many more samples (16 kHz) arrived at clock time `now`."""
        if len(self._ends) >= MOST_ARRIVALS:  # a stream that is silent for hours
            del self._ends[: MOST_ARRIVALS // 2], self._clock[: MOST_ARRIVALS // 2]
        self.end += samples / SAMPLE_RATE
        self._ends.append(self.end)
        self._clock.append(now)

    def when(self, at: Seconds) -> float | None:
        """Clock time at which the sample at stream time `at` arrived, or None where that is forgotten or to come."""
        if not self._ends or at > self.end + 1e-6:
            return None
        return self._clock[min(bisect_left(self._ends, at - 1e-6), len(self._ends) - 1)]

    def forget(self, before: Seconds) -> None:
        """Nobody will ask for arrivals before this stream time. Cheap to call often: works in blocks."""
        count = bisect_left(self._ends, before)
        if count >= 64:
            del self._ends[:count], self._clock[:count]
