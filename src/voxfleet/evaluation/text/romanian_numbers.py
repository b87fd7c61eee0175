"""Romanian number words as digits, so that 'o mie două sute' and '1200' are the same word on either side.

    number   := group (scale group)* [virgulă decimals]      scale: mii, milioane, miliarde, each optionally after 'de'
    group    := [hundreds] [tens]                            o sută, două … nouă sute
    tens     := douăzeci … nouăzeci [și unit] | zece … nouăsprezece | unit
    decimals := zero* group | a run of digits                trei virgulă paisprezece, trei virgulă unu patru

`un` and `o` are articles: they count only before sută, mie, milion, miliard. `una` counts only after 'și' of a ten or
inside a group. Three or more digits named one by one are one string: patru patru doi → 442; two are not (doi-trei). A
telephone number written in groups (0722 123 456: a leading zero, ten digits) is one string too. Ordinals stay words.
`nouă` is always 9, also where it means 'new' or 'to us': on both sides alike.
Number words without their diacritics are numbers only where asked for (`plain`), so no diacritic error is hidden.
"""

import re
from collections.abc import Sequence

from voxfleet.evaluation.text.characters import bare

_UNITS = {
    "unu": 1, "doi": 2, "două": 2, "trei": 3, "patru": 4, "cinci": 5, "șase": 6, "șapte": 7, "opt": 8, "nouă": 9,
}  # fmt: skip
_TEENS = {
    "zece": 10, "unsprezece": 11, "doisprezece": 12, "douăsprezece": 12, "treisprezece": 13, "paisprezece": 14,
    "patrusprezece": 14, "cincisprezece": 15, "șaisprezece": 16, "șasesprezece": 16, "șaptesprezece": 17,
    "optsprezece": 18, "nouăsprezece": 19,
    "unșpe": 11, "doișpe": 12, "douășpe": 12, "treișpe": 13, "paișpe": 14, "cinșpe": 15, "cincișpe": 15, "șaișpe": 16,
    "șapteșpe": 17, "șaptișpe": 17, "optșpe": 18, "optișpe": 18, "nouășpe": 19,
}  # fmt: skip
_TENS = {
    "douăzeci": 20, "treizeci": 30, "patruzeci": 40, "cincizeci": 50, "șaizeci": 60, "șasezeci": 60, "șaptezeci": 70,
    "optzeci": 80, "nouăzeci": 90,
}  # fmt: skip
_SCALES = {"mii": 10**3, "milioane": 10**6, "miliarde": 10**9}
_ONE_OF = {("o", "mie"): 10**3, ("un", "milion"): 10**6, ("un", "miliard"): 10**9}
_WRITTEN = re.compile(r"[1-9]\d{0,2}(?:,\d+)?|0,\d+")


class _Words:
    """The vocabulary of number words, with diacritics or without."""

    def __init__(self, *, plain: bool) -> None:
        spelled = bare if plain else str
        self.digit = {spelled(word): value for word, value in _UNITS.items()} | {"zero": 0}
        self.unit = {word: value for word, value in self.digit.items() if value}
        self.teen = {spelled(word): value for word, value in _TEENS.items()}
        self.ten = {spelled(word): value for word, value in _TENS.items()}
        self.hundred, self.point, self.joint = spelled("sută"), spelled("virgulă"), spelled("și")


_KEPT, _PLAIN = _Words(plain=False), _Words(plain=True)


def digits(text: str, *, plain: bool = False) -> str:
    """The text with its number words as digits; `text` is lower case, without punctuation, single spaces between words.

    `plain`: the text has no diacritics. Decimals keep the Romanian comma: 'doi virgulă cinci' → '2,5'.
    """
    words = text.split()
    vocabulary = _PLAIN if plain else _KEPT
    found: list[str] = []
    at = 0
    while at < len(words):
        number, after = _number(words, at, vocabulary)
        found.append(words[at] if number is None else number)
        at = max(after, at + 1)
    return " ".join(_joined(found))


