"""Tables: a header that names the columns, one recording per line. TSV takes every character as it is; CSV may quote.

An audio column is needed, a transcript is not: a list of recordings is enough to load a server with.
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.items import BadItem, Item
from voxfleet.evaluation.manifests.lines import lines_of, numbered
from voxfleet.evaluation.manifests.rows import Place, Refused, find_column, item_of, shown

Found = TypeVar("Found")

_NEEDED = "its first line must name the columns, 'file' (or 'path', 'audio', 'wav') among them"


def read_table(path: Path, place: Place) -> Iterator[Item | BadItem]:
    """Every row of a .tsv or .csv. Raises BadManifest."""
    return table_rows(path, lambda row: item_of(row, place))


def table_rows(
    path: Path, read: Callable[[dict[str, str]], Found], keys: tuple[str, ...] = ("audio",)
) -> Iterator[Found | BadItem]:
    """What `read` makes of each row (columns by lower-case name), or why it was Refused.

    Raises BadManifest where the file is no table, or its header has a column of none of the roles `keys`.
    """
    header: list[str] | None = None
    for number, fields in _csv(path) if path.suffix.lower() == ".csv" else _tsv(path):
        try:
            if header is None:
                header = _header(path, fields, keys)
            elif isinstance(fields, Refused):
                raise fields
            else:
                yield read(_row(header, fields))
        except Refused as refused:
            yield refused.at(f"{path.name} line {number}")
    if header is None:
        raise BadManifest(path, f"it is empty; {_NEEDED}")


def _tsv(path: Path) -> Iterator[tuple[int, list[str] | Refused]]:
    for number, line in numbered(path):
        yield number, line.split("\t")


def _csv(path: Path) -> Iterator[tuple[int, list[str] | Refused]]:
    rows = csv.reader(lines_of(path), strict=True)
    while True:
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield rows.line_num, Refused("bad_row", f"it is no row of a CSV table: {error}")
        else:
            if any(field.strip() for field in fields):
                yield rows.line_num, fields


def _header(path: Path, fields: list[str] | Refused, keys: tuple[str, ...]) -> list[str]:
    if isinstance(fields, Refused):
        raise BadManifest(path, f"{fields}; {_NEEDED}")
    names = [name.strip().lower() for name in fields]
    if not any(find_column(dict.fromkeys(names), key) for key in keys):
        raise BadManifest(path, _NEEDED)
    doubled = next((name for name in names if name and names.count(name) > 1), None)
    if doubled:
        raise BadManifest(path, f"two columns are called {shown(doubled)}")
    return names


def _row(header: list[str], fields: list[str]) -> dict[str, str]:
    if len(fields) != len(header):
        raise Refused("bad_row", f"it has {len(fields)} columns, the header {len(header)}")
    return {name: field.strip() for name, field in zip(header, fields, strict=True) if name}
