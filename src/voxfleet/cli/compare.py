"""`voxfleet evaluate compare`: two reports beside each other, and whether the second may replace the first."""

import json
from pathlib import Path

import msgspec

from voxfleet.cli import exits
from voxfleet.cli.measure import need
from voxfleet.cli.terminal import console, print_json
from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.report.compare import Comparison, compare_reports
from voxfleet.evaluation.report.compare_load import LoadComparison
from voxfleet.evaluation.report.comparison_page import plain, render_comparison
from voxfleet.evaluation.report.document import read_report
from voxfleet.evaluation.report.gates import WER, named_gates, passes, verdicts
from voxfleet.evaluation.report.write import replace


def compare_files(
    path_a: Path,
    path_b: Path,
    margin: float,
    mode_a: str | None,
    mode_b: str | None,
    folder: Path | None,
    gate: str | None = None,
    *,
    as_json: bool,
) -> int:
    """Compare two files, show it, and write the page; FAILED where B does not pass every gate in `gate`.

    `gate` is a list such as `wer,runaway`; without it WER alone decides. Raises BadReport, BadOption for a gate that
    there is not.
    """
    names = named_gates(WER if gate is None else gate)
    need("comparing reports", "scipy")
    found = compare_reports(read_report(path_a), read_report(path_b), mode_a, mode_b, margin=margin)
    if gate is not None and not isinstance(found, Comparison):
        raise BadOption("--gate", gate, "left out for load reports: they are put side by side, nothing is judged")
    _show(found, as_json=as_json)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / "comparison.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        replace(folder / "comparison.html", render_comparison(found).encode())
        console(error=as_json).print(f"report      {folder / 'comparison.html'}", soft_wrap=True)
    if as_json:
        print_json(json.loads(msgspec.json.encode(found)))
    return _judged(found, names, as_json=as_json) if isinstance(found, Comparison) else exits.OK


def _judged(found: Comparison, names: tuple[str, ...], *, as_json: bool) -> int:
    told = verdicts(found.gates, names)
    passed = all(map(passes, told.values()))
    each = ", ".join(f"{name} {verdict}" for name, verdict in told.items())
    console(error=as_json).print(f"gate        {'passed' if passed else 'not passed'}: {each}", soft_wrap=True)
    return exits.OK if passed else exits.FAILED


def _show(found: Comparison | LoadComparison, *, as_json: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    screen = console(error=as_json)
    told = plain(found)
    for sentence in told.sentences:
        screen.print(escape(sentence), soft_wrap=True)
    for grid in told.tables:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for number, heading in enumerate(grid.heads):
            table.add_column(heading, justify="right" if number else "left")
        for row in grid.rows:
            table.add_row(*map(escape, row))
        screen.print(table)
