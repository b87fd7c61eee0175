"""Errors planted into real transcripts are recovered exactly, and jiwer and meeteval find the same.

A planted word is in no transcript, so it costs one error wherever it is aligned. Where an utterance has substitutions
and deletions, or substitutions and insertions, no other alignment is as cheap: with S strange words and D words missing
at least S + D errors are needed, and one more insertion would need one more deletion. So S, D and I are all exact.
"""

import csv
import random
from pathlib import Path

import jiwer
import pytest

from voxfleet.evaluation.text.characters import score_all_characters
from voxfleet.evaluation.text.counts import WordErrors
from voxfleet.evaluation.text.normalise import normaliser
from voxfleet.evaluation.wer import score, score_all

AUDIO = Path(__file__).parents[3] / "../shared/audio"


@pytest.fixture(scope="module")
def transcripts() -> list[str]:
    manifest = AUDIO / "MANIFEST.tsv"
    if not manifest.exists():
        pytest.skip("needs shared/audio beside the checkout")
    with manifest.open(encoding="utf-8") as rows:
        texts = [row["transcript"] for row in csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [text for text in texts if text.strip()]


def planted(text: str, chance: random.Random, kind: str) -> tuple[str, WordErrors]:
    """The text with errors of two kinds, 'delete' or 'insert' and substitutions, and how many."""
    heard: list[str] = []
    hits = substitutions = deletions = insertions = 0
    for word in text.split():
        draw = chance.random()
        if draw < 0.1:
            heard.append(f"qx{chance.randrange(10**6)}q")
            substitutions += 1
        elif draw < 0.2 and kind == "delete":
            deletions += 1
        else:
            heard.append(word)
            hits += 1
        if draw > 0.9 and kind == "insert":
            heard.append(f"qx{chance.randrange(10**6)}q")
            insertions += 1
    return " ".join(heard), WordErrors(hits, substitutions, deletions, insertions)


@pytest.mark.parametrize("seed", range(5))
def test_planted_errors_are_recovered_exactly(transcripts: list[str], seed: int) -> None:
    chance = random.Random(seed)
    pairs, total = [], WordErrors()
    for said in transcripts:
        heard, errors = planted(said, chance, chance.choice(["delete", "insert"]))
        assert score(said, heard, normalise=normaliser("raw")) == errors, said
        pairs.append((said, heard))
        total += errors
    assert score_all(pairs, normalise=normaliser("raw")) == total
    assert min(total.substitutions, total.deletions, total.insertions) > 50


@pytest.mark.parametrize("name", ["raw", "english", "basic"])
def test_jiwer_and_meeteval_agree(transcripts: list[str], name: str) -> None:
    wer = pytest.importorskip("meeteval.wer")
    chance = random.Random(7)
    normalise = normaliser(name)
    pairs = [(said, planted(said, chance, chance.choice(["delete", "insert"]))[0]) for said in transcripts]
    prepared = [(normalise(said), normalise(heard)) for said, heard in pairs]
    prepared = [(said, heard) for said, heard in prepared if said]
    ours = score_all(pairs, normalise=normalise)
    theirs = jiwer.process_words([said for said, _ in prepared], [heard for _, heard in prepared])
    assert ours == WordErrors(theirs.hits, theirs.substitutions, theirs.deletions, theirs.insertions)
    meeting = wer.combine_error_rates([wer.siso_word_error_rate(said, heard) for said, heard in prepared])
    assert (ours.errors, ours.reference) == (meeting.errors, meeting.length)
    assert ours.rate == pytest.approx(meeting.error_rate)
    if name == "raw":  # the English normaliser makes words of the planted ones that may align in two ways
        split = (meeting.substitutions, meeting.deletions, meeting.insertions)
        assert (ours.substitutions, ours.deletions, ours.insertions) == split


def test_characters_agree_with_jiwer(transcripts: list[str]) -> None:
    chance = random.Random(3)
    pairs = [(said, planted(said, chance, "delete")[0]) for said in transcripts]
    ours = score_all_characters(pairs, normaliser("raw"))
    assert ours.rate == pytest.approx(jiwer.cer([said for said, _ in pairs], [heard for _, heard in pairs]))


def test_what_was_said_has_no_errors(transcripts: list[str]) -> None:
    for name in ("raw", "english", "basic"):
        assert score_all(((said, said) for said in transcripts), normalise=normaliser(name)).errors == 0
