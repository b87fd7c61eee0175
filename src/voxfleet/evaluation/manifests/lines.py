"""How the text of a manifest is read: line by line, as UTF-8, with every failure of the file named."""

from collections.abc import Iterator
from pathlib import Path

from voxfleet.evaluation.faults import BadManifest


def lines_of(path: Path) -> Iterator[str]:
    """Every line as it stands, its end included; a byte order mark is dropped. Raises BadManifest, also on the way."""
    try:
        if "\0" in str(path):
            raise FileNotFoundError(None, "there can be no file of this name")
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise BadManifest(path, "it is not UTF-8 text") from error
    except OSError as error:
        raise BadManifest(path, error.strerror or str(error)) from error


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of every line that is not blank. Raises BadManifest."""
    for number, line in enumerate(lines_of(path), 1):
        if line.strip():
            yield number, line.rstrip("\r\n")
