"""Two load runs side by side: every latency and count of both, and whether their intervals lie apart.

Runs under load are never the same run twice, so this is a view and no test: intervals that lie apart are a hint that
the difference is real, and what differs in the conditions is said first.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from voxfleet.evaluation.report.charts.latency import NAMES
from voxfleet.evaluation.report.document import Figure, LoadReport
from voxfleet.evaluation.report.verdict import named

PERCENTILES = ("p50", "p95", "p99")


class LoadRow(Struct, frozen=True, kw_only=True):
    """One figure of both runs."""

    name: str
    unit: str
    a: Figure | None
    b: Figure | None
    apart: bool | None = None
    """Whether the intervals don't touch. None where one of the two is missing."""


class LoadComparison(Struct, frozen=True, kw_only=True, tag="load_comparison"):
    """Two load runs side by side."""

    a: str
    b: str
    """Their titles."""
    created_a: str
    created_b: str
    warnings: list[str]
    """What makes the two hard to compare: other machines, other audio, a run that is not valid."""
    rows: list[LoadRow]


def compare_load(a: LoadReport, b: LoadReport) -> LoadComparison:
    """Latencies, callers, stability and capacity of both."""
    rows = [*_latencies(a, b), *_counts(a, b)]
    return LoadComparison(
        a=a.about.title,
        b=b.about.title,
        created_a=a.about.created,
        created_b=b.about.created,
        warnings=[*_warnings(a, b)],
        rows=[row for row in rows if row.a is not None or row.b is not None],
    )


def _warnings(a: LoadReport, b: LoadReport) -> Iterator[str]:
    for name, report in (("A", a), ("B", b)):
        if not report.health.valid:
            yield f"{name} is not valid: its load generator was not well. Its figures are not the server's."
        if report.about.partial:
            yield f"{name} is partial: it ended before its time."
    conditions: dict[str, Callable[[LoadReport], object]] = {
        "machine": lambda report: (report.about.machine.processor, report.about.machine.cores),
        "target": lambda report: (report.about.target.url, report.about.target.private),
        "dialect": lambda report: report.about.target.dialect,
        "model": lambda report: report.about.target.model,
        "audio": lambda report: report.about.audio,
        "arrivals": lambda report: report.arrivals,
        "callers offered": lambda report: report.streams.offered,
        "seconds measured": lambda report: report.seconds,
        "seed": lambda report: report.about.seed,
    }
    for name, read in conditions.items():
        if (of_a := read(a)) != (of_b := read(b)):
            yield f"Another {name}: {_said(of_a)} and {_said(of_b)}"


def _latencies(a: LoadReport, b: LoadReport) -> Iterator[LoadRow]:
    kinds = dict.fromkeys(latency.name for report in (a, b) for latency in report.latencies)
    for kind in kinds:
        of_a, of_b = named(a.latencies, kind), named(b.latencies, kind)
        for percentile in PERCENTILES:
            figure_a, figure_b = (getattr(latency, percentile, None) for latency in (of_a, of_b))
            name = f"{percentile} {NAMES.get(kind, kind)}"
            yield LoadRow(name=name, unit="seconds", a=figure_a, b=figure_b, apart=_apart(figure_a, figure_b))


def _counts(a: LoadReport, b: LoadReport) -> Iterator[LoadRow]:
    for name in ("offered", "admitted", "refused", "failed", "finished", "most_at_once"):
        of_a, of_b = (Figure(getattr(report.streams, name)) for report in (a, b))
        yield LoadRow(name=name.replace("_", " "), unit="count", a=of_a, b=of_b)
    stalls = (Figure(len(report.stalls)) for report in (a, b))
    yield LoadRow(name="stalls", unit="count", a=next(stalls), b=next(stalls))
    for name, title in (("upwr", "unstable partial word ratio"), ("revisions_per_word", "revisions per word")):
        ratio_a, ratio_b = (getattr(report.stability, name) for report in (a, b))
        yield LoadRow(name=title, unit="share", a=_figure(ratio_a), b=_figure(ratio_b))
    committed_a, committed_b = (Figure(report.stability.committed_revisions) for report in (a, b))
    yield LoadRow(name="committed text changed", unit="count", a=committed_a, b=committed_b)
    rate_a, rate_b = (report.accuracy.words.rate if report.accuracy else None for report in (a, b))
    yield LoadRow(name="WER under load", unit="share", a=rate_a, b=rate_b, apart=_apart(rate_a, rate_b))
    most_a, most_b = (report.capacity.streams if report.capacity else None for report in (a, b))
    yield LoadRow(name="capacity, streams", unit="count", a=_figure(most_a), b=_figure(most_b))


def _apart(a: Figure | None, b: Figure | None) -> bool | None:
    if a is None or b is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    return a.high < b.low or b.high < a.low


def _figure(value: float | None) -> Figure | None:
    return None if value is None else Figure(value)


def _said(condition: object) -> str:
    return ", ".join(map(str, condition)) if isinstance(condition, tuple) else str(condition)
