"""Text that nobody said: loops, floods, and words on silence."""

import csv
import math
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.text.runaway import (
    NonSpeech,
    Runaway,
    RunawayCounts,
    compression_ratio,
    has_loop,
    is_runaway,
    tokens,
)

AUDIO = Path(__file__).parents[3] / "../shared/audio"
SENTENCE = "I would like to change the address of my account, if that is possible today."


@pytest.mark.parametrize(
    ("text", "seconds", "reason"),
    [
        ("", 5.0, None),
        ("", 0.0, None),
        ("yes", 0.0, None),
        (SENTENCE, 4.0, None),
        (SENTENCE, 0.5, Runaway.DENSE),
        ("no no no no", 2.0, None),
        ("Thank you. " * 4, 10.0, Runaway.LOOP),
        ("one two " * 60, 60.0, Runaway.COMPRESSIBLE),
        ("zero zero zero zero zero", 3.0, None),
        ("no " * 8, 8.0, Runaway.LOOP),
    ],
)
def test_reasons(text: str, seconds: float, reason: Runaway | None) -> None:
    assert is_runaway(text, seconds) is reason


def test_the_limit_of_tokens_can_be_moved() -> None:
    assert is_runaway(SENTENCE, 4.0, tokens_per_second=2.0) is Runaway.DENSE


def test_tokens_are_words_and_a_little_more() -> None:
    assert tokens("a word transcription") == 1 + 1 + 4
    assert tokens("") == 0
    assert tokens("\ud83d") == 1  # half a surrogate pair, as JSON may have it
    assert tokens("你好世界") == 3  # no white space, still more than one


def test_the_compression_ratio_is_whispers() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio(SENTENCE) < 1.5
    assert compression_ratio(SENTENCE * 10) > 2.4


@given(
    st.lists(st.integers(0, 10**6), max_size=20, unique=True),
    st.integers(min_value=1, max_value=10),
    st.lists(st.integers(0, 10**6), max_size=20, unique=True),
)
def test_a_planted_loop_is_found_wherever_it_is(before: list[int], size: int, after: list[int]) -> None:
    loop = [f"w{n}" for n in range(size)]
    times = max(4, math.ceil(8 / size))
    around = [[f"b{n}" for n in before], [f"a{n}" for n in after]]
    assert has_loop(" ".join(around[0] + loop * times + around[1]))
    assert not has_loop(" ".join(around[0] + loop * (times - 1) + around[1]))


def test_a_loop_is_heard_through_case_and_punctuation() -> None:
    assert has_loop("Thank you! thank you. Thank you, THANK YOU")


def test_real_speech_is_no_runaway() -> None:
    if not (AUDIO / "MANIFEST.tsv").exists():
        pytest.skip("needs shared/audio beside the checkout")
    counts = RunawayCounts()
    with (AUDIO / "MANIFEST.tsv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE):
            if not row["transcript"].strip():  # also what is no sound
                continue
            with av.open(str(AUDIO / row["file"])) as sound:
                counts += RunawayCounts.of(row["transcript"], (sound.duration or 0) / 1e6)
    assert counts.utterances > 200
    assert counts.runaway == 0


def test_runaway_counts_add_up_and_check_themselves() -> None:
    counts = RunawayCounts.of(SENTENCE, 0.5) + RunawayCounts.of("no " * 8, 8.0) + RunawayCounts.of("yes", 1.0)
    counts += RunawayCounts.of("one two " * 60, 60.0)
    assert counts == RunawayCounts(utterances=4, dense=1, compressible=1, looping=1)
    assert counts.rate == pytest.approx(3 / 4)
    assert RunawayCounts().rate is None
    with pytest.raises(ValueError, match="among"):
        RunawayCounts(utterances=1, dense=1, looping=1)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_no_such_duration(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        is_runaway("yes", seconds)
    with pytest.raises(ValueError, match="seconds"):
        NonSpeech.of("yes", seconds)


CLIPS = st.lists(
    st.tuples(st.sampled_from(["", " ", "...", "♪ ♪", "thank you", "[music]", "da"]), st.floats(0.1, 60)), max_size=10
)


@given(CLIPS, CLIPS)
def test_non_speech_adds_up(some: list[tuple[str, float]], more: list[tuple[str, float]]) -> None:
    one, other, both = (
        sum((NonSpeech.of(text, seconds) for text, seconds in clips), NonSpeech())
        for clips in (some, more, some + more)
    )
    total = one + other
    assert (total.clips, total.clips_with_output, total.words) == (both.clips, both.clips_with_output, both.words)
    assert total.seconds == pytest.approx(both.seconds)
    assert total.clips == len(some) + len(more)


def test_rates_of_non_speech() -> None:
    heard = NonSpeech.of("thank you", 30.0) + NonSpeech.of("…", 30.0)
    assert heard == NonSpeech(clips=2, clips_with_output=1, words=2, seconds=60.0)
    assert (heard.share_with_output, heard.words_per_minute, heard.words_per_hour) == (0.5, 2.0, 120.0)
    none = NonSpeech()
    assert (none.share_with_output, none.words_per_minute, none.words_per_hour) == (None, None, None)


@pytest.mark.parametrize(
    "counts",
    [
        {"clips": 1, "clips_with_output": 2, "words": 2},
        {"clips": 1, "clips_with_output": 1, "words": 0},
        {"clips": 1, "clips_with_output": 0, "words": 3},
        {"clips": -1},
    ],
)
def test_non_speech_that_can_not_be(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="clip"):
        NonSpeech(**counts)
