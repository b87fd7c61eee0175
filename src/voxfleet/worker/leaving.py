"""Whether this worker leaves, until when, and what its process says by the way it ends.

Anybody may ask, any number of times: the earliest deadline holds, and it is started anew only if everybody who asked
wants that. So an operator's rolling replacement never brings back a worker whose own parent told it to go.
"""

import asyncio
from enum import IntEnum

from voxfleet.clock import Clock


class Ending(IntEnum):
    """Exit codes of a worker process; whoever watches it decides by them."""

    DRAINED = 0
    """Left as asked; it shall stay down."""
    FAILED = 1
    STUCK = 70
    """A step never ended (EX_SOFTWARE)."""
    REPLACE = 75
    """Left as asked, and shall be started anew at once (EX_TEMPFAIL)."""


class Leaving:
    """The state of leaving. Belongs to the event loop; nothing here waits or wakes up by itself."""

    def __init__(self, clock: Clock) -> None:
        self.asked = asyncio.Event()
        self._clock = clock
        self._deadline = float("inf")
        self._replace = True

    def ask(self, seconds: float, *, replace: bool) -> bool:
        """Leave within `seconds`. True where that changed anything."""
        before = self.asked.is_set(), self._deadline, self._replace
        self.asked.set()
        self._deadline = min(self._deadline, self._clock.now() + max(seconds, 0.0))
        self._replace = self._replace and replace
        return before != (True, self._deadline, self._replace)

    @property
    def left(self) -> float:
        """Seconds until the deadline, 0 after it and while nobody asked."""
        return max(self._deadline - self._clock.now(), 0.0) if self.asked.is_set() else 0.0

    @property
    def over(self) -> bool:
        """The deadline has come."""
        return self._clock.now() >= self._deadline

    @property
    def ending(self) -> Ending:
        return Ending.REPLACE if self._replace else Ending.DRAINED
