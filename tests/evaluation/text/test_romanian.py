"""Romanian: the same word is the same, whatever the keyboard, the hyphen, the number or the orthography."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.text.normalise import normaliser
from voxfleet.evaluation.text.romanian import fold
from voxfleet.evaluation.wer import score

kept, stripped, orthography = (normaliser(name) for name in ("romanian", "romanian-stripped", "romanian-orthography"))


@pytest.mark.parametrize(
    ("text", "primary", "tolerant"),
    [
        ("Într-un oraş", "într un oraș", "intr un oras"),
        ("Într-un oraș", "într un oraș", "intr un oras"),
        ("1.250,50 lei", "1250,50 lei", "1250,50 lei"),
        ("s-a dus, l-am văzut", "s a dus l am văzut", "s a dus l am vazut"),
        ("mm hmm da", "mm hmm da", "mm hmm da"),
    ],
)
def test_the_rows_of_the_reference(text: str, primary: str, tolerant: str) -> None:
    assert kept(text) == primary
    assert stripped(text) == tolerant


@pytest.mark.parametrize("word", ["oraş", "oras\u0327", "oraș", "oras\u0326", "ORAŞ", "ORAS\u0327", "Oraș"])
def test_every_way_to_write_the_comma_below(word: str) -> None:
    assert kept(word) == "oraș"


def test_unicode_alone_does_not_unify_them() -> None:
    assert unicodedata.normalize("NFKC", "ş") != unicodedata.normalize("NFKC", "ș")
    assert fold("ŞşŢţ") == "ȘșȚț"
    assert fold("façade ģ") == "façade ģ"  # only s and t have a comma in Romanian


def test_diacritics_are_errors_in_the_primary_figure_only() -> None:
    said, heard = "fata a văzut fată", "fata a vazut fata"
    assert score(said, heard, normalise=kept).substitutions == 2
    assert score(said, heard, normalise=stripped).errors == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("într-un", "într un"),
        ("s\u2011a dus", "s-a dus"),
        ("într'un", "într-un"),
        ("nu-i", "nu i"),
        ("„Bună ziua!”", "bună ziua"),
        ("co\u00adpil", "copil"),
        ("100km", "100 km"),
        ("[muzică] da <ro-RO>", "da"),
        ("–5 grade", "minus cinci grade"),
        ("5%", "cinci la sută"),
        ("20%", "douăzeci de procente"),
        ("100%", "o sută la sută"),
        ("5 €", "€5"),
        ("€1.250,50", "o mie două sute cincizeci virgulă cincizeci de euro"),
        ("20 RON", "douăzeci de lei"),
        ("5 € 6 lei", "cinci euro șase lei"),
    ],
)
def test_the_same_said_and_written(one: str, other: str) -> None:
    assert kept(one) == kept(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.250,50", "1250,50"),
        ("1.250.000", "1250000"),
        ("1\u00a0250", "1250"),
        ("2,5", "2,5"),
        ("2,5.", "2,5"),
        ("12.03.2024", "12 03 2024"),
        ("14:30", "14 30"),
        ("2-3", "2 3"),
        ("1, 2", "1 2"),
        ("0.250", "0 250"),
        ("2024", "2024"),
        ("1.25", "1 25"),
    ],
)
def test_points_and_commas_in_numbers(text: str, expected: str) -> None:
    assert kept(text) == expected


@pytest.mark.parametrize(
    ("before_1993", "today"),
    [
        ("sînt", "sunt"),
        ("sîntem", "suntem"),
        ("sînteți", "sunteți"),
        ("cînd", "când"),
        ("mîine coborî în oraș", "mâine coborî în oraș"),
        ("hotărît", "hotărât"),
        ("Cîmpulung", "Câmpulung"),
    ],
)
def test_two_orthographies_are_one_only_where_asked_for(before_1993: str, today: str) -> None:
    assert orthography(before_1993) == orthography(today) == today.lower()
    assert kept(before_1993) != kept(today)


def test_both_sides_of_a_prefix_agree() -> None:
    assert orthography("reîncepe") == orthography("reîncepe")
    assert orthography("neînțeles") != orthography("neanțeles")


WORDS = ["o", "un", "și", "de", "sută", "sute", "mie", "mii", "doi", "două", "zece", "douăzeci", "virgulă", "zero",
         "lei", "5", "07", "2,5", "1.250", "milioane", "casa", "într-un", "la", "una", "%", "-5", "€"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join))
def test_what_is_normalised_stays_as_it_is(text: str) -> None:
    for normalise in (kept, stripped, orthography):
        once = normalise(text)
        assert normalise(once) == once
