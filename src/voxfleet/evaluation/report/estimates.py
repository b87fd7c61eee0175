"""Estimates as a report tells them: counts by unit and events become figures with their intervals."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from voxfleet.evaluation.report.document import Figure, Latency, Words
from voxfleet.evaluation.statistics.intervals import Interval
from voxfleet.evaluation.statistics.resampling import rate_interval
from voxfleet.evaluation.statistics.summary import Quantile, summarise
from voxfleet.evaluation.text.counts import EditCounts

CDF_POINTS = 200

MEANINGS = {
    "admission": "from the moment a caller was due to come until the server said that it is admitted",
    "first_partial": "of each turn: from the end of its first word (the server's word time, when that sample was due to "
    "be sent) until a text showed it",
    "emission": "of each word: from its end (the server's word time, when that sample was due to be sent) until the first "
    "partial or final showed it",
    "final": "of each turn: from the end of its speech (found by the load generator in what it sent, when that sample was "
    "due to be sent) until its final",
    "response_lag": "of each partial: from the end of the audio it covers (as the server says, when that was due to be "
    "sent) until it came",
}
"""Keys are the names of latencies. The clock is the load generator's, always."""


def figure(value: float, interval: Interval | None) -> Figure:
    """The value with its interval, where it has one."""
    return Figure(value) if interval is None else Figure(value, interval.low, interval.high)


def counted(errors: EditCounts) -> Words:
    """The counts of one item; one item alone has no interval."""
    return _words([errors], None if errors.rate is None else Figure(errors.rate))


def pooled(counts: Iterable[tuple[str, EditCounts]]) -> Words:
    """Counts of many, each with the unit it belongs to, and their pooled rate with its interval over the units."""
    many = list(counts)
    units: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for unit, errors in many:
        wrong, said = units[unit]
        units[unit] = wrong + errors.errors, said + errors.reference
    wrong, said = (sum(column) for column in zip((0, 0), *units.values(), strict=True))
    return _words([errors for _, errors in many], figure(wrong / said, rate_interval(units).interval) if said else None)


def latency(name: str, seconds: Sequence[float]) -> Latency:
    """Percentiles with intervals of at least one event, and the shape of their distribution."""
    found = summarise(seconds)
    assert found is not None
    ranked = np.sort(np.asarray(seconds, np.float64))
    picked = np.unique(np.linspace(0, len(ranked) - 1, min(CDF_POINTS, len(ranked))).round().astype(int))
    return Latency(
        name=name,
        meaning=MEANINGS[name],
        count=found.count,
        p50=_rounded(found.p50),
        p90=_rounded(found.p90),
        p95=_rounded(found.p95),
        p99=_rounded(found.p99),
        largest=round(found.largest, 4),
        too_few=[f"p{quantile.percent:g}" for quantile in found.quantiles if quantile.too_few],
        cdf=[(round(float(ranked[k]), 4), round((k + 1) / len(ranked), 5)) for k in picked.tolist()],
    )


def _words(many: Sequence[EditCounts], rate: Figure | None) -> Words:
    return Words(
        hits=sum(errors.hits for errors in many),
        substitutions=sum(errors.substitutions for errors in many),
        deletions=sum(errors.deletions for errors in many),
        insertions=sum(errors.insertions for errors in many),
        rate=rate,
    )


def _rounded(quantile: Quantile) -> Figure:
    interval = quantile.interval
    if interval is None:
        return Figure(round(quantile.value, 4))
    return Figure(round(quantile.value, 4), round(interval.low, 4), round(interval.high, 4))
