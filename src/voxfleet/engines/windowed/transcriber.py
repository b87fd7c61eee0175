"""What lies between `windowed/` and a recogniser that can only transcribe a buffer: windows in, transcripts out, in batches.

A transcriber knows nothing of streams, turns or time before the window. Times are seconds since the window's first sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxfleet.errors import EngineError
from voxfleet.speech import Seconds, Word


@dataclass(frozen=True, slots=True)
class Window:
    """One buffer to be transcribed, and what is known about it."""

    samples: NDArray[np.int16]
    """16 kHz mono, shape (n,), at most `Transcriber.window_seconds` of it. Valid during the call only."""
    language: str = ""
    """Bare language code ('en', 'ro'); empty = find it."""
    translate: bool = False
    """English text of speech in another language."""
    prompt: tuple[int, ...] = ()
    """Tokens of what was said just before the window, oldest first."""
    prefix: tuple[int, ...] = ()
    """Tokens the transcript must begin with: words of this window that are settled."""
    draft: tuple[int, ...] = ()
    """Tokens that probably follow the prefix: what an earlier decode of the same turn said. They change no result."""
    exact: bool = False
    """Its words may settle or be final, so their times should be as good as they get; else a quick guess will do."""
    careful: bool = False
    """A recorded file: the best transcript, whatever it takes."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """A word and what it is made of."""

    word: Word
    tokens: tuple[int, ...] = ()
    attended: Seconds | None = None
    """The latest point of the window its tokens attended to; None where attention is not known."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a window holds."""

    words: tuple[Spelled, ...] = ()
    """What was decoded: what follows the prefix, spelled by itself, where the transcriber keeps prefixes, else all."""
    language: str = ""
    """Bare code of the language the words are in; empty where the transcriber does not know."""
    no_speech: float = 0.0
    """Probability, 0..1, that nobody speaks in the window."""
    log_probability: float = 0.0
    """Mean natural logarithm of the probabilities of the decoded tokens, prefix left out."""


class Transcriber(Protocol):
    """Called by one thread only."""

    window_seconds: Seconds
    """The longest window it takes."""
    keeps_prefix: bool
    """Whether what it decodes goes on from `Window.prefix`, token for token."""

    def transcribe(self, windows: Sequence[Window]) -> Sequence[Transcript | EngineError]:
        """One outcome per window, in order. What a window holds never changes the outcome of another."""
        ...

    def close(self) -> None: ...
