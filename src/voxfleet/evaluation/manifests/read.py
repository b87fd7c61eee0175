"""Which form a list of recordings has, told by its suffix or its shape, and what is counted as wrong in any of them."""

from collections.abc import Iterator
from pathlib import Path

from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.hypotheses import Heard, Hypotheses, read_hypotheses
from voxfleet.evaluation.manifests.items import BadItem, Item, Manifest
from voxfleet.evaluation.manifests.jsonl import read_json_lines
from voxfleet.evaluation.manifests.kaldi import read_folder
from voxfleet.evaluation.manifests.lines import numbered
from voxfleet.evaluation.manifests.references import attach_references
from voxfleet.evaluation.manifests.rows import AUDIO_SUFFIXES, Place
from voxfleet.evaluation.manifests.segments import items_of, read_sessions
from voxfleet.evaluation.manifests.tsv import read_table

__all__ = ["Heard", "Hypotheses", "attach_references", "read_hypotheses", "read_manifest"]

_FORMS = "a table (.tsv, .csv), JSON lines, a Kaldi folder, STM or SegLST"


def read_manifest(path: Path | str, *, audio_root: Path | str | None = None, language: str | None = None) -> Manifest:
    """A list of recordings, in any form. Relative paths begin at `audio_root`, without it at the manifest's folder;
    `language` is that of items that name none.

    What can't be used of it is in `bad`, under its code (see rows.py), all else in `items`, each id once. Raises
    BadManifest where nothing can be: no such file, no UTF-8, no known form, no header, no rows. MissingExtra for STM.
    """
    path = Path(path)
    form = _form_of(path)
    folder = path if path.is_dir() else path.parent
    place = Place(Path(audio_root) if audio_root is not None else folder, language)
    items: dict[str, Item] = {}
    bad: list[BadItem] = []
    for found in _rows(path, form, place):
        if isinstance(found, BadItem):
            bad.append(found)
        elif found.id in items:
            bad.append(BadItem(found.id, "duplicate_id", "an earlier row has the same id; this one is left out"))
        else:
            items[found.id] = found
    if not items and not bad:
        raise BadManifest(path, "it lists no recordings")
    return Manifest(path, form, tuple(items.values()), tuple(bad))


def _rows(path: Path, form: str, place: Place) -> Iterator[Item | BadItem]:
    match form:
        case "tsv":
            return read_table(path, place)
        case "jsonl":
            return read_json_lines(path, place)
        case "kaldi":
            return read_folder(path if path.is_dir() else path.parent, place)
        case _:
            return items_of(read_sessions(path), place)


def _form_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if path.is_dir() or path.name == "wav.scp":
        return "kaldi"
    if suffix in AUDIO_SUFFIXES:
        raise BadManifest(path, f"it is a recording, not a list of them; {_FORMS} is expected")
    if suffix in (".ctm", ".rttm"):
        raise BadManifest(path, "it tells of recordings, but lists none: attach it to a manifest as its references")
    if suffix in (".tsv", ".csv", ".stm", ".seglst"):
        return suffix[1:] if suffix != ".csv" else "tsv"
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    return _form_by_shape(path)


def _form_by_shape(path: Path) -> str:
    """NeMo's .json is lines of JSON, SegLST's is one list; anything else may be a table. Raises BadManifest."""
    _, line = next(numbered(path), (0, ""))
    if line.lstrip().startswith("{"):
        return "jsonl"
    if line.lstrip().startswith("["):
        return "seglst"
    if "\t" in line:
        return "tsv"
    raise BadManifest(path, f"it is empty or of no known form; {_FORMS} is expected")
