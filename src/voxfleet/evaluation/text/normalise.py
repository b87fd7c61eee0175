"""The normalisers a rate can be measured with, by name: a rate without its normaliser's version can't be compared.

Romanian is never measured with `english`: it strips diacritics, expands English contractions and deletes fillers.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.text import romanian

NAMES = ("raw", "english", "basic", "romanian", "romanian-stripped", "romanian-orthography")


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A rule that turns text into words separated by white space, the same for both sides of a comparison."""

    name: str
    """One of NAMES."""
    version: str
    """What to print beside every rate measured with it."""
    rule: Callable[[str], str] = field(repr=False, compare=False)

    def __call__(self, text: str) -> str:
        """The words of `text`, joined by single spaces; '' where there are none. Tables load at the first call."""
        return " ".join(self.rule(text).split())


@cache
def normaliser(name: str) -> Normaliser:
    """The normaliser of this name. Raises BadOption for a name that is none of NAMES."""
    rules = f"Voxfleet's Romanian rules {romanian.VERSION}, clitics split, numbers as digits"
    match name:
        case "raw":
            return Normaliser(name, "raw: words as written, split at white space", str)
        case "english":
            return Normaliser(name, f"{_whisper()}, English", _english)
        case "basic":
            return Normaliser(name, f"{_whisper()}, basic multilingual, NFC, diacritics kept", _basic)
        case "romanian":
            return Normaliser(name, f"{rules}, diacritics kept", romanian.normalised)
        case "romanian-stripped":
            return Normaliser(name, f"{rules}, diacritics stripped", romanian.stripped)
        case "romanian-orthography":
            rule = partial(romanian.normalised, orthography=True)
            return Normaliser(name, f"{rules}, diacritics kept, â and î of both orthographies", rule)
    raise BadOption("normaliser", name, f"one of {', '.join(NAMES)}")


def for_language(tag: str | None) -> Normaliser:
    """The normaliser of the primary figure of a language (BCP 47; '_' for '-' is understood): `basic` where unknown."""
    match (tag or "").replace("_", "-").split("-")[0].lower():
        case "en" | "eng":
            return normaliser("english")
        case "ro" | "ron" | "rum" | "mo" | "mol":
            return normaliser("romanian")
    return normaliser("basic")


def _whisper() -> str:
    return f"whisper-normalizer {version('whisper-normalizer')}"


def _english(text: str) -> str:
    return _english_rule()(text)


def _basic(text: str) -> str:
    return _basic_rule()(unicodedata.normalize("NFC", text))


@cache
def _english_rule() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer  # loads a table of spellings

    rule: Callable[[str], str] = EnglishTextNormalizer()
    return rule


@cache
def _basic_rule() -> Callable[[str], str]:
    from whisper_normalizer.basic import BasicTextNormalizer

    # Marks are letters' parts: Devanagari without its vowel signs is another text.
    rule: Callable[[str], str] = BasicTextNormalizer(preserve_marks=True)
    return rule
