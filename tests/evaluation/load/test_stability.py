"""How restless a text was, counted by hand; committed words that changed; unanswered speech."""

from dataclasses import replace

import pytest

from tests.evaluation.load.planted import NATIVE, Quiet, Spoken, record_of
from voxfleet.evaluation.load.caller import Record
from voxfleet.evaluation.load.reading import Reading, no_text, read, together
from voxfleet.evaluation.report.document import Stability, Stall
from voxfleet.wire import native


def heard(*messages: native.ServerMessage | bytes) -> Reading:
    """A call in which these came, a tenth of a second apart."""
    said = [message if isinstance(message, bytes) else native.encode(message).encode() for message in messages]
    script = Quiet(100)
    return read(
        Record(0, 0.0, script, 0.0, ended=10.0, frames_sent=100, heard=[(k / 10, m) for k, m in enumerate(said)]),
        NATIVE,
    )


def partial(stable: str, unstable: str = "", turn: int = 0, channel: int = 0) -> native.PartialMessage:
    return native.PartialMessage(channel, turn, 0.0, 1.0, stable, unstable)


def final(text: str, turn: int = 0, channel: int = 0) -> native.FinalMessage:
    return native.FinalMessage(channel, turn, 0.0, 1.0, text)


def counts(*messages: native.ServerMessage) -> Stability:
    return heard(*messages).stability


def test_a_word_that_was_replaced_and_one_that_was_withdrawn() -> None:
    found = counts(
        partial("", "the cat"), partial("", "the bat sat on"), partial("the", "bat"), final("the bat sat down")
    )
    assert found.shown_and_changed == 1 + 2  # cat; sat on
    assert (found.revisions, found.revised_turns, found.partials) == (2, 1, 3)
    assert (found.final_words, found.turns, found.committed_revisions) == (4, 1, 0)
    whole = together([found])
    assert whole.upwr == pytest.approx(3 / 4)
    assert whole.revisions_per_word == pytest.approx(2 / 4)


def test_growing_text_is_stable_and_case_and_punctuation_are_no_revision_while_unstable() -> None:
    found = counts(partial("", "good"), partial("", "Good, morning"), final("Good morning."))
    assert (found.shown_and_changed, found.revisions, found.revised_turns) == (0, 0, 0)
    assert together([found]).upwr == 0.0


def test_turns_and_channels_are_kept_apart() -> None:
    found = counts(partial("", "a"), partial("", "x", turn=1), partial("", "y", channel=1), final("a"), final("x", 1))
    assert (found.shown_and_changed, found.turns, found.final_words, found.partials) == (0, 2, 2, 3)


def test_everything_shown_of_a_turn_that_is_empty_in_the_end_was_unstable() -> None:
    found = counts(partial("", "phantom words"), final(""))
    assert (found.shown_and_changed, found.final_words) == (2, 0)
    assert together([found]).upwr is None


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param((partial("the cat"), partial("the bat"), final("the bat")), id="stable word replaced"),
        pytest.param(
            (partial("the cat", "sat"), partial("the", "cat sat"), final("the cat sat")), id="promise taken back"
        ),
        pytest.param((partial("the cat"), final("the bat")), id="final breaks the promise"),
        pytest.param((partial("the cat"), final("the")), id="final is shorter"),
        pytest.param((partial("the cat"), final("The cat")), id="even a capital"),
        pytest.param((final("the cat"), final("the cat")), id="the same final twice"),
        pytest.param((final("the cat"), final("the bat")), id="another final"),
    ],
)
def test_any_change_of_committed_text_counts_once(messages: tuple[native.ServerMessage, ...]) -> None:
    assert counts(*messages).committed_revisions == 1


def test_a_growing_promise_that_is_kept_is_no_revision() -> None:
    assert (
        counts(partial("", "the"), partial("the", "cat"), partial("the cat"), final("the cat")).committed_revisions == 0
    )


def test_counts_of_calls_add_up_before_rates_are_made() -> None:
    restless = counts(partial("", "x y"), final("a b"))
    calm = counts(*(final("w " * 9, turn) for turn in range(2)))
    both = together([restless, calm])
    assert (both.final_words, both.shown_and_changed, both.turns) == (20, 2, 3)
    assert both.upwr == pytest.approx(2 / 20)
    assert together([]) == no_text()


def test_what_can_not_be_read_is_listed_and_the_rest_counts() -> None:
    found = heard(b"no json", final("fine"), b'{"type":"final"}', b'{"type":"novel"}', b"\xff\xfe")
    assert found.text == "fine"
    assert len(found.unreadable) == 4


def test_the_text_of_a_call_is_in_the_order_of_its_turns() -> None:
    late = replace_start(final("late", 1), 5.0)
    early = replace_start(final("early", 0), 1.0)
    assert heard(late, early, replace_start(final("", 2), 7.0)).text == "early late"


def replace_start(message: native.FinalMessage, start: float) -> native.FinalMessage:
    message.start, message.end = start, start + 1
    return message


# ---- stalls -----------------------------------------------------------------------------------------------------


def stalls(turns: list[Spoken], spans: list[tuple[float, float]], seconds: float = 40.0) -> list[Stall]:
    """Of a call of so many seconds with speech in these spans, in which only these turns were answered."""
    record = record_of(turns, number=7, came=0.0, admission=0.0)
    record = replace_record(record, script=Quiet(round(seconds * 10), tuple(spans)))
    return read(record, NATIVE).stalls


def replace_record(record: Record, **changes: object) -> Record:
    changed = replace(record, **changes)  # type: ignore[arg-type]
    changed.frames_sent = changed.script.frames
    changed.ended = changed.started + changed.script.frames / 10
    return changed


ANSWERED = Spoken(1.0, (0.2, 0.2), 0.6)
"""Speech from 1 to 2 s; its last text comes at 2.6 s."""


def test_speech_that_nobody_answers_is_a_stall_from_where_it_begins() -> None:
    (stall,) = stalls([ANSWERED], [(1.0, 2.0), (10.0, 12.0)])
    assert stall.stream == 7
    assert (stall.begin, stall.seconds) == pytest.approx((10.05, 30.0))


def test_silence_is_no_stall_nor_is_an_answer_in_time() -> None:
    assert stalls([ANSWERED], [(1.0, 2.0)]) == []
    assert stalls([ANSWERED, Spoken(10.0, (4.4,), 4.4)], [(1.0, 2.0), (10.0, 10.5)]) == []


def test_five_seconds_are_the_limit() -> None:
    spans = [(1.0, 2.0), (10.0, 12.0)]
    assert stalls([ANSWERED, Spoken(10.0, (4.4,), 4.4)], spans) == []  # shown at 14.9
    (stall,) = stalls([ANSWERED, Spoken(10.0, (4.6,), 4.6)], spans)  # shown at 15.1
    assert stall.seconds == pytest.approx(5.1)


def test_a_last_syllable_after_the_last_text_is_no_stall() -> None:
    assert stalls([ANSWERED], [(1.0, 3.0)]) == []  # 0.4 s of it after the final
    assert len(stalls([ANSWERED], [(1.0, 3.2)])) == 1


def test_speech_that_was_never_sent_is_not_missed() -> None:
    record = replace_record(record_of([ANSWERED]), script=Quiet(400, ((1.0, 2.0), (30.0, 32.0))))
    record.frames_sent = 200
    assert read(record, NATIVE).stalls == []
