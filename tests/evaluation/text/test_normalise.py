"""Normalisers by name: what each forgives, row by row of the evaluation reference §4, and the version beside each."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whisper_normalizer.basic import BasicTextNormalizer

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.text.normalise import NAMES, for_language, normaliser

REFERENCE_TABLE = [
    ("Într-un oraş", "într un oraş", "intr un oras"),
    ("Într-un oraș", "într un oraș", "intr un oras"),
    ("1.250,50 lei", "1 250 50 lei", "1 250 50 lei"),
    ("s-a dus, l-am văzut", "s a dus l am văzut", "s a dus l am vazut"),
]


@pytest.mark.parametrize(("text", "kept", "removed"), REFERENCE_TABLE)
def test_the_basic_normaliser_does_what_the_reference_measured(text: str, kept: str, removed: str) -> None:
    assert normaliser("basic")(text) == kept
    assert BasicTextNormalizer(remove_diacritics=True)(text) == removed


def test_the_english_normaliser_ruins_romanian() -> None:
    english = normaliser("english")
    assert english("Într-un oraş") == "intr un oras"
    assert english("mm hmm da") == "da"


def test_basic_composes_letters_first_and_keeps_vowel_signs() -> None:
    basic = normaliser("basic")
    assert basic(unicodedata.normalize("NFD", "Café, înțeleg!")) == "café înțeleg"
    assert basic("नमस्ते") == "नमस्ते"


def test_raw_only_splits() -> None:
    assert normaliser("raw")(" Hello,\u00a0 there \n") == "Hello, there"


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en", "english"),
        ("en-US", "english"),
        ("EN_gb", "english"),
        ("ro", "romanian"),
        ("ro-MD", "romanian"),
        ("mo", "romanian"),
        ("de", "basic"),
        ("enm", "basic"),
        ("", "basic"),
        (None, "basic"),
    ],
)
def test_the_normaliser_of_a_language(tag: str | None, name: str) -> None:
    assert for_language(tag).name == name


def test_an_unknown_name_is_told_the_choices() -> None:
    with pytest.raises(BadOption, match="romanian-stripped"):
        normaliser("klingon")


def test_every_normaliser_has_its_own_version() -> None:
    versions = {name: normaliser(name).version for name in NAMES}
    assert len(set(versions.values())) == len(NAMES)
    assert versions["english"].startswith("whisper-normalizer ")
    assert versions["english"].endswith(", English")
    assert "Romanian rules 1" in versions["romanian"]


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text(max_size=60))
def test_any_text_becomes_words_and_always_the_same(name: str, text: str) -> None:
    once = normaliser(name)(text)
    assert once == " ".join(once.split())
    assert normaliser(name)(text) == once
