"""When a lost stream is tried again, and when it is given up. Pure; `now` is seconds on any clock that only grows."""

import random

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Patience:
    """Of one stream. `seconds` is how long a break may last; breaks without progress between them count as one.

    So a stream that breaks whatever server hears it ends like one that finds no server.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = 0.0
        self._pause = 0.0
        self._in_trouble = False
        self._resumed_at = float("-inf")

    def broke(self, now: float) -> None:
        """The stream lost its connection."""
        if not self._in_trouble or now - self._resumed_at > self._seconds:
            self._in_trouble = True
            self._deadline = now + self._seconds
            self._pause = 0.0

    def resumed(self, now: float) -> None:
        """It has another one. Whether that is any better is still to be seen."""
        self._resumed_at = now

    def progressed(self) -> None:
        """The stream got further than before it broke."""
        self._in_trouble = False

    def left(self, now: float) -> float:
        """Seconds until it is given up."""
        return self._deadline - now

    def pause(self, retry_after: float | None) -> float:
        """Seconds to wait before the next attempt: doubling, never two streams alike, never less than was asked for."""
        pause = self._pause
        self._pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
        return max(pause * random.uniform(0.75, 1.25), retry_after or 0.0)  # noqa: S311 - no secret
