"""How amounts, percentages, dates and times are said and written in English, and which words negate.

Numbers are those of Whisper's English normaliser, mended where it loses a fact: '$1' and '1%' (it writes 'one'),
'o'clock' and 'oh' (it hears a zero), '-5' (it drops the sign). A lone 'one' is a word, not a number.
"""

import re
from collections.abc import Sequence

from voxfleet.evaluation.text.normalise import normaliser
from voxfleet.evaluation.text.slots import Grammar, Rule, Slot, amount, date, plain, time

_CURRENCIES = {
    "$": "USD", "dollar": "USD", "dollars": "USD", "usd": "USD", "€": "EUR", "euro": "EUR", "euros": "EUR",
    "eur": "EUR", "£": "GBP", "pound": "GBP", "pounds": "GBP", "gbp": "GBP", "lei": "RON", "leu": "RON", "ron": "RON",
    "franc": "CHF", "francs": "CHF", "chf": "CHF", "¢": "cent", "cent": "cent", "cents": "cent",
}  # fmt: skip
_MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
]  # fmt: skip
_SHORT = {name[:3]: number for number, name in enumerate(_MONTHS, 1)} | {"sept": 9}
_MONTH = "|".join([*_MONTHS, *_SHORT])
_DAY = r"(one|\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:,? (\d{4}))?"
_WORDS = "|".join(word for word in _CURRENCIES if word.isalpha())
_DIGIT = "zero|one|two|three|four|five|six|seven|eight|nine|oh|double|triple"
_NUMERIC = re.compile(rf"(?:{_DIGIT}|[a-z]*teen|[a-z]+ty|ten|eleven|twelve|\d+)")
_BEFORE_ONE = re.compile(
    rf"(?:\b(?:{_DIGIT}|[a-z]+ty|point)[ -]|(?:hundred|thousand|million|billion)(?: and)? |\d[ .,]?)$"
)
_HOURS = {"one": 1}


def _month(name: str) -> int:
    return _SHORT[name if name == "sept" else name[:3]]


def _day(said: str) -> str:
    return "1" if said == "one" else said


def _clock(hour: str, minute: str | None, half: str | None) -> Slot | None:
    """12-hour times with a or p become 24-hour ones; without, the time is as said."""
    value = _HOURS.get(hour) or int(hour)
    if half and not 1 <= value <= 12:
        return None
    if half:
        value = value % 12 + (12 if half == "p" else 0)
    return time(value, int(minute or 0))


def _joined_clock(match: re.Match[str]) -> Slot | None:
    """'ten thirty a m' is 1030 to the normaliser."""
    number = match[1]
    if len(number) >= 3 and number.isdigit():
        return _clock(number[:-2], number[-2:], match[2])
    return _clock(number, None, match[2])


def _oclock(match: re.Match[str]) -> Slot | None:
    return _clock(match[1], None, None)


def _past(match: re.Match[str]) -> Slot | None:
    hour = _HOURS.get(match[3]) or int(match[3])
    if not 1 <= hour <= 12:
        return None
    match match[1], match[2]:
        case "half", "past":
            return _clock(str(hour), "30", match[4])
        case "quarter", "past":
            return _clock(str(hour), "15", match[4])
        case "quarter", "to":
            before = (hour - 1) or 12
            return _clock(str(before), "45", match[4])
    return None


def _numeric_date(match: re.Match[str]) -> Slot | None:
    """Month first, unless that can't be."""
    first, second = int(match[1]), int(match[2])
    return date(match[3], first, match[2]) if first <= 12 else date(match[3], second, match[1])


def _date_of_month(match: re.Match[str]) -> Slot | None:
    """'May one' is hardly a day."""
    if (match[1], match[2]) == ("may", "one"):
        return None
    return date(match[3], _month(match[1]), _day(match[2]))


def _day_of_month(match: re.Match[str]) -> Slot | None:
    """'2 may' and '2 march' are hardly days without a year."""
    if match[2] in ("may", "march", "mar") and match[0] == f"{match[1]} {match[2]}":
        return None
    return date(match[3], _month(match[2]), _day(match[1]))


