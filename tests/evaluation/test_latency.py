"""Latency as a caller sees it: from the due time of a sample to the arrival of the message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.latency import Late, LatencyMeter, Percentiles, contained, percentiles, rank
from voxfleet.wire.native import AckMessage, FinalMessage, PartialMessage, WordMessage

WORDS = st.lists(st.sampled_from("abc"), max_size=8)


def final(channel: int = 0, turn: int = 0, *words: tuple[str, float, float]) -> FinalMessage:
    listed = [WordMessage(*word) for word in words]
    return FinalMessage(channel, turn, 0.0, 9.0, " ".join(word[0] for word in words), listed)


def partial(text: str, unstable: str = "", channel: int = 0, turn: int = 0) -> PartialMessage:
    return PartialMessage(channel, turn, 0.0, 1.0, text, unstable)


def test_a_sample_is_due_when_its_frame_is_complete() -> None:
    meter = LatencyMeter(0.1)
    assert meter.due(0.01) == pytest.approx(0.1)
    assert meter.due(0.1) == pytest.approx(0.1)
    assert meter.due(0.30000000000000004) == pytest.approx(0.3)
    assert meter.due(0.31) == pytest.approx(0.4)


def test_a_word_counts_from_the_first_message_that_holds_it() -> None:
    meter = LatencyMeter(0.1)
    meter.heard(partial("", "good"), 1.0)
    meter.heard(partial("good", "mourning"), 1.5)
    meter.heard(partial("good", "morning"), 1.9)
    meter.heard(final(0, 0, ("good", 0.2, 0.55), ("morning", 0.6, 1.2)), 2.5)
    assert meter.emissions() == pytest.approx([1.0 - 0.6, 1.9 - 1.2])
    assert meter.first_partials() == pytest.approx([0.4])
    assert meter.finals() == pytest.approx([2.5 - 1.2])


def test_a_word_no_partial_held_counts_from_the_final() -> None:
    meter = LatencyMeter(0.1)
    meter.heard(final(0, 0, ("yes", 0.2, 0.5)), 1.3)
    assert meter.emissions() == pytest.approx([0.8])


def test_case_and_punctuation_added_later_do_not_delay_a_word() -> None:
    meter = LatencyMeter(0.1)
    meter.heard(partial("good"), 0.9)
    meter.heard(final(0, 0, ("Good,", 0.2, 0.5)), 1.5)
    assert meter.emissions() == pytest.approx([0.4])


def test_channels_and_turns_are_kept_apart() -> None:
    meter = LatencyMeter(0.1)
    meter.heard(partial("yes", channel=1), 0.6)
    meter.heard(partial("yes", turn=1), 0.7)
    meter.heard(final(0, 0, ("yes", 0.2, 0.5)), 1.5)
    assert meter.emissions() == pytest.approx([1.0])


def test_messages_without_words_are_passed_over() -> None:
    meter = LatencyMeter(0.1)
    meter.heard(AckMessage(0, 1.0, 1.0), 1.0)
    meter.heard(FinalMessage(0, 0, 0.0, 1.0, "no times"), 1.0)
    meter.heard(FinalMessage(0, 1, 0.0, 1.0, ""), 1.0)
    assert (meter.emissions(), meter.finals(), meter.first_partials()) == ([], [], [])


def test_repeated_words_are_not_mistaken_for_later_ones() -> None:
    assert contained(["five"], ["five", "nine", "five", "one"]) == [0]
    assert contained(["five", "nine", "five"], ["five", "nine", "five", "one"]) == [0, 1, 2]


def test_an_early_insertion_does_not_hide_the_words_after_it() -> None:
    assert contained(["uh", "good", "morning"], ["good", "morning", "sir"]) == [0, 1]


@given(said=WORDS, cut=st.integers(0, 8))
def test_a_beginning_of_the_final_is_contained_whole(said: list[str], cut: int) -> None:
    assert contained(said[:cut], said) == list(range(min(cut, len(said))))


@given(partial=WORDS, said=WORDS)
def test_only_equal_words_are_contained_and_in_order(partial: list[str], said: list[str]) -> None:
    places = contained(partial, said)
    assert places == sorted(set(places))
    remaining = iter(partial)
    assert all(said[place] in remaining for place in places)


SPANS = [(0.5, 1.25), (1.5, 2.0), (6.0, 7.0)]


def closed(start: float, end: float, *words: tuple[str, float, float]) -> FinalMessage:
    listed = [WordMessage(*word) for word in words]
    return FinalMessage(0, 0, start, end, " ".join(word[0] for word in words), listed)


@pytest.mark.parametrize(
    ("message", "spoken_until"),
    [
        pytest.param(
            closed(0.4, 2.5, ("good", 0.5, 1.0)), 2.0, id="the last speech in the turn, whatever the words say"
        ),
        pytest.param(closed(0.4, 2.5), 2.0, id="even without words"),
        pytest.param(closed(0.4, 1.4), 1.25, id="the pause that ended it"),
        pytest.param(closed(0.4, 1.75, ("good", 0.5, 1.0)), 1.75, id="cut in the middle of speech"),
        pytest.param(closed(6.5, 7.5), 7.0, id="a turn that begins in the middle of speech"),
        pytest.param(closed(2.5, 3.5, ("ghost", 2.6, 2.9)), 2.9, id="no speech in it: by its words"),
        pytest.param(closed(0.0, 0.4, ("ghost", 0.1, 0.3)), 0.3, id="before any speech"),
    ],
)
def test_where_the_caller_knows_its_speech_finals_count_from_its_end(
    message: FinalMessage, spoken_until: float
) -> None:
    meter = LatencyMeter(0.1, SPANS)
    meter.heard(message, 9.0)
    due = meter.due(spoken_until)
    assert meter.timed_finals() == [Late(due, 9.0 - due)]
    assert meter.finals() == [9.0 - due]


def test_an_empty_turn_without_known_speech_has_no_final_latency() -> None:
    for spans in ([], SPANS):
        meter = LatencyMeter(0.1, spans)
        meter.heard(closed(2.5, 3.5), 9.0)
        assert meter.timed_finals() == []


def test_every_latency_says_when_it_was_due() -> None:
    meter = LatencyMeter(0.1)
    meter.heard(partial("good"), 0.9)
    meter.heard(final(0, 0, ("good", 0.2, 0.55), ("day", 0.6, 1.0)), 1.5)
    ((good, day),) = meter.timed_emissions()
    assert (good.due, good.seconds) == pytest.approx((0.6, 0.3))
    assert day == Late(1.0, 0.5)


@given(st.lists(st.floats(-10, 10), min_size=1), st.sampled_from([50, 90, 95, 99, 100]), st.integers(2, 4))
def test_a_rank_is_the_same_of_the_same_values_many_times_over(values: list[float], percent: int, times: int) -> None:
    assert rank(sorted(values * times), percent) == rank(sorted(values), percent)


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([0.3, 0.1, 0.2]) == Percentiles(3, 0.2, 0.3, 0.3)
    assert percentiles(range(1, 101)) == Percentiles(100, 50, 95, 100)
    assert percentiles([0.7]) == Percentiles(1, 0.7, 0.7, 0.7)
    assert percentiles([]) is None


@given(st.lists(st.floats(-10, 10), min_size=1))
def test_percentiles_leave_as_many_above_as_they_say(values: list[float]) -> None:
    figures = percentiles(values)
    assert figures is not None
    assert sum(value <= figures.p95 for value in values) >= 0.95 * len(values)
    assert sum(value < figures.p95 for value in values) < 0.95 * len(values)
    assert figures.p50 <= figures.p95 <= figures.largest == max(values)
