"""Callers drawn: how many at once, and what happened to some of them from beginning to end."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from voxfleet.evaluation.report.charts.canvas import BAD, FAINT, FULL, GRID, INK, SERIES, WARN, Sketch, axes, key
from voxfleet.evaluation.report.document import LoadReport, StreamLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 60
"""Callers a timeline shows at most: more can't be told apart."""

OUTCOMES = {"finished": (SERIES[0], ""), "cut short": (WARN, "|"), "failed": (BAD, "X"), "refused": (FAINT, "x")}
"""Colour of each outcome, and the mark at its end: an outcome can be told without its colour."""

_NAN = float("nan")


def concurrency(report: LoadReport) -> Sketch | None:
    """Callers at once over the run, refusals beneath. None where nobody kept count."""
    steps = report.concurrency
    if not steps:
        return None
    refused = report.refusals

    def paint(figure: "Figure", narrow: bool) -> None:
        drawn = axes(figure, across="seconds of the run", up="callers at once")
        times, counts = [at for at, _ in steps], [count for _, count in steps]
        most = max(counts)
        drawn.fill_between(times, counts, step="post", color=SERIES[0], alpha=0.16, linewidth=0)
        drawn.plot(
            times, counts, drawstyle="steps-post", color=SERIES[0], linewidth=1.6, label="admitted and not ended"
        )
        _warm_up(drawn, report.warm_up)
        if refused:
            marks: dict[str, Any] = {"marker": 7, "markersize": 6, "linestyle": "none", "clip_on": False}
            drawn.plot(refused, [most * 1.08] * len(refused), color=BAD, label="refused", **marks)
        drawn.set_ylim(0, max(most * 1.15, 1))
        drawn.set_xlim(0, max(times[-1], report.warm_up + report.seconds))
        key(figure, drawn, columns=2 if narrow else 4)

    return Sketch(
        name="concurrency",
        caption="Callers over time",
        says=f"Callers at once over the run, at most {report.streams.most_at_once}.",
        paint=paint,
        height=280,
    )


def timeline(lines: Sequence[StreamLine], warm_up: float = 0.0) -> Sketch | None:
    """One row per caller, in the order they came, at most `ROWS`. None without callers."""
    rows = sorted(lines, key=lambda line: (line.begin, line.stream))[:ROWS]
    if not rows:
        return None

    def paint(figure: "Figure", narrow: bool) -> None:
        drawn = axes(figure, across="seconds of the run", up="caller", grid="x")
        for outcome, (colour, mark) in OUTCOMES.items():
            chosen = [(row, line) for row, line in enumerate(rows) if line.outcome == outcome]
            if chosen:
                _lives(drawn, chosen, outcome, colour, mark)
        _events(drawn, rows)
        _warm_up(drawn, warm_up)
        every = 1 if len(rows) <= 30 else 5
        shown = range(0, len(rows), every)
        drawn.set_yticks([*shown], [str(rows[row].stream) for row in shown])
        drawn.set_ylim(len(rows) - 0.3, -0.7)
        drawn.set_xlim(left=0, right=max(line.end for line in rows) * 1.01 or 1)
        key(figure, drawn, columns=3 if narrow else 8)

    height = 100 + 11 * len(rows)
    left_out = len(lines) - len(rows)
    return Sketch(
        name="timeline",
        caption="Some callers, from beginning to end",
        says=f"Timeline of {len(rows)} callers: when each spoke, and when partials and finals arrived.",
        paint=paint,
        width=FULL,
        height=height,
        narrow_height=height + 40,
        note=f"the first {ROWS}; {left_out} more are in the JSON" if left_out else "",
    )


def _lives(drawn: "Axes", chosen: Sequence[tuple[int, StreamLine]], outcome: str, colour: str, mark: str) -> None:
    lives = [(line.begin, line.end, row) for row, line in chosen]
    speech = [(begin, end, row) for row, line in chosen for begin, end in line.speech]
    # One path for all of them: a path for each would be thousands of elements.
    drawn.plot(*_bars(lives), color=colour, linewidth=7.5, alpha=0.22, solid_capstyle="butt")
    drawn.plot(*_bars(speech), color=colour, linewidth=7.5, alpha=0.5, solid_capstyle="butt")
    ends = [line.end for _, line in chosen]
    drawn.plot(
        ends if mark else [],
        [row for row, _ in chosen] if mark else [],
        color=colour,
        marker=mark or "s",
        linestyle="none",
        markersize=7,
        markeredgewidth=1.6,
        label=outcome,
    )


def _events(drawn: "Axes", rows: Sequence[StreamLine]) -> None:
    partials = [(row, at) for row, line in enumerate(rows) for at in line.partials]
    finals = [(row, at) for row, line in enumerate(rows) for at in line.finals]
    ticks = _joined((((at, row - 0.34), (at, row + 0.34)) for row, at in partials))
    drawn.plot(*ticks, color=INK, linewidth=0.6, alpha=0.55)
    drawn.plot([], [], "|", color=INK, markersize=8, markeredgewidth=0.8, label="partial")
    drawn.plot([at for _, at in finals], [row for row, _ in finals], "o", color=INK, markersize=3.4, label="final")


def _bars(spans: Iterable[tuple[float, float, int]]) -> tuple[list[float], list[float]]:
    return _joined((((begin, row), (end, row)) for begin, end, row in spans))


def _joined(pieces: Iterable[tuple[tuple[float, float], tuple[float, float]]]) -> tuple[list[float], list[float]]:
    across: list[float] = []
    up: list[float] = []
    for first, second in pieces:
        across += [first[0], second[0], _NAN]
        up += [first[1], second[1], _NAN]
    return across, up


def _warm_up(drawn: "Axes", until: float) -> None:
    if until > 0:
        drawn.axvspan(0, until, color=GRID, alpha=0.6, linewidth=0, zorder=0, label="warm-up, not counted")
