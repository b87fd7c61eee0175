"""What some system recognised, from a file, so that any system's output can be scored: text or segments per item."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.items import BadItem, Item, Segment
from voxfleet.evaluation.manifests.jsonl import json_rows
from voxfleet.evaluation.manifests.kaldi import keyed
from voxfleet.evaluation.manifests.lines import numbered
from voxfleet.evaluation.manifests.rows import Refused, channel_number, find_column, printable, row_id, stretch
from voxfleet.evaluation.manifests.segments import Sessions, read_sessions
from voxfleet.evaluation.manifests.tsv import table_rows

Heard: TypeAlias = str | tuple[Segment, ...]
"""What was recognised in one item: as text, or as segments with times and perhaps speakers."""

_TEXT = ("hypothesis", "hyp", "pred_text", "prediction", "transcript", "text", "sentence")
"""Columns that hold what was recognised, best first: NeMo writes the reference to `text`, the result to `pred_text`."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypotheses(Mapping[str, Heard]):
    """Item id → what was recognised there. Files of segments are keyed by their own session names: see `of`."""

    path: Path
    form: str
    """tsv, jsonl, kaldi, stm, ctm, rttm, seglst."""
    texts: Mapping[str, str] = field(default_factory=dict)
    sessions: Sessions | None = None
    bad: tuple[BadItem, ...] = ()

    def of(self, item: Item) -> Heard | None:
        """What was recognised in the item, segments on its own clock; None where the file says nothing of it."""
        if self.sessions is not None:
            return self.sessions.of(item)
        for name in (item.id, item.audio.name, item.audio.stem) if _whole(item) else (item.id,):
            if name in self.texts:
                return self.texts[name]
        return None

    def __getitem__(self, name: str) -> Heard:
        if self.sessions is not None:
            return tuple(spoken.segment for spoken in self.sessions.spoken[name])
        return self.texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts if self.sessions is None else self.sessions.spoken)

    def __len__(self) -> int:
        return len(self.texts if self.sessions is None else self.sessions.spoken)


def read_hypotheses(path: Path | str) -> Hypotheses:
    """Reads TSV or CSV, JSON lines, Kaldi's text (or a folder with one), CTM, STM, RTTM, SegLST.

    Tables name the item by `id`, or by the audio column and the stretch as a manifest does. Raises BadManifest where
    the file can't be used at all, MissingExtra.
    """
    path = Path(path)
    form = _form_of(path)
    if form == "segments":
        sessions = read_sessions(path)
        return Hypotheses(path, sessions.form, sessions=sessions, bad=sessions.bad)
    texts: dict[str, str] = {}
    bad = []
    for number, found in enumerate(_texts(path, form), 1):
        if isinstance(found, BadItem):
            bad.append(found)
        elif found[0] in texts:
            bad.append(BadItem(f"{path.name} entry {number}", "duplicate_id", f"{found[0]!r} stands there twice"))
        else:
            texts[found[0]] = found[1]
    if not texts and not bad:
        raise BadManifest(path, "there is nothing in it")
    return Hypotheses(path, form, texts, bad=tuple(bad))


def _form_of(path: Path) -> str:
    match path.suffix.lower():
        case ".ctm" | ".stm" | ".rttm" | ".seglst":
            return "segments"
        case ".tsv" | ".csv":
            return "tsv"
        case ".jsonl" | ".ndjson":
            return "jsonl"
        case ".json":
            return "segments" if _is_list(path) else "jsonl"
        case _:
            return "kaldi"


def _is_list(path: Path) -> bool:
    _, line = next(numbered(path), (0, ""))
    return line.lstrip().startswith("[")


def _texts(path: Path, form: str) -> Iterator[tuple[str, str] | BadItem]:
    match form:
        case "tsv":
            return table_rows(path, _row, keys=("id", "audio"))
        case "jsonl":
            return json_rows(path, _row)
        case _:
            return keyed(path / "text" if path.is_dir() else path)


def _row(row: dict[str, str]) -> tuple[str, str]:
    """(item id, text) of a row. Raises Refused."""
    text = next((row[name] for name in _TEXT if name in row), None)
    if text is None:
        raise Refused("bad_row", f"it has no text: one of the columns {', '.join(_TEXT)} is expected")
    named = find_column(row, "id") or find_column(row, "audio")
    if named is None or not row[named]:
        raise Refused("bad_row", "it names no item: a column id, file or path is expected")
    if named == find_column(row, "id"):
        return printable(row[named]), printable(text)

    def value(role: str) -> str:
        name = find_column(row, role)
        return row[name] if name else ""

    start, end = stretch(value("start"), value("end"), value("duration"))
    return printable(row_id(row[named], start, end, channel_number(value("channel")))), printable(text)


def _whole(item: Item) -> bool:
    return not item.start and item.channel is None
