"""Who said what, when: STM, CTM and RTTM line by line through meeteval, and SegLST; as sessions, as items, as text.

Formats: STM and CTM in NIST's OpenASR20 evaluation plan, RTTM in nryant/dscore's README, SegLST in fgnt/meeteval's.
meeteval's own loaders give up a whole file for one bad line; here a bad line is a BadItem. SegLST is plain JSON.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxfleet.evaluation.faults import BadManifest, MissingExtra
from voxfleet.evaluation.manifests.items import BadItem, Item, Segment
from voxfleet.evaluation.manifests.jsonl import parsed
from voxfleet.evaluation.manifests.lines import lines_of, numbered
from voxfleet.evaluation.manifests.rows import AUDIO_SUFFIXES, Place, Refused, channel_number, printable, seconds, shown
from voxfleet.speech import Seconds

SUFFIXES = (".stm", ".ctm", ".rttm", ".seglst", ".json")

_LABEL = re.compile(r"<[^<>\s]*>\s*")
"""STM's optional field of categories before the text, as in TED-LIUM: <o,f0,male>."""
_TRIED = sorted(AUDIO_SUFFIXES, key=lambda suffix: (suffix != ".wav", suffix != ".flac", suffix))
_NOT_SCORED = "ignore_time_segment_in_scoring"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One segment as its file has it, and the channel it names there ('' where it names none)."""

    session: str
    channel: str
    segment: Segment


@dataclass(frozen=True, slots=True)
class Sessions:
    """A file of segments: those of each recording in order of time, and the lines that could not be read."""

    form: str
    spoken: Mapping[str, tuple[Spoken, ...]]
    bad: tuple[BadItem, ...] = field(default=())

    def of(self, item: Item) -> tuple[Segment, ...] | None:
        """The segments of an item, on its own clock, or None where the file has no such session.

        A session named like the item is the item. One named like its audio file (with its folders or not, with its
        suffix or not) is the recording it was cut from: of that come the segments whose middle is in the item's
        stretch, and where the session tells channels apart, those of the item's channel.
        """
        if item.id in self.spoken:
            spoken = _on_channel(self.spoken[item.id], item.channel)
            return tuple(one.segment for one in spoken)
        written = item.id.partition("#")[0].removesuffix(item.audio.suffix)
        for name in (written, item.audio.name, item.audio.stem):
            if name in self.spoken:
                spoken = _on_channel(self.spoken[name], item.channel)
                return tuple(_moved(one.segment, item) for one in spoken if _inside(one.segment, item))
        return None


def read_sessions(path: Path) -> Sessions:
    """Reads .stm, .ctm, .rttm or SegLST. Raises BadManifest (also where nothing is in it), MissingExtra."""
    form = path.suffix.lower().lstrip(".")
    reader = {"stm": _stm, "ctm": _ctm, "rttm": _rttm}.get(form, _seglst)
    sessions: dict[str, list[Spoken]] = {}
    bad: list[BadItem] = []
    for found in reader(path):
        if isinstance(found, BadItem):
            bad.append(found)
        else:
            sessions.setdefault(found.session, []).append(found)
    if not sessions and not bad:
        raise BadManifest(path, "there are no segments in it")
    ordered = {
        name: tuple(sorted(spoken, key=lambda one: (one.segment.start, one.segment.end)))
        for name, spoken in sessions.items()
    }
    return Sessions(form if reader is not _seglst else "seglst", ordered, tuple(bad))


def items_of(sessions: Sessions, place: Place) -> Iterator[Item | BadItem]:
    """One item per recording, with its segments and what they say; its audio is the file of that name and a suffix
    of audio, in the place. Raises nothing."""
    yield from sessions.bad
    for name, spoken in sessions.spoken.items():
        segments = tuple(one.segment for one in spoken)
        try:
            audio = _audio_of(name, place)
        except Refused as refused:
            yield refused.at(name)
        else:
            yield Item(name, audio, text_of(segments) or None, language=place.language, segments=segments)


def text_of(segments: Iterable[Segment]) -> str:
    """What the segments say, in order of time."""
    return " ".join(segment.text for segment in segments if segment.text)


def _audio_of(session: str, place: Place) -> Path:
    if Path(session).suffix.lower() in AUDIO_SUFFIXES:
        return place.audio(session)
    for suffix in _TRIED:
        try:
            return place.audio(session + suffix)
        except Refused:
            continue
    raise Refused("missing_audio", f"there is no {shown(session + '.wav')}, nor with another suffix, in {place.root}")


def _on_channel(spoken: tuple[Spoken, ...], channel: int | None) -> tuple[Spoken, ...]:
    """Those of one channel, where the recording has segments of several."""
    if channel is None or len({one.channel for one in spoken}) < 2:
        return spoken
    first = 0 if any(one.channel == "0" for one in spoken) else 1
    return tuple(one for one in spoken if _heard_on(one.channel, first) == channel)


def _heard_on(channel: str, first: int) -> int | None:
    """The channel from 0 that a file's own name for it means: files count from `first`, or use letters."""
    try:
        number = channel_number(channel)
    except Refused:
        return None
    return number if number is None or channel.isalpha() else number - first


