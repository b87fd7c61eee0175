"""`voxfleet evaluate compare`: two reports beside each other, and whether the second may replace the first."""

import json
from pathlib import Path

import msgspec

from voxfleet.cli import exits
from voxfleet.cli.measure import need
from voxfleet.cli.terminal import console, print_json
from voxfleet.evaluation.report.compare import Comparison, compare_reports
from voxfleet.evaluation.report.compare_load import LoadComparison
from voxfleet.evaluation.report.comparison_page import plain, render_comparison
from voxfleet.evaluation.report.document import read_report
from voxfleet.evaluation.report.write import replace
from voxfleet.evaluation.statistics.comparison import Verdict


def compare_files(
    path_a: Path,
    path_b: Path,
    margin: float,
    mode_a: str | None,
    mode_b: str | None,
    folder: Path | None,
    *,
    as_json: bool,
) -> int:
    """Compare two files, show it, and write the page; exits with FAILED where B is worse or it can't be told.

    Raises BadReport.
    """
    need("comparing reports", "scipy")
    found = compare_reports(read_report(path_a), read_report(path_b), mode_a, mode_b, margin=margin)
    _show(found, as_json=as_json)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / "comparison.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        replace(folder / "comparison.html", render_comparison(found).encode())
        console(error=as_json).print(f"report      {folder / 'comparison.html'}", soft_wrap=True)
    if as_json:
        print_json(json.loads(msgspec.json.encode(found)))
    if isinstance(found, Comparison):
        return exits.OK if Verdict(found.overall.verdict).passes else exits.FAILED
    return exits.OK


def _show(found: Comparison | LoadComparison, *, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    screen = console(error=as_json)
    told = plain(found)
    for sentence in told.sentences:
        screen.print(escape(sentence), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for number, heading in enumerate(told.heads):
        table.add_column(heading, justify="right" if number else "left")
    for row in told.rows:
        table.add_row(*map(escape, row))
    screen.print(table)
