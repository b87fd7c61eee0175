"""Is B worse than A: on the same audio, with a margin, and without being fooled by looking at many slices.

All differences are B − A: below zero B makes fewer errors or is faster. Rates are fractions, so 0.002 is 0.2 points.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.latency import rank
from voxfleet.evaluation.statistics.intervals import (
    LEVEL,
    Interval,
    Numbers,
    below_1,
    finite,
    in_percent,
    in_points,
    ranked_interval,
)
from voxfleet.evaluation.statistics.resampling import (
    RESAMPLES,
    bootstrap,
    chance_for,
    counts,
    defined,
    least_units,
    rate,
    tail_for,
)


class Verdict(StrEnum):
    """What a comparison shows. Only NOT_WORSE and BETTER let B pass a gate."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    UNDECIDED = "undecided"

    @property
    def passes(self) -> bool:
        return self in (Verdict.BETTER, Verdict.NOT_WORSE)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Error rates of two systems over the same units, and what may be concluded."""

    rate_a: float
    rate_b: float
    interval: Interval | None
    """Two-sided, of the difference. None where one unit, or none, is compared."""
    upper: float | None
    """One-sided: the difference is not above it, at the level of the interval. What non-inferiority looks at."""
    p_value: float
    """How often chance alone would show a difference as far from zero, two-sided. For `holm` over slices."""
    p_beyond: float
    """How often chance alone would look this good if B were worse by the margin, one-sided. For `holm` over gates."""
    margin: float
    level: float
    units: int
    verdict: Verdict

    @property
    def difference(self) -> float:
        return self.rate_b - self.rate_a

    def sentence(self, a: str = "A", b: str = "B") -> str:
        """The verdict with all that it rests on, for the systems' names."""
        margin, level = f"{100 * self.margin:g} points", in_percent(self.level)
        match self.verdict:
            case Verdict.BETTER:
                verdict = f"{b} is better than {a} ({level})"
            case Verdict.NOT_WORSE if self.interval and self.interval.low > 0:
                verdict = f"{b} is worse than {a}, but not by more than {margin} ({level})"
            case Verdict.NOT_WORSE:
                verdict = f"{b} is not worse than {a} by more than {margin} ({level})"
            case Verdict.WORSE:
                verdict = f"{b} is worse than {a} ({level})"
            case Verdict.UNDECIDED:
                verdict = f"Undecided whether {b} is worse than {a} by more than {margin}: needs more data"
        doubt = f", interval {self.interval.points()}" if self.interval else ", no interval"
        rates = f"{100 * self.rate_b:.2f} % against {100 * self.rate_a:.2f} %"
        counted = f"{self.units} unit{'' if self.units == 1 else 's'}"
        return f"{verdict}: {rates}, difference {in_points(self.difference)} points{doubt}, {counted}"

    def __str__(self) -> str:
        return self.sentence()


