"""How a load run looks on a terminal: a verdict first, then the figures with their doubts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.cli.measure import show_problems
from voxfleet.evaluation.report.document import Figure, Latency, LoadReport, Rung

if TYPE_CHECKING:
    from rich.console import Console

NAMES = {
    "first_partial": "first partial",
    "emission": "word shown",
    "final": "final",
    "response_lag": "response lag",
    "admission": "admission",
}


def show_load(report: LoadReport, screen: "Console", written: Sequence[Path]) -> None:
    """The whole report in about twenty lines."""
    from rich.markup import escape
    from rich.table import Table

    def line(text: str) -> None:
        screen.print(text, soft_wrap=True)

    screen.print()
    line(_verdict(report))
    counts = report.streams
    reasons = ", ".join(f"{code} {count}" for code, count in counts.reasons.items())
    line(
        f"callers     {counts.offered} offered, {counts.admitted} admitted, {counts.refused} refused, {counts.failed} failed, "
        f"{counts.most_at_once} at once" + (f"  [dim]({escape(reasons)})[/]" if reasons else "")
    )
    if report.latencies:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("latency, s")
        for heading in ("p50", "p90", "p95", "p95 interval", "p99", "max", "events"):
            table.add_column(heading, justify="right")
        for latency in report.latencies:
            table.add_row(*_row(latency))
        screen.print(table)
    if any(latency.too_few for latency in report.latencies):
        line("[dim]? rests on too few events: p95 needs 100, p99 needs 1,000[/]")
    stability = report.stability
    restless = "" if stability.upwr is None else f", {100 * stability.upwr:.1f} % of them shown otherwise before"
    line(
        f"text        {stability.final_words} words in {stability.turns} turns{restless}, "
        f"{stability.committed_revisions} committed words changed"
    )
    if report.accuracy is not None and report.accuracy.words.rate is not None:
        rate = report.accuracy.words.rate
        line(
            f"WER         {percent(rate)} under load, {report.accuracy.calls} calls  [dim]{report.accuracy.normaliser}[/]"
        )
    line(f"stalls      {len(report.stalls)} of more than 5 s")
    health = report.health
    line(
        f"generator   sent {health.lag_p99 * 1000:.1f} ms late at p99, {100 * health.cpu_share:.0f} % of a core, "
        f"{report.bytes_sent / 1e6:.1f} MB out, {report.bytes_received / 1e3:.0f} kB in"
    )
    show_problems(report.problems, screen)
    for path in written:
        line(f"report      {path}")


def show_rung(rung: Rung, screen: "Console") -> None:
    """One line of a search."""
    sign = "[green]✓[/]" if rung.meets else "[yellow]?[/]" if not rung.valid else "[red]✗[/]"
    parts = []
    for name in ("emission", "final"):
        found = next((latency.p95 for latency in rung.latencies if latency.name == name), None)
        parts.append(f"p95 {NAMES[name]} {found.value:.2f} s" if found else f"no {NAMES[name]}")
    why = f"  [dim]{'; '.join(rung.why_not)}[/]" if rung.why_not else ""
    screen.print(f"{sign} {rung.streams:5} streams, {rung.seconds:.0f} s: {', '.join(parts)}{why}", soft_wrap=True)


def percent(figure: Figure) -> str:
    """A rate with its interval."""
    interval = (
        "" if figure.low is None or figure.high is None else f" [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
    )
    return f"{100 * figure.value:.1f} %{interval}"


def _verdict(report: LoadReport) -> str:
    if not report.health.valid:
        because = "; ".join(report.health.because)
        return f"[bold red]INVALID[/] the load generator fell behind, so these are not the server's figures: {because}"
    partial = "[bold yellow]PARTIAL[/] stopped before its time. " if report.about.partial else ""
    capacity = report.capacity
    if capacity is not None:
        count = "none" if capacity.streams is None else str(capacity.streams)
        least = "at least " if capacity.is_lower_bound and capacity.streams else ""
        return (
            f"{partial}[bold]capacity {least}{count} streams[/] ({capacity.objective})\nbeyond      {capacity.beyond}"
        )
    held = f"{report.streams.most_at_once} callers at once for {report.seconds:.0f} s"
    return f"{partial}[bold]{held}[/] on {report.about.target.url}"


def _row(latency: Latency) -> list[str]:
    def told(name: str, figure: Figure | None) -> str:
        if figure is None:
            return "–"
        return f"{figure.value:.2f}" + ("?" if name in latency.too_few else "")

    p95 = latency.p95
    interval = "" if p95 is None or p95.low is None or p95.high is None else f"{p95.low:.2f} to {p95.high:.2f}"
    return [
        NAMES[latency.name],
        told("p50", latency.p50),
        told("p90", latency.p90),
        told("p95", latency.p95),
        interval,
        told("p99", latency.p99),
        f"{latency.largest:.2f}" if latency.largest is not None else "–",
        str(latency.count),
    ]
