"""What is a fact in a text: amounts, percentages, dates, times, numbers, IBANs, e-mail addresses and given terms.

Facts that punctuation carries (e-mail, IBAN, 12.03.2024, 14:30) are taken from the text as written, each leaving a mark
behind; the rest is then normalised, so words and digits agree, and searched kind by kind, each taking what it finds.
A language is a Grammar: its patterns, in order, and the values they stand for.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

KINDS = ("amount", "percent", "date", "time", "number", "iban", "email", "term")

MARK = " entityslot "  # a word in no pattern: what stands on both sides of a fact taken out is not adjacent


@dataclass(frozen=True, slots=True)
class Slot:
    """One fact. Equal values are the same fact, however they are said."""

    kind: str
    """One of KINDS."""
    value: str
    """amount '1250.5 RON', percent '5', date '2024-03-12' or '--03-12' or '2024-03', time '14:30', number as digits,
    IBAN and e-mail without spaces, term as normalised."""


Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], Slot | None]]
"""A pattern and the slot of a match, or None where it is none after all."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """How facts are said in one language."""

    normalise: Callable[[str], str]
    prepare: Callable[[str], str]
    """The text, lower case, before its punctuation is lost."""
    written: tuple[Rule, ...]
    """Applied to the text as written, lower case."""
    spoken: tuple[Rule, ...]
    """Applied to the normalised text."""
    at: str
    """The words for @, as a pattern."""
    dot: str
    """The words for the dot of an address, as a pattern."""
    digit_words: dict[str, str]
    """Names of single digits, for an IBAN spelled out."""
    negation: re.Pattern[str]
    """A normalised word that negates."""


def slots(text: str, grammar: Grammar, terms: Sequence[str] = ()) -> list[Slot]:
    """All facts of the text, in no order."""
    text = as_written(text)
    found: list[Slot] = []
    text = _take(text, _email_rules(grammar.at, grammar.dot), found)
    text = _take_ibans(text, grammar.digit_words, found)
    text = _take(text, grammar.written, found)
    text = " ".join(grammar.normalise(grammar.prepare(text)).split())
    text = _take_terms(text, grammar, terms, found)
    text = _take(text, grammar.spoken, found)
    return found + _numbers(text)


def as_written(text: str) -> str:
    """What a Grammar's `prepare` expects: NFC, lower case, one kind of apostrophe."""
    return unicodedata.normalize("NFC", text).replace("’", "'").lower()


def amount(number: str, currency: str) -> Slot:
    """`number` with a decimal point."""
    return Slot("amount", f"{plain(number)} {currency}")


def plain(number: str) -> str:
    """A number in one spelling: 1250.50 → 1250.5."""
    value = Decimal(number).normalize()
    return f"{value:f}"


def date(year: str | None, month: int, day: str | None) -> Slot | None:
    """None for a day or month no year has."""
    if not 1 <= month <= 12 or (day is not None and not 1 <= int(day) <= 31):
        return None
    if day is None:
        return Slot("date", f"{year}-{month:02d}") if year else None
    return Slot("date", f"{year or '-'}-{month:02d}-{int(day):02d}")


def time(hour: int, minute: int) -> Slot | None:
    """None for an hour or minute no day has."""
    return Slot("time", f"{hour:02d}:{minute:02d}") if 0 <= hour <= 24 and 0 <= minute < 60 else None


def _take(text: str, rules: Iterable[Rule], found: list[Slot]) -> str:
    for pattern, slot_of in rules:

        def taken(match: re.Match[str], slot_of: Callable[[re.Match[str]], Slot | None] = slot_of) -> str:
            slot = slot_of(match)
            if slot is None:
                return match[0]
            found.append(slot)
            return MARK

        text = pattern.sub(taken, text)
    return text


@cache
def _email_rules(at: str, dot: str) -> tuple[Rule, ...]:
    sign = {"underscore": "_", "dash": "-", "hyphen": "-", "minus": "-", "liniuță": "-", "cratimă": "-", "plus": "+"}
    joint = rf"(?:{dot}|{'|'.join(sign)})"
    said = rf"\b([a-z0-9]+(?: {joint} [a-z0-9]+)*) {at} ([a-z0-9]+(?: {joint} [a-z0-9]+)*(?: {dot} [a-z]{{2,}}))\b"

    def spelled(match: re.Match[str]) -> Slot:
        address = re.sub(rf" {dot} ", ".", f"{match[1]}@{match[2]}")
        for word, char in sign.items():
            address = address.replace(f" {word} ", char)
        return Slot("email", address)

    written = re.compile(r"[\w.+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}")
    return (written, lambda match: Slot("email", match[0])), (re.compile(said), spelled)


