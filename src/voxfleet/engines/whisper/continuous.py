"""Who is in which slot: windows enter and leave between bursts of steps, and those that stay fill the slots from 0 up.

The host looks at the device once a burst. On a GPU it looks at one burst while the next one is under way: a window that
has finished stays as it is until it is told to leave, so nothing is lost but some steps in vain.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.engines.whisper.decoding import (
    ACCEPTED,
    BROKEN,
    ENDED,
    FINISHED,
    LENGTH,
    NO_SPEECH,
    NUMBERS,
    Decoding,
)  # fmt: skip
from voxfleet.engines.whisper.entries import Entry
from voxfleet.engines.whisper.graphs import Graphs

BURST = 4
"""Steps between two looks of the host, on a GPU."""
BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128)
"""Slots a step on a GPU works on."""
REACHES = (96, 192, 320, 448)
"""Tokens a step on a GPU attends to."""


@dataclass(slots=True)
class Tenant:
    """A window while it is being decoded."""

    key: int
    """Of the caller's."""
    entry: Entry
    slot: int
    most: int
    """Tokens it may have by now."""
    left: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a window. It is still in its slot while it is told."""

    key: int
    entry: Entry
    slot: int
    tokens: tuple[int, ...]
    """The prefix and what was decoded, the end left out."""
    scores: tuple[float, ...]
    """Natural logarithms of their probabilities; one more, that of the end, where it ended by itself."""
    ended: bool
    no_speech: float
    accepted: int
    """Tokens of the draft that were right."""
    broken: bool


Leave: TypeAlias = Callable[[Sequence[Decoded]], None]


@dataclass(slots=True)
class _Look:
    """How far the tenants were after a burst; on a GPU on its way to the host."""

    tenants: tuple[Tenant, ...]
    host: Tensor
    done: "torch.cuda.Event | None" = None


class Continuous:
    """Decodes windows of any number, one slot each. Owned by one thread."""

    def __init__(
        self, decoding: Decoding, leave: Leave, *, burst: int = 0, ahead: int | None = None, padded: bool | None = None
    ) -> None:
        """`leave` is told of windows that finished, while their slots are theirs. As suits the device, if not given:
        `burst`, steps between two looks; `ahead`, bursts under way while the host looks at an earlier one; `padded`,
        whether steps work on some fixed numbers of slots and tokens only, as graphs must.
        """
        self.decoding = decoding
        self.steps = 0
        """So far, each over all windows that were there."""
        self._leave = leave
        self._live: list[Tenant] = []
        self._looks: deque[_Look] = deque()
        on_gpu = decoding.arena.device.type == "cuda"
        self._graphs = Graphs(decoding.arena.device, decoding.arena.finished) if on_gpu else None
        self._burst = burst or (BURST if on_gpu else 1)
        self._ahead = int(on_gpu) if ahead is None else ahead
        self._padded = on_gpu if padded is None else padded

    @property
    def live(self) -> int:
        """Windows that are being decoded; the slots from here on are free."""
        return len(self._live)

    @property
    def free(self) -> int:
        return self.decoding.arena.slots - len(self._live)

    def enter(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Windows, with the caller's keys, whose encoding was put into the slots from `live` on."""
        first = len(self._live)
        self.decoding.enter(first, [entry for _, entry in entries])
        self._live += [
            Tenant(key, entry, first + place, entry.length + 1) for place, (key, entry) in enumerate(entries)
        ]
        if not self._looks:
            self._look()  # whose draft was right to its end is finished already

    def advance(self) -> None:
        """Another burst; those who finished leave."""
        while len(self._looks) <= self._ahead and any(not one.left for one in self._live):
            self._run()
            self._look()
            if self._ahead == 0:
                break
        if self._looks:
            self._settle(self._looks.popleft())
        if not self._live:
            self._looks.clear()

    def clear(self) -> None:
        """Whoever is still there, after an error, is forgotten."""
        self._live.clear()
        self._looks.clear()

    def warm(self) -> None:
        """Capture every graph, so that no live step waits for it. Does nothing on the CPU."""
        if self._graphs is None:
            return
        for rows in self._buckets():
            for reach in self._reaches():
                self._burst_of(rows, reach)

    # ---- bursts -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        rows, reach = len(self._live), max(one.most for one in self._live) + self._burst - 1
        if self._padded:
            buckets, reaches = self._buckets(), self._reaches()
            rows = buckets[bisect_left(buckets, rows)]
            reach = reaches[min(bisect_left(reaches, reach), len(reaches) - 1)]
        self._burst_of(rows, min(reach, self.decoding.arena.target))
        self.steps += self._burst
        for one in self._live:
            one.most = min(one.most + self._burst, one.entry.limit)

    def _burst_of(self, rows: int, reach: int) -> None:
        if self._graphs is None:
            self.decoding.burst(rows, reach, self._burst)
        else:
            self._graphs.run((rows, reach), lambda: self.decoding.burst(rows, reach, self._burst))

    def _buckets(self) -> list[int]:
        slots = self.decoding.arena.slots
        return [*(size for size in BUCKETS if size < slots), slots]

    def _reaches(self) -> list[int]:
        target = self.decoding.arena.target
        return [*(reach for reach in REACHES if reach < target), target]

    # ---- looks --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        progress = self.decoding.progress(len(self._live))
        if self._graphs is None:
            self._looks.append(_Look(tuple(self._live), progress))
            return
        host = torch.empty(progress.shape, dtype=progress.dtype, pin_memory=True)
        host.copy_(progress, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        self._looks.append(_Look(tuple(self._live), host, done))

    def _settle(self, look: _Look) -> None:
        if look.done is not None:
            look.done.synchronize()
        seen: NDArray[np.int32] = look.host.numpy()
        leaving: list[Decoded] = []
        for one, row in zip(look.tenants, seen, strict=True):
            if one.left:
                continue
            if row[FINISHED]:
                one.left = True
                leaving.append(_decoded(one, row))
            else:
                one.most = min(int(row[LENGTH]) + self._burst * len(self._looks), one.entry.limit)
        if leaving:
            self._leave(leaving)
            self._close_up()

    def _close_up(self) -> None:
        """Those who stay move into the slots of those who left, the last ones first."""
        holes = sorted(one.slot for one in self._live if one.left)
        stay = sorted((one for one in self._live if not one.left), key=lambda one: one.slot)
        for hole in holes:
            if not stay or stay[-1].slot < hole:
                break
            last = stay.pop()
            self.decoding.arena.copy(last.slot, hole)
            last.slot = hole
        self._live = sorted((one for one in self._live if not one.left), key=lambda one: one.slot)


def _decoded(one: Tenant, row: NDArray[np.int32]) -> Decoded:
    entry, half = one.entry, NUMBERS + (len(row) - NUMBERS) // 2
    length, ended = int(row[LENGTH]), bool(row[ENDED])
    tokens = row[NUMBERS + entry.begin : NUMBERS + length]
    scores = row[half + entry.begin : half + length + ended].view(np.float32)
    no_speech = float(row[NO_SPEECH : NO_SPEECH + 1].view(np.float32)[0])
    return Decoded(
        one.key, entry, one.slot, tuple(tokens.tolist()), tuple(scores.tolist()), ended, no_speech,
        int(row[ACCEPTED]), bool(row[BROKEN]),
    )  # fmt: skip
