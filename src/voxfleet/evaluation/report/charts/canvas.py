"""From a matplotlib figure to an SVG that belongs to the page: its colours, fonts and width, no styles of its own.

Colours are named by the page's CSS variables, so a chart follows light and dark. Each chart is drawn twice, for a wide
and for a narrow window, because text that shrinks with its chart can't be read on a phone. The same report always gives
the same bytes.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from voxfleet.evaluation.faults import MissingExtra
from voxfleet.evaluation.report.markup import Markup, tag, trusted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID, LIMIT, GOOD, WARN, BAD = (f"#0000{n:02x}" for n in range(1, 8))
PAPER = "#000008"
SERIES = tuple(f"#0000{n:02x}" for n in range(16, 22))
"""Colours as matplotlib sees them; the page says what they are."""

STROKES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5)), (0, (8, 2)))
"""Each series differs in its stroke too: colour alone is not enough."""

MARKS = ("o", "s", "^", "D", "v", "P")

_VARIABLES = {
    **dict(
        zip(
            (INK, FAINT, GRID, LIMIT, GOOD, WARN, BAD),
            ["ink", "faint", "grid", "limit", "good", "warn", "bad"],
            strict=True,
        )
    ),
    PAPER: "paper",
    **{colour: f"series-{number}" for number, colour in enumerate(SERIES, start=1)},
}
_RULES = {"svg.fonttype": "none", "text.parse_math": False, "axes.unicode_minus": True, "path.simplify": False}
_KEPT = [
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "opacity",
    "text-anchor",
    "font-size",
    "font-weight",
]
_DECIMALS = re.compile(r"-?\d+\.\d{3,}")
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't hold, in whatever name a manifest gave something."""

FULL = 1140
"""Width of a chart that takes a whole row, CSS pixels; two of `Sketch.width` stand in one."""

_NARROW = 360


@dataclass(frozen=True, slots=True)
class Sketch:
    """A chart before it is drawn. `paint(figure, narrow)` draws it; heights are in CSS pixels at full width."""

    name: str
    """Distinct on the page."""
    caption: str
    says: str
    """What a listener is told in its place, one sentence."""
    paint: Callable[["Figure", bool], None]
    height: int = 300
    narrow_height: int | None = None
    width: int = 560
    note: str = ""


def chart(sketch: Sketch) -> Markup:
    """The figure element. Where matplotlib is absent, its place says what to install."""
    try:
        drawings: list[Markup] = [
            _draw(sketch, sketch.width, sketch.height, narrow=False),
            _draw(sketch, _NARROW, sketch.narrow_height or sketch.height, narrow=True),
        ]
    except MissingExtra as missing:
        drawings = [tag("p", f"No chart: {missing}", class_="missing")]
    return tag(
        "figure",
        tag("figcaption", sketch.caption, tag("span", sketch.note, class_="note") if sketch.note else None),
        drawings,
        class_="chart full" if sketch.width >= FULL else "chart",
        id=f"chart-{sketch.name}",
    )


def axes(figure: "Figure", *, across: str, up: str = "", grid: str = "y") -> "Axes":
    """One set of axes, as quiet as they get: two spines, a grid in one direction, labels at the ends."""
    drawn = figure.add_subplot()
    calm(drawn, grid=grid)
    drawn.set_xlabel(across, color=FAINT, fontsize=11.5, loc="right")
    if up:
        drawn.set_title(up, color=FAINT, fontsize=11.5, loc="left", pad=8)
    return drawn


def calm(drawn: "Axes", *, grid: str) -> None:
    """The look of axes that `axes` did not make."""
    for side in ("top", "right", "left"):
        drawn.spines[side].set_visible(False)
    drawn.spines["bottom"].set_color(GRID)
    drawn.tick_params(colors=FAINT, labelsize=11, length=0, pad=5)
    drawn.tick_params(axis="x", length=3, color=GRID)
    drawn.set_axisbelow(True)
    if grid:
        drawn.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type,unused-ignore]


def key(figure: "Figure", drawn: "Axes", *, columns: int) -> None:
    """The legend, without a box, beneath the axes, where it covers nothing."""
    found, labels = drawn.get_legend_handles_labels()
    if found:
        look: dict[str, Any] = {
            "frameon": False,
            "labelcolor": INK,
            "fontsize": 11,
            "handlelength": 2.4,
            "columnspacing": 1.6,
        }
        figure.legend(found, labels, loc="outside lower left", ncols=min(columns, len(found)), **look)


def _draw(sketch: Sketch, width: int, height: int, *, narrow: bool) -> Markup:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("drawing this chart", "evaluation", "matplotlib") from None
    salt = f"{sketch.name}-{'narrow' if narrow else 'wide'}"
    written = io.StringIO()
    rules: Any = {**_RULES, "svg.hashsalt": salt}
    with matplotlib.rc_context(rules), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that matplotlib's own font lacks: the page's fonts have them
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        sketch.paint(figure, narrow)
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(written, format="svg", metadata=metadata, transparent=True)
    drawn = _UNWRITABLE.sub("\ufffd", written.getvalue())
    drawing = ElementTree.fromstring(drawn)  # noqa: S314 - matplotlib wrote it a moment ago
    _settle(drawing, salt)
    label = ElementTree.Element("title")
    label.text = sketch.says
    drawing.insert(0, label)
    drawing.attrib.clear()
    drawing.attrib.update(
        {
            "class": "narrow" if narrow else "wide",
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-label": sketch.says,
        }
    )
    return trusted(ElementTree.tostring(drawing, encoding="unicode"))


def _settle(element: ElementTree.Element, salt: str) -> None:
    """Removes namespaces, styles and needless ids, in place; what is referred to gets a name no other chart has."""
    element.tag = element.tag.rpartition("}")[2]
    element.text = element.tail = None if element.tag != "text" else element.text
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    style = dict(pair.split(": ", 1) for pair in attributes.pop("style", "").split("; ") if ": " in pair)
    attributes.update({name: style[name] for name in _KEPT if name in style})
    if "font" in style:
        attributes.update(_font(style["font"]))
    if element.tag in ("g", "svg"):
        attributes.pop("id", None)
    element.attrib.clear()
    for name, value in attributes.items():
        element.attrib[name] = _value(name, value, salt)
    for child in list(element):
        if child.tag.endswith("}style"):
            element.remove(child)
        else:
            _settle(child, salt)


def _value(name: str, value: str, salt: str) -> str:
    match name:
        case "id":
            return f"{salt}-{value}"
        case "href":
            return f"#{salt}-{value.removeprefix('#')}"
        case "clip-path":
            return value.replace("url(#", f"url(#{salt}-")
        case "fill" | "stroke":
            return f"var(--{_VARIABLES[value]})" if value in _VARIABLES else value
        case _:
            return _DECIMALS.sub(lambda found: f"{float(found[0]):.2f}", value.replace("\n", " ").strip())


def _font(shorthand: str) -> dict[str, str]:
    """Weight and size of a `font` shorthand; its family is the page's business."""
    size = re.search(r"[\d.]+px", shorthand)
    weight = re.search(r"\b(bold|[5-9]00)\b", shorthand)
    return ({"font-size": size[0]} if size else {}) | ({"font-weight": weight[0]} if weight else {})
