"""The largest number of streams that is held: grow until it is too much, then bisect, then hold what was found for longer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

GROWTH = 1.25
CLOSE = 1.04
"""The search ends where what is held and what is not lie this near."""
STEP_DOWN = 0.95
CONFIRMATIONS = 4
"""How often a number that fails its long hold is lowered before the search gives up."""


class Outcome(Protocol):
    """What a trial is to a search."""

    @property
    def streams(self) -> int: ...

    @property
    def met(self) -> bool:
        """Whether so many streams were held."""
        ...


T = TypeVar("T", bound=Outcome)


@dataclass(slots=True)
class Found(Generic[T]):
    """The outcome of a search."""

    confirmed: T | None = None
    """The long hold of the largest number that was held; None = not even one stream."""
    trials: list[T] = field(default_factory=list)
    """All of them in order, the long ones among them."""
    bounded: bool = False
    """The engine's places ended before its speed did."""

    @property
    def streams(self) -> int:
        return self.confirmed.streams if self.confirmed is not None else 0


def largest(
    short: Callable[[int], T],
    long: Callable[[int], T],
    guess: int,
    most: int,
    told: Callable[[T], None],
    late: Callable[[], bool] = lambda: False,
) -> Found[T]:
    """Search between 1 and `most` streams, beginning with a guess. `short` and `long` hold so many streams.

    Once it is `late`, nothing more is tried but to confirm the best so far.
    """
    found: Found[T] = Found()

    def holds(streams: int, trial: Callable[[int], T]) -> bool:
        found.trials.append(trial(streams))
        told(found.trials[-1])
        return found.trials[-1].met

    low, high = _bracket(lambda streams: holds(streams, short), max(1, min(guess, most)), most, late)
    while not late() and low and high - low > 1 and high > CLOSE * low:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle, short) else (low, middle)
    for _ in range(CONFIRMATIONS):
        if not low:
            break
        if holds(low, long):
            found.confirmed = found.trials[-1]
            found.bounded = low == most
            break
        if late():
            break
        low = min(low - 1, int(low * STEP_DOWN))
    return found


def _bracket(holds: Callable[[int], bool], guess: int, most: int, late: Callable[[], bool]) -> tuple[int, int]:
    """A number that is held (0 = none) and a larger one that is not (`most` + 1 = none)."""
    if holds(guess):
        low = guess
        while low < most and not late():
            larger = min(most, max(low + 1, int(low * GROWTH)))
            if not holds(larger):
                return low, larger
            low = larger
        return low, most + 1
    high = guess
    while high > 1 and not late():
        smaller = min(high - 1, int(high / GROWTH))
        if holds(smaller):
            return smaller, high
        high = smaller
    return 0, 1
