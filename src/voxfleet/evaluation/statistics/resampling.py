"""The bootstrap over calls or speakers: how far a pooled rate would move if other people had called.

Rule 1: what is drawn is a whole *unit*, a call or a speaker with all its utterances, since utterances of one voice
on one line share their errors. Drawing utterances would promise intervals far narrower than the truth. Source: Bisani
& Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004; in blocks: Liu & Peng,
arXiv 1912.09508.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.statistics.intervals import LEVEL, Interval, Numbers, below_1, scipy_stats

RESAMPLES: Final = 10_000
_BATCH = 1_000_000
"""Counts drawn at once: some 10 MB for each column, however many units there are."""
_MOST_CORRECTED = 2_000
"""Units beyond which the correction for skew changes nothing any more and costs n² steps."""

Figure: TypeAlias = Callable[..., Numbers]
"""From the totals of each column, as arrays of one shape, to the figure, NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of all units together. `note` says in a sentence why an interval is missing or promises too much."""

    value: float | None
    interval: Interval | None
    units: int
    note: str = ""

    def __str__(self) -> str:
        value = "no figure" if self.value is None else f"{100 * self.value:.1f} %"
        interval = f", {self.interval.percents()}" if self.interval else ""
        note = f"; {self.note}" if self.note else ""
        return f"{value}{interval}, {self.units} unit{'' if self.units == 1 else 's'}{note}"


def rate(errors: Numbers, words: Numbers) -> Numbers:
    """Pooled: errors of all ÷ words of all. For WER, CER and every share of counts."""
    return _ratio(errors, words)


def f1(hits: Numbers, missed: Numbers, invented: Numbers) -> Numbers:
    """Of entities or slots, pooled: 2·hits ÷ (2·hits + missed + invented)."""
    return _ratio(2 * hits, 2 * hits + missed + invented)


def rate_interval(
    units: Mapping[str, tuple[float, float]],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The pooled rate of units of (errors, words), with its interval: see `figure_interval`."""
    return figure_interval(units, rate, level=level, resamples=resamples, seed=seed)


def figure_interval(
    units: Mapping[str, Sequence[float]],
    figure: Figure,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Any figure that is made of totals, such as `rate` or `f1`, with its bootstrap interval over units (rule 1).

    Each unit has one count per column, never negative. The interval is bias-corrected and accelerated (Efron 1987), or
    plain percentiles where that is undefined; with few units it is expanded (`tail_for`). The order of the units is
    of no consequence. Raises BadOption for counts that can't be, MissingExtra without scipy.
    """
    table = counts(units)
    value = float(figure(*table.sum(axis=1))) if units else math.nan
    if math.isnan(value):
        return Estimate(None, None, len(units), "there is nothing to divide by: no reference words")
    if len(units) < 2:
        return Estimate(value, None, 1, "one unit alone can't tell how much units differ")
    result = bootstrap(table, figure, level=level, resamples=resamples, seed=seed, corrected=True)
    drawn = defined(result.bootstrap_distribution)
    low, high = float(result.confidence_interval.low), float(result.confidence_interval.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        tail = tail_for((1 - level) / 2, len(units), resamples)
        low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    note = ""
    if drawn.min() == drawn.max():
        note = "all units have the same figure, so the interval has no width and promises too much"
    elif len(units) < least_units(level):
        note = f"{len(units)} units are too few for an interval that is right {100 * level:g} % of the time"
    return Estimate(value, Interval.between(low, high, level).around(value), len(units), note)


def counts(units: Mapping[str, Sequence[float]], name: str = "counts") -> Numbers:
    """One row per column of counts, one place per unit, in the order of the units' names."""
    widths = {len(row) for row in units.values()}
    if len(widths) > 1:
        raise BadOption(name, sorted(widths), "of the same columns for every unit")
    for unit, row in units.items():
        if not all(math.isfinite(count) and count >= 0 for count in row):
            raise BadOption(f"{name} of '{unit}'", row, "finite and not negative")
    return np.array([units[unit] for unit in sorted(units)], dtype=np.float64).T


def bootstrap(
    table: Numbers, figure: Figure, *, level: float, resamples: int, seed: int, corrected: bool = False
) -> Any:
    """scipy's BootstrapResult of a figure over the units of a table (columns × units), of which there are two or more.

    Deterministic for a seed. Where a resample has no figure, its place in the distribution is NaN, and so are ends.
    """
    below_1("level", level)
    if resamples < 100:
        raise BadOption("resamples", resamples, "at least 100")
    stats = scipy_stats()
    units = table.shape[1]
    method: Literal["BCa", "percentile"] = "BCa" if corrected and units <= _MOST_CORRECTED else "percentile"

    def statistic(*columns: Numbers, axis: int) -> Numbers:
        return figure(*(column.sum(axis=axis) for column in columns))

    with warnings.catch_warnings():  # a figure without spread is what the caller handles, and says so in words
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.bootstrap(
            tuple(table),
            statistic,
            n_resamples=resamples,
            batch=max(_BATCH // units, 1),
            vectorized=True,
            paired=True,
            axis=-1,
            confidence_level=1 - 2 * tail_for((1 - level) / 2, units, resamples),
            method=method,
            rng=np.random.default_rng(seed),
        )


def defined(drawn: Numbers) -> Numbers:
    """The resamples that have a figure: a draw of silent clips alone has no rate."""
    kept: Numbers = drawn[~np.isnan(drawn)]
    return kept


def tail_for(tail: float, units: int, resamples: int) -> float:
    """The tail to cut off a bootstrap distribution, so that with few units `tail` of the truth lies beyond.

    Resampling takes the units at hand for all there are and is too sure of itself: with 10 units its interval is 18 %
    too narrow. Hesterberg's expanded percentiles (arXiv 1411.5279) put back what Student's t adds to a mean:
    Φ(√(n/(n−1)) · t(tail, n−1)), which is `tail` again for many units. Never finer than the resamples can show.
    """
    stats = scipy_stats()
    cut = stats.norm.cdf(math.sqrt(units / (units - 1)) * stats.t.ppf(tail, units - 1))
    return max(float(cut), 0.5 / resamples)


def chance_for(share: float, units: int) -> float:
    """The reverse: a share of resamples as the p-value that it stands for with so few units."""
    stats = scipy_stats()
    return float(stats.t.cdf(math.sqrt((units - 1) / units) * stats.norm.ppf(share), units - 1))


def least_units(level: float) -> int:
    """Units below which no two-sided interval reaches its level: all fall on one side of the truth too often.

    2 · ½ⁿ ≤ 1 − level, the sign test's bound; 6 for 95 %.
    """
    return math.ceil(math.log2(2 / (1 - level)))


def _ratio(top: Numbers, bottom: Numbers) -> Numbers:
    bottom = np.asarray(bottom, dtype=np.float64)
    result: Numbers = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)
    return result
