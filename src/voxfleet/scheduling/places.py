"""Who sits where.

A reused place carries a new identity: nobody ever receives another caller's words.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfleet.errors import AtCapacity


@dataclass(frozen=True, slots=True)
class Place:
    """One stream's seat in an engine. The index is the row on the device, the generation tells its users apart."""

    index: int
    generation: int

    @property
    def key(self) -> int:
        """Both in one 64-bit number, for the columns of the link."""
        return self.generation << 32 | self.index

    @classmethod
    def of(cls, key: int) -> "Place":
        return cls(key & 0xFFFF_FFFF, key >> 32)


class Places:
    """A fixed number of places. Taking is atomic because one thread owns this object."""

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"an engine needs at least one place, not {count}")
        self.count = count
        self._generations: NDArray[np.uint64] = np.zeros(count, np.uint64)
        self._taken: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self._free = list(range(count - 1, -1, -1))  # the lowest index is taken first: batches stay dense

    @property
    def taken(self) -> int:
        return self.count - len(self._free)

    def take(self) -> Place:
        """A free place under a new identity. Raises AtCapacity."""
        if not self._free:
            raise AtCapacity(self.count)
        index = self._free.pop()
        self._taken[index] = True
        self._generations[index] += np.uint64(1)
        return Place(index, int(self._generations[index]))

    def free(self, place: Place) -> None:
        """Give a place back. Raises ValueError for one that is not held under this identity."""
        if not self.holds(place):
            raise ValueError(f"{place} is not taken")
        self._taken[place.index] = False
        self._free.append(place.index)

    def holds(self, place: Place) -> bool:
        """Whether the place is taken under exactly this identity."""
        inside = 0 <= place.index < self.count
        return inside and bool(self._taken[place.index]) and int(self._generations[place.index]) == place.generation

    def current(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these keys (shape (n,)) are places held under exactly that identity; one pass for a whole tick."""
        indices = keys & np.uint64(0xFFFF_FFFF)
        inside = indices < self.count
        safe = np.where(inside, indices, 0).astype(np.intp)
        held: NDArray[np.bool_] = inside & self._taken[safe] & (self._generations[safe] == keys >> np.uint64(32))
        return held

    def check(self) -> None:
        """Raises AssertionError if a place was lost or given twice."""
        if sorted(self._free) != [int(i) for i in np.flatnonzero(~self._taken)]:
            raise AssertionError(f"free list {sorted(self._free)} and taken marks disagree")
