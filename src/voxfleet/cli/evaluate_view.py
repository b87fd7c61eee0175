"""How an evaluation looks on a terminal: a table of modes, what streaming costs, and what went wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.cli.load_view import percent
from voxfleet.cli.measure import show_problems
from voxfleet.evaluation.report.document import EvaluationReport, Figure, Named, Words

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_SLICES = 8


def show_evaluation(document: EvaluationReport, screen: "Console", written: Sequence[Path]) -> None:
    """The whole report on one screen."""
    from rich.markup import escape
    from rich.table import Table

    def line(text: str) -> None:
        screen.print(text, soft_wrap=True)

    screen.print()
    if document.about.partial:
        line("[bold yellow]PARTIAL[/] stopped before its time; the figures are of what had been heard.")
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for heading in ("", "WER", "95 %", "sub", "del", "ins", "words", "raw WER", "CER", "p95 final"):
        table.add_column(heading, justify="left" if not heading else "right")
    for mode in document.modes:
        words = mode.words
        final = next((latency.p95 for latency in mode.latencies if latency.name == "final"), None)
        table.add_row(
            f"[bold]{escape(mode.mode)}[/]",
            _rate(words),
            _interval(words.rate),
            str(words.substitutions),
            str(words.deletions),
            str(words.insertions),
            str(words.hits + words.substitutions + words.deletions),
            _rate(mode.raw),
            _rate(mode.characters),
            f"{final.value:.2f} s" if final else "–",
        )
    screen.print(table)
    line(f"[dim]{escape(document.normaliser)}; intervals resample {escape(document.unit)}[/]")
    for cost in document.streaming_cost:
        points = cost.points
        interval = (
            "" if points.low is None or points.high is None else f" [{100 * points.low:+.2f}, {100 * points.high:+.2f}]"
        )
        line(f"streaming   {escape(cost.mode)} costs {100 * points.value:+.2f} points{interval} against offline")
    for mode in document.modes:
        _figures(mode.mode, mode.figures, screen)
    if document.modes:
        _slices(document, screen)
    show_problems(document.problems, screen)
    for path in written:
        line(f"report      {path}")


def _figures(mode: str, figures: Sequence[Named], screen: "Console") -> None:
    from rich.markup import escape

    told = [named for named in figures if named.figure is not None]
    if not told:
        return
    screen.print(f"[bold]{escape(mode)}[/]", soft_wrap=True)
    for named in told:
        assert named.figure is not None
        value = percent(named.figure) if named.unit == "share" else f"{named.figure.value:.2f} {named.unit}"
        counts = ", ".join(f"{name} {count}" for name, count in named.counts.items())
        screen.print(f"  {escape(named.name):40} {value:>22}  [dim]{escape(counts)}[/]", soft_wrap=True)


def _slices(document: EvaluationReport, screen: "Console") -> None:
    """The worst slices of the first mode: release gates look at these."""
    from rich.markup import escape

    worst = sorted(
        (one for one in document.modes[0].slices if one.words.rate is not None and one.items > 1),
        key=lambda one: -(one.words.rate.value if one.words.rate else 0.0),
    )[:SHOWN_SLICES]
    if worst:
        screen.print(f"[bold]worst slices[/] [dim]({escape(document.modes[0].mode)})[/]")
    for one in worst:
        name = f"{one.by} = {one.value}"
        screen.print(
            f"  {escape(name):40} {_rate(one.words):>8} {_interval(one.words.rate):>16}  [dim]{one.items} recordings[/]",
            soft_wrap=True,
        )


def _rate(words: Words) -> str:
    return "–" if words.rate is None else f"{100 * words.rate.value:.1f} %"


def _interval(rate: Figure | None) -> str:
    return (
        "" if rate is None or rate.low is None or rate.high is None else f"{100 * rate.low:.1f}–{100 * rate.high:.1f}"
    )