_IBAN_LENGTHS = {
    "at": 20, "be": 16, "bg": 22, "ch": 21, "cy": 28, "cz": 24, "de": 22, "dk": 18, "ee": 20, "es": 24, "fi": 18,
    "fr": 27, "gb": 22, "gr": 27, "hr": 21, "hu": 28, "ie": 22, "it": 27, "li": 21, "lt": 20, "lu": 20, "lv": 21,
    "mc": 27, "md": 24, "mt": 31, "nl": 18, "no": 15, "pl": 28, "pt": 25, "ro": 24, "rs": 22, "se": 24, "si": 19,
    "sk": 24, "sm": 27, "tr": 26, "ua": 29,
}  # fmt: skip
_IBAN_START = re.compile(r"[a-z]{1,2}|[a-z]{2}\d{1,2}|[a-z]{2}\d\d[a-z0-9]+", re.ASCII)
_WORDS_TOO = ("at", "be", "de", "fi", "it", "no", "se", "si")
"""Country codes that are words: without valid check digits what follows one is no IBAN ('de 20 lei')."""
_TOKEN = re.compile(r"[^\W_]+")


def _take_ibans(text: str, digit_words: dict[str, str], found: list[Slot]) -> str:
    """Written, in groups, or spelled letter by letter and digit by digit.

    Check digits decide only where the country's code is a word: an IBAN recognised wrong is missed and invented.
    """
    tokens = list(_TOKEN.finditer(text))
    kept, end, at = "", 0, 0
    while at < len(tokens):
        after, iban = _iban(tokens, at, digit_words)
        if iban:
            found.append(Slot("iban", iban.upper()))
            kept += text[end : tokens[at].start()] + MARK
            end = tokens[after - 1].end()
        at = max(after, at + 1)
    return kept + text[end:]


def _iban(tokens: Sequence[re.Match[str]], at: int, digit_words: dict[str, str]) -> tuple[int, str]:
    """The IBAN that begins at this token and the place after it; (at, '') for none."""
    iban = ""
    for place in range(at, len(tokens)):
        word = tokens[place][0]
        iban += digit_words.get(word, word)
        if not _IBAN_START.fullmatch(iban):
            break
        length = _IBAN_LENGTHS.get(iban[:2], 0 if len(iban) > 1 else 2)
        if len(iban) == length and len(iban) > 2:
            return (place + 1, iban) if _plausible(iban) else (at, "")
        if len(iban) > length:
            break
    return at, ""


def _plausible(iban: str) -> bool:
    """Half of an IBAN at least are digits: words in a row are none."""
    if sum(char.isdigit() for char in iban) * 2 < len(iban):
        return False
    checked = "".join(str(int(char, 36)) for char in iban[4:] + iban[:4])
    return iban[:2] not in _WORDS_TOO or int(checked) % 97 == 1


def _take_terms(text: str, grammar: Grammar, terms: Sequence[str], found: list[Slot]) -> str:
    wanted = {" ".join(grammar.normalise(term).split()) for term in terms} - {""}
    for term in sorted(wanted, key=lambda term: (-len(term.split()), term)):
        rule = (re.compile(rf"(?<!\S){re.escape(term)}(?!\S)"), lambda match: Slot("term", match[0]))
        text = " ".join(_take(text, [rule], found).split())
    return text


_NUMBER = re.compile(r"(-?\d+(?:[.,]\d+)?)(st|nd|rd|th|s)?")


def _numbers(text: str) -> list[Slot]:
    """Digits that are left. Adjacent ones are one string where each is a single digit or all are seven or more."""
    found: list[Slot] = []
    run: list[str] = []
    for word in [*re.sub(r"\bminus (?=\d)", "-", text).split(), ""]:
        if word.isdecimal():
            run.append(word)
            continue
        joined = len(run) > 1 and (all(len(part) == 1 for part in run) or sum(map(len, run)) >= 7)
        found += [Slot("number", value) for value in (["".join(run)] if joined else run)]
        run = []
        match = _NUMBER.fullmatch(word)
        if match:
            found.append(Slot("number", plain(match[1].replace(",", ".")) + (match[2] or "")))
    return found
