"""Aligned words: both sides in full, and the counts that jiwer gives."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.text.alignment import AlignedWord, align, align_texts, count
from voxfleet.evaluation.text.counts import WordErrors
from voxfleet.evaluation.text.normalise import normaliser
from voxfleet.evaluation.wer import score

WORDS = st.lists(st.sampled_from(["red", "blue", "green", "house", "tree"]), max_size=12)


def test_every_operation() -> None:
    assert align_texts("the red house fell", "the blue house fell down", str) == [
        AlignedWord("equal", "the", "the"),
        AlignedWord("substitute", "red", "blue"),
        AlignedWord("equal", "house", "house"),
        AlignedWord("equal", "fell", "fell"),
        AlignedWord("insert", None, "down"),
    ]
    assert align(["red", "house"], ["house"])[0] == AlignedWord("delete", "red", None)


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        ([], [], []),
        (["red"], [], [AlignedWord("delete", "red", None)]),
        ([], ["red"], [AlignedWord("insert", None, "red")]),
    ],
)
def test_a_side_without_words(said: list[str], heard: list[str], expected: list[AlignedWord]) -> None:
    assert align(said, heard) == expected


@given(said=WORDS, heard=WORDS)
def test_both_sides_are_there_in_order(said: list[str], heard: list[str]) -> None:
    steps = align(said, heard)
    assert [step.reference for step in steps if step.reference is not None] == said
    assert [step.hypothesis for step in steps if step.hypothesis is not None] == heard
    assert all((step.op == "equal") == (step.reference == step.hypothesis) for step in steps)


@given(said=WORDS.filter(bool), heard=WORDS)
def test_counts_are_those_of_jiwer(said: list[str], heard: list[str]) -> None:
    theirs = jiwer.process_words(" ".join(said), " ".join(heard))
    ours = count(align(said, heard))
    assert ours == WordErrors(theirs.hits, theirs.substitutions, theirs.deletions, theirs.insertions)
    assert ours == score(" ".join(said), " ".join(heard), normalise=str)
    assert ours.rate == pytest.approx(theirs.wer)


def test_texts_are_normalised_alike() -> None:
    steps = align_texts("Într-un oraş mare", "într un oraș mic", normaliser("romanian"))
    assert count(steps) == WordErrors(hits=3, substitutions=1)


@pytest.mark.parametrize(
    ("op", "said", "heard"),
    [
        ("equal", "a", "b"),
        ("substitute", "a", "a"),
        ("insert", "a", "b"),
        ("delete", None, "a"),
        ("insert", None, None),
    ],
)
def test_steps_that_can_not_be(op: str, said: str | None, heard: str | None) -> None:
    with pytest.raises(ValueError, match="not"):
        AlignedWord(op, said, heard)  # type: ignore[arg-type]
