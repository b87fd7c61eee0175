"""Edit counts that add up: of words, of characters, and of words wrong in nothing but a diacritic.

Rates are derived and always pooled: errors of all ÷ reference units of all. A mean of rates has no meaning.
"""

from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class EditCounts:
    """Counts of one comparison or, added up, of many. Raises ValueError for counts that can't be."""

    rate_name: ClassVar[str] = "error rate"
    units: ClassVar[str] = "units"

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __post_init__(self) -> None:
        if min(self.hits, self.substitutions, self.deletions, self.insertions) < 0:
            raise ValueError(f"counts of {self.units} can't be negative: {self!r}")

    @property
    def reference(self) -> int:
        """Units that were said."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis(self) -> int:
        """Units that were recognised."""
        return self.hits + self.substitutions + self.insertions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors ÷ reference units; above 1 where more is invented than was said. None without reference units."""
        return self.errors / self.reference if self.reference else None

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented  # words and characters don't add up
        return type(self)(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    def __str__(self) -> str:
        rate = f"no reference {self.units}" if self.rate is None else f"{self.rate_name} {self.rate:.1%}"
        return (
            f"{rate} ({self.errors} of {self.reference} {self.units}: {self.substitutions} substituted, "
            f"{self.deletions} left out, {self.insertions} added)"
        )


class WordErrors(EditCounts):
    """Word error rate, WER: (S + D + I) ÷ reference words (jiwer; evaluation reference §1.1)."""

    __slots__ = ()
    rate_name: ClassVar[str] = "WER"
    units: ClassVar[str] = "words"


class CharErrors(EditCounts):
    """Character error rate, CER: as WER on the characters of the normalised text (jiwer; evaluation reference §1.1).

    A character is a Unicode code point; the single space between two words is one.
    """

    __slots__ = ()
    rate_name: ClassVar[str] = "CER"
    units: ClassVar[str] = "characters"


@dataclass(frozen=True, slots=True)
class DiacriticErrors:
    """Words that are wrong in nothing but their diacritics (evaluation reference §1.1: Romanian)."""

    reference: int = 0
    """Words that were said."""
    wrong: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.wrong <= self.reference:
            raise ValueError(f"words with wrong diacritics must be among the words of the reference: {self!r}")

    @property
    def rate(self) -> float | None:
        """Words wrong only in diacritics ÷ reference words; None without reference words."""
        return self.wrong / self.reference if self.reference else None

    def __add__(self, other: Self) -> "DiacriticErrors":
        return DiacriticErrors(self.reference + other.reference, self.wrong + other.wrong)
