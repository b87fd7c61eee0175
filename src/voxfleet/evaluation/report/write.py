"""A report on disk: the JSON and the page beside each other, whole or not at all."""

import os
from pathlib import Path

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.report.document import Report, to_json
from voxfleet.evaluation.report.page import render


def write(report: Report, folder: Path, name: str) -> tuple[Path, Path]:
    """Writes `name`.json and `name`.html into the folder, which is made if it is missing; returns both paths.

    The JSON first: should drawing the page fail, the facts are safe. A file of that name is replaced at once, so a
    reader sees the old report or the new one, never half of one. Raises BadOption for a name that is a path, OSError
    where the folder can't be written.
    """
    if not name or name.startswith(".") or name != Path(name).name:
        raise BadOption("name of the report", name, "a file name without its ending, not a path")
    folder.mkdir(parents=True, exist_ok=True)
    facts, page = folder / f"{name}.json", folder / f"{name}.html"
    replace(facts, to_json(report) + b"\n")
    replace(page, render(report).encode())
    return facts, page


def replace(path: Path, body: bytes) -> None:
    """The file with that content, at once. Nothing is left behind where it fails."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(body)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