def _number(words: Sequence[str], at: int, of: _Words) -> tuple[str | None, int]:
    """The longest number that begins at this word and the place after it, or None."""
    total, ceiling, start = 0, 10**12, at
    while at < len(words):
        value, scale, after = _scaled(words, at, of)
        whole, _, part = value.partition(",")
        if not value or scale >= ceiling or 10 ** len(part) > scale:
            break
        total += int(whole) * scale + (int(part) * scale // 10 ** len(part) if part else 0)
        at, ceiling = after, scale
        if part:  # 2,5 milioane: nothing smaller follows
            return str(total), at
    if at == start:
        return _with_decimals("0", words, at + 1, of) if words[at] == "zero" else (None, at)
    return _with_decimals(str(total), words, at, of)


def _scaled(words: Sequence[str], at: int, of: _Words) -> tuple[str, int, int]:
    """One group, its scale and the place after it: 'două sute de mii' → ('200', 1000, …); '' for none."""
    one = _ONE_OF.get((_word(words, at), _word(words, at + 1)))
    if one:
        return "1", one, at + 2
    small = ""
    after = behind = at
    if _WRITTEN.fullmatch(words[at]):
        with_decimals, behind = words[at], at + 1
    else:
        group, after = _group(words, at, of)
        if not group and words[at] != "zero":
            return "", 1, at
        small = str(group) if group else ""
        with_decimals, behind = _with_decimals(str(group), words, max(after, at + 1), of)
    scale, end = _scale(words, behind)
    # Decimals belong to the group where a scale follows. Written digits without one stay as they are, and so does zero.
    return (with_decimals, scale, end) if scale > 1 and with_decimals != "0" else (small, 1, after)


def _group(words: Sequence[str], at: int, of: _Words) -> tuple[int, int]:
    """A number below a thousand and the place after it; (0, at) for none."""
    value = 0
    first, second = _word(words, at), _word(words, at + 1)
    if (first, second) == ("o", of.hundred):
        value, at = 100, at + 2
    elif of.unit.get(first, 0) > 1 and second == "sute":
        value, at = of.unit[first] * 100, at + 2
    word = _word(words, at)
    if word in of.ten:
        unit = of.unit.get(_word(words, at + 2), 1 if _word(words, at + 2) == "una" else 0)
        if unit and _word(words, at + 1) == of.joint:
            return value + of.ten[word] + unit, at + 3
        return value + of.ten[word], at + 1
    if word == "una" and value:
        return value + 1, at + 1
    small = of.teen.get(word) or of.unit.get(word)
    return (value + small, at + 1) if small else (value, at)


def _scale(words: Sequence[str], at: int) -> tuple[int, int]:
    behind = at + (_word(words, at) == "de")
    scale = _SCALES.get(_word(words, behind), 1)
    return (scale, behind + 1) if scale > 1 else (1, at)


def _with_decimals(value: str, words: Sequence[str], at: int, of: _Words) -> tuple[str, int]:
    if _word(words, at) != of.point:
        return value, at
    after = at + 1
    spelled = ""
    while _word(words, after) in of.digit:
        spelled += str(of.digit[words[after]])
        after += 1
    if not spelled.strip("0"):  # zeros, then perhaps one number: virgulă zero douăzeci
        part, behind = _group(words, after, of)
        if part:
            spelled, after = spelled + str(part), behind
    elif len(spelled) == 1 and _group(words, at + 1, of)[1] > after:  # virgulă două sute
        part, after = _group(words, at + 1, of)
        spelled = str(part)
    return (f"{value},{spelled}", after) if spelled else (value, at)


def _joined(words: Sequence[str]) -> list[str]:
    """Digits named one by one, and telephone numbers written in groups, as one string."""
    joined: list[str] = []
    at = 0
    while at < len(words):
        end = at
        while end < len(words) and words[end].isdecimal():
            end += 1
        run = words[at:end]
        if len(run) > 1 and run[0].startswith("0") and sum(map(len, run)) == 10:
            joined.append("".join(run))
            at = end
            continue
        single = 0
        while single < len(run) and len(run[single]) == 1:
            single += 1
        string = single >= 3 and _scale(words, at + single)[0] == 1  # 5 2 0 mii is no 520 mii
        taken = max(single, 1)
        joined += ["".join(run[:taken])] if string else words[at : at + taken]
        at += taken
    return joined


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if at < len(words) else ""
