"""Word error rate as counts that add up: what is counted as a word, and what is not counted as an error.

Unless told otherwise text is normalised as Whisper's authors do for English (numbers, spelling, contractions, fillers,
punctuation), both sides alike, so "5961" and "five nine six one" agree; `voxfleet.evaluation.text.normalise` has the
normalisers of other languages. Rates are always pooled: errors of all ÷ reference words of all.
"""

from collections.abc import Callable, Iterable

from voxfleet.evaluation.text.alignment import align_texts, count
from voxfleet.evaluation.text.counts import WordErrors
from voxfleet.evaluation.text.normalise import Normaliser, normaliser

__all__ = ["WordErrors", "english", "normaliser_name", "score", "score_all"]


def score(reference: str, hypothesis: str, *, normalise: Callable[[str], str] | None = None) -> WordErrors:
    """One text against what was said. `normalise`, a Normaliser as a rule, replaces the English one."""
    return count(align_texts(reference, hypothesis, normalise or english()))


def score_all(pairs: Iterable[tuple[str, str]], *, normalise: Callable[[str], str] | None = None) -> WordErrors:
    """Many (reference, hypothesis) pairs, pooled."""
    return sum((score(said, heard, normalise=normalise) for said, heard in pairs), WordErrors())


def english() -> Normaliser:
    """The English normaliser of whisper-normalizer."""
    return normaliser("english")


def normaliser_name() -> str:
    """What to print beside every rate: rates of different normalisers can't be compared."""
    return english().version