def _inside(segment: Segment, item: Item) -> bool:
    middle = (segment.start + segment.end) / 2
    return item.start <= middle and (item.end is None or middle < item.end)


def _moved(segment: Segment, item: Item) -> Segment:
    end = segment.end if item.end is None else min(segment.end, item.end)
    return Segment(segment.speaker, max(0.0, segment.start - item.start), end - item.start, segment.text)


def _stm(path: Path) -> Iterator[Spoken | BadItem]:
    line_of = _meeteval().stm.STMLine.parse

    def read(line: str) -> Spoken | None:
        session, channel, rest = line.split(maxsplit=2)
        stm = line_of(f"{session} 1 {rest}", parse_float=str)  # meeteval 0.4 takes no channel A with a time like 10
        text = _LABEL.sub("", stm.transcript, count=1) if stm.transcript.startswith("<") else stm.transcript
        if text.strip().lower() == _NOT_SCORED:
            return None
        return _spoken(session, channel, stm.speaker_id, stm.begin_time, stm.end_time, text.strip())

    return _lines(path, "file channel speaker start end text", read)


def _ctm(path: Path) -> Iterator[Spoken | BadItem]:
    line_of = _meeteval().ctm.CTMLine.parse

    def read(line: str) -> Spoken:
        session, channel, rest = line.split(maxsplit=2)
        ctm = line_of(f"{session} 1 {rest}", parse_float=float)
        return _spoken(session, channel, None, ctm.begin_time, ctm.begin_time + ctm.duration, ctm.word)

    return _lines(path, "file channel start duration word", read)


def _rttm(path: Path) -> Iterator[Spoken | BadItem]:
    line_of = _meeteval().rttm.RTTMLine.parse

    def read(line: str) -> Spoken | None:
        kind, session, channel, rest = line.split(maxsplit=3)
        if kind != "SPEAKER":  # SPKR-INFO, LEXEME and others of NIST's RTTM
            return None
        rttm = line_of(f"{kind} {session} 1 {rest}", parse_float=float)
        return _spoken(session, channel, rttm.speaker_id, rttm.begin_time, rttm.begin_time + rttm.duration, None)

    return _lines(path, "SPEAKER file channel start duration <NA> <NA> speaker <NA> <NA>", read)


def _lines(path: Path, form: str, read: Callable[[str], Spoken | None]) -> Iterator[Spoken | BadItem]:
    for number, line in numbered(path):
        if line.lstrip().startswith(";"):
            continue
        where = f"{path.name} line {number}"
        try:
            found = read(line)
        except Refused as refused:
            yield refused.at(where)
        except (ValueError, AssertionError):  # meeteval's, both
            yield BadItem(where, "bad_row", f"a line is '{form}', not {shown(line)}")
        else:
            if found:
                yield found


def _seglst(path: Path) -> Iterator[Spoken | BadItem]:
    try:
        found = parsed("".join(lines_of(path)))
    except Refused as refused:
        raise BadManifest(path, str(refused)) from refused
    if not isinstance(found, list):
        raise BadManifest(path, "a SegLST file is a JSON list of segments")
    for number, entry in enumerate(found, 1):
        try:
            yield _segment(entry)
        except Refused as refused:
            yield refused.at(f"{path.name} segment {number}")


def _segment(entry: object) -> Spoken:
    if not isinstance(entry, dict) or "session_id" not in entry:
        raise Refused("bad_row", "it is no object with a session_id")
    start, end = _edge(entry.get("start_time"), min), _edge(entry.get("end_time"), max)
    words, speaker = entry.get("words"), entry.get("speaker")
    if isinstance(words, list):
        words = " ".join(str(word) for word in words)
    if words is not None and not isinstance(words, str):
        raise Refused("bad_row", f"its words must be text, not {shown(words)}")
    name = None if speaker is None else str(speaker)
    return _spoken(str(entry["session_id"]), str(entry.get("channel", "")), name, start, end, words)


def _edge(value: object, choose: Callable[[list[Any]], Any]) -> object:
    """A time of a segment; SegLST may give those of its words instead."""
    if not isinstance(value, list):
        return value
    return choose([seconds(str(one), "time") for one in value]) if value else None


def _spoken(session: str, channel: str, speaker: str | None, start: object, end: object, text: str | None) -> Spoken:
    """Raises Refused."""
    begins: Seconds = seconds(str(start), "start")
    ends: Seconds = seconds(str(end), "end")
    if ends < begins:
        raise Refused("bad_row", f"its end ({ends:g} s) is before its start ({begins:g} s)")
    for written in (session, speaker, text):
        printable(written or "")
    return Spoken(session, channel, Segment(speaker, begins, ends, text))


def _meeteval() -> Any:
    try:
        import meeteval.io
    except ImportError as error:
        raise MissingExtra("reading STM, CTM and RTTM", "speakers", "meeteval") from error
    return meeteval.io
