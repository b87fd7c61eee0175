"""JSON lines as NeMo writes its manifests: one object per recording (audio_filepath, text, duration, offset, lang, …).

Numbers, booleans and text become columns; lists and objects are no column, null is nothing.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from voxfleet.evaluation.manifests.items import BadItem, Item
from voxfleet.evaluation.manifests.lines import numbered
from voxfleet.evaluation.manifests.rows import Place, Refused, item_of

Found = TypeVar("Found")


def read_json_lines(path: Path, place: Place) -> Iterator[Item | BadItem]:
    """Every line of a .jsonl (NeMo: .json). Raises BadManifest."""
    return json_rows(path, lambda row: item_of(row, place))


def json_rows(path: Path, read: Callable[[dict[str, str]], Found]) -> Iterator[Found | BadItem]:
    """What `read` makes of each line's scalars (by lower-case key), or why it was Refused. Raises BadManifest."""
    for number, line in numbered(path):
        try:
            yield read(_row(line))
        except Refused as refused:
            yield refused.at(f"{path.name} line {number}")


def parsed(text: str) -> object:
    """JSON from a stranger. Raises Refused for what is none, NaN and depths without end included."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise Refused("bad_row", f"it is not JSON: {why}") from error


def scalar(value: object) -> str | None:
    """A JSON value as the text of a column, or None where it can't be one."""
    match value:
        case str():
            return value.strip()
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            return None


def _row(line: str) -> dict[str, str]:
    found = parsed(line)
    if not isinstance(found, dict):
        raise Refused("bad_row", "it is not a JSON object")
    texts = ((key.strip().lower(), scalar(value)) for key, value in found.items())
    return {key: text for key, text in texts if text is not None}


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no number")
