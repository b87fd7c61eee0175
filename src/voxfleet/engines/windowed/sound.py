"""Where a window holds sound at all: nothing is decoded where there is none. Frames of 20 ms against a level."""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from voxfleet.speech import SAMPLE_RATE

FRAME = SAMPLE_RATE // 50
"""Samples (20 ms)."""
FULL_SCALE = 32_768.0


class Sound:
    """Which frames of a turn hold sound, told sample by sample as they come. Positions count from the turn's first sample."""

    __slots__ = ("_frames", "_heard", "_least", "_loud", "_rest")

    def __init__(self, dbfs: float) -> None:
        self._least = (FULL_SCALE * 10 ** (dbfs / 20)) ** 2
        self._rest: NDArray[np.int16] = np.zeros(0, np.int16)
        self._frames = 0
        self._loud: list[int] = []
        """Numbers of the frames that hold sound."""

    def add(self, samples: NDArray[np.int16]) -> None:
        """More of the turn. A frame counts once it is complete."""
        block = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        count = len(block) // FRAME
        frames = block[: count * FRAME].reshape(count, FRAME).astype(np.float32)
        loud = np.flatnonzero(np.einsum("ij,ij->i", frames, frames) >= self._least * FRAME)
        self._loud += (loud + self._frames).tolist()
        self._frames += count
        self._rest = block[count * FRAME :].copy()

    def within(self, begin: int, end: int) -> tuple[int, int] | None:
        """From the first to after the last sample of sound between two positions; None where there is none.

        Only frames that are complete at `end` count, so the answer does not change when more audio comes.
        """
        first = bisect_right(self._loud, begin // FRAME - 1)
        last = bisect_right(self._loud, end // FRAME - 1) - 1
        if last < first:
            return None
        return max(begin, self._loud[first] * FRAME), (self._loud[last] + 1) * FRAME
