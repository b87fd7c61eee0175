"""The page of an accuracy run: rates by mode and slice, what streaming costs, and every wrong word with its sound."""

from collections import Counter
from itertools import groupby
from typing import Any

from voxfleet.evaluation.report.charts import accuracy as accuracy_charts
from voxfleet.evaluation.report.charts import latency as latency_charts
from voxfleet.evaluation.report.charts.canvas import Sketch
from voxfleet.evaluation.report.document import AlignedWord, EvaluationReport, ItemResult, Latency
from voxfleet.evaluation.report.layout import Section, drawn, embedded
from voxfleet.evaluation.report.markup import Child, Markup, many, tag
from voxfleet.evaluation.report.numbers import NONE, errors, number, seconds
from voxfleet.evaluation.report.tables import (
    WORD_HEADS,
    figure_cell,
    latency_table,
    latency_title,
    named_latencies,
    named_table,
    problem_table,
    table,
    word_cells,
)

_SHORT = {"substitute": "s", "delete": "d", "insert": "i"}


def sections(report: EvaluationReport) -> list[Section]:
    """Everything below the key figures, in the order it is read."""
    lines = _latencies(report)
    charts: list[Sketch | None] = [
        accuracy_charts.by_mode(report.modes),
        accuracy_charts.cost(report.streaming_cost),
        latency_charts.distributions([line for line in lines if "response" not in line[0]]),
        accuracy_charts.by_slice(report.modes),
    ]
    found = [
        Section("charts", "Charts", drawn(charts)),
        Section("modes", "Word errors by mode", _modes(report)),
    ]
    if any(mode.figures for mode in report.modes):
        figures = named_table("Further figures", [(mode.mode, mode.figures) for mode in report.modes])
        found.append(Section("figures", "Further figures", figures))
    if report.streaming_cost:
        found.append(Section("cost", "What streaming costs", _cost(report)))
    if lines:
        found.append(Section("latency", "Latency", latency_table("Latency", lines, first="mode")))
    if any(mode.slices for mode in report.modes):
        found.append(Section("slices", "Slices", _slices(report)))
    found.append(Section("words", "Every word", _words(report)))
    found.append(Section("problems", "Problems", problem_table(report.problems)))
    return found


def conditions(report: EvaluationReport) -> list[tuple[str, Child]]:
    """What only an accuracy run has to say of how it was measured."""
    meanings = {latency.name: latency for mode in report.modes for latency in mode.latencies}
    return [
        ("Normaliser", report.normaliser),
        (
            "Rates",
            "pooled: errors of all recordings ÷ reference words of all; above 100 % where more is invented than said",
        ),
        ("Intervals", f"95 %; resampled by {report.unit}"),
        *((latency_title(title), one.meaning) for title, one in named_latencies([*meanings.values()])),
    ]


def _latencies(report: EvaluationReport) -> list[tuple[str, Latency]]:
    return [
        (f"{mode.mode}, {name}", latency) for mode in report.modes for name, latency in named_latencies(mode.latencies)
    ]


def _modes(report: EvaluationReport) -> Markup:
    heads = ("mode", "recordings", *WORD_HEADS, "WER as written, %", "CER, %")
    rows = [
        (
            mode.mode,
            number(len(mode.items)),
            *word_cells(mode.words),
            figure_cell(mode.raw.rate, "share"),
            figure_cell(mode.characters.rate, "share"),
        )
        for mode in report.modes
    ]
    note = f"Normalised by {report.normaliser}. “As written” keeps case and punctuation."
    return table("Word errors by mode", heads, rows, note=note)


def _cost(report: EvaluationReport) -> Markup:
    rows = [
        (cost.mode, figure_cell(cost.points, "points"), NONE if cost.final_p95 is None else seconds(cost.final_p95))
        for cost in report.streaming_cost
    ]
    return table("What streaming costs", ("mode", "WER − WER offline, points", "p95 final latency, s"), rows)


