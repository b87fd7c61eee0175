"""The vocabulary: what is said, by whom, when. Frozen values; every time is stream time in seconds.

Stream time zero is the first sample the caller sent. Audio inside the house is 16 kHz mono.
Values that are made for every frame and word are msgspec structs: frozen dataclasses cost several times as much to make.
"""

import re
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Seconds: TypeAlias = float
"""Stream time or a length of audio. Never clock time: clock time is called `now`."""

Samples: TypeAlias = NDArray[np.float32]
"""16 kHz mono samples in -1..1, shape (n,)."""

SAMPLE_RATE = 16_000
"""Hz, of every sample array between `audio/` and an engine."""

SPEECH_FRAME = 512
"""Samples (32 ms at 16 kHz) for which one speech probability is given."""


ANY_LANGUAGE = "*"
"""What an engine names that hears whatever is spoken."""

AUTO = "auto"
"""The language a caller names who wants it found out."""

OTHER_NAMES = {"jw": "jv", "ji": "yi", "mo": "ro", "no": "nb", "iw": "he", "cmn": "zh", "in": "id", "fil": "tl"}
"""Codes callers still use for a language that has another one, by the language alone."""


def bare_language(tag: str) -> str:
    """The language of a BCP-47 tag by its usual code, without script and region: 'ro' of 'mo-MD', 'en' of 'en_US'."""
    code = tag.replace("_", "-").split("-")[0].lower()
    return OTHER_NAMES.get(code, code)


def hears(offered: Iterable[str], language: str) -> bool:
    """Whether an engine of these languages hears this one, in whatever country it is spoken."""
    wanted = bare_language(language)
    return any(tag == ANY_LANGUAGE or bare_language(tag) == wanted for tag in offered)


class Word(Struct, frozen=True):
    """One recognised word. Punctuation, where an engine gives it, is part of `text`."""

    text: str
    start: Seconds
    end: Seconds
    confidence: float | None = None
    """0..1, or None where the engine has no measure of it."""

    def moved(self, by: Seconds) -> "Word":
        """The same word on a clock that started `by` seconds earlier."""
        return Word(self.text, self.start + by, self.end + by, self.confidence)


UNSPACED = "[⺀-⿟\u3000-ヿ㐀-䶿一-鿿豈-﫿\uff00-\uffef\U00020000-\U0003ffff]"
"""One letter or mark of Han and Kana, scripts that put no space between words; a regular expression."""
RUN_ON = f"(?:{UNSPACED}|[\u0e00-\u0eff\u1000-\u109f])"
"""The same with Thai, Lao and Burmese, whose words are not told apart by spaces either."""
_BETWEEN = re.compile(f"(?<={RUN_ON}) (?={RUN_ON})")


def text_of(words: "tuple[Word, ...]") -> str:
    """The words as one line of text: Chinese and Japanese are written without spaces."""
    line = " ".join(word.text for word in words)
    return line if line.isascii() else _BETWEEN.sub("", line)


class Hypothesis(Struct, frozen=True):
    """What an engine believes about one turn of one track, so far.

    `turn` counts the ends of turn this track has been given before this turn. Word times are seconds since
    the first sample of that turn. Stable words only ever grow within a turn; unstable ones may change.
    """

    turn: int
    stable: tuple[Word, ...] = ()
    unstable: tuple[Word, ...] = ()
    heard: Seconds = 0.0
    """How much of the turn's audio this hypothesis has taken into account."""
    final: bool = False
    """True once, for the last hypothesis of the turn."""
    language: str = ""
    """BCP-47 tag of the language the engine found in this turn; empty where it doesn't say."""

    @property
    def words(self) -> tuple[Word, ...]:
        return self.stable + self.unstable


class SpeechStarted(Struct, frozen=True):
    """Somebody began to speak."""

    channel: int
    turn: int
    at: Seconds


class Partial(Struct, frozen=True):
    """The present best guess of a turn. A newer one replaces it; it may be dropped on the way."""

    channel: int
    turn: int
    start: Seconds
    end: Seconds
    stable: tuple[Word, ...]
    unstable: tuple[Word, ...]

    @property
    def words(self) -> tuple[Word, ...]:
        return self.stable + self.unstable


class Final(Struct, frozen=True):
    """Words that never change. Delivered in order, once, never dropped. No words = nothing was recognised."""

    channel: int
    turn: int
    start: Seconds
    end: Seconds
    words: tuple[Word, ...]
    speech_end: Seconds
    """End of the last speech the turn holds; `end` also covers the silence that closed it."""
    language: str = ""
    """BCP-47 tag of the language the engine found; empty where it doesn't say."""

    @property
    def text(self) -> str:
        return text_of(self.words)


class Flushed(Struct, frozen=True):
    """Everything heard before the caller's flush number `flush` is final."""

    channel: int
    flush: int


class Settled(Struct, frozen=True):
    """Nothing before stream time `at` will change any more; recognition has got as far as `heard`."""

    channel: int
    at: Seconds
    heard: Seconds
    turn: int
    """Number of the first turn that begins at `at` or later: all before it are final."""
    continued: bool = False
    """That turn begins exactly at `at`, in mid-speech: the one before it was cut at its greatest length."""


Event: TypeAlias = SpeechStarted | Partial | Final | Flushed | Settled