def compare(
    a: Mapping[str, tuple[float, float]],
    b: Mapping[str, tuple[float, float]],
    margin: float = 0.002,
    level: float = LEVEL,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap of two systems' (errors, words) of the same units, calls or speakers (rules 1 to 3).

    BETTER: the interval of the difference lies below zero. NOT_WORSE: the one-sided upper bound is within `margin`.
    WORSE: the interval lies above zero and the bound beyond the margin. UNDECIDED otherwise, and always with fewer
    units than an interval of that level needs (6 for 95 %). Raises BadOption where units or their numbers of words
    differ: other items, or another normaliser (rule 8).
    """
    if not 0 <= margin < math.inf:
        raise BadOption("margin", margin, "a difference of rates, not negative")
    below_1("level", level)
    _same_items(a, b)
    table = np.concatenate([counts(a, "counts of A"), counts(b, "counts of B")[:1]])
    errors_a, words, errors_b = (float(total) for total in table.sum(axis=1))
    rate_a, rate_b = errors_a / words, errors_b / words
    if len(a) < 2:
        return Comparison(rate_a, rate_b, None, None, 1.0, 1.0, margin, level, len(a), Verdict.UNDECIDED)
    result = bootstrap(table, _difference, level=level, resamples=resamples, seed=seed)
    drawn = defined(result.bootstrap_distribution)
    tail, above = (tail_for(beyond, len(a), resamples) for beyond in ((1 - level) / 2, 1 - level))
    low, high, upper = (float(end) for end in np.quantile(drawn, [tail, 1 - tail, 1 - above]))
    interval = Interval.between(low, high, level).around(rate_b - rate_a)
    verdict = _verdict(interval, upper, margin) if len(a) >= least_units(level) else Verdict.UNDECIDED
    p_value = min(2 * chance_for(_share(side), len(a)) for side in (drawn <= 0, drawn >= 0))
    p_beyond = chance_for(_share(drawn > margin), len(a))
    return Comparison(rate_a, rate_b, interval, upper, min(p_value, 1.0), p_beyond, margin, level, len(a), verdict)


def _same_items(a: Mapping[str, tuple[float, float]], b: Mapping[str, tuple[float, float]]) -> None:
    if alone := sorted(a.keys() ^ b.keys()):
        raise BadOption("units", f"{len(alone)} in one only, '{alone[0]}' first", "the same for both systems")
    for unit, (_, words) in a.items():
        if words != b[unit][1]:
            raise BadOption(f"words of '{unit}'", f"{words:g} and {b[unit][1]:g}", "the same for both systems")
    if not any(words for _, words in a.values()):
        raise BadOption("units", "none", "units with reference words")


def _difference(errors_a: Numbers, words: Numbers, errors_b: Numbers) -> Numbers:
    return rate(errors_b - errors_a, words)


def _verdict(interval: Interval, upper: float, margin: float) -> Verdict:
    if interval.high < 0:
        return Verdict.BETTER
    if upper <= margin:
        return Verdict.NOT_WORSE
    return Verdict.WORSE if interval.low > 0 else Verdict.UNDECIDED


def _share(happened: NDArray[np.bool_]) -> float:
    """Of resamples, never quite 0: the data themselves count as one (Davison & Hinkley 1997, section 4.2)."""
    return float((1 + np.count_nonzero(happened)) / (1 + len(happened)))


@dataclass(frozen=True, slots=True)
class Shift:
    """One percentile of two independent sets of values, in their unit."""

    percent: float
    a: float
    b: float
    interval: Interval | None
    """Of b − a. None where either set has too few values for an interval of its own."""
    p_value: float

    @property
    def difference(self) -> float:
        return self.b - self.a

    @property
    def differs(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and 0 not in self.interval

    def __str__(self) -> str:
        doubt = str(self.interval) if self.interval else "too few values for an interval"
        return f"p{self.percent:g} {self.b:.3g} against {self.a:.3g}, difference {self.difference:+.3g}, {doubt}"


def compare_percentiles(
    a: Iterable[float],
    b: Iterable[float],
    percent: float,
    level: float = LEVEL,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Shift:
    """Unpaired bootstrap of the difference of a percentile, such as the p95 latency of two runs.

    Values count as independent of each other; where values of one call are alike, the interval is too narrow. A
    resample's k-th smallest of n values is the one at rank ⌈n·U⌉ with U from Beta(k, n + 1 − k), so it is drawn
    directly: exactly the bootstrap, at a cost that hardly grows with n. Raises BadOption for an empty set.
    """
    below_1("level", level)
    generator = np.random.default_rng(seed)
    ranked = [np.sort(finite(values, name)) for values, name in ((a, "values of A"), (b, "values of B"))]
    if not all(map(len, ranked)):
        raise BadOption("values", "none", "at least one for each of the two")
    enough = all(ranked_interval(values, percent, level) for values in ranked)
    figure_a, figure_b = (rank(values.tolist(), percent) for values in ranked)
    drawn_a, drawn_b = (_resampled(values, percent, resamples, generator) for values in ranked)
    drawn = drawn_b - drawn_a
    low, high = (float(end) for end in np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]))
    interval = Interval.between(low, high, level).around(figure_b - figure_a) if enough else None
    p_value = min(2 * _share(drawn <= 0), 2 * _share(drawn >= 0), 1.0) if enough else 1.0
    return Shift(percent, figure_a, figure_b, interval, p_value)


def _resampled(ranked: Numbers, percent: float, resamples: int, generator: np.random.Generator) -> Numbers:
    count = len(ranked)
    place = rank(range(1, count + 1), percent)
    drawn = generator.beta(place, count + 1 - place, resamples)
    found: Numbers = ranked[np.minimum((count * drawn).astype(np.int64), count - 1)]
    return found


@dataclass(frozen=True, slots=True)
class Correction:
    """One of several hypotheses after the correction."""

    p_value: float
    adjusted: float
    """To be read like a p-value, as if it were the only one."""
    significant: bool


def holm(p_values: Mapping[str, float], alpha: float = 0.05) -> dict[str, Correction]:
    """Holm's correction (1979, Scand. J. Statist. 6) of the p-values of many slices (rule 5).

    The chance of even one false alarm among all of them is at most `alpha`, however they depend on each other. In the
    order of the mapping. Raises BadOption for a p-value that is none.
    """
    below_1("alpha", alpha)
    for name, p_value in p_values.items():
        if not 0 <= p_value <= 1:
            raise BadOption(f"p-value of '{name}'", p_value, "between 0 and 1")
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min((len(p_values) - place) * p_values[name], 1.0))
        adjusted[name] = largest
    return {name: Correction(p_value, adjusted[name], adjusted[name] <= alpha) for name, p_value in p_values.items()}
