"""The session's rules one by one."""

from typing import Any

import numpy as np
import pytest

from voxfleet.errors import EngineLost
from voxfleet.settings import TurnSettings
from voxfleet.speech import (
    SAMPLE_RATE,
    SPEECH_FRAME,
    Final,
    Flushed,
    Hypothesis,
    Partial,
    Settled,
    SpeechStarted,
    Word,
    text_of,
)
from voxfleet.streams.effects import Emit, Fail, Feed, Finished, Leave, Reseat
from voxfleet.streams.endpoint import Endpointer, TurnRules
from voxfleet.streams.session import Session
from voxfleet.streams.timeline import MOST_ARRIVALS, Arrivals, Timeline

RULES = TurnRules.of(TurnSettings())


def begun(rules: TurnRules = RULES, context: float = 0.0) -> Session:
    """A session that has its first track."""
    session = Session(0, rules)
    assert session.seated(0, context) == []
    return session


def speak(session: Session, frames: int, probability: float, now: float = 0.0) -> list[Any]:
    return session.hear(np.zeros(frames * SPEECH_FRAME, np.float32), [probability] * frames, now)


def events(effects: list[Any], kind: type) -> list[Any]:
    return [effect.event for effect in effects if isinstance(effect, Emit) and isinstance(effect.event, kind)]


def said(turn: int, *texts: str, final: bool = False, heard: float = 1.0) -> Hypothesis:
    words = tuple(Word(text, i * 0.1, i * 0.1 + 0.1) for i, text in enumerate(texts))
    return Hypothesis(turn, words if final else (), () if final else words, heard, final)


def test_a_turn_starts_with_preroll_and_ends_after_silence() -> None:
    session = begun()
    assert speak(session, 20, 0.0) == []
    effects = speak(session, 10, 0.9)
    (started,) = events(effects, SpeechStarted)
    assert started.at == pytest.approx(20 * SPEECH_FRAME / SAMPLE_RATE)
    (feed,) = [effect for effect in effects if isinstance(effect, Feed)]
    assert feed.samples.size == 10 * SPEECH_FRAME + RULES.preroll
    effects = speak(session, 16, 0.0)
    (end,) = [effect for effect in effects if isinstance(effect, Feed)]
    assert end.end_of_turn
    final = events(session.learn(said(0, "hello", final=True), 2.0), Final)[0]
    assert final.text == "hello"
    assert final.speech_end == pytest.approx(30 * SPEECH_FRAME / SAMPLE_RATE)
    assert final.end == pytest.approx(46 * SPEECH_FRAME / SAMPLE_RATE)


def test_a_click_is_not_a_turn() -> None:
    session = begun()
    assert speak(session, 2, 0.9) == []
    assert speak(session, 30, 0.0) == []


def test_hysteresis_keeps_soft_speech() -> None:
    session = begun()
    speak(session, 5, 0.9)
    assert not [e for e in speak(session, 40, 0.4) if isinstance(e, Feed) and e.end_of_turn]


def test_the_longest_turn_is_cut_without_a_gap() -> None:
    session = begun(TurnRules.of(TurnSettings(max_turn=1.0)))
    feeds = [e for e in speak(session, 80, 0.9) if isinstance(e, Feed)]
    assert [feed.end_of_turn for feed in feeds] == [True, True, False]
    assert sum(feed.samples.size for feed in feeds) == 80 * SPEECH_FRAME


def test_partials_come_only_on_change_and_not_too_often() -> None:
    session = begun()
    speak(session, 10, 0.9)
    assert events(session.learn(said(0, "a"), 1.0), Partial)
    assert not session.learn(said(0, "a", "b"), 1.05), "too soon"
    (held,) = events(speak(session, 1, 0.9, now=1.3), Partial)
    assert [word.text for word in held.words] == ["a", "b"], "the newest is shown when its time has come"
    assert not session.learn(said(0, "a", "b"), 2.0), "nothing new"
    assert held.end <= session.position


def test_a_flush_without_speech_is_answered_at_once_and_with_speech_after_the_final() -> None:
    session = begun()
    assert session.flush(1) == [Emit(Flushed(0, 1))]
    speak(session, 10, 0.9)
    effects = session.flush(2)
    assert [type(effect) for effect in effects] == [Feed]
    effects = session.learn(said(0, "x", final=True), 1.0)
    assert [type(e.event) for e in effects if isinstance(e, Emit)] == [Final, Flushed, Settled]


def test_a_turn_the_engine_skipped_gets_an_explicit_empty_final() -> None:
    session = begun()
    for _ in range(2):
        speak(session, 10, 0.9)
        speak(session, 20, 0.0)
    finals = events(session.learn(said(1, "second", final=True), 1.0), Final)
    assert [final.text for final in finals] == ["", "second"]


