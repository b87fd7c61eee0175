"""What is to be measured: recordings with what was said in them. Every kind of manifest becomes these values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxfleet.speech import Seconds

SPEECH = "speech"
NON_SPEECH = ("silence", "noise", "music", "tones")
"""Kinds of recordings in which nobody speaks: whatever is recognised in them is invented."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a reference: who said what, when. Times are seconds from the beginning of the item's audio."""

    speaker: str | None
    start: Seconds
    end: Seconds
    text: str | None
    """None where only the speaker is known (RTTM)."""


@dataclass(frozen=True, slots=True)
class Item:
    """One recording, or a stretch of one, and what is known of it."""

    id: str
    """Distinct within the manifest: the path as written there, or the utterance's name."""
    audio: Path
    reference: str | None
    """None where nobody wrote down what was said; '' only where nothing was (a non-speech kind)."""
    start: Seconds = 0.0
    end: Seconds | None = None
    """None: to the end of the file."""
    channel: int | None = None
    """None: all channels, mixed down."""
    language: str | None = None
    kind: str = SPEECH
    segments: tuple[Segment, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    """Every other column of the manifest: what results can be sliced by."""


@dataclass(frozen=True, slots=True)
class BadItem:
    """A row that could not be used, where it stands and why."""

    where: str
    """E.g. 'MANIFEST.tsv line 12', or the id of an item."""
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A list of recordings as read."""

    path: Path
    form: str
    """tsv, jsonl, kaldi, stm, seglst."""
    items: tuple[Item, ...]
    bad: tuple[BadItem, ...] = ()
