"""How sure a figure is: intervals, verdicts and trends, by the numbered rules of the evaluation reference, section 2.

Pure functions of numbers. What has to be drawn at random is drawn from a seed, so the same counts give the same answer.
"""

from voxfleet.evaluation.statistics.comparison import (
    Comparison,
    Correction,
    Shift,
    Verdict,
    compare,
    compare_percentiles,
    holm,
)
from voxfleet.evaluation.statistics.intervals import Interval, percentile_interval, proportion_interval
from voxfleet.evaluation.statistics.resampling import Estimate, f1, figure_interval, rate, rate_interval
from voxfleet.evaluation.statistics.summary import Quantile, Sample, Summary, summarise
from voxfleet.evaluation.statistics.trend import Trend, trend

__all__ = [
    "Comparison",
    "Correction",
    "Estimate",
    "Interval",
    "Quantile",
    "Sample",
    "Shift",
    "Summary",
    "Trend",
    "Verdict",
    "compare",
    "compare_percentiles",
    "f1",
    "figure_interval",
    "holm",
    "percentile_interval",
    "proportion_interval",
    "rate",
    "rate_interval",
    "summarise",
    "trend",
]
