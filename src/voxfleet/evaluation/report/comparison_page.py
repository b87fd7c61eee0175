"""Two reports beside each other, as a page and as plain rows for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxfleet.evaluation.report import numbers
from voxfleet.evaluation.report.charts.canvas import FULL, INK, LIMIT, Sketch, axes, key
from voxfleet.evaluation.report.charts.whiskers import beside, name_rows, whisker
from voxfleet.evaluation.report.compare import Comparison, Difference
from voxfleet.evaluation.report.compare_load import LoadComparison
from voxfleet.evaluation.report.gates import Gate, passes, unseen
from voxfleet.evaluation.report.layout import Section, drawn
from voxfleet.evaluation.report.markup import Child, Markup, many, tag
from voxfleet.evaluation.report.page import document, moment
from voxfleet.evaluation.report.tables import facts, figure_cell, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

ROWS = 40
"""Slices the chart shows at most: of those with an interval, the ones that differ most."""

_NAMED = 50


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of text: every row has as many cells as there are heads."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """What a terminal shows: sentences, then tables."""

    sentences: tuple[str, ...]
    tables: tuple[Grid, ...]


def plain(comparison: Comparison | LoadComparison) -> Plain:
    """The comparison without a page."""
    if isinstance(comparison, LoadComparison):
        figures = tuple(
            (row.name, numbers.estimate(row.a, row.unit), numbers.estimate(row.b, row.unit), _apart(row.apart))
            for row in comparison.rows
        )
        return Plain(tuple(comparison.warnings), (Grid(("figure", "A", "B", "intervals"), figures),))
    sentences = (comparison.sentence, *_left_out(comparison), *unseen(comparison.gates, comparison.level))
    gates = (_plain_gates(comparison),) if comparison.gates else ()
    return Plain(sentences, (_plain_slices(comparison), *gates))


def _plain_slices(comparison: Comparison) -> Grid:
    heads = ("recordings", "n", "units", "WER A", "WER B", "B − A, points", "p (Holm)", "verdict")
    found = [comparison.overall, *comparison.slices]
    return Grid(heads, tuple((_name(one), *_cells(one)) for one in found))


def _plain_gates(comparison: Comparison) -> Grid:
    heads = ("gate", "n", "units", "A", "B", "B − A, points", "p beyond (Holm)", "verdict")
    return Grid(heads, tuple((one.name, *_cells(one)) for one in comparison.gates))


def _cells(one: Difference | Gate) -> tuple[str, ...]:
    return (
        numbers.number(one.items),
        numbers.number(one.units),
        f"{numbers.percent(one.a)} %",
        f"{numbers.percent(one.b)} %",
        f"{numbers.points(one.difference.value)} {numbers.interval_of(one.difference, 'points')}".rstrip(),
        _chance(one, one.adjusted),
        one.verdict,
    )


def render_comparison(comparison: Comparison | LoadComparison) -> str:
    """One HTML file, like a report's."""
    if isinstance(comparison, LoadComparison):
        return _render_load(comparison)
    a, b = comparison.a, comparison.b
    left_out = _left_out(comparison)
    top = many(
        tag("p", comparison.sentence, class_="verdict"),
        tag("ul", [tag("li", sentence) for sentence in left_out], class_="also") if left_out else None,
    )
    gates = [Section("gates", "Gates", _gates(comparison))] if comparison.gates else []
    sections = [
        *gates,
        Section("differences", "Differences", many(drawn([_chart(comparison)]), _table(comparison))),
        Section("left-out", "Not compared", _names(comparison)),
        Section("method", "How it was compared", _method(comparison)),
    ]
    return document(
        title=_title(comparison),
        kind="Comparison",
        line=f"A: {a.mode}, {moment(a.created)} · B: {b.mode}, {moment(b.created)}",
        top=top,
        sections=sections,
    )


def _render_load(comparison: LoadComparison) -> str:
    warnings = tag("ul", [tag("li", warning) for warning in comparison.warnings])
    headline = tag("strong", "Not quite alike")
    rows = [
        (
            row.name,
            figure_cell(row.a, row.unit, suffix=True),
            figure_cell(row.b, row.unit, suffix=True),
            _apart(row.apart),
        )
        for row in comparison.rows
    ]
    note = "Intervals that lie apart are a hint that a difference is real, not a test: no two runs have the same calls."
    return document(
        title=f"{comparison.a} / {comparison.b}",
        kind="Comparison",
        line=f"A: {comparison.a}, {moment(comparison.created_a)} · B: {comparison.b}, {moment(comparison.created_b)}",
        top=tag("div", headline, warnings, class_="banner partial", role="note") if comparison.warnings else many(),
        sections=[
            Section(
                "figures",
                "Side by side",
                table("Side by side", ("figure", "A", "B", "intervals"), rows, text=(0, 3), note=note),
            )
        ],
    )


