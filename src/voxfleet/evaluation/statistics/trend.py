"""Does the lag grow: the sign of a queue that is longer than the server will ever work off.

A latency that is high but level is a choice; one that rises by half a second a minute is a server past its capacity,
however good its percentiles still look. A rung of a load ladder is read with this (load rule 8).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.statistics.intervals import LEVEL, Interval, below_1, finite, scipy_stats
from voxfleet.speech import Seconds

LEAST_BINS: Final = 8
"""Medians below which no slope is told: a few points lie on a line by chance."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A line through the values of a time window."""

    slope: float
    """Change per second; 0 for a queue that keeps up."""
    interval: Interval
    growth: float
    """Change over the whole window, in the unit of the values."""
    growing: bool
    window: Seconds
    bins: int

    def __str__(self) -> str:
        verdict = "growing" if self.growing else "not growing"
        return f"{verdict}: {self.growth:+.3g} over {self.window:.3g} s, per second {self.slope:+.2g}, {self.interval}"


def trend(
    times: Iterable[float],
    values: Iterable[float],
    *,
    tolerance: float = 0.1,
    bins: int = 30,
    level: float = LEVEL,
) -> Trend | None:
    """The Theil–Sen slope of the medians of `bins` equal spans of time (Sen 1968, JASA 63).

    `growing` where the whole interval of the slope is above zero and the growth over the window is beyond `tolerance`,
    in the unit of the values: a server that gets a few milliseconds slower while caches fill is no queue. Outliers
    and single stalled streams move neither medians nor slope. `times` in seconds, in any order. None where fewer than
    8 spans have values: that is "can't tell", not "level".
    """
    below_1("level", level)
    if bins < LEAST_BINS:
        raise BadOption("bins", bins, f"at least {LEAST_BINS}")
    at, measured = finite(times, "times"), finite(values)
    if len(at) != len(measured):
        raise BadOption("times", f"{len(at)} for {len(measured)} values", "one for each value")
    if not len(at) or at.min() == at.max():
        return None
    start, window = float(at.min()), float(at.max() - at.min())
    span = np.minimum(((at - start) / window * bins).astype(np.int64), bins - 1)
    used = np.unique(span)
    if len(used) < LEAST_BINS:
        return None
    middles = start + (used + 0.5) * (window / bins)
    medians = [float(np.median(measured[span == place])) for place in used]
    found = scipy_stats().theilslopes(medians, middles, alpha=level)
    slope = float(found.slope)
    interval = Interval(float(found.low_slope), float(found.high_slope), level).around(slope)
    growth = slope * window
    return Trend(slope, interval, growth, interval.low > 0 and growth > tolerance, window, len(used))
