"""What sections of a page are, where charts stand in them, and how data for the page's script is embedded."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from voxfleet.evaluation.report.charts.canvas import FULL, Sketch, chart
from voxfleet.evaluation.report.document import plain_number
from voxfleet.evaluation.report.markup import Markup, tag, trusted

_UNSAFE = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading. `name` is its anchor."""

    name: str
    title: str
    body: Markup


def drawn(sketches: Iterable[Sketch | None]) -> Markup:
    """The charts there is something to draw for; says so where there is nothing."""
    found = [sketch for sketch in sketches if sketch is not None]
    if not found:
        return tag("p", "Nothing to draw: no event was measured.", class_="none")
    halves = [place for place, sketch in enumerate(found) if sketch.width < FULL]
    if len(halves) % 2 and len(found) > 1:  # the last of an odd number takes the whole row
        found[halves[-1]] = replace(found[halves[-1]], width=FULL)
    return tag("div", map(chart, found), class_="charts")


def embedded(name: str, data: Any) -> Markup:
    """JSON for the page's script. No text in it can end the element: '<', '>' and '&' are written as escapes."""
    body = trusted(msgspec.json.encode(data, enc_hook=plain_number).decode().translate(_UNSAFE))
    return tag("script", body, type="application/json", id=name)