def test_finishing_waits_for_the_last_final_and_then_is_silent() -> None:
    session = begun()
    speak(session, 10, 0.9)
    effects = session.finish()
    assert not [e for e in effects if isinstance(e, Finished)]
    assert session.finish() == []
    effects = session.learn(said(0, "end", final=True), 1.0)
    assert isinstance(effects[-1], Finished)
    assert speak(session, 5, 0.9) == []
    assert session.learn(said(0, "again", final=True), 1.0) == []


def test_finishing_in_silence_is_at_once() -> None:
    session = begun()
    speak(session, 10, 0.0)
    effects = session.finish()
    assert isinstance(effects[-1], Finished)
    assert session.settled == session.position == session.heard


def test_a_lost_track_asks_for_another_and_everything_unfinished_is_given_to_that() -> None:
    session = begun()
    speak(session, 10, 0.9)
    speak(session, 20, 0.0)  # a turn that waits for its final
    speak(session, 10, 0.9)  # and one that is being spoken
    assert session.lost_track(0) == [Reseat()]
    assert session.lost_track(0) == [], "the same track is lost once"
    assert not [e for e in speak(session, 5, 0.9) if isinstance(e, Feed)], "there is nobody to feed"
    first, second = session.seated(1)
    assert isinstance(first, Feed)
    assert isinstance(second, Feed)
    assert (first.end_of_turn, second.end_of_turn) == (True, False)
    assert (first.seat, second.seat) == (1, 1)
    assert session.learn(said(0, "late", final=True), 1.0, 0) == [], "the lost track is not believed any more"
    (final,) = events(session.learn(said(0, "first", final=True), 1.0, 1), Final)
    assert (final.turn, final.text) == (0, "first")


def test_partials_of_a_replay_begin_where_the_lost_track_had_got() -> None:
    session = begun()
    speak(session, 100, 0.9)
    assert events(session.learn(said(0, "a", "b", heard=2.0), 1.0), Partial)
    session.lost_track(0)
    session.seated(1)
    assert not events(session.learn(said(0, "a", heard=1.0), 2.0, 1), Partial), "that would take words back"
    assert session.heard == pytest.approx(2.0)
    (partial,) = events(session.learn(said(0, "a", "b", "c", heard=2.5), 3.0, 1), Partial)
    assert text_of(partial.words) == "a b c"


def test_stable_words_survive_an_engine_that_heard_otherwise() -> None:
    session = begun()
    speak(session, 100, 0.9)
    stable = (Word("four", 0.0, 0.3), Word("horses", 0.3, 0.6))
    session.learn(Hypothesis(0, stable, (Word("ran", 0.6, 0.9),), 1.0), 1.0)
    session.lost_track(0)
    session.seated(1)
    other = (Word("for", 0.0, 0.3), Word("courses", 0.3, 0.6), Word("run", 0.6, 0.9), Word("fast", 0.9, 1.2))
    (partial,) = events(session.learn(Hypothesis(0, other[:3], other[3:], 1.5), 2.0, 1), Partial)
    assert (text_of(partial.stable), text_of(partial.unstable)) == ("four horses run", "fast")
    session.finish()
    (final,) = events(session.learn(Hypothesis(0, other, (), 3.0, True), 3.0, 1), Final)
    assert final.text == "four horses run fast"


def test_short_words_are_not_repeated_where_only_a_confidence_was_rounded() -> None:
    session = begun()
    speak(session, 100, 0.9)
    told = (Word("so", 0.0, 0.3, 0.5), Word("7", 0.3, 0.32, 0.25), Word("7", 0.32, 0.34, 0.75))
    session.learn(Hypothesis(0, told, (), 1.0), 1.0)
    session.lost_track(0)
    session.seated(1)
    session.finish()
    rounded = (
        *(Word(word.text, word.start, word.end, (word.confidence or 0) + 1e-7) for word in told),
        Word("up", 0.34, 0.5),
    )
    (final,) = events(session.learn(Hypothesis(0, rounded, (), 3.0, True), 3.0, 1), Final)
    assert final.text == "so 7 7 up"


