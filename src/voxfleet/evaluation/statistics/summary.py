"""What is told of many values, of latencies above all: five figures, how sure each is, and which rest on too few.

Percentiles of two runs can't be added up; their values can. So a `Sample` is what is kept and merged, and a `Summary`
what is shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxfleet.evaluation.latency import rank
from voxfleet.evaluation.statistics.intervals import LEVEL, Interval, finite, ranked_interval

LEAST_EVENTS: Final = {95: 100, 99: 1000}
"""How many events a percentile needs before it may be quoted (rule 4); others need no more than an interval."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """One percentile by nearest rank, so a value that occurred. `interval` is None where values are too few for one."""

    percent: float
    value: float
    interval: Interval | None
    too_few: bool
    """True below `LEAST_EVENTS`: show the figure only with a warning, decide nothing by it."""

    def __str__(self) -> str:
        doubt = f" [{self.interval.low:.3g} to {self.interval.high:.3g}]" if self.interval else ""
        return f"p{self.percent:g} {self.value:.3g}{doubt}{' (too few events)' if self.too_few else ''}"


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a set of values, in their unit. Plain numbers all the way down: msgspec writes and reads it as it is."""

    count: int
    p50: Quantile
    p90: Quantile
    p95: Quantile
    p99: Quantile
    largest: float

    @property
    def quantiles(self) -> tuple[Quantile, ...]:
        return (self.p50, self.p90, self.p95, self.p99)

    @property
    def enough(self) -> bool:
        """Whether every percentile here may be quoted."""
        return not any(quantile.too_few for quantile in self.quantiles)

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.quantiles))}, max {self.largest:.3g} of {self.count}"


@dataclass(frozen=True, slots=True)
class Sample:
    """Values in ascending order that add up: `run_1 + run_2`. Raises BadOption, by name, for NaN and infinities."""

    ranked: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if np.any(np.diff(finite(self.ranked)) < 0):
            raise ValueError("the values of a sample are ascending; Sample.of sorts them")

    @classmethod
    def of(cls, values: Iterable[float]) -> "Sample":
        """From values in any order."""
        return cls(tuple(np.sort(finite(values)).tolist()))

    def __add__(self, other: "Sample") -> "Sample":
        return Sample.of(self.ranked + other.ranked)

    def __len__(self) -> int:
        return len(self.ranked)

    def summary(self, level: float = LEVEL) -> Summary | None:
        """None of no values. Intervals by order statistics, at `level`."""
        if not self.ranked:
            return None
        array = np.asarray(self.ranked)

        def quantile(percent: float) -> Quantile:
            too_few = len(self) < LEAST_EVENTS.get(int(percent), 0)
            return Quantile(percent, rank(self.ranked, percent), ranked_interval(array, percent, level), too_few)

        return Summary(len(self), quantile(50), quantile(90), quantile(95), quantile(99), self.ranked[-1])


def summarise(values: Iterable[float], level: float = LEVEL) -> Summary | None:
    """`Sample.of(values).summary(level)`, for values that nobody keeps."""
    return Sample.of(values).summary(level)