def _chart(comparison: Comparison) -> Sketch:
    sure = [one for one in comparison.slices if one.difference.low is not None]
    ranked = sorted(sure, key=lambda one: -abs(one.difference.value))[:ROWS]
    found = [comparison.overall, *sorted(ranked, key=lambda one: (one.by, -one.difference.value))]

    def paint(figure: "Drawing", _narrow: bool) -> None:
        axis = axes(figure, across="WER of B − WER of A, points", grid="x")
        for row, one in enumerate(found):
            whisker(axis, row, one.difference, 0 if row == 0 else 1)
            beside(axis, row, f"n = {numbers.number(one.items)}")
        name_rows(axis, [_name(one) for one in found])
        axis.axvline(0, color=INK, linewidth=1, zorder=0)
        margin = f"margin {100 * comparison.margin:g} points"
        axis.axvline(100 * comparison.margin, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0, label=margin)
        key(figure, axis, columns=1)

    more = len(comparison.slices) - len(ranked)
    return Sketch(
        name="differences",
        caption="Difference by slice",
        says=f"Differences of word error rates. {comparison.sentence}.",
        paint=paint,
        width=FULL,
        height=110 + 25 * len(found),
        note=f"right of zero: B makes more errors{f'; {more} more slices in the table' if more else ''}",
    )


def _gates(comparison: Comparison) -> Markup:
    heads = ("gate", "n", "units", "A, %", "B, %", "B − A, points", "p beyond", "after Holm", "verdict")
    rows: list[Sequence[Child]] = [
        (
            many(one.name, tag("small", one.meaning)),
            numbers.number(one.items),
            numbers.number(one.units),
            numbers.percent(one.a),
            numbers.percent(one.b),
            figure_cell(one.difference, "points"),
            _chance(one, one.p_beyond),
            _chance(one, one.adjusted),
            tag("span", one.verdict, class_=_colour(one.verdict)),
        )
        for one in comparison.gates
    ]
    margin = f"{100 * comparison.margin:g} points"
    told = f"p beyond: how often chance alone would look this good if B were worse by {margin}; small speaks for B."
    note = " ".join((told, *(f"{sentence}." for sentence in unseen(comparison.gates, comparison.level))))
    return table("Gates", heads, rows, text=(0, 8), note=note)


def _colour(verdict: str) -> str | None:
    return "meets" if passes(verdict) else "fails" if verdict == "worse" else None


def _table(comparison: Comparison) -> Markup:
    heads = ("recordings", "n", "units", "WER A, %", "WER B, %", "B − A, points", "p", "p after Holm", "verdict")
    rows: list[Sequence[Child]] = [
        (
            _name(one),
            numbers.number(one.items),
            numbers.number(one.units),
            numbers.percent(one.a),
            numbers.percent(one.b),
            figure_cell(one.difference, "points"),
            _chance(one, one.p_value),
            _chance(one, one.adjusted),
            tag("span", one.verdict, class_={"better": "meets", "worse": "fails"}.get(one.verdict)),
        )
        for one in (comparison.overall, *comparison.slices)
    ]
    return table("Differences", heads, rows, text=(0, 8))


def _left_out(comparison: Comparison) -> tuple[str, ...]:
    return tuple(f"{numbers.plural(len(items), 'recording')} {why}" for why, items in _reasons(comparison) if items)


def _names(comparison: Comparison) -> Markup:
    found = [(why.capitalize(), items) for why, items in _reasons(comparison) if items]
    if not found:
        return tag("p", "None: every recording is in both, scored against the same reference.", class_="none")

    def named(items: list[str]) -> str:
        more = len(items) - _NAMED
        return ", ".join(items[:_NAMED]) + (f" and {more} more" if more > 0 else "")

    return facts([(f"{why} ({len(items)})", named(items)) for why, items in found])


def _reasons(comparison: Comparison) -> tuple[tuple[str, list[str]], ...]:
    return (
        ("only in A", comparison.only_a),
        ("only in B", comparison.only_b),
        ("failed or without a reference", comparison.unscored),
        ("with another reference", comparison.other_reference),
    )


def _method(comparison: Comparison) -> Markup:
    level = f"{100 * comparison.level:g} %"
    return facts(
        [
            ("Test", f"paired bootstrap over shared recordings, {level}; resampled by {comparison.unit}"),
            (
                "Margin",
                f"{100 * comparison.margin:g} points: B is not worse where the one-sided {level} bound is within it",
            ),
            (
                "Gates",
                "each judged by itself at the same margin; whoever asks for several wants all of them passed, "
                "which needs no correction. Beside it Holm's, for reading one of them alone",
            ),
            ("Slices", "Holm's correction over all of them: the chance of even one false alarm is as stated"),
            ("Normaliser", comparison.normaliser),
        ]
    )


def _title(comparison: Comparison) -> str:
    a, b = comparison.a, comparison.b
    if a.title != b.title:
        return f"{a.title} / {b.title}"
    return a.title if a.mode == b.mode else f"{a.title}: {a.mode} / {b.mode}"


def _name(one: Difference) -> str:
    return f"{one.by}: {one.value}" if one.by else "all recordings"


def _chance(one: Difference | Gate, value: float) -> str:
    if one.difference.low is None:
        return numbers.NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _apart(apart: bool | None) -> str:
    return {True: "apart", False: "overlap", None: ""}[apart]
