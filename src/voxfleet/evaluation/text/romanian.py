"""What counts as the same Romanian word: letters, hyphens, written numbers (evaluation reference §4, normaliser traps).

In this order, on both sides alike:
  NFC; ş ţ (cedilla) → ș ț (comma), also written with combining marks; case folded; [tags] and <tags> left out
  1.250,50 is one number → 1250,50; −5 → minus 5; 5% → 5 procente; 5 € → 5 euro; 20 de lei → 20 lei
  hyphens and apostrophes part words: într-un → într un, s-a → s a, l-am → l am (clitics are words of their own)
  other punctuation and symbols are left out; letters and digits part: 100km → 100 km
  number words become digits (romanian_numbers)
Diacritics are kept: that is the primary figure. `stripped` is a tolerance: it hides real errors (fată and fata).
Fillers are words: nothing is deleted for being small.
"""

import re
import unicodedata

from voxfleet.evaluation.text.characters import bare
from voxfleet.evaluation.text.romanian_numbers import digits

VERSION = "1"
"""Raised whenever any text may come out otherwise: a rate names it."""

_CEDILLA = re.compile("([sStT])\u0327")
_TAG = re.compile(r"\[[^\]]*\]|<[^>]*>")
_GROUP_SPACE = re.compile("(?<=\\d)[\u00a0\u2009\u202f](?=\\d{3}(?!\\d))")
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+(?!\.?\d)")
_DECIMAL = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![.,]?\d)")
_MINUS = re.compile("(?<![^\\s(])[-\u2212\u2013](?=\\d)")
_COMMA = "\ue000"  # a decimal comma on its way past the punctuation; private use, so it is in no text
_BORDER = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
_SYMBOLS = {"%": " procente ", "€": " euro ", "$": " dolari ", "£": " lire "}
_MONEY = "lei|leu|ron|bani|euro|eurocenți|eurocenti|dolari|cenți|centi|lire|franci|procente"
_PERCENT = re.compile(r"\b(\d[\d,]*) (?:la sută|la suta)\b")
_DE_MONEY = re.compile(rf"\b(\d[\d,]*) de (?={_MONEY}\b)")
_RON = re.compile(r"\b(\d[\d,]*) ron\b")
_LEADING_SYMBOL = re.compile(r"(?<!\d)(?<!\d\s)([€$£])\s?(\d[\d,]*)")
_SINT = re.compile(r"\bsînt(?=(?:em|eți|eti)?\b)")
_INSIDE_I = re.compile(r"(?<=\w)î(?=\w)")


def normalised(text: str, *, orthography: bool = False) -> str:
    """The words of a Romanian text, single spaces between them.

    `orthography` maps the spelling before 1993, also used in Moldova, to the present one: sînt → sunt, and every î
    inside a word → â (cînd → când). A word with a prefix (reîncepe) comes out as nobody spells it, on both sides alike.
    """
    words = _words(_folded(text))
    if orthography:
        words = _INSIDE_I.sub("â", _SINT.sub("sunt", words))
    return _counted(digits(words))


def stripped(text: str) -> str:
    """As `normalised`, without diacritics: ș, ş, s are one letter, and so are ă, â, a and î, i."""
    return _counted(digits(_words(bare(_folded(text))), plain=True))


def fold(text: str) -> str:
    """NFC with the letters Romanian has: ş U+015F → ș U+0219, ţ U+0163 → ț U+021B, in capitals too."""
    comma = _CEDILLA.sub("\\1\u0326", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", comma)


def _folded(text: str) -> str:
    return _TAG.sub(" ", unicodedata.normalize("NFC", fold(text).casefold()))


def _words(text: str) -> str:
    """Letters and digits, single spaces between words."""
    text = _written_numbers(text.replace(_COMMA, " "))
    text = "".join(_kept(char) for char in text).replace(_COMMA, ",")
    return " ".join(_BORDER.sub(" ", text).split())


def _counted(text: str) -> str:
    """What follows a number, in one spelling: la sută → procente, ron → lei, de before either left out."""
    text = _PERCENT.sub(r"\1 procente", text)
    text = _DE_MONEY.sub(r"\1 ", text)
    return _RON.sub(r"\1 lei", text)


def _written_numbers(text: str) -> str:
    text = _GROUP_SPACE.sub("", text)
    text = _THOUSANDS.sub(lambda found: found[0].replace(".", ""), text)
    text = _LEADING_SYMBOL.sub(r"\2 \1", text)
    text = _MINUS.sub("minus ", text)
    return _DECIMAL.sub(rf"\1{_COMMA}\2", text)


def _kept(char: str) -> str:
    """Letters, marks and digits stay; what can't be seen is nothing; every other sign parts words."""
    if char in _SYMBOLS:
        return _SYMBOLS[char]
    match unicodedata.category(char)[0]:
        case "L" | "M" | "N":
            return char
    if char == _COMMA:
        return char
    return "" if unicodedata.category(char) == "Cf" else " "