def test_context_is_heard_as_a_turn_of_its_own_that_nobody_is_told() -> None:
    session = begun(context=0.5)
    speak(session, 40, 0.0)
    speak(session, 10, 0.9)
    session.lost_track(0)
    context, turn = session.seated(1, 0.5)
    assert isinstance(context, Feed)
    assert isinstance(turn, Feed)
    assert (context.samples.size, context.end_of_turn) == (SAMPLE_RATE // 2, True)
    assert not events(session.learn(said(0, "before", final=True), 1.0, 1), Final)
    session.finish()
    (final,) = events(session.learn(said(1, "now", final=True), 1.0, 1), Final)
    assert (final.turn, final.text) == (0, "now")


def test_a_stream_moves_at_the_end_of_a_turn_and_leaves_once_that_is_final() -> None:
    session = begun()
    speak(session, 10, 0.9)
    assert session.move(1) == []
    assert [e.seat for e in speak(session, 20, 0.0) if isinstance(e, Feed)] == [0]
    assert {e.seat for e in speak(session, 10, 0.9) if isinstance(e, Feed)} == {1}
    speak(session, 20, 0.0)
    effects = session.learn(said(0, "second", final=True), 1.0, 1)
    assert not events(effects, Final), "the first turn is still to be told"
    effects = session.learn(said(0, "first", final=True), 2.0, 0)
    assert [final.text for final in events(effects, Final)] == ["first", "second"]
    assert Leave(0) in effects


def test_between_turns_a_stream_moves_at_once() -> None:
    session = begun()
    assert session.move(1) == [Leave(0)]
    assert session.lost_track(0) == [], "it is not there any more"


def test_a_track_lost_before_it_was_moved_to_only_ends_the_move() -> None:
    session = begun()
    speak(session, 10, 0.9)
    session.move(1)
    assert session.lost_track(1) == []
    assert {e.seat for e in speak(session, 10, 0.9) if isinstance(e, Feed)} == {0}


def test_nobody_is_left_to_hear_it() -> None:
    session = begun()
    speak(session, 10, 0.9)
    session.lost_track(0)
    (fail,) = session.give_up(EngineLost("w"))
    assert isinstance(fail, Fail)
    assert fail.error.retryable
    assert session.give_up(EngineLost("w")) == []
    assert speak(session, 10, 0.9) == []
    assert session.lost_track(0) == []


def test_memory_is_bounded_by_preroll_in_silence() -> None:
    session = begun()
    for _ in range(1000):
        speak(session, 3, 0.0)
    kept = session._timeline.position - session._timeline.kept_from
    assert kept <= RULES.preroll + 3 * SPEECH_FRAME


def test_endpointing_can_change_in_mid_turn() -> None:
    session = begun()
    speak(session, 10, 0.9)
    session.configure(100)
    assert [e for e in speak(session, 4, 0.0) if isinstance(e, Feed) and e.end_of_turn]


def test_progress_counts_what_the_engine_heard() -> None:
    session = begun()
    speak(session, 100, 0.9)
    assert session.heard == 0.0
    session.learn(said(0, "a", heard=2.5), 1.0)
    assert session.heard == pytest.approx(2.5)
    assert session.awaited is None
    session.flush(1)
    assert session.awaited == session.position


def test_the_timeline_forgets_and_says_so() -> None:
    timeline = Timeline()
    for _ in range(10):
        timeline.append(np.ones(100, np.float32))
    timeline.append(np.zeros(0, np.float32))
    assert timeline.between(250, 430).size == 180
    assert timeline.between(300, 300).size == 0
    timeline.forget(350)
    assert timeline.kept_from == 300
    with pytest.raises(IndexError):
        timeline.between(250, 400)
    with pytest.raises(IndexError):
        timeline.between(900, 1001)


def test_arrivals_know_when_each_sample_came() -> None:
    arrivals = Arrivals()
    assert arrivals.when(0.0) is None
    for tick in range(200):
        arrivals.arrived(1600, 10.0 + tick * 0.1)
    assert arrivals.when(0.05) == pytest.approx(10.0)
    assert arrivals.when(0.15) == pytest.approx(10.1)
    assert arrivals.when(99.0) is None
    arrivals.forget(10.0)
    assert arrivals.when(15.0) == pytest.approx(24.9)


def test_arrivals_are_bounded_in_hours_of_silence() -> None:
    arrivals = Arrivals()
    for tick in range(3 * MOST_ARRIVALS):
        arrivals.arrived(320, tick * 0.02)
    assert len(arrivals._ends) <= MOST_ARRIVALS
    arrivals.forget(0.0)
    assert arrivals.when(arrivals.end - 30.0) == pytest.approx((3 * MOST_ARRIVALS - 1) * 0.02 - 30.0, abs=0.03)


def test_an_empty_timeline_has_nothing_between() -> None:
    assert Timeline().between(0, 0).size == 0


def test_a_candidate_that_fades_starts_anew() -> None:
    endpointer = Endpointer(RULES)
    assert not endpointer.starts(0.9, SPEECH_FRAME)
    assert not endpointer.starts(0.1, 2 * SPEECH_FRAME)
    assert endpointer.candidate is None
