"""How amounts, percentages, dates and times are said and written in Romanian, and which words negate.

Numbers are those of `romanian_numbers`. A time needs 'ora' or 'orele' before it, or a colon; a date its month.
"""

import re

from voxfleet.evaluation.text.normalise import normaliser
from voxfleet.evaluation.text.slots import Grammar, Rule, Slot, amount, date, plain, time

_CURRENCIES = {
    "lei": "RON", "leu": "RON", "ron": "RON", "bani": "ban", "ban": "ban", "euro": "EUR", "eur": "EUR",
    "dolari": "USD", "dolar": "USD", "usd": "USD", "lire": "GBP", "liră": "GBP", "gbp": "GBP", "franci": "CHF",
    "franc": "CHF", "chf": "CHF", "cenți": "cent", "eurocenți": "cent",
}  # fmt: skip
_MONTHS = [
    "ianuarie", "februarie", "martie", "aprilie", "mai", "iunie", "iulie", "august", "septembrie", "octombrie",
    "noiembrie", "decembrie",
]  # fmt: skip
_MONTH = "|".join(_MONTHS)
_NUMBER = r"\d+(?:,\d+)?"
_WORDS = "|".join(_CURRENCIES)


def _amount(match: re.Match[str]) -> Slot:
    return amount(match[1].replace(",", "."), _CURRENCIES[match[2]])


def _one(match: re.Match[str]) -> Slot:
    return amount("1", _CURRENCIES[match[1]])


def _with_parts(match: re.Match[str]) -> Slot:
    """'10 lei și 50 bani' is one amount."""
    return amount(f"{match[1]}.{int(match[3]):02d}", _CURRENCIES[match[2]])


def _date(match: re.Match[str]) -> Slot | None:
    day = match[1] if match[1].isdigit() else "1"
    return date(match[3], _MONTHS.index(match[2]) + 1, day)


def _hour(match: re.Match[str]) -> Slot | None:
    hour = 1 if match[1] == "una" else int(match[1])
    match match[2], match[3]:
        case "fără", taken:
            minutes = 15 if taken == "un sfert" else int(taken)
            return time((hour - 1) % 24, 60 - minutes) if 0 < minutes < 60 else None
        case _, "jumătate":
            return time(hour, 30)
        case _, "un sfert":
            return time(hour, 15)
        case _, minute:
            return time(hour, int(minute or 0))


_WRITTEN: tuple[Rule, ...] = (
    (re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b"), lambda match: date(match[1], int(match[2]), match[3])),
    (re.compile(r"\b(\d{1,2})[./](\d{1,2})[./](\d{4})\b"), lambda match: date(match[3], int(match[2]), match[1])),
    (
        re.compile(r"(?:\b(?:ora|orele) )?\b([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?\b"),
        lambda match: time(int(match[1]), int(match[2])),
    ),
    (
        re.compile(r"\b(?:ora|orele) ([01]?\d|2[0-3])\.([0-5]\d)\b"),
        lambda match: time(int(match[1]), int(match[2])),
    ),
)

_SPOKEN: tuple[Rule, ...] = (
    (re.compile(r"\b(\d+) (lei|euro|dolari) și (\d{1,2}) (?:bani|cenți|eurocenți)\b"), _with_parts),
    (re.compile(rf"\b({_NUMBER}) (?:de )?({_WORDS})\b"), _amount),
    (re.compile(r"\b(?:un|o) (leu|ban|euro|dolar|franc|liră)\b"), _one),
    (re.compile(rf"\b((?:minus )?{_NUMBER}) (?:de )?procente?\b"), lambda match: Slot("percent", _signed(match[1]))),
    (re.compile(r"\bun procent\b"), lambda _match: Slot("percent", "1")),
    (re.compile(r"\b(?:ora|orele) (una|\d{1,2}) (?:și|(fără)) (\d)\b"), _hour),
    (re.compile(r"\b(?:ora|orele) (una|\d{1,2})(?: (?:și |(fără) )?(jumătate|un sfert|\d{2})\b)?"), _hour),
    (re.compile(rf"\b(\d{{1,2}}|întâi) ({_MONTH})\b(?: (\d{{4}}))?\b"), _date),
    (
        re.compile(rf"\b({_MONTH}) (\d{{4}})\b"),
        lambda match: date(match[2], _MONTHS.index(match[1]) + 1, None),
    ),
)


def _signed(number: str) -> str:
    return plain(number.replace("minus ", "-").replace(",", "."))


GRAMMAR = Grammar(
    normalise=normaliser("romanian"),
    prepare=str,
    written=_WRITTEN,
    spoken=_SPOKEN,
    at="(?:at|arond|a rond|coadă de maimuță)",
    dot="(?:punct|dot)",
    digit_words={
        "zero": "0", "unu": "1", "doi": "2", "două": "2", "trei": "3", "patru": "4", "cinci": "5", "șase": "6",
        "șapte": "7", "opt": "8", "nouă": "9",
    },
    negation=re.compile("nu|n|nici|niciodată|nimic|nimeni|fără|niciun|nicio|nicidecum|niciunul|niciuna|nicăieri"),
)  # fmt: skip
