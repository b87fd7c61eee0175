"""Text that nobody said: words on clips without speech, and hypotheses that ran away from their audio.

Runaway is defined as in the evaluation reference §1.2: more than N tokens per audio second, a compression ratio above
2.4 (Whisper's own sign of a failed decoding: openai/whisper, transcribe.py), or a repeated n-gram loop. Models have
different tokens and other servers show none, so a token here is what a byte-pair vocabulary makes on average: each word
counts one for every four bytes of UTF-8 begun.
"""

import math
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from voxfleet.speech import Seconds

TOKENS_PER_SECOND = 12.0
"""Above what people say: of 276 recordings of read English the fastest has 5.4. Whisper can write 448 in 30 s, 15."""
SHORTEST = 1.0
"""Seconds: a clip shorter than this is judged as if it had this length, one word fits anywhere."""
COMPRESSION_RATIO = 2.4
LOOP_TIMES = 4
LOOP_WORDS = 8
"""A loop is the same n words at least LOOP_TIMES in a row, at least LOOP_WORDS in all ('no no no no' is none)."""
_LONGEST_LOOP = 30


class Runaway(StrEnum):
    """Why a text can't have been said in its audio."""

    DENSE = "more tokens than the audio has time for"
    COMPRESSIBLE = "compression ratio above 2.4"
    LOOP = "the same words again and again"


def is_runaway(text: str, audio_seconds: Seconds, *, tokens_per_second: float = TOKENS_PER_SECOND) -> Runaway | None:
    """The first reason that holds, in the order of Runaway; None where none does. ValueError: no duration."""
    _check_seconds(audio_seconds)
    if tokens(text) > tokens_per_second * max(audio_seconds, SHORTEST):
        return Runaway.DENSE
    if compression_ratio(text) > COMPRESSION_RATIO:
        return Runaway.COMPRESSIBLE
    return Runaway.LOOP if has_loop(text) else None


def tokens(text: str) -> int:
    """Estimated from the text alone, see above."""
    return sum(math.ceil(len(_utf8(word)) / 4) for word in text.split())


def compression_ratio(text: str) -> float:
    """Bytes of UTF-8 ÷ bytes after zlib, as Whisper defines it; 0 for no text."""
    data = _utf8(text.strip())
    return len(data) / len(zlib.compress(data)) if data else 0.0


def has_loop(text: str) -> bool:
    """Whether some n words stand at least LOOP_TIMES in a row; case and punctuation don't matter."""
    words = ["".join(char for char in word.casefold() if char.isalnum()) for word in text.split()]
    words = [word for word in words if word]
    for size in range(1, min(_LONGEST_LOOP, len(words) // LOOP_TIMES) + 1):
        wanted = max(LOOP_TIMES * size, LOOP_WORDS) - size
        same = 0  # words in a row that repeat the word `size` before them
        for at in range(size, len(words)):
            same = same + 1 if words[at] == words[at - size] else 0
            if same >= wanted:
                return True
    return False


@dataclass(frozen=True, slots=True)
class RunawayCounts:
    """Utterances, and those that ran away, each under its first reason. Raises ValueError for counts that can't be."""

    utterances: int = 0
    dense: int = 0
    compressible: int = 0
    looping: int = 0

    def __post_init__(self) -> None:
        if min(self.dense, self.compressible, self.looping) < 0 or self.runaway > self.utterances:
            raise ValueError(f"runaway utterances must be among all utterances: {self!r}")

    @classmethod
    def of(cls, text: str, audio_seconds: Seconds) -> Self:
        """One utterance."""
        reason = is_runaway(text, audio_seconds)
        return cls(1, *(int(reason is each) for each in Runaway))

    @property
    def runaway(self) -> int:
        return self.dense + self.compressible + self.looping

    @property
    def rate(self) -> float | None:
        """Share of the utterances that ran away; None without utterances."""
        return self.runaway / self.utterances if self.utterances else None

    def __add__(self, other: Self) -> "RunawayCounts":
        return RunawayCounts(
            self.utterances + other.utterances,
            self.dense + other.dense,
            self.compressible + other.compressible,
            self.looping + other.looping,
        )


@dataclass(frozen=True, slots=True)
class NonSpeech:
    """What was recognised where nobody spoke (evaluation reference §1.2, "Insertions on non-speech").

    Raises ValueError for counts that can't be.
    """

    clips: int = 0
    clips_with_output: int = 0
    words: int = 0
    seconds: Seconds = 0.0

    def __post_init__(self) -> None:
        _check_seconds(self.seconds)
        if not 0 <= self.clips_with_output <= self.clips:
            raise ValueError(f"clips with output must be among all clips: {self!r}")
        if self.words < self.clips_with_output or (self.words and not self.clips_with_output):
            raise ValueError(f"a clip with output has a word, one without has none: {self!r}")

    @classmethod
    def of(cls, text: str, seconds: Seconds) -> Self:
        """One clip. Words as written; what has neither letter nor digit ('…', '♪') is none, '[music]' is one."""
        words = sum(any(char.isalnum() for char in word) for word in text.split())
        return cls(1, int(words > 0), words, seconds)

    @property
    def share_with_output(self) -> float | None:
        """Clips in which anything was recognised ÷ clips; None without clips."""
        return self.clips_with_output / self.clips if self.clips else None

    @property
    def words_per_minute(self) -> float | None:
        """None without any time."""
        return self.words * 60 / self.seconds if self.seconds else None

    @property
    def words_per_hour(self) -> float | None:
        """None without any time."""
        return self.words * 3600 / self.seconds if self.seconds else None

    def __add__(self, other: Self) -> "NonSpeech":
        return NonSpeech(
            self.clips + other.clips,
            self.clips_with_output + other.clips_with_output,
            self.words + other.words,
            self.seconds + other.seconds,
        )


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a server's JSON may hold half a surrogate pair


def _check_seconds(seconds: Seconds) -> None:
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds of audio must be 0 or more, not {seconds!r}")
