"""How a caller says which words it expects: `Voxfleet:4,Chișinău,account number`, and what may be said so.

A phrase is a word or a few, after a colon its weight if it has one of its own, and phrases are parted by commas. Phrases
help an engine that hears something at all to decide what; they are no closed vocabulary (a grammar is).
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from voxfleet.errors import BadValue

WEIGHT = 2.0
"""Of a phrase for which none is given: a label e^2 = 7 times less likely than the likeliest is as good as that one."""
MOST_WEIGHT = 10.0
"""Beyond it a phrase is heard in place of almost any word."""
MOST_PHRASES = 100
"""Of a stream. Every phrase draws other words towards it: lists of thousands make recognition worse."""
LONGEST = 50
"""Characters of a phrase: a long name of a product, a sentence no more. A request line holds 8 KB in any case."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A word or a few that a stream expects to hear: a name, a product."""

    text: str
    weight: float = WEIGHT
    """Added to the logit of each of its tokens where the engine chooses between words, 0 to MOST_WEIGHT; 0 = no help."""


def parse(text: str) -> tuple[Phrase, ...]:
    """Phrases as a caller writes them; none of an empty text. Raises BadValue, naming the phrase at fault."""
    if not text.strip():
        return ()
    written = text.split(",")
    if len(written) > MOST_PHRASES:
        raise BadValue("phrases", f"{len(written)} phrases", f"at most {MOST_PHRASES}, parted by commas")
    return tuple(map(_phrase, written))


def write(phrases: Iterable[Phrase]) -> str:
    """Phrases as `parse` reads them. Raises BadValue for what may not be said."""
    return ",".join(_written(phrase) for phrase in phrases)


def _phrase(written: str) -> Phrase:
    text, weight = _split(written)
    return _checked(Phrase(text, WEIGHT if weight is None else weight))


def _split(written: str) -> tuple[str, float | None]:
    """A phrase and its weight; what follows a colon and is no number belongs to the phrase."""
    text, colon, number = written.rpartition(":")
    try:
        return (text, float(number)) if colon else (written, None)
    except ValueError:
        return written, None


def _written(phrase: Phrase) -> str:
    if "," in phrase.text:
        raise BadValue("phrases", phrase.text, "phrases without commas")
    checked = _checked(phrase)
    if checked.weight == WEIGHT and _split(checked.text)[1] is None:
        return checked.text
    return f"{checked.text}:{str(float(checked.weight)).removesuffix('.0')}"


def _checked(phrase: Phrase) -> Phrase:
    """The phrase with single spaces and letters in one piece."""
    text = unicodedata.normalize("NFC", " ".join(phrase.text.split()))
    if not (0 < len(text) <= LONGEST and text.isprintable()):
        raise BadValue("phrases", phrase.text, f"phrases of 1 to {LONGEST} printable characters, parted by commas")
    if not 0.0 <= phrase.weight <= MOST_WEIGHT:
        raise BadValue("phrases", f"{text}:{phrase.weight:g}", f"phrases with weights from 0 to {MOST_WEIGHT:g}")
    return Phrase(text, phrase.weight)
