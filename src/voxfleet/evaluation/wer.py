"""Word error rate as counts that add up: what is counted as a word, and what is not counted as an error.

Text is normalised as Whisper's authors do for English (numbers, spelling, contractions, fillers, punctuation), both
sides alike, so "5961" and "five nine six one" agree. Rates are always pooled: errors of all ÷ reference words of all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Self

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Counts of one comparison or, added up, of many. Raises ValueError for counts that can't be."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __post_init__(self) -> None:
        if min(self.hits, self.substitutions, self.deletions, self.insertions) < 0:
            raise ValueError(f"counts of words can't be negative: {self!r}")

    @property
    def reference(self) -> int:
        """Words that were said."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis(self) -> int:
        """Words that were recognised."""
        return self.hits + self.substitutions + self.insertions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors ÷ reference words; above 1 where more is invented than was said. None without reference words."""
        return self.errors / self.reference if self.reference else None

    def __add__(self, other: Self) -> "WordErrors":
        return WordErrors(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    def __str__(self) -> str:
        rate = "no reference words" if self.rate is None else f"WER {self.rate:.1%}"
        return (
            f"{rate} ({self.errors} of {self.reference} words: {self.substitutions} substituted, "
            f"{self.deletions} left out, {self.insertions} added)"
        )


def score(reference: str, hypothesis: str, *, normalise: Callable[[str], str] | None = None) -> WordErrors:
    """One text against what was said. `normalise` replaces the English normaliser; `str` compares the raw words."""
    prepared = normalise or english()
    said, heard = prepared(reference).split(), prepared(hypothesis).split()
    if not said or not heard:
        return WordErrors(deletions=len(said), insertions=len(heard))
    aligned = jiwer.process_words(" ".join(said), " ".join(heard))
    return WordErrors(aligned.hits, aligned.substitutions, aligned.deletions, aligned.insertions)


def score_all(pairs: Iterable[tuple[str, str]], *, normalise: Callable[[str], str] | None = None) -> WordErrors:
    """Many (reference, hypothesis) pairs, pooled."""
    return sum((score(said, heard, normalise=normalise) for said, heard in pairs), WordErrors())


@cache
def english() -> Callable[[str], str]:
    """The English normaliser of whisper-normalizer; made once, it loads a table of spellings."""
    normaliser: Callable[[str], str] = EnglishTextNormalizer()
    return normaliser


def normaliser_name() -> str:
    """What to print beside every rate: rates of different normalisers can't be compared."""
    return f"whisper-normalizer {version('whisper-normalizer')}, English"
