"""How finished finals are written down: text, JSON, subtitles. Pure: finals in, one string or one document out.

Lines are sorted by the time they begin, whatever their channel. With more than one channel every line says whose it is.
Subtitles follow the usual conventions: at most two rows of 42 characters and 7 seconds on the screen, split between words.
"""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voxfleet.speech import Final, Seconds, Word, text_of
from voxfleet.wire.native import FinalMessage

ROW_CHARACTERS = 42
CUE_ROWS = 2
CUE_SECONDS = 7.0


class Format(StrEnum):
    """How a transcript can be written."""

    TEXT = "text"
    """One line per turn."""
    JSON = "json"
    """{"text": …}, as OpenAI's transcription API answers."""
    VERBOSE_JSON = "verbose_json"
    """`document` as JSON: text, duration, segments, words."""
    SRT = "srt"
    VTT = "vtt"


@dataclass(frozen=True, slots=True)
class Line:
    """One turn as it is written down. Begins with its first word and ends with its last, where words have times."""

    channel: int
    start: Seconds
    end: Seconds
    text: str
    words: tuple[Word, ...] = ()


def lines_of(finals: Iterable[Final | FinalMessage]) -> tuple[Line, ...]:
    """The finals of a call, of all its channels, in the order they are read. Empty finals are left out."""
    lines = (_line(final) for final in finals if final.text)
    return tuple(sorted(lines, key=lambda line: (line.start, line.channel, line.end)))


def render(
    style: Format,
    lines: Sequence[Line],
    *,
    language: str = "en",
    duration: Seconds | None = None,
    labels: Mapping[int, str] | None = None,
) -> str:
    """A transcript as one string that ends in a line end. `labels` names the channels; '' for one leaves it unnamed.

    `duration` is the length of the audio; without it the end of the last line is taken.
    """
    names = _labels(lines, labels)
    match style:
        case Format.TEXT:
            return "".join(f"{_prefix(names, line.channel)}{line.text}\n" for line in lines)
        case Format.JSON:
            return _json({"text": full_text(lines)})
        case Format.VERBOSE_JSON:
            return _json(document(lines, language=language, duration=duration, labels=labels))
        case Format.SRT:
            return _srt(lines, names)
        case Format.VTT:
            return _vtt(lines, names)


def full_text(lines: Iterable[Line]) -> str:
    """Everything that was said, as one paragraph."""
    return " ".join(line.text for line in lines)


def document(
    lines: Sequence[Line],
    *,
    language: str = "en",
    duration: Seconds | None = None,
    labels: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """A transcript as plain values, shaped like OpenAI's `verbose_json` with a channel (and label) added.

    Only what is known is there: no log probabilities or compression ratios are made up.
    """
    names = _labels(lines, labels)
    end = max((line.end for line in lines), default=0.0)
    return {
        "task": "transcribe",
        "language": language,
        "duration": round(end if duration is None else duration, 3),
        "text": full_text(lines),
        "segments": [
            {"id": number, "start": _ms(line.start), "end": _ms(line.end), "text": line.text}
            | _whose(line.channel, names)
            for number, line in enumerate(lines)
        ],
        "words": [
            {"word": word.text, "start": _ms(word.start), "end": _ms(word.end)}
            | ({} if word.confidence is None else {"confidence": round(word.confidence, 4)})
            | _whose(line.channel, names)
            for line in lines
            for word in line.words
        ],
    }


def cues(lines: Iterable[Line], prefixes: Mapping[int, str] | None = None) -> list[Line]:
    """The lines cut so that each fits on a screen, also with the prefix of its channel before it.

    A line whose words have no times can't be cut and stays whole.
    """
    short: list[Line] = []
    for line in lines:
        prefix = (prefixes or {}).get(line.channel, "")
        part: list[Word] = []
        for word in line.words:
            if part and not _fits(prefix, [*part, word]):
                short.append(_cue(line, part))
                part = []
            part.append(word)
        short.append(_cue(line, part) if part else line)
    return sorted(short, key=lambda cue: (cue.start, cue.channel))


def _line(final: Final | FinalMessage) -> Line:
    words: tuple[Word, ...]
    if isinstance(final, Final):
        words, end = final.words, final.speech_end
    else:
        words = tuple(Word(w.word, w.start, w.end, w.confidence) for w in final.words or ())
        end = final.end
    if not words:
        return Line(final.channel, final.start, end, final.text)
    return Line(final.channel, words[0].start, max(word.end for word in words), final.text, words)


def _labels(lines: Iterable[Line], labels: Mapping[int, str] | None) -> dict[int, str]:
    channels = sorted({line.channel for line in lines})
    if labels is None:
        return {channel: f"channel {channel}" for channel in channels} if len(channels) > 1 else {}
    return {channel: label for channel, label in labels.items() if label}


def _whose(channel: int, names: Mapping[int, str]) -> dict[str, Any]:
    return {"channel": channel} | ({"label": names[channel]} if channel in names else {})


def _prefix(names: Mapping[int, str], channel: int) -> str:
    return f"{names[channel]}: " if channel in names else ""


def _fits(prefix: str, words: Sequence[Word]) -> bool:
    rows = textwrap.wrap(prefix + text_of(tuple(words)), ROW_CHARACTERS)
    return len(rows) <= CUE_ROWS and words[-1].end - words[0].start <= CUE_SECONDS


def _cue(line: Line, words: Sequence[Word]) -> Line:
    return Line(line.channel, words[0].start, max(word.end for word in words), text_of(tuple(words)), tuple(words))


def _rows(text: str) -> str:
    return "\n".join(textwrap.wrap(text, ROW_CHARACTERS))


def _srt(lines: Iterable[Line], names: Mapping[int, str]) -> str:
    prefixes = {channel: _prefix(names, channel) for channel in names}
    blocks = (
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        f"{_rows(prefixes.get(cue.channel, '') + cue.text)}\n"
        for number, cue in enumerate(cues(lines, prefixes), start=1)
    )
    return "\n".join(blocks)


def _vtt(lines: Iterable[Line], names: Mapping[int, str]) -> str:
    blocks = ["WEBVTT\n"]
    for cue in cues(lines):
        voice = f"<v {_escaped(names[cue.channel])}>" if cue.channel in names else ""
        times = f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}"
        blocks.append(f"{times}\n{voice}{_escaped(_rows(cue.text))}\n")
    return "\n".join(blocks)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(at: Seconds, point: str) -> str:
    milliseconds = max(round(at * 1000), 0)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{milliseconds:03}"


def _ms(seconds: Seconds) -> Seconds:
    return round(seconds, 3)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
