"""Time that tests and the simulator can hold."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds on a clock that never goes back. Only differences mean anything."""
        ...


class SystemClock:
    """The machine's monotonic clock, shared by all processes of one host."""

    now = staticmethod(time.monotonic)
