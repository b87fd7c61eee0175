"""The page of a load run: latency first, then capacity, callers, stability, and how well the generator itself was."""

from voxfleet.evaluation.report.charts import latency as latency_charts
from voxfleet.evaluation.report.charts import streams as stream_charts
from voxfleet.evaluation.report.charts.canvas import Sketch
from voxfleet.evaluation.report.document import Capacity, LoadReport, Stability, Streams
from voxfleet.evaluation.report.layout import Section, drawn
from voxfleet.evaluation.report.markup import Child, Markup, many, tag
from voxfleet.evaluation.report.numbers import NONE, duration, number, plural, size
from voxfleet.evaluation.report.tables import (
    WORD_HEADS,
    facts,
    figure_cell,
    latency_table,
    latency_title,
    named_latencies,
    problem_table,
    share,
    stall_table,
    table,
    word_cells,
)
from voxfleet.evaluation.report.verdict import named


def sections(report: LoadReport) -> list[Section]:
    """Everything below the key figures, in the order it is read."""
    named_lines = named_latencies(report.latencies)
    charts: list[Sketch | None] = [
        latency_charts.distributions(named_lines),
        latency_charts.ladder(report.capacity) if report.capacity else None,
        stream_charts.concurrency(report),
        stream_charts.timeline(report.timeline, report.warm_up),
    ]
    found = [
        Section("charts", "Charts", drawn(charts)),
        Section("latency", "Latency", latency_table("Latency", named_lines)),
        Section("callers", "Callers", _callers(report.streams)),
    ]
    if report.capacity:
        found.append(Section("capacity", "Capacity", _capacity(report.capacity)))
    found += [
        Section("stability", "Stability of the text", _stability(report.stability)),
        Section("accuracy", "Accuracy under load", _accuracy(report)),
        Section("stalls", "Stalls", stall_table(report.stalls)),
        Section("problems", "Problems", problem_table(report.problems)),
        Section("generator", "The load generator", _generator(report)),
    ]
    return found


def conditions(report: LoadReport) -> list[tuple[str, Child]]:
    """What only a load run has to say of how it was measured."""
    return [
        ("Arrivals", report.arrivals),
        ("Measured", f"{duration(report.seconds)}, after a warm-up of {duration(report.warm_up)} that is not counted"),
        *((latency_title(title), latency.meaning) for title, latency in named_latencies(report.latencies)),
        ("Intervals", "95 %; percentiles by order statistics, so an interval ends at values that occurred"),
        ("Words under load", report.accuracy.normaliser if report.accuracy else None),
    ]


def _callers(counts: Streams) -> Markup:
    reasons = ", ".join(f"{code}: {number(count)}" for code, count in sorted(counts.reasons.items())) or NONE
    heads = ("offered", "admitted", "refused", "failed", "finished", "most at once", "reasons")
    row = (counts.offered, counts.admitted, counts.refused, counts.failed, counts.finished, counts.most_at_once)
    return table("Callers", heads, [(*map(number, row), reasons)], text=(6,))


def _capacity(capacity: Capacity) -> Markup:
    def outcome(meets: bool, valid: bool) -> str:
        if not valid:
            return "not valid"
        return "meets it" if meets else "does not"

    heads = (
        "streams",
        "objective",
        "p95 final, s",
        "p95 emission, s",
        "refused",
        "failed",
        "stalls",
        "lag gained, s/min",
        "why not",
    )
    rows = []
    for rung in sorted(capacity.rungs, key=lambda rung: rung.streams):
        final, emission = named(rung.latencies, "final"), named(rung.latencies, "emission")
        rows.append(
            (
                many(number(rung.streams), tag("small", duration(rung.seconds))),
                tag("span", outcome(rung.meets, rung.valid), class_="meets" if rung.meets and rung.valid else "fails"),
                figure_cell(final.p95 if final else None, "seconds"),
                figure_cell(emission.p95 if emission else None, "seconds"),
                number(rung.counts.refused),
                number(rung.counts.failed),
                number(rung.stalls),
                figure_cell(rung.lag_growth, "seconds"),
                "; ".join(rung.why_not),
            )
        )
    objective = tag("p", f"Objective: {capacity.objective}. ", capacity.beyond and f"Beyond it: {capacity.beyond}")
    return many(objective, table("Capacity", heads, rows, text=(0, 1, 8)))


def _stability(stability: Stability) -> Markup:
    def ratio(value: float | None) -> str:
        return NONE if value is None else f"{value:.3f}"

    changed = stability.committed_revisions
    committed: Child = (
        "0, as promised" if not changed else tag("strong", f"{number(changed)}: must be 0", class_="fails")
    )
    return facts(
        [
            ("Committed text changed", committed),
            ("Unstable partial word ratio", f"{ratio(stability.upwr)} (words shown and later changed ÷ final words)"),
            ("Revisions per word", ratio(stability.revisions_per_word)),
            (
                "Counts",
                f"{plural(stability.partials, 'partial')}, {plural(stability.revisions, 'revision')}, "
                f"{plural(stability.shown_and_changed, 'word')} changed of {number(stability.final_words)}; "
                f"{number(stability.revised_turns)} of {plural(stability.turns, 'turn')} revised",
            ),
        ]
    )


def _accuracy(report: LoadReport) -> Markup:
    if not report.accuracy:
        return tag("p", "Not measured: the recordings carry no references.", class_="none")
    accuracy = report.accuracy
    row = (plural(accuracy.calls, "call"), *word_cells(accuracy.words))
    return table("Accuracy under load", ("of", *WORD_HEADS), [row], note=f"Normalised by {accuracy.normaliser}.")


def _generator(report: LoadReport) -> Markup:
    health = report.health
    median, p99, most = (1000 * lag for lag in (health.lag_p50, health.lag_p99, health.lag_max))
    sent = f"{plural(health.frames_sent, 'frame')}, {size(report.bytes_sent)}"
    return facts(
        [
            ("Standing", "valid" if health.valid else tag("strong", "invalid", class_="fails")),
            ("Why", "; ".join(health.because)),
            ("Lag behind the due time", f"median {median:.1f} ms, p99 {p99:.1f} ms, most {most:.0f} ms"),
            ("Processor", f"{share(health.cpu_share)} of one core"),
            (
                "Sent",
                f"{sent}; {duration(report.audio_seconds)} of audio",
            ),
            ("Received", size(report.bytes_received)),
        ]
    )
