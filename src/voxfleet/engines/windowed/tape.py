"""The audio of one place that may still be needed, addressed by absolute stream position in samples."""

import numpy as np
from numpy.typing import NDArray

_LEAST = 16_000


class Tape:
    """Grows at one end, is cut off at the other. Copies what it is given; a view is valid until the next `add`."""

    __slots__ = ("_begin", "_end", "_samples", "_start")

    def __init__(self) -> None:
        self._samples: NDArray[np.int16] = np.empty(_LEAST, np.int16)
        self._start = 0  # position of the first sample kept
        self._begin = 0  # its index
        self._end = 0  # index after the last one

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self._start + self._end - self._begin

    def add(self, samples: NDArray[np.int16]) -> None:
        """Samples that follow the last ones."""
        count = len(samples)
        if self._end + count > len(self._samples):
            self._make_room(count)
        self._samples[self._end : self._end + count] = samples
        self._end += count

    def view(self, begin: int, end: int) -> NDArray[np.int16]:
        """Samples of positions `begin` to `end`, which must still be there."""
        assert self._start <= begin <= end <= self.end, (self._start, begin, end, self.end)
        offset = self._begin - self._start
        return self._samples[begin + offset : end + offset]

    def drop(self, before: int) -> None:
        """What lies before this position is not needed any more."""
        count = min(max(0, before - self._start), self._end - self._begin)
        self._start += count
        self._begin += count

    def _make_room(self, count: int) -> None:
        kept = self._samples[self._begin : self._end]
        size = max(_LEAST, 2 * (len(kept) + count))
        room = self._samples if size <= len(self._samples) else np.empty(size, np.int16)
        room[: len(kept)] = kept.copy() if room is self._samples else kept
        self._samples, self._begin, self._end = room, 0, len(kept)
