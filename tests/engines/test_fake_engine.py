"""The scripted engine does what its options say, and stays cheap with thousands of places."""

import time

import numpy as np
import pytest

from tests.engines.hearing import NOTHING, columns, hypotheses, planned, words
from tests.fakes.fake_engine import FakeEngine, planted_delay
from voxfleet.engines.port import END_OF_TURN, Increments, TrackOptions
from voxfleet.errors import BadGrammar, EngineFailed
from voxfleet.speech import SAMPLE_RATE

SECOND = np.zeros(SAMPLE_RATE, np.int16)


def test_words_come_at_the_scripted_pace_and_restart_with_every_turn() -> None:
    engine = FakeEngine(words_per_second=2.0, stable_after=0.5, script="a b c")
    place = engine.take(TrackOptions())
    engine.hear(columns((place, SECOND, False), (place, SECOND, False)))
    (partial,) = hypotheses(engine.step(planned(place)), place)
    assert [word.text for word in partial.stable] == ["a", "b", "c"]
    assert [word.text for word in partial.unstable] == ["a"]
    assert [(word.start, word.end) for word in partial.words][:2] == [(0.0, 0.5), (0.5, 1.0)]
    engine.hear(columns((place, SECOND[:7999], True), (place, SECOND, True)))
    first, second = hypotheses(engine.step(planned(place)), place)
    assert (words(first), first.turn, first.final) == ("a b c a", 0, True)
    assert (words(second), second.turn, second.final) == ("a b", 1, True)


def test_only_planned_places_speak() -> None:
    engine = FakeEngine()
    one, other = engine.take(TrackOptions()), engine.take(TrackOptions())
    engine.hear(columns((one, SECOND, True), (other, SECOND, True)))
    assert [heard.place for heard in engine.step(planned(other))] == [other]
    assert [heard.place for heard in engine.step(planned(one, other))] == [one]


def test_thousands_of_places_are_heard_in_columns() -> None:
    places, ticks = 4000, 50
    engine = FakeEngine(places=places)
    taken = [engine.take(TrackOptions()) for _ in range(places)]
    tick = Increments(
        places=np.arange(places, dtype=np.uint32),
        lengths=np.full(places, 320, np.uint32),
        flags=np.zeros(places, np.uint8),
        samples=np.zeros(places * 320, np.int16),
    )
    for _ in range(ticks):
        engine.hear(tick)
    tick.flags[:] = END_OF_TURN
    engine.hear(tick)
    heard = engine.step(planned(*taken))
    assert len(heard) == places
    assert {each.hypothesis.heard for each in heard} == {(ticks + 1) * 0.02}


def test_it_fails_when_told() -> None:
    engine = FakeEngine(fail_on_step=2)
    place = engine.take(TrackOptions())
    engine.hear(columns((place, SECOND, True)))
    assert hypotheses(engine.step(planned(place)), place)[0].final
    with pytest.raises(EngineFailed):
        engine.step(planned(place))


def test_one_place_fails_when_told_and_is_whole_for_its_next_tenant() -> None:
    engine = FakeEngine(fail_place=0, fail_place_on_step=2)
    places = [engine.take(TrackOptions()) for _ in range(2)]
    engine.hear(columns(*((place, SECOND, True) for place in places)))
    assert all(heard.error is None for heard in engine.step(planned(*places)))
    engine.hear(columns(*((place, SECOND, True) for place in places)))
    failed, fine = engine.step(planned(*places))
    assert isinstance(failed.error, EngineFailed)
    assert fine.error is None
    engine.hear(columns((places[0], SECOND, True)))
    assert engine.step(planned(places[0])) == []
    engine.free(places[0])
    again = engine.take(TrackOptions())
    engine.hear(columns((again, SECOND, True)))
    assert hypotheses(engine.step(planned(again)), again)[0].final


def test_it_falls_silent_and_slows_down_when_told() -> None:
    engine = FakeEngine(mute_from_step=2, step_seconds=0.02)
    place = engine.take(TrackOptions())
    began = time.monotonic()
    engine.hear(columns((place, NOTHING, True)))
    assert engine.step(planned(place))
    engine.hear(columns((place, NOTHING, True)))
    assert not engine.step(planned(place))
    assert time.monotonic() - began >= 0.04


def test_grammars_only_when_told() -> None:
    with pytest.raises(BadGrammar):
        FakeEngine().take(TrackOptions(grammar="digits"))
    assert FakeEngine(grammars=True).take(TrackOptions(grammar="digits")).index == 0


def test_a_turn_is_told_as_late_as_planted_with_the_next_step_of_anybody() -> None:
    engine = FakeEngine(delay=0.15)
    late, other = engine.take(TrackOptions()), engine.take(TrackOptions())
    engine.hear(columns((late, SECOND, True)))
    began = time.monotonic()
    heard = list(engine.step(planned(late)))
    assert heard == []
    while not heard:
        time.sleep(0.01)
        engine.hear(columns((other, SECOND[:160], False)))
        heard += engine.step(planned(other))
    assert time.monotonic() - began >= 0.15
    assert [(each.place, words(each.hypothesis), each.hypothesis.final) for each in heard] == [(late, "w0 w1", True)]


def test_what_is_told_late_keeps_its_order_and_dies_with_its_place() -> None:
    engine = FakeEngine(delay=0.05)
    place, other = engine.take(TrackOptions()), engine.take(TrackOptions())
    engine.hear(columns((place, SECOND, False)))
    engine.step(planned(place))
    engine.hear(columns((place, SECOND, True), (other, SECOND, True)))
    engine.step(planned(place, other))
    engine.free(other)
    time.sleep(0.06)
    heard = engine.step(planned(place))
    assert [(each.place, each.hypothesis.final) for each in heard] == [(place, False), (place, True)]


def test_heavy_tailed_delays_are_drawn_once_for_every_turn() -> None:
    drawn = [planted_delay(2.0, 0.5, stream, turn) for stream in range(40) for turn in range(40)]
    assert drawn == [planted_delay(2.0, 0.5, stream, turn) for stream in range(40) for turn in range(40)]
    assert len(set(drawn)) == len(drawn)
    assert np.median(drawn) == pytest.approx(2.0, rel=0.05)
    assert np.std(np.log(drawn)) == pytest.approx(0.5, rel=0.1)
    assert planted_delay(2.0, 0.0, 1, 1) == 2.0


def test_one_place_stalls_from_a_turn_on_and_its_neighbours_do_not() -> None:
    engine = FakeEngine(stalled_place=0, stalled_from_turn=1)
    stalled, fine = engine.take(TrackOptions()), engine.take(TrackOptions())
    said: list[list[str]] = [[], []]
    for _ in range(2):
        engine.hear(columns((stalled, SECOND, True), (fine, SECOND, True)))
        heard = engine.step(planned(stalled, fine))
        for own, place in zip(said, (stalled, fine), strict=True):
            own += [words(hypothesis) for hypothesis in hypotheses(heard, place)]
    assert said == [["w0 w1"], ["w0 w1", "w0 w1"]]


def test_whole_finals_have_every_word_however_short_the_turn() -> None:
    engine = FakeEngine(script="all of these five words", whole=True)
    place = engine.take(TrackOptions())
    engine.hear(columns((place, SECOND[:1600], False)))
    engine.step(planned(place))
    engine.hear(columns((place, NOTHING, True)))
    (final,) = hypotheses(engine.step(planned(place)), place)
    assert words(final) == "all of these five words"
