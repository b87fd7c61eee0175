"""How one row of a manifest, whatever its form, becomes an item, or is refused by name.

Codes of refusal: missing_audio (no such file), not_audio (a file of another kind, told by its suffix), bad_row (what
stands there makes no sense), duplicate_id, command_pipe (a shell command in place of a path: never executed).
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxfleet.evaluation.manifests.items import NON_SPEECH, SPEECH, BadItem, Item
from voxfleet.speech import Seconds

_CONTAINERS = "wav wave w64 aif aiff aifc au snd caf flac mp3 aac amr ogg oga opus m4a m4b mp4 mov 3gp mkv mka webm"
AUDIO_SUFFIXES = frozenset(f".{name}" for name in _CONTAINERS.split())
"""What audio/container.py can read. A file without a suffix is let through: decoding it tells."""

MOST_CHANNELS = 64

_NAMES = {
    "audio": ("file", "path", "audio", "audio_filepath", "audio_file", "audio_path", "wav"),
    "text": ("transcript", "text", "reference", "sentence"),
    "id": ("id", "utt_id", "utterance_id"),
    "start": ("start", "offset", "start_time"),
    "end": ("end", "end_time"),
    "duration": ("duration",),
    "channel": ("channel",),
    "language": ("language", "lang", "locale"),
    "kind": ("kind",),
}
"""Role of a column → what it may be called, best first."""

_NOT_SLICES = ("audio", "text", "id", "start", "end", "duration")


class Refused(Exception):
    """One row can't be used; never leaves `manifests`; `code` is one of the codes above, the text a sentence."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)

    def at(self, where: str) -> BadItem:
        return BadItem(where, self.code, str(self))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the paths of a manifest begin, and the language of items that name none."""

    root: Path
    language: str | None = None

    def audio(self, written: str) -> Path:
        """The file that `written` names. Raises Refused: not_audio, missing_audio, command_pipe."""
        if written.rstrip().endswith("|") or written.lstrip().startswith("|"):
            raise Refused("command_pipe", f"a path is expected, commands are not executed: {shown(written)}")
        suffix = os.path.splitext(written)[1].lower()  # noqa: PTH122 Path refuses nothing but normalises much
        if suffix and suffix not in AUDIO_SUFFIXES:
            raise Refused("not_audio", f"a {shown(suffix)} file is no audio file: {shown(written)}")
        path = self.root / written
        if not os.path.isfile(path):  # noqa: PTH113 Path.is_file raises for names too long for the system
            raise Refused("missing_audio", f"there is no file {shown(path)}")
        return path


def find_column(names: Mapping[str, object], role: str) -> str | None:
    """The name under which `role` (audio, text, id, …) stands in a row or a header, or None."""
    return next((name for name in _NAMES[role] if name in names), None)


def item_of(row: Mapping[str, str], place: Place) -> Item:
    """One row, its columns by lower-case name, as an item. Raises Refused."""
    column = {role: name for role in _NAMES if (name := find_column(row, role))}

    def value(role: str) -> str:
        return row[column[role]].strip() if role in column else ""

    written = value("audio")
    if not written:
        raise Refused("bad_row", "it names no audio file")
    start, end = stretch(value("start"), value("end"), value("duration"))
    channel = channel_number(value("channel"))
    kind = value("kind").lower() or SPEECH
    taken = {column[role] for role in _NOT_SLICES if role in column}
    columns = {name: text for name, text in row.items() if name not in taken}
    for text in (written, value("text"), value("id"), *columns.values()):
        printable(text)
    return Item(
        id=value("id") or row_id(written, start, end, channel),
        audio=place.audio(written),
        reference=reference_of(value("text"), kind),
        start=start,
        end=end,
        channel=channel,
        language=value("language") or place.language,
        kind=kind,
        columns=columns,
    )


def row_id(written: str, start: Seconds = 0.0, end: Seconds | None = None, channel: int | None = None) -> str:
    """The id of a row without one: its path as written, plus what tells it from other rows of the same file."""
    stretched = f"#{start}-{'' if end is None else end}" if start else ""
    return written + stretched + ("" if channel is None else f"#channel{channel}")


def reference_of(text: str, kind: str) -> str | None:
    """The reference that an item's transcript stands for: '' only where nobody spoke. Raises Refused."""
    if kind not in NON_SPEECH:
        return text or None
    if text:
        raise Refused("bad_row", f"its kind is {kind}, yet it has a transcript: {shown(text)}")
    return ""


def stretch(start: str, end: str, duration: str) -> tuple[Seconds, Seconds | None]:
    """Start and end in seconds from three columns, each of which may be empty. Raises Refused."""
    begins = seconds(start, "start") if start else 0.0
    ends = seconds(end, "end") if end else None
    if duration and ends is None:
        ends = begins + seconds(duration, "duration")
    if ends is not None and ends <= begins:
        raise Refused("bad_row", f"its end ({ends:g} s) is not after its start ({begins:g} s)")
    return begins, ends


def seconds(text: str, what: str) -> Seconds:
    """A time from a file. Raises Refused for anything but a finite number that is not negative."""
    try:
        value = float(text)
    except (ValueError, OverflowError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise Refused("bad_row", f"its {what} must be a number of seconds, not {shown(text)}")
    return value


def channel_number(text: str) -> int | None:
    """A channel counted from 0, or the letter that telephony gives it (A is 0). Raises Refused."""
    if not text:
        return None
    if len(text) == 1 and text.upper() in "ABCDEFGH":
        return "ABCDEFGH".index(text.upper())
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) < MOST_CHANNELS:
        return int(text)
    raise Refused("bad_row", f"its channel must be a number from 0 or a letter from A, not {shown(text)}")


def printable(text: str) -> str:
    """The same text. Raises Refused where no report could hold it: half of a surrogate pair, from a JSON escape."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Refused("bad_row", f"it holds half of a character: {shown(text)}") from error
    return text


def shown(value: object) -> str:
    """Something from a file, short enough and clean enough for a sentence."""
    text = str(value)
    return repr(text if len(text) <= 120 else text[:119] + "…").encode(errors="replace").decode()
