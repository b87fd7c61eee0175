"""Dot-and-whisker rows, as accuracy and its differences are drawn: a dot, its interval, and what stands beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voxfleet.evaluation.report.charts.canvas import FAINT, MARKS, PAPER, SERIES
from voxfleet.evaluation.report.document import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL = 26


def whisker(drawn: "Axes", row: float, share: Figure, series: int = 0) -> None:
    """One share in per cent, with its interval where it has one."""
    colour = SERIES[series % len(SERIES)]
    if share.low is not None and share.high is not None:
        drawn.plot([100 * share.low, 100 * share.high], [row, row], color=colour, linewidth=1.6, solid_capstyle="butt")
    look: dict[str, Any] = {"color": colour, "markersize": 6.5, "markeredgecolor": PAPER, "markeredgewidth": 0.8}
    drawn.plot([100 * share.value], [row], MARKS[series % len(MARKS)], **look)


def beside(drawn: "Axes", row: float, text: str) -> None:
    """To the right of the axes: a figure, an n."""
    across = drawn.get_yaxis_transform()
    drawn.text(1.01, row, text, transform=across, va="center", ha="left", fontsize=11, color=FAINT)


def name_rows(drawn: "Axes", names: Sequence[str]) -> None:
    """Rows 0, 1, … from the top, with their names."""
    drawn.set_yticks([*range(len(names))], [short(name) for name in names])
    drawn.set_ylim(len(names) - 0.4, -0.6)


def short(name: str) -> str:
    """A name that leaves room for the chart; tables have the whole of it."""
    return name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
