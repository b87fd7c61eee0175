"""When a refused caller should come back: judged by how fast places were given back lately. Pure.

Refused callers form a queue that nobody keeps: each is told to come when the places before it have been given back. The
rate is a mean over the last minutes that forgets by half-life, and starts from a guess of one place in five seconds.
"""

import heapq
import math

GUESS_SECONDS = 5.0
"""Between two places given back, as long as nothing was seen; weighs as much as one place that was seen."""
LEAST_SECONDS = 0.5
MOST_SECONDS = 30.0
"""Nobody is told to wait longer: by then the load may be another one, or another worker started."""
MOST_WAITING = 10_000
"""Callers remembered; more change nothing, they are all told the longest wait."""


class Turnover:
    """Places given back and callers refused, as one gateway sees them. `now` is clock time and never runs backwards."""

    def __init__(self, half_life: float = 60.0) -> None:
        """`half_life`: seconds after which a place given back counts half."""
        self._decay = math.log(2) / half_life
        self._count = 0.0
        """Places given back, each weighed by its age at `_at`."""
        self._watched = 0.0
        """Seconds seen, each weighed by its age at `_at`."""
        self._at: float | None = None
        self._due: list[float] = []
        """When each refused caller was told to come back; a heap."""

    def freed(self, count: int, now: float) -> None:
        """`count` places were given back by callers who were done (not by workers that were lost)."""
        self._age(now)
        self._count += count

    def refused(self, now: float) -> int:
        """Note one more caller that is refused now and will come back; returns how many there are, itself included."""
        self._age(now)
        waiting = self.waiting(now) + 1
        if len(self._due) < MOST_WAITING:
            heapq.heappush(self._due, now + self.retry_after(now, waiting))
        return waiting

    def waiting(self, now: float) -> int:
        """Refused callers whose time to come back is still ahead."""
        while self._due and self._due[0] <= now:
            heapq.heappop(self._due)
        return len(self._due)

    def retry_after(self, now: float, waiting: int = 1) -> float:
        """Seconds until `waiting` places have likely been given back; 0.5 to 30, and 5 with nothing seen yet."""
        self._age(now)
        seconds_each = (self._watched + GUESS_SECONDS) / (self._count + 1.0)
        return min(max(waiting * seconds_each, LEAST_SECONDS), MOST_SECONDS)

    def _age(self, now: float) -> None:
        if self._at is not None and now > self._at:
            kept = math.exp(-self._decay * (now - self._at))
            self._count *= kept
            self._watched = self._watched * kept + (1.0 - kept) / self._decay
        self._at = now if self._at is None else max(self._at, now)
