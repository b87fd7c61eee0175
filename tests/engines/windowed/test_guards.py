"""Nonsense is cut off; what people really say is left alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.engines.windowed.guards import compression, credible, within, without_loop
from voxfleet.engines.windowed.policy import Policy, policy_named
from voxfleet.engines.windowed.transcriber import Spelled, Transcript
from voxfleet.errors import SettingsError
from voxfleet.speech import Word

SENTENCE = [
    *("thank", "you", "for", "calling", "could", "you", "tell", "me", "your", "account", "number", "please"),
    *("it", "should", "be", "on", "the", "letter", "we", "sent"),
]


def spelled(*texts: str, tokens: int = 1) -> tuple[Spelled, ...]:
    return tuple(
        Spelled(Word(text, index * 0.3, index * 0.3 + 0.3), tuple(range(tokens))) for index, text in enumerate(texts)
    )


def text(words: tuple[Spelled, ...]) -> str:
    return " ".join(word.word.text for word in words)


@pytest.mark.parametrize(("said", "kept"), [
    ("no no no no", "no no no no"),
    ("no no no no no no no no", "no no no no no no no no"),
    ("no no no no no no no no no", "no"),
    ("No, no. NO no no no no no no", "No,"),
    ("so thank you thank you thank you thank you thank you", "so thank you"),
    ("a b c d a b c d a b c d a b c d a b", "a b c d"),
    ("one two one two one two", "one two one two one two"),
    ("five five five five", "five five five five"),
    (" ".join(SENTENCE), " ".join(SENTENCE)),
])  # fmt: skip
def test_a_phrase_that_follows_itself_is_cut_after_the_first(said: str, kept: str) -> None:
    assert text(without_loop(spelled(*said.split()), repeats=3)) == kept


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(1, 4))
def test_what_is_left_has_no_loop_and_is_how_it_began(letters: list[str], repeats: int) -> None:
    words = spelled(*letters)
    left = without_loop(words, repeats)
    assert left == words[: len(left)]
    assert without_loop(left, repeats) == left
    if len(left) < len(words):
        assert left, "all was cut off"


def test_more_tokens_than_anybody_speaks_are_cut_off() -> None:
    words = spelled(*SENTENCE, tokens=3)
    assert within(words, 10) == words[:3]
    assert within(words, 1_000) == words
    assert len(within(tuple(Spelled(word.word) for word in words), 5)) == 5
    policy = Policy(tokens_per_second=16, tokens_at_least=16)
    assert policy.most_tokens(0.0) == 16
    assert policy.most_tokens(2.0) == 48
    assert credible(Transcript(words), 0.5, policy) == words[: 24 // 3]


def test_text_that_repeats_itself_without_a_plain_loop_is_dropped_as_a_whole() -> None:
    dice = random.Random(1)
    noise = [dice.choice(["subtitles", "by", "the", "amara", "org"]) for _ in range(90)]
    assert compression(spelled(*noise)) > 2.4
    assert credible(Transcript(spelled(*noise)), 30.0, Policy(repeats=1_000)) is None
    assert compression(spelled(*SENTENCE)) < 2.0
    assert credible(Transcript(spelled(*SENTENCE)), 30.0, Policy()) == spelled(*SENTENCE)
    assert compression(spelled("yes", "yes", "yes")) == 0.0, "too short to tell"


@pytest.mark.parametrize(("no_speech", "log_probability", "kept"), [
    (0.9, -1.5, False), (0.9, -0.2, True), (0.3, -1.5, True), (0.0, 0.0, True),
])  # fmt: skip
def test_silence_is_believed_only_where_the_words_are_doubtful_too(
    no_speech: float, log_probability: float, kept: bool
) -> None:
    transcript = Transcript(spelled("thanks", "for", "watching"), "en", no_speech, log_probability)
    assert bool(credible(transcript, 3.0, Policy())) is kept


def test_a_policy_is_known_by_name() -> None:
    assert policy_named("agreement") == Policy()
    assert policy_named("attention", 0.8).attention == 0.8
    with pytest.raises(SettingsError, match="agreement, attention"):
        policy_named("hope")
