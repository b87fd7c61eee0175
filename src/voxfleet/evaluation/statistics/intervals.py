"""Intervals that need no resampling: what one is, and those of a percentile and of a proportion."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxfleet.evaluation.faults import BadOption, MissingExtra

LEVEL: Final = 0.95
"""How often an interval is to hold the truth, where nobody asks for another level."""

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the truth lies, and how often such an interval is right. Raises ValueError for one that can't be."""

    low: float
    high: float
    level: float = LEVEL

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"an interval goes from a number to one not below it: {self.low} to {self.high}")
        if not 0 < self.level < 1:
            raise ValueError(f"the level of an interval lies between 0 and 1: {self.level}")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g} ({in_percent(self.level)})"

    @property
    def width(self) -> float:
        return self.high - self.low

    def percents(self, digits: int = 1) -> str:
        """For rates and shares: `8.1 to 9.4 % (95 %)`."""
        return f"{100 * self.low:.{digits}f} to {100 * self.high:.{digits}f} % ({in_percent(self.level)})"

    def points(self, digits: int = 2) -> str:
        """For differences of rates, which have a sign: `-0.30 to +0.12 points (95 %)`."""
        low, high = in_points(self.low, digits), in_points(self.high, digits)
        return f"{low} to {high} points ({in_percent(self.level)})"

    @classmethod
    def between(cls, one: float, other: float, level: float) -> "Interval":
        """Of two ends in either order: ends that are equal but for rounding can come out crossed."""
        return cls(min(one, other), max(one, other), level)

    def around(self, value: float) -> "Interval":
        """The same, widened where needed until it holds `value`: a figure is never drawn outside its own interval."""
        return Interval(min(self.low, value), max(self.high, value), self.level)


def percentile_interval(values: Iterable[float], percent: float, level: float = LEVEL) -> Interval | None:
    """Order statistics between which the percentile lies, whatever the distribution (rule 4).

    The number of values below the true percentile is binomial; its two quantiles are the ranks of the ends. It keeps its
    promise for independent values; values of one call are alike, and with few calls it is too narrow. None where the
    values are too few for an end on both sides: 95 % needs 6 values for the median, 36 for p90, 72 for p95, 368 for
    p99. `percent` is above 0 and below 100. Raises BadOption, by name, for NaN and infinities.
    """
    return ranked_interval(np.sort(finite(values)), percent, level)


def ranked_interval(ranked: Numbers, percent: float, level: float) -> Interval | None:
    """`percentile_interval` of values that are already ascending and finite."""
    below_1("level", level)
    if not 0 < percent < 100:
        raise BadOption("percent", percent, "above 0 and below 100")
    if not len(ranked):
        return None
    binomial = scipy_stats().binom(len(ranked), percent / 100)
    low, high = int(binomial.ppf((1 - level) / 2)), int(binomial.isf((1 - level) / 2)) + 1
    if low < 1 or high > len(ranked):
        return None
    return Interval(float(ranked[low - 1]), float(ranked[high - 1]), level)


def proportion_interval(happened: int, count: int, level: float = LEVEL) -> Interval | None:
    """Wilson's interval of a share, such as refused calls or runaway utterances (Wilson 1927, JASA 22).

    It stays inside 0 to 1 and is of use even when nothing happened: 0 of 100 gives 0 to 3.7 %. None of no trials.
    """
    below_1("level", level)
    if not 0 <= happened <= count:
        raise BadOption("happened", happened, f"between 0 and the {count} trials")
    if not count:
        return None
    found = scipy_stats().binomtest(happened, count).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high), level).around(happened / count)


def finite(values: Iterable[float], name: str = "values") -> Numbers:
    """The values as one array. Raises BadOption that names the first which is not a number."""
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise BadOption(name, f"{array[wrong[0]]} (number {wrong[0] + 1} of {len(array)})", "finite numbers")
    return array


def below_1(name: str, value: float) -> None:
    """Raises BadOption for a level or share that is not between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise BadOption(name, value, "above 0 and below 1")


def scipy_stats() -> ModuleType:
    """scipy.stats, which only who measures has installed. Raises MissingExtra."""
    try:
        import scipy.stats as stats  # half a second to import, and an optional extra
    except ImportError as error:
        raise MissingExtra("confidence intervals", "evaluation", "scipy") from error
    module: ModuleType = stats
    return module


def in_percent(share: float) -> str:
    """0.95 as `95 %`."""
    return f"{100 * share:g} %"


def in_points(difference: float, digits: int = 2) -> str:
    """A difference of rates as signed percentage points, without a sign at zero."""
    figure = round(100 * difference, digits) + 0.0
    return f"{figure:+.{digits}f}" if figure else f"{0:.{digits}f}"
