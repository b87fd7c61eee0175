"""Word errors: counts that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.wer import WordErrors, normaliser_name, score, score_all

TEXTS = st.lists(st.sampled_from(["red", "blue", "green", "house", "tree"]), max_size=12).map(" ".join)


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        ("one red house", "one red house", WordErrors(hits=3)),
        ("a red house", "a blue house", WordErrors(hits=2, substitutions=1)),
        ("a red house", "a house", WordErrors(hits=2, deletions=1)),
        ("a house", "a red house", WordErrors(hits=2, insertions=1)),
        ("a red house", "", WordErrors(deletions=3)),
        ("", "a house", WordErrors(insertions=2)),
        ("", "", WordErrors()),
    ],
)
def test_counts(said: str, heard: str, expected: WordErrors) -> None:
    assert score(said, heard) == expected


def test_what_english_normalisation_forgives() -> None:
    assert score("Hello, it's five nine six one!", "hello it is 5961").errors == 0
    assert score("the colour", "the color").errors == 0


def test_raw_words_forgive_nothing() -> None:
    assert score("Hello, there", "hello there", normalise=str).errors == 2 - 1
    assert score("Hello, there", "hello there").errors == 0


def test_rates_are_pooled_and_not_averaged() -> None:
    pooled = score_all([("a b c d e f g h i j", "a b c d e f g h i j"), ("red", "blue")])
    assert pooled.rate == pytest.approx(1 / 11)


def test_a_rate_needs_reference_words() -> None:
    assert WordErrors(insertions=2).rate is None
    assert "no reference words" in str(WordErrors())


def test_a_rate_may_exceed_one() -> None:
    assert score("red", "blue green tree").rate == 3.0


def test_counts_below_zero_are_impossible() -> None:
    with pytest.raises(ValueError, match="negative"):
        WordErrors(hits=-1)


def test_the_text_form_tells_everything() -> None:
    told = str(WordErrors(hits=8, substitutions=1, deletions=1, insertions=2))
    assert told == "WER 40.0% (4 of 10 words: 1 substituted, 1 left out, 2 added)"


def test_the_normaliser_has_a_name_and_version() -> None:
    assert normaliser_name().startswith("whisper-normalizer ")


@given(said=TEXTS, heard=TEXTS)
def test_counts_add_up_to_the_words_of_both_sides(said: str, heard: str) -> None:
    errors = score(said, heard)
    assert errors.reference == len(said.split())
    assert errors.hypothesis == len(heard.split())
    assert (errors.errors == 0) == (said == heard)


@given(a=TEXTS, b=TEXTS, c=TEXTS, d=TEXTS)
def test_sums_are_the_sums_of_counts(a: str, b: str, c: str, d: str) -> None:
    both = score(a, b) + score(c, d)
    assert both.errors == score(a, b).errors + score(c, d).errors
    assert both.reference == len(a.split()) + len(c.split())