def _slices(report: EvaluationReport) -> Markup:
    """A table for each mode, folded but for the first."""
    folded: list[Markup] = []
    for place, mode in enumerate(report.modes):
        ordered = sorted(mode.slices, key=lambda part: (part.by, -(part.words.rate.value if part.words.rate else 0)))
        rows = [(part.by, part.value, number(part.items), *word_cells(part.words)) for part in ordered]
        drawn_table = table(f"Slices, {mode.mode}", ("column", "value", "recordings", *WORD_HEADS), rows, text=(0, 1))
        summary = tag("summary", f"{mode.mode}: {number(len(rows))} slices")
        folded.append(tag("details", summary, drawn_table, open=place == 0 and len(rows) <= 24))
    return many(folded)


def _words(report: EvaluationReport) -> Markup:
    """The frame of the word view; page.js fills it from the JSON as far as it is looked at."""
    modes = tag("select", [tag("option", mode.mode, value=place) for place, mode in enumerate(report.modes)], id="mode")
    slices = Counter(pair for mode in report.modes[:1] for item in mode.items for pair in item.columns.items())
    options = [
        tag("option", f"{by}: {value} ({count})", value=f"{by}\n{value}")
        for (by, value), count in sorted(slices.items())
        if count > 1
    ]
    controls = tag(
        "form",
        tag("label", "Mode ", modes) if len(report.modes) > 1 else tag("span", modes, hidden=True),
        tag("label", "Slice ", tag("select", tag("option", "all", value=""), options, id="slice")),
        tag(
            "label", "Search ", tag("input", type="search", id="search", autocomplete="off", placeholder="word or name")
        ),
        tag("label", tag("input", type="checkbox", id="wrong", checked=True), " only with errors"),
        tag("output", "", id="shown", for_="mode slice search wrong", role="status"),
        id="choose",
    )
    legend = tag(
        "p",
        "Equal words are plain; ",
        tag("span", tag("span", "said", class_="said"), tag("span", "heard", class_="heard"), class_="w s"),
        " substituted (said above, heard below); ",
        tag("del", "left out", class_="w d"),
        " left out; ",
        tag("ins", "added", class_="w i"),
        " added.",
        class_="legend",
    )
    player = tag("audio", id="player", controls=True, preload="none", hidden=not report.clips, aria_label="The clip")
    return many(
        tag("noscript", tag("p", "The words are shown by a script of this page; scripts are off.", class_="missing")),
        controls,
        legend,
        player,
        tag("ol", "", id="items"),
        tag("button", "Show more", type="button", id="more", hidden=True),
        embedded(
            "words-data", [{"mode": mode.mode, "items": [_row(item) for item in mode.items]} for mode in report.modes]
        ),
        embedded("clips-data", report.clips),
    )


def _row(item: ItemResult) -> dict[str, Any]:
    """An item as page.js reads it. Empty things are left out: there may be thousands."""
    counts = item.words
    row = {
        "id": item.item,
        "unit": item.unit,
        "seconds": round(item.seconds, 2),
        "kind": item.kind if item.kind != "speech" else None,
        "columns": item.columns,
        "said": item.reference,
        "heard": item.hypothesis,
        "failed": item.hypothesis is None,
        "counts": [counts.hits, counts.substitutions, counts.deletions, counts.insertions] if counts else None,
        "errors": errors(counts) if counts else 0,
        "words": _runs(item.alignment),
        "runaway": item.runaway,
        "final": round(max(item.final_latency), 3) if item.final_latency else None,
    }
    return {name: value for name, value in row.items() if value not in (None, "", {}, [], False)}


def _runs(alignment: list[AlignedWord]) -> list[Any]:
    """Equal words as one string; every other column as [op, said, heard], without what is None."""
    runs: list[Any] = []
    for equal, columns in groupby(alignment, lambda column: column.op == "equal"):
        if equal:
            runs.append(" ".join(column.said or "" for column in columns))
        else:
            runs.extend(
                [_SHORT.get(column.op, "s"), *(word for word in (column.said, column.heard) if word is not None)]
                for column in columns
            )
    return runs
