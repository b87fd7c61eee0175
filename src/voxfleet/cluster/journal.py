"""What happened to this gateway's workers lately, for operators: joined, lost, draining, streams moved and replayed."""

import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from enum import StrEnum

KEPT = 200
TOGETHER = 2.0
"""Seconds within which the same thing, happening to a worker again and again, is told as one event with a count."""


class Happening(StrEnum):
    """What can happen to a worker, as seen from a gateway."""

    JOINED = "joined"
    LOST = "lost"
    DRAINING = "draining"
    LEFT = "left"
    """A draining worker has ended."""
    MOVED = "moved"
    """Streams went from it to another worker at a turn boundary."""
    REPLAYED = "replayed"
    """Streams went from it to another worker by replay."""
    SILENT = "silent"
    """Streams of it were given up because speech was sent and nothing came back."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event; `at` is seconds since the epoch, `count` streams (or 1)."""

    at: float
    kind: Happening
    worker: str
    text: str
    count: int = 1


class Journal:
    """The newest entries, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.totals: Counter[Happening] = Counter()

    def note(self, kind: Happening, worker: str, text: str = "") -> None:
        self.totals[kind] += 1
        now = time.time()
        newest = next((n for n in range(len(self.entries) - 1, -1, -1) if self.entries[n].worker == worker), None)
        last = self.entries[newest] if newest is not None else None
        if newest is not None and last and (last.kind, last.text) == (kind, text) and now - last.at < TOGETHER:
            self.entries[newest] = replace(last, count=last.count + 1)
        else:
            self.entries.append(Entry(now, kind, worker, text))
