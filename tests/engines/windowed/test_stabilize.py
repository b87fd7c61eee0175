"""Words settle when they should, and stay."""

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.engines.windowed.stabilize import Stabilizer, after
from voxfleet.engines.windowed.transcriber import Spelled
from voxfleet.speech import Word


def spelled(said: str, attended: list[float] | None = None) -> tuple[Spelled, ...]:
    return tuple(
        Spelled(
            Word(text, 0.5 * index, 0.5 * index + 0.5), (sum(text.encode()),), attended[index] if attended else None
        )
        for index, text in enumerate(said.split())
    )


def said(stabilizer: Stabilizer) -> str:
    return " ".join(word.word.text for word in stabilizer.settled)


def told(agreement: int, *decodes: str) -> str:
    """What has settled after these decodes of the whole window."""
    stabilizer = Stabilizer(agreement, 0.0)
    for decode in decodes:
        words = spelled(decode)
        stabilizer.learn(words[len(stabilizer.settled) :], 10.0)
    return said(stabilizer)


def test_two_decodes_must_agree_and_the_last_word_may_still_grow() -> None:
    assert told(2, "so we are off") == ""
    assert told(2, "so we are off", "so we are offering") == "so we are"
    assert told(2, "so we are off", "so we are off") == "so we are"
    assert told(2, "so we are off", "no we are off", "no we are off today") == "no we are"
    assert told(2, "so we", "so we are off", "so we are offering you") == "so we are"


def test_three_decodes_must_agree_where_three_are_asked_for() -> None:
    assert told(3, "a b c d", "a b c d") == ""
    assert told(3, "a b c d", "a b c d", "a b x d") == "a b"
    assert told(3, "a b c d", "a x c d", "a x c d", "a x c d") == "a x c"


def test_one_decode_is_enough_where_one_is_asked_for() -> None:
    assert told(1, "a b c") == "a b"


def test_the_same_letters_of_other_tokens_are_another_word() -> None:
    stabilizer = Stabilizer(2, 0.0)
    stabilizer.learn(spelled("a b"), 10.0)
    stabilizer.learn(tuple(Spelled(word.word, (1, 2)) for word in spelled("a b")), 10.0)
    assert said(stabilizer) == ""


def test_attention_settles_at_once_what_was_heard_well_before_the_end() -> None:
    stabilizer = Stabilizer(2, 0.5)
    stabilizer.learn(spelled("one two three four", [0.4, 1.0, 1.6, 1.9]), 2.0)
    assert said(stabilizer) == "one two"
    stabilizer = Stabilizer(2, 0.5)
    stabilizer.learn(spelled("one two three", [1.9, 1.0, 1.1]), 2.0)
    assert said(stabilizer) == "", "a word that attends to the end holds up those after it"


def test_where_attention_is_not_known_agreement_decides() -> None:
    stabilizer = Stabilizer(2, 0.5)
    words = spelled("one two three")
    stabilizer.learn(words, 5.0)
    assert said(stabilizer) == ""
    stabilizer.learn(words, 7.0)
    assert said(stabilizer) == "one two"


@given(st.integers(1, 4), st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=12))
def test_settled_words_only_grow_and_were_said_by_that_many_decodes(agreement: int, decodes: list[list[str]]) -> None:
    stabilizer = Stabilizer(agreement, 0.0)
    history: list[tuple[Spelled, ...]] = []
    for decode in decodes:
        before = stabilizer.settled
        words = before + spelled(" ".join(decode))
        history.append(words)
        stabilizer.learn(words[len(before) :], 10.0)
        assert stabilizer.settled[: len(before)] == before
        for index in range(len(before), len(stabilizer.settled)):
            assert len(history) >= agreement
            assert len({each[index].word.text for each in history[-agreement:]}) == 1


def test_words_after_the_settled_ones_are_found_by_text_or_else_by_time() -> None:
    settled = spelled("so we are")
    assert after((), settled) == settled
    assert after(settled, spelled("so we are off")) == spelled("so we are off")[3:]
    assert after(settled, spelled("no we are off")) == spelled("no we are off")[3:]
    assert after(settled, spelled("no we")) == ()
