"""What the embedded engine and its decoder processes say to each other: msgpack frames on one socket pair.

The engine asks, the process answers each question once and in order. Nothing here imports numpy: a decoder process
starts fast and stays small.
"""

from struct import Struct
from typing import TypeAlias

import msgspec

HEADER = Struct("<I")
"""Bytes of the message that follows."""


class Feed(msgspec.Struct, frozen=True, array_like=True):
    """Everything one seat's stream has been given since the last step."""

    seat: int
    """Number of the decoder inside its process."""
    tenancy: int
    """Another number than last time: another stream, of which nothing earlier may be remembered."""
    grammar: str
    """JSGF text, or empty for dictation."""
    audio: bytes
    """16-bit samples in the machine's byte order, 16 kHz mono."""
    ends: list[int]
    """Byte offsets into `audio` before which a turn ends, ascending; offsets may repeat."""


class Step(msgspec.Struct, frozen=True, array_like=True, tag="step"):
    """Hear all of this and say what was said."""

    feeds: list[Feed]


class Check(msgspec.Struct, frozen=True, array_like=True, tag="check"):
    """Can this grammar be used?"""

    grammar: str


class Said(msgspec.Struct, frozen=True, array_like=True):
    """A word; seconds since the first sample of its turn."""

    text: str
    start: float
    end: float
    confidence: float | None


class TurnHeard(msgspec.Struct, frozen=True, array_like=True):
    """The words of one turn, so far or for good."""

    words: list[Said]
    samples: int
    """Samples of the turn so far."""
    final: bool


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What one seat heard in a step: its ended turns in order, then what is open."""

    seat: int
    turns: list[TurnHeard]
    error: str
    """Why this seat's decoder failed, or empty."""


class Answers(msgspec.Struct, frozen=True, array_like=True, tag="answers"):
    """The reply to a step, one answer for each feed, in the same order."""

    answers: list[Answer]


class Checked(msgspec.Struct, frozen=True, array_like=True, tag="checked"):
    """The reply to a check."""

    fault: str
    """What is wrong with the grammar, or empty."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """Said once, unasked, when all decoders are loaded."""


class Broken(msgspec.Struct, frozen=True, array_like=True, tag="broken"):
    """Said instead of Ready: this process can never work."""

    why: str


Question: TypeAlias = Step | Check
Reply: TypeAlias = Ready | Broken | Answers | Checked

_encoder = msgspec.msgpack.Encoder()


def frame(message: Question | Reply) -> bytes:
    """The message with its length before it."""
    body = _encoder.encode(message)
    return HEADER.pack(len(body)) + body
