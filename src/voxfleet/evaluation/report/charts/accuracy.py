"""Word errors drawn: by mode, by slice, and against the latency that buys them. Dots have intervals and n."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voxfleet.evaluation.report import numbers
from voxfleet.evaluation.report.charts.canvas import FAINT, FULL, INK, MARKS, SERIES, Sketch, axes, key
from voxfleet.evaluation.report.charts.whiskers import beside, name_rows, short, whisker
from voxfleet.evaluation.report.document import Cost, ModeResult, Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

WHOLE = 12
"""A column with at most so many values is drawn whole; of others the `WORST`. The table has all."""

WORST = 8

MODES = 3
"""Modes beside each other in one chart of slices: more can't be told apart."""


def by_mode(modes: Sequence[ModeResult]) -> Sketch | None:
    """WER of each mode with its interval. None where no mode has reference words."""
    rows = [(mode.mode, rate, numbers.spoken(mode.words)) for mode in modes if (rate := mode.words.rate) is not None]
    if not rows:
        return None

    def paint(figure: "Drawing", narrow: bool) -> None:
        drawn = axes(figure, across="word error rate, %", grid="x")
        for row, (_, rate, spoken) in enumerate(rows):
            whisker(drawn, row, rate)
            n = "" if narrow else f", n = {numbers.number(spoken)}"
            beside(drawn, row, f"{numbers.percent(rate.value)} %{n}")
        name_rows(drawn, [name for name, _, _ in rows])
        drawn.set_xlim(left=0)

    says = "; ".join(f"{name}: {numbers.estimate(rate, 'share')}" for name, rate, _ in rows)
    return Sketch(
        name="modes",
        caption="Word error rate by mode",
        says=f"Word error rate by mode. {says}.",
        paint=paint,
        height=max(130, 76 + 38 * len(rows)),
        note="n: reference words",
    )


def by_slice(modes: Sequence[ModeResult]) -> Sketch | None:
    """WER of each slice, worst first within each column, modes beside each other. None without slices."""
    modes = [mode for mode in modes if any(part.words.rate for part in mode.slices)][:MODES]
    if not modes:
        return None
    groups = _groups([part for part in modes[0].slices if part.words.rate])
    rows = sum(len(parts) + 2 for parts in groups.values())

    def paint(figure: "Drawing", narrow: bool) -> None:
        drawn = axes(figure, across="word error rate, %", grid="x")
        _slices(drawn, groups, modes)
        if overall := modes[0].words.rate:
            style: dict[str, Any] = {"color": FAINT, "linewidth": 1, "linestyle": (0, (2, 2)), "zorder": 0}
            drawn.axvline(100 * overall.value, label=f"all, {modes[0].mode}", **style)
        drawn.set_xlim(left=0)
        key(figure, drawn, columns=1 if narrow else 4)

    return Sketch(
        name="slices",
        caption="Word error rate by slice",
        says=f"Word error rate by slice, in {numbers.plural(len(modes), 'mode')}; the table has every figure.",
        paint=paint,
        width=FULL,
        height=80 + (16 + 4 * len(modes)) * rows,
        note="n: recordings of the slice",
    )


def cost(costs: Sequence[Cost]) -> Sketch | None:
    """What each streaming mode loses against offline, by the latency it has. None without such modes."""
    if not costs:
        return None
    timed = [(one, at) for one in costs if (at := one.final_p95) is not None]

    def paint(figure: "Drawing", narrow: bool) -> None:
        if len(timed) < len(costs):
            _cost_rows(figure, costs)
            return
        drawn = axes(figure, across="p95 final latency, seconds", up="WER lost against offline, points")
        for number, (one, at) in enumerate(timed):
            colour, mark = SERIES[number % len(SERIES)], MARKS[number % len(MARKS)]
            if one.points.low is not None and one.points.high is not None:
                drawn.plot([at, at], [100 * one.points.low, 100 * one.points.high], color=colour, linewidth=1.6)
            drawn.plot([at], [100 * one.points.value], mark, color=colour, markersize=7, label=one.mode)
        drawn.axhline(0, color=INK, linewidth=1)
        drawn.margins(x=0.12, y=0.15)
        drawn.set_xlim(left=0)
        key(figure, drawn, columns=1 if narrow else 2)

    says = "; ".join(f"{one.mode}: {numbers.estimate(one.points, 'points')}" for one in costs)
    return Sketch(
        name="cost",
        caption="What streaming costs",
        says=f"Word error rate lost against offline. {says}.",
        paint=paint,
        height=280,
        narrow_height=300,
        note="bar: 95 % interval, paired over the same recordings",
    )


def _groups(parts: Sequence[Slice]) -> dict[str, list[Slice]]:
    """Under the head of each column, what is drawn of it."""
    groups: dict[str, list[Slice]] = {}
    for by in sorted({part.by for part in parts}):
        ranked = sorted((part for part in parts if part.by == by), key=_worst_first)
        if len(ranked) <= WHOLE:
            groups[by] = ranked
        else:
            groups[f"{by}, {WORST} worst of {len(ranked)}"] = ranked[:WORST]
    return groups


def _slices(drawn: "Axes", groups: dict[str, list[Slice]], modes: Sequence[ModeResult]) -> None:
    """Values at their rows; above each group the head of its column."""
    heads: list[int] = []
    places: list[int] = []
    rates = [{(part.by, part.value): part.words.rate for part in mode.slices} for mode in modes]
    at = 0
    for parts in groups.values():
        heads.append(at)
        for part in parts:
            at += 1
            places.append(at)
            beside(drawn, at, f"n = {numbers.number(part.items)}")
            for number, known in enumerate(rates):
                if rate := known.get((part.by, part.value)):
                    whisker(drawn, at + 0.24 * (number - (len(modes) - 1) / 2), rate, number)
        at += 2
    names = [short(part.value) for parts in groups.values() for part in parts]
    drawn.set_yticks([*heads, *places], [*groups, *names])
    for label in drawn.get_yticklabels()[: len(heads)]:
        label.set_color(INK)
        label.set_fontweight("bold")
    drawn.set_ylim(at - 1.2, -0.7)
    for number, mode in enumerate(modes):
        drawn.plot([], [], MARKS[number], color=SERIES[number], label=mode.mode)


def _cost_rows(figure: "Drawing", costs: Sequence[Cost]) -> None:
    drawn = axes(figure, across="WER lost against offline, points", grid="x")
    for row, one in enumerate(costs):
        whisker(drawn, row, one.points)
        beside(drawn, row, numbers.points(one.points.value))
    drawn.axvline(0, color=INK, linewidth=1)
    name_rows(drawn, [one.mode for one in costs])


def _worst_first(part: Slice) -> float:
    return -part.words.rate.value if part.words.rate else 0.0