def _one_of(match: re.Match[str]) -> Slot | None:
    """Money or percent of which there is one, unless it ends a greater number: twenty-one dollars."""
    if not match[1] and _BEFORE_ONE.search(match.string[: match.start()]):
        return None
    if match[3]:
        return Slot("percent", "1")
    return amount("1", _CURRENCIES[match[1] or match[2]])


_WRITTEN: tuple[Rule, ...] = (
    (
        re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b"),
        lambda match: date(match[1], int(match[2]), match[3]),
    ),
    (re.compile(r"\b(\d{1,2})[/.](\d{1,2})[/.](\d{4})\b"), _numeric_date),
    (
        re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?\b(?: ?([ap])\.? ?m\b\.?)?"),
        lambda match: _clock(match[1], match[2], match[3]),
    ),
    (
        re.compile(
            rf"([$€£]) ?(?:1|one)\b(?![.,]?\d)(?! (?:hundred|thousand|[mb]illion))"
            rf"|\b(?:1|one) ({_WORDS})\b|\b(?:1|one) ?(%|per ?cent\b)"
        ),
        _one_of,
    ),
)

_SPOKEN: tuple[Rule, ...] = (
    (re.compile(r"(?<!\S)([$€£¢])(\d+(?:\.\d+)?)\b"), lambda match: amount(match[2], _CURRENCIES[match[1]])),
    (re.compile(rf"\b(\d+(?:\.\d+)?) ({_WORDS})\b"), lambda match: amount(match[1], _CURRENCIES[match[2]])),
    (re.compile(r"(?<!\S)(-?\d+(?:\.\d+)?)%"), lambda match: Slot("percent", plain(match[1]))),
    (re.compile(r"\b(half|quarter) (past|to) (one|\d{1,2})\b(?: ([ap]) ?m\b)?"), _past),
    (re.compile(r"\b(one|\d{1,4}) ([ap]) ?m\b"), _joined_clock),
    (re.compile(r"\b(one|\d{1,2}) oclock\b"), _oclock),
    (re.compile(rf"\b({_MONTH}) (?:the )?{_DAY}\b{_YEAR}(?!\S)"), _date_of_month),
    (re.compile(rf"\b{_DAY} (?:of )?({_MONTH})\b{_YEAR}(?!\S)"), _day_of_month),
    (re.compile(rf"\b({_MONTH}) (\d{{4}})\b"), lambda match: date(match[2], _month(match[1]), None)),
)

_PREPARATIONS = (
    (re.compile(r"\bo ?'? ?clock\b"), "oclock"),
    (re.compile(r"\b([ap])\.? ?m\b\.?"), r"\1m"),
    (re.compile(r"(?<![^\s(])-(?=\d)"), "minus "),
    (re.compile(r"\bcannot\b"), "can not"),
)


def _prepare(text: str) -> str:
    for pattern, replacement in _PREPARATIONS:
        text = pattern.sub(replacement, text)
    words = text.split()
    return " ".join(word for at, word in enumerate(words) if not _exclaimed(words, at))


def _exclaimed(words: Sequence[str], at: int) -> bool:
    """An 'oh' that is no digit: nothing beside it is one."""
    if words[at].strip(",.!?") not in ("o", "oh"):
        return False
    return not any(
        _NUMERIC.fullmatch(word.strip(",.!?")) for word in (*words[max(at - 1, 0) : at], *words[at + 1 : at + 2])
    )


GRAMMAR = Grammar(
    normalise=normaliser("english"),
    prepare=_prepare,
    written=_WRITTEN,
    spoken=_SPOKEN,
    at="at",
    dot="dot",
    digit_words={word: str(n) for n, word in enumerate(_DIGIT.split("|")[:10])} | {"oh": "0"},
    negation=re.compile("not|no|never|nothing|nobody|none|nor|neither|nowhere|without|aint"),
)
