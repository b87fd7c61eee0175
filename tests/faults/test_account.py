"""The judge itself: whatever is planted in a transcript must be found, and nothing else."""

import copy
from collections.abc import Callable

import pytest

from tests.faults.account import Account, Fault, account
from tests.faults.callers import Told
from tests.faults.calls import Talk, recording
from voxfleet.wire.native import AckMessage, DoneMessage, FinalMessage, PartialMessage, ServerMessage

CALL = Talk(seed=1, seconds=20.0)
FINALS = tuple(FinalMessage(0, turn, 4.0 * turn, 4.0 * turn + 3, f"w0 w1 w{turn}", [], 0.0) for turn in range(4))
DONE = DoneMessage(20.0, 4, 12, 0, 4)


def told(*messages: ServerMessage) -> Told:
    return Told(0, CALL, 100.0, 100.0, 100.0, "s", [(100.0 + n, m) for n, m in enumerate(messages)])


def judged(*messages: ServerMessage) -> Account:
    return account([told(*messages)], {CALL: FINALS})


def test_an_identical_transcript_is_identical() -> None:
    found = judged(*FINALS, AckMessage(0, 1.0, 1.0), DONE)
    assert found.identical
    assert (found.calls, found.streams, found.finals) == (1, 1, 4)


@pytest.mark.parametrize(
    ("plant", "field"),
    [
        (lambda finals: finals.pop(1), "finals_lost"),
        (lambda finals: finals.insert(2, finals[1]), "finals_repeated"),
        (lambda finals: setattr(finals[2], "text", "w0 w1"), "finals_different"),
        (lambda finals: setattr(finals[2], "end", 11.1), "finals_different"),
        (lambda finals: finals.append(FinalMessage(0, 4, 17.0, 18.0, "w0")), "finals_invented"),
        (lambda finals: finals.reverse(), "out_of_order"),
    ],
)
def test_what_is_planted_is_found(plant: Callable[[list[FinalMessage]], object], field: str) -> None:
    finals = [copy.copy(final) for final in FINALS]
    plant(finals)
    found = judged(*finals, DONE)
    assert not found.identical
    assert getattr(found, field) > 0


def test_a_call_without_an_end_has_failed() -> None:
    assert judged(*FINALS).failed == {"unknown": 1}


def test_a_stable_word_that_is_taken_back_is_found_in_partials_and_finals() -> None:
    kept = PartialMessage(0, 0, 0.0, 1.0, "w0 w1", "w2")
    assert judged(kept, *FINALS, DONE).identical
    assert judged(PartialMessage(0, 0, 0.0, 1.0, "w0 w", ""), *FINALS, DONE).stable_withdrawn == 1
    assert judged(kept, PartialMessage(0, 0, 0.0, 1.0, "w0", "w1"), *FINALS, DONE).stable_withdrawn == 1


def test_recovery_counts_from_the_fault_to_words_spoken_after_it() -> None:
    at = next(t for t in range(2, 18) if CALL.talks(0, t - 0.5, t + 1.0))
    heard = told(*FINALS, DONE)
    partials = [(at + 0.2, at - 0.1), (at + 0.9, at + 0.5)]  # the first was on its way when it happened
    heard.messages = [(100.0 + when, PartialMessage(0, 0, 0.0, float(end), "", "")) for when, end in partials]
    hit = account([heard], {CALL: FINALS}, [Fault("kill", 100.0 + at, frozenset({"s"}))])
    assert hit.recovery.max == pytest.approx(0.9)
    assert hit.affected == 1
    spared = account([heard], {CALL: FINALS}, [Fault("kill", 100.0 + at, frozenset({"other"}))])
    assert spared.affected == spared.recovery.count == 0


def test_calls_are_the_same_every_time_and_differ_from_each_other() -> None:
    assert (recording(CALL).samples == recording(Talk(1, 20.0)).samples).all()
    assert recording(CALL).seconds == 20.0
    assert recording(Talk(1, 20.0, channels=2)).channels == 2
    assert (recording(CALL).samples != recording(Talk(2, 20.0)).samples).any()
    restless = Talk(3, 40.0, restless=True)
    assert restless.talks(0, 2.0, 39.0)
    assert not CALL.talks(0, 0.0, 20.0)
