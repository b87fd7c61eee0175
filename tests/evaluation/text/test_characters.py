"""Errors of characters, and words wrong only in their diacritics."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.text.characters import bare, diacritic_errors, score_all_characters, score_characters
from voxfleet.evaluation.text.counts import CharErrors, DiacriticErrors, WordErrors
from voxfleet.evaluation.text.normalise import normaliser

RAW, ROMANIAN = normaliser("raw"), normaliser("romanian")
TEXTS = st.text(alphabet="abcă ", max_size=20)


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        ("house", "mouse", CharErrors(hits=4, substitutions=1)),
        ("a b", "ab", CharErrors(hits=2, deletions=1)),  # the space is a character
        ("a  b", "a b", CharErrors(hits=3)),
        ("ab", "", CharErrors(deletions=2)),
        ("", "ab", CharErrors(insertions=2)),
        ("", "", CharErrors()),
    ],
)
def test_counts(said: str, heard: str, expected: CharErrors) -> None:
    assert score_characters(said, heard, RAW) == expected


@given(said=TEXTS, heard=TEXTS)
def test_counts_add_up_to_the_characters_of_both_sides(said: str, heard: str) -> None:
    errors = score_characters(said, heard, RAW)
    assert errors.reference == len(RAW(said))
    assert errors.hypothesis == len(RAW(heard))
    if RAW(said):
        assert errors.rate == pytest.approx(jiwer.cer(RAW(said), RAW(heard)))


def test_rates_are_pooled() -> None:
    assert score_all_characters([("aaaaaaaaa", "aaaaaaaaa"), ("a", "b")], RAW).rate == pytest.approx(0.1)
    assert str(CharErrors(hits=9, substitutions=1)).startswith("CER 10.0% (1 of 10 characters")


def test_words_and_characters_do_not_add_up() -> None:
    with pytest.raises(TypeError):
        WordErrors(1) + CharErrors(1)  # type: ignore[operator]
    assert len({WordErrors(1), CharErrors(1)}) == 2


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("o fată frumoasă", "o fata frumoasa", 2),
        ("o fată", "fata", 1),  # also where 'o' is left out
        ("oraşul", "orașul", 0),  # folded, no error
        ("cînd", "când", 0),  # another orthography: i and a are different letters
        ("fată", "casă", 0),  # another word altogether
        ("fată", "", 0),
        ("", "fata", 0),
        ("în țară", "in tara mea", 2),
    ],
)
def test_words_wrong_only_in_diacritics(said: str, heard: str, wrong: int) -> None:
    assert diacritic_errors(said, heard, ROMANIAN) == DiacriticErrors(len(said.split()), wrong)


@given(st.lists(st.sampled_from(["fată", "în", "țară", "și", "câine", "pește", "după", "măr"]), max_size=12))
def test_stripping_everything_is_wrong_everywhere(words: list[str]) -> None:
    text = " ".join(words)
    assert diacritic_errors(text, bare(text), ROMANIAN).wrong == len(words)
    assert diacritic_errors(text, text, ROMANIAN).wrong == 0


def test_diacritic_counts_check_themselves_and_add_up() -> None:
    both = DiacriticErrors(10, 1) + DiacriticErrors(30, 3)
    assert both == DiacriticErrors(40, 4)
    assert both.rate == pytest.approx(0.1)
    assert DiacriticErrors().rate is None
    with pytest.raises(ValueError, match="among"):
        DiacriticErrors(1, 2)


def test_a_lone_mark_stays_a_word() -> None:
    assert bare("\u0301") == "\u0301"
