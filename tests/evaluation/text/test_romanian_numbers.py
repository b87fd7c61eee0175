"""Romanian number words as digits: every number below a million, and the words that look like numbers and are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.text.normalise import normaliser
from voxfleet.evaluation.text.romanian_numbers import digits

ONES = ["", "unu", "doi", "trei", "patru", "cinci", "șase", "șapte", "opt", "nouă"]
TEENS = ["zece", "unsprezece", "doisprezece", "treisprezece", "paisprezece", "cincisprezece", "șaisprezece",
         "șaptesprezece", "optsprezece", "nouăsprezece"]  # fmt: skip
TENS = ["", "", "douăzeci", "treizeci", "patruzeci", "cincizeci", "șaizeci", "șaptezeci", "optzeci", "nouăzeci"]


def spoken(number: int) -> str:
    """How a number is said, written down apart from the rules under test."""
    if number == 0:
        return "zero"
    parts = []
    for scale, one, many in (
        (10**9, "un miliard", "miliarde"),
        (10**6, "un milion", "milioane"),
        (1000, "o mie", "mii"),
    ):
        count, number = divmod(number, scale)
        if count == 1:
            parts.append(one)
        elif count:
            of = "de " if count % 100 == 0 or count % 100 >= 20 else ""
            feminine = below_thousand(count).replace("doisprezece", "douăsprezece")
            feminine = feminine.removesuffix("doi") + "două" if feminine.endswith("doi") else feminine
            feminine = feminine.removesuffix("unu") + "una" if feminine.endswith("unu") else feminine
            parts.append(f"{feminine} {of}{many}")
    if number:
        parts.append(below_thousand(number))
    return " ".join(parts)


def below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    parts = []
    if hundreds:
        parts.append("o sută" if hundreds == 1 else f"{ONES[hundreds].replace('doi', 'două')} sute")
    if 10 <= rest < 20:
        parts.append(TEENS[rest - 10])
    else:
        parts += [word for word in (TENS[rest // 10], "și" if rest > 20 and rest % 10 else "", ONES[rest % 10]) if word]
    return " ".join(parts)


def test_every_number_to_twelve_thousand() -> None:
    wrong = {said: digits(said) for n in range(12_001) if digits(said := spoken(n)) != str(n)}
    assert wrong == {}


@given(st.integers(min_value=0, max_value=10**12 - 1))
def test_any_number_and_what_is_around_it(number: int) -> None:
    assert digits(f"cam {spoken(number)} lei") == f"cam {number} lei"


@given(st.integers(min_value=0, max_value=999_999), st.integers(min_value=10, max_value=99))
def test_decimals(whole: int, part: int) -> None:
    said = f"{spoken(whole)} virgulă {below_thousand(part)}"
    assert digits(said) == f"{whole},{part}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("un om și o fată", "un om și o fată"),
        ("una dintre ele", "una dintre ele"),
        ("unu", "1"),
        ("douăzeci și una", "21"),
        ("douăzeci și una de mii", "21000"),
        ("douăzeci și", "20 și"),
        ("douăzeci și ceva", "20 și ceva"),
        ("zece și cinci", "10 și 5"),
        ("două și trei", "2 și 3"),
        ("o sută", "100"),
        ("o mie", "1000"),
        ("o casă", "o casă"),
        ("un milion", "1000000"),
        ("mii de oameni", "mii de oameni"),
        ("sute de mii", "sute de mii"),
        ("zeci de milioane", "zeci de milioane"),
        ("trei mii patru mii", "3000 4000"),
        ("doișpe", "12"),
        ("patrusprezece", "14"),
        ("trei virgulă unu patru unu", "3,141"),
        ("trei virgulă zero cinci", "3,05"),
        ("zero virgulă cinci", "0,5"),
        ("virgulă cinci", "virgulă 5"),
        ("cinci virgulă apoi", "5 virgulă apoi"),
        ("doi virgulă cinci milioane", "2500000"),
        ("2,5 milioane", "2500000"),
        ("zero virgulă cinci milioane", "500000"),
        ("5 milioane", "5000000"),
        ("20 de mii", "20000"),
        ("3 mii două sute", "3200"),
        ("5 sute", "5 sute"),
        ("patru patru doi", "442"),
        ("zero zero șapte", "007"),
        ("doi trei oameni", "2 3 oameni"),
        ("zero șapte doi doi unu doi trei patru cinci șase", "0722123456"),
        ("0722 123 456", "0722123456"),
        ("12 03 2024", "12 03 2024"),
        ("al doilea", "al doilea"),
        ("", ""),
    ],
)
def test_what_is_a_number_and_what_is_not(said: str, expected: str) -> None:
    assert digits(said) == expected


def test_words_without_diacritics_count_only_in_the_tolerant_figure() -> None:
    assert normaliser("romanian")("doua sute de lei, sase") == "doua sute de lei sase"
    assert normaliser("romanian-stripped")("doua sute de lei, sase") == "200 lei 6"
    assert normaliser("romanian-stripped")("două sute de lei, șase") == "200 lei 6"
