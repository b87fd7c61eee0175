"""What a caller may ask of a stream, parsed once at the edge and trusted inside."""

from dataclasses import dataclass
from enum import StrEnum

from voxfleet.errors import BadValue
from voxfleet.speech import AUTO
from voxfleet.wire.phrases import Phrase


class Encoding(StrEnum):
    """How the bytes of a stream hold its samples."""

    PCM16 = "pcm16"
    """Signed 16-bit little-endian."""
    FLOAT32 = "float32"
    """IEEE 32-bit little-endian in -1..1."""
    MULAW = "mulaw"
    """G.711 µ-law, one byte a sample."""
    ALAW = "alaw"
    """G.711 A-law, one byte a sample."""
    CONTAINER = "container"
    """A file format that says itself what it holds: wav, flac, mp3, ogg, webm, m4a."""

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of one channel; 0 for containers."""
        return {"pcm16": 2, "float32": 4, "mulaw": 1, "alaw": 1}.get(self.value, 0)


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """One call as its caller asked for it. All values are already checked."""

    language: str = "en"
    encoding: Encoding = Encoding.PCM16
    sample_rate: int = 16_000
    """Hz; containers carry their own."""
    channels: int = 1
    """Interleaved in the frames; each becomes a stream of its own."""
    endpointing_ms: int | None = None
    """Silence that ends a turn; None = the server's setting."""
    interim: bool = True
    """Send partials."""
    model: str | None = None
    """None = the server's default."""
    words: bool = True
    """Put words with times into finals."""
    grammar: str | None = None
    phrases: tuple[Phrase, ...] = ()
    """Words the caller expects, beside all others."""
    translate: bool = False
    """English text of what is said in another language."""


class Task(StrEnum):
    """What is made of speech."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


def translates(task: str) -> bool:
    """Whether a task as a caller spells it asks for a translation; '' = transcribe. Raises BadValue."""
    try:
        return Task(task or Task.TRANSCRIBE) is Task.TRANSLATE
    except ValueError:
        raise BadValue("task", task, f"one of {', '.join(Task)}") from None


def language_tag(text: str) -> str:
    """A language as a caller spells it, unchanged. Raises BadValue for what is neither a BCP-47 tag nor `auto`."""
    parts = text.split("-")
    well_formed = all(part.isascii() and part.isalnum() and len(part) <= 8 for part in parts)
    if text != AUTO and not (2 <= len(parts[0]) <= 3 and well_formed):
        raise BadValue("language", text, f"a BCP-47 tag such as en or en-US, or {AUTO}")
    return text
