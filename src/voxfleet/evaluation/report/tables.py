"""Tables of both kinds of report: every number with its interval and its n, nothing without a unit."""

from collections.abc import Collection, Iterable, Sequence

from voxfleet.evaluation.report.charts.latency import NAMES
from voxfleet.evaluation.report.document import Figure, Latency, Named, Problem, Stall, Words
from voxfleet.evaluation.report.markup import Child, Markup, many, tag
from voxfleet.evaluation.report.numbers import (
    NONE,
    bare,
    interval_of,
    number,
    percent,
    seconds,
    value_of,
)

PERCENTILES = ("p50", "p90", "p95", "p99")

WORD_HEADS = ("WER, %", "words", "substituted", "left out", "added")
"""Of the cells `word_cells` makes."""


def table(
    name: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    text: Collection[int] = (0,),
    note: Child = None,
) -> Markup:
    """A table in a box of its own, which scrolls where the window is narrow. `text`: the columns that are words."""

    def cell(kind: str, place: int, content: Child, scope: str | None = None) -> Markup:
        return tag(kind, content, scope=scope, class_=None if place in text else "number")

    head = tag("tr", [cell("th", place, title, "col") for place, title in enumerate(heads)])
    body = [
        tag("tr", [cell("td", place, one) if place else cell("th", 0, one, "row") for place, one in enumerate(row)])
        for row in rows
    ]
    drawn = tag("table", tag("thead", head), tag("tbody", body))
    box = tag("div", drawn, class_="box", role="region", aria_label=name, tabindex=0)
    return many(box, tag("p", note, class_="note") if note else None)


def figure_cell(figure: Figure | None, unit: str, *, suffix: bool = False) -> Child:
    """Estimate over interval; the unit stands in the head of the column unless `suffix` is set."""
    if figure is None:
        return NONE
    value = value_of(figure, unit) if suffix else bare(figure, unit)
    interval = interval_of(figure, unit)
    return many(value, " " if interval else None, tag("span", interval, class_="interval") if interval else None)


def latency_table(name: str, lines: Sequence[tuple[str, Latency]], *, first: str = "latency") -> Markup:
    """Percentiles of each, seconds. Those that too few events support are marked, never left out."""

    def cell(latency: Latency, percentile: str) -> Child:
        figure: Figure | None = getattr(latency, percentile)
        few = percentile in latency.too_few
        if figure is None:
            return "too few" if few else NONE
        return many(figure_cell(figure, "seconds"), tag("abbr", "†", title="too few events") if few else None)

    rows = [
        (
            called,
            number(latency.count),
            *(cell(latency, percentile) for percentile in PERCENTILES),
            NONE if latency.largest is None else seconds(latency.largest),
        )
        for called, latency in lines
    ]
    few = any(latency.too_few for _, latency in lines)
    note = "† too few events to rely on: p95 asks for 100, p99 for 1,000." if few else None
    return table(name, (first, "n", "p50, s", "p90, s", "p95, s", "p99, s", "largest, s"), rows, note=note)


def named_latencies(latencies: Sequence[Latency]) -> list[tuple[str, Latency]]:
    """Each with its name in words."""
    return [(NAMES.get(latency.name, latency.name), latency) for latency in latencies]


def latency_title(name: str) -> str:
    """What its definition is listed under."""
    return name.capitalize() if name.endswith("lag") else f"{name.capitalize()} latency"


def word_cells(words: Words) -> tuple[Child, ...]:
    """Rate, reference words, and the three kinds of errors."""
    spoken = words.hits + words.substitutions + words.deletions
    counts = (spoken, words.substitutions, words.deletions, words.insertions)
    return (figure_cell(words.rate, "share"), *map(number, counts))


def named_table(name: str, modes: Sequence[tuple[str, Sequence[Named]]]) -> Markup:
    """Further figures, a row each, a column for every mode; what they mean beneath the name."""
    rows: dict[str, Named] = {}
    for _, figures in modes:
        for figure in figures:
            rows.setdefault(figure.name, figure)
    found = {(mode, figure.name): figure for mode, figures in modes for figure in figures}

    def cell(one: Named | None) -> Child:
        if one is None:
            return NONE
        counts = ", ".join(f"{what} {number(count)}" for what, count in one.counts.items())
        return many(figure_cell(one.figure, one.unit, suffix=True), tag("small", counts) if counts else None)

    return table(
        name,
        ("figure", *(mode for mode, _ in modes)),
        (
            (
                many(one.name, tag("small", one.meaning) if one.meaning else None),
                *(cell(found.get((mode, key))) for mode, _ in modes),
            )
            for key, one in rows.items()
        ),
    )


def problem_table(problems: Sequence[Problem]) -> Markup:
    """What went wrong, where. Says so where nothing did."""
    if not problems:
        return tag("p", "None.", class_="none")
    rows = ((problem.where, tag("code", problem.code), problem.message) for problem in problems)
    return table("Problems", ("where", "code", "what happened"), rows, text=(0, 1, 2))


def stall_table(stalls: Sequence[Stall]) -> Markup:
    """Callers that were left without an answer."""
    if not stalls:
        return tag("p", "None: no caller waited longer than 5 s for text while speaking.", class_="none")
    rows = ((f"caller {stall.stream}", f"{stall.begin:.1f}", f"{stall.seconds:.1f}") for stall in stalls)
    return table("Stalls", ("who", "from, s of the run", "for, s"), rows)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """A list of names and what they are."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value], class_="facts")


def share(part: float) -> str:
    """A share with its unit."""
    return f"{percent(part)}\u00a0%"
