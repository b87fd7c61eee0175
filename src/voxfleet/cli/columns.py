"""Tables that fit a terminal: some columns are always whole, some are cut, some are left out where there is no room."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

GAP = 2
"""Spaces between columns."""
LEAST = 9
"""Characters below which a column is not cut."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column with all its cells."""

    heading: str
    cells: Sequence[Text | str]
    right: bool = False
    elastic: bool = False
    """It may be cut."""
    spare: int = 0
    """Left out where there is no room, the largest first; 0 = never."""

    @property
    def width(self) -> int:
        """Of its longest line."""
        return max(len(self.heading), *(len(cell) for cell in self.cells), 0)

    @property
    def least(self) -> int:
        return min(self.width, max(LEAST, len(self.heading))) if self.elastic else self.width


def table(columns: Sequence[Column], width: int) -> Table:
    """The columns as one table of at most `width` characters, as far as they can be cut and left out."""
    kept = list(columns)
    while sum(column.least + GAP for column in kept) > width and any(column.spare for column in kept):
        kept.remove(max(kept, key=lambda column: column.spare))
    widths = [column.width for column in kept]
    while sum(widths) + GAP * len(kept) > width:
        cut = [at for at, column in enumerate(kept) if widths[at] > column.least]
        if not cut:
            break
        widths[max(cut, key=lambda at: widths[at])] -= 1
    made = Table(box=None, padding=(0, GAP, 0, 0), header_style="dim", pad_edge=False)
    for column, own in zip(kept, widths, strict=True):
        made.add_column(
            column.heading, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis", width=own
        )
    for cells in zip(*(column.cells for column in kept), strict=True):
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    return made
