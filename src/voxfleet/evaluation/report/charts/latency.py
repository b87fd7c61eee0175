"""Latency drawn: its distribution, and how it grows with the number of callers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voxfleet.evaluation.report import numbers
from voxfleet.evaluation.report.charts.canvas import (
    FAINT,
    GRID,
    INK,
    LIMIT,
    MARKS,
    PAPER,
    SERIES,
    STROKES,
    Sketch,
    axes,
    calm,
    key,
)
from voxfleet.evaluation.report.document import Capacity, Figure, Latency, Rung

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

OBJECTIVE = 2.0
"""Seconds: what the product promises for partials and finals, unless a report says otherwise."""

NAMES = {"first_partial": "first partial", "response_lag": "response lag"}
"""Kinds of latency in words; the others are words already."""

_TICKS = (-2, -1, -0.5, 0, 0.25, 0.5, 1, 2, 5, 10, 20, 60, 120, 300)


def distributions(lines: Sequence[tuple[str, Latency]], limit: float = OBJECTIVE) -> Sketch | None:
    """Cumulative distribution of each named latency, with p95 and its interval. None where there are no events."""
    lines = [(name, latency) for name, latency in lines if latency.cdf][: len(SERIES)]
    if not lines:
        return None

    def paint(figure: "Drawing", narrow: bool) -> None:
        drawn = axes(figure, across="latency, seconds", up="share of events at most that late")
        for number, (name, latency) in enumerate(lines):
            _distribution(drawn, number, name, latency)
        _seconds_axis(drawn, [at for _, latency in lines for at, _ in latency.cdf], limit, narrow=narrow)
        drawn.set_ylim(0, 1.02)
        drawn.set_yticks([0, 0.25, 0.5, 0.75, 0.95], ["0 %", "25 %", "50 %", "75 %", "95 %"])
        drawn.axvline(limit, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)), label=f"objective {limit:g} s")
        key(figure, drawn, columns=3 if not narrow else 1 if max(len(name) for name, _ in lines) > 18 else 2)

    says = "; ".join(f"{name}: p95 {numbers.estimate(latency.p95, 'seconds')}" for name, latency in lines)
    return Sketch(
        name="latency",
        caption="Distribution of latencies",
        says=f"Cumulative distribution of latencies. {says}.",
        paint=paint,
        height=320,
        narrow_height=380,
        note="dot and bar: p95 with its interval",
    )


def ladder(capacity: Capacity) -> Sketch | None:
    """95th percentiles and turned-away callers by number of streams. None for a search without rungs."""
    rungs = sorted(capacity.rungs, key=lambda rung: rung.streams)
    if not rungs:
        return None

    def paint(figure: "Drawing", narrow: bool) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
        calm(above, grid="y")
        calm(below, grid="y")
        limits = {capacity.final_p95_limit, capacity.emission_p95_limit}
        for number, name in enumerate(("final", "emission")):
            _climb(above, number, name, rungs)
        for limit in sorted(limits):
            above.axhline(limit, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)), label=f"objective {limit:g} s")
        highest = max([*limits, *(figure.high or figure.value for figure in _shown(rungs))])
        _latency_up(above, highest, max(limits))
        above.set_title("p95 latency, seconds", color=FAINT, fontsize=11.5, loc="left", pad=8)
        _turned_away(below, rungs)
        below.set_xlabel("callers offered at once", color=FAINT, fontsize=11.5, loc="right")
        if capacity.streams is not None:
            _knee(above, below, capacity)
        key(figure, above, columns=2 if narrow else 4)
        below.set_xlim(left=0)

    return Sketch(
        name="ladder",
        caption="Latency against load",
        says=f"95th percentile of latency by number of streams. {_knee_in_words(capacity)}",
        paint=paint,
        height=380,
        narrow_height=430,
        note="hollow: the run is not valid",
    )


def _distribution(drawn: "Axes", number: int, name: str, latency: Latency) -> None:
    across, up = [at for at, _ in latency.cdf], [share for _, share in latency.cdf]
    colour, stroke = SERIES[number], STROKES[number]
    drawn.plot(
        [across[0], *across],
        [0, *up],
        drawstyle="steps-post",
        color=colour,
        linestyle=stroke,
        linewidth=1.8,
        label=name,
    )
    if latency.p95:
        low, high = latency.p95.low, latency.p95.high
        if low is not None and high is not None:
            drawn.plot([low, high], [0.95, 0.95], color=colour, linewidth=4, alpha=0.45, solid_capstyle="butt")
        look: dict[str, Any] = {"markersize": 7, "markeredgecolor": PAPER, "markeredgewidth": 0.8, "zorder": 5}
        drawn.plot([latency.p95.value], [0.95], MARKS[number], color=colour, **look)


def _seconds_axis(drawn: "Axes", values: list[float], limit: float, *, narrow: bool) -> None:
    """Linear while everything is near the objective; beyond 5 s logarithmic from one second up."""
    least, most = min(0.0, *values), max(limit * 1.25, *values)
    if most > 5:
        drawn.set_xscale("symlog", linthresh=1, linscale=1.1)
        ticks = [tick for tick in _TICKS if least <= tick <= most and not (narrow and tick in (0.25, -0.5))]
        drawn.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
        drawn.minorticks_off()
    drawn.set_xlim(least - 0.02 * (most - least) if least < 0 else 0, most * 1.02)


def _climb(drawn: "Axes", number: int, name: str, rungs: Sequence[Rung]) -> None:
    found = [(rung, figure) for rung in rungs if (figure := _p95(rung, name)) is not None]
    if not found:
        return
    colour, mark = SERIES[number], MARKS[number]
    across, up = [rung.streams for rung, _ in found], [figure.value for _, figure in found]
    drawn.plot(across, up, color=colour, linestyle=STROKES[number], linewidth=1.6, marker=mark, markersize=0, zorder=2)
    for rung, figure in found:
        if figure.low is not None and figure.high is not None:
            drawn.plot([rung.streams] * 2, [figure.low, figure.high], color=colour, linewidth=4, alpha=0.4, zorder=1)
    for valid in (True, False):
        shown = [(rung.streams, figure.value) for rung, figure in found if rung.valid is valid]
        drawn.plot(
            [at for at, _ in shown],
            [value for _, value in shown],
            mark,
            color=colour,
            markerfacecolor=colour if valid else PAPER,
            markersize=6.5,
            markeredgewidth=1.5,
            zorder=3,
            label=name if valid else None,
        )


def _latency_up(drawn: "Axes", highest: float, limit: float) -> None:
    if highest <= 4 * limit:
        drawn.set_ylim(0, highest * 1.08)
        return
    drawn.set_yscale("symlog", linthresh=limit, linscale=1.6)
    ticks = [tick for tick in (0, 0.5, 1, 2, 5, 10, 20, 60, 120, 300) if tick <= highest * 1.2]
    drawn.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    drawn.minorticks_off()
    drawn.set_ylim(0, highest * 1.25)


def _turned_away(drawn: "Axes", rungs: Sequence[Rung]) -> None:
    across = [rung.streams for rung in rungs]
    refused, failed = [rung.counts.refused for rung in rungs], [rung.counts.failed for rung in rungs]
    wide = max(across) * 0.018
    filled: dict[str, Any] = {"color": SERIES[4]}
    hollow: dict[str, Any] = {"facecolor": PAPER, "edgecolor": SERIES[3]}
    for shift, counts, look in ((-wide / 2, refused, filled), (wide / 2, failed, hollow)):
        some = [(at, count) for at, count in zip(across, counts, strict=True) if count]
        drawn.bar([at + shift for at, _ in some], [count for _, count in some], width=wide, **look)
    drawn.set_title("refused (filled) and failed (hollow) callers", color=FAINT, fontsize=11.5, loc="left", pad=6)
    most = max(*refused, *failed, 1)
    drawn.set_ylim(0, most * 1.1)
    drawn.set_yticks([0, most])
    drawn.spines["bottom"].set_color(GRID)


def _knee(above: "Axes", below: "Axes", capacity: Capacity) -> None:
    assert capacity.streams is not None
    for drawn in (above, below):
        drawn.axvline(capacity.streams, color=INK, linewidth=1, zorder=0)
    text = f" {'≥ ' if capacity.is_lower_bound else ''}{capacity.streams}"
    above.annotate(
        text,
        (capacity.streams, 1),
        xycoords=above.get_xaxis_transform(),
        textcoords="offset points",
        xytext=(2, -12),
        color=INK,
        fontsize=12,
        fontweight="bold",
    )


def _knee_in_words(capacity: Capacity) -> str:
    if capacity.streams is None:
        return "Not even the smallest number met the objective."
    return f"{'At least ' if capacity.is_lower_bound else ''}{capacity.streams} streams meet the objective."


def _p95(rung: Rung, name: str) -> Figure | None:
    return next((latency.p95 for latency in rung.latencies if latency.name == name), None)


def _shown(rungs: Sequence[Rung]) -> list[Figure]:
    found = (_p95(rung, name) for rung in rungs for name in ("final", "emission"))
    return [figure for figure in found if figure is not None]
