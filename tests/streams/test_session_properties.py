"""Whatever the interleaving of facts: finals never shrink, repeat or overlap, and cover all speech."""

import itertools
from collections import deque
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.settings import TurnSettings
from voxfleet.speech import SAMPLE_RATE, SPEECH_FRAME, Final, Flushed, Hypothesis, Partial, Settled, SpeechStarted, Word
from voxfleet.streams.effects import Effect, Emit, Feed, Finished
from voxfleet.streams.endpoint import TurnRules
from voxfleet.streams.session import Session

RULES = TurnRules.of(TurnSettings(max_turn=2.0, endpointing_ms=200, preroll_ms=100))


class Engine:
    """Hears what the session feeds, and answers when asked: the slow, obvious twin of a real one."""

    def __init__(self) -> None:
        self.fed: list[np.ndarray] = []
        self.turn = 0
        self.length = 0
        self.ended: deque[tuple[int, int]] = deque()
        """Turns that were ended and not yet answered, with their length."""

    def hear(self, feed: Feed) -> None:
        self.fed.append(feed.samples)
        self.length += feed.samples.size
        if feed.end_of_turn:
            self.ended.append((self.turn, self.length))
            self.turn += 1
            self.length = 0

    def partial(self, words: int, stable: int) -> Hypothesis:
        return hypothesis(self.turn, self.length, words, stable, final=False)

    def final(self, words: int) -> Hypothesis | None:
        if not self.ended:
            return None
        turn, length = self.ended.popleft()
        return hypothesis(turn, length, words, words, final=True)


def hypothesis(turn: int, length: int, words: int, stable: int, *, final: bool) -> Hypothesis:
    seconds = length / SAMPLE_RATE
    # times deliberately run past the end of the turn: the session must keep them inside
    said = tuple(Word(f"t{turn}w{i}", i * 0.3, i * 0.3 + 0.25) for i in range(words))
    return Hypothesis(turn, said[:stable], said[stable:], seconds, final)


class Run:
    """One session with its engine, collecting what a caller would see."""

    def __init__(self) -> None:
        self.session = Session(3, RULES)
        assert self.session.seated(0) == []
        self.engine = Engine()
        self.events: list[Any] = []
        self.now = 0.0
        self.position = 0
        self.finished = False
        self.speech = np.zeros(0, bool)

    def apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Feed():
                    assert not self.finished
                    self.engine.hear(effect)
                case Emit():
                    assert not self.finished
                    self.events.append(effect.event)
                case Finished():
                    assert not self.finished
                    self.finished = True

    def hear(self, probabilities: list[float]) -> None:
        count = len(probabilities) * SPEECH_FRAME
        # every sample carries its own position, so that what was fed can be compared with what was said
        samples = np.arange(self.position, self.position + count, dtype=np.float32)
        self.position += count
        self.apply(self.session.hear(samples, probabilities, self.now))

    def answer_all(self, words: int) -> None:
        while (answer := self.engine.final(words)) is not None:
            self.apply(self.session.learn(answer, self.now))


probability = st.sampled_from([0.0, 0.1, 0.4, 0.6, 0.95])
runs_of_frames = st.lists(st.tuples(probability, st.integers(1, 25)), min_size=1, max_size=6).map(
    lambda runs: [p for p, count in runs for _ in range(count)]
)
fact = st.one_of(
    st.tuples(st.just("hear"), runs_of_frames),
    st.tuples(st.just("partial"), st.tuples(st.integers(0, 8), st.integers(0, 8))),
    st.tuples(st.just("final"), st.integers(0, 8)),
    st.tuples(st.just("stale"), st.integers(0, 3)),
    st.tuples(st.just("flush"), st.none()),
    st.tuples(st.just("wait"), st.floats(0.0, 0.5)),
    st.tuples(st.just("endpointing"), st.integers(100, 3000)),
)


@settings(max_examples=300, deadline=None)
@given(facts=st.lists(fact, max_size=40), last_words=st.integers(0, 5))
def test_finals_are_ordered_disjoint_complete_and_never_taken_back(facts: list[Any], last_words: int) -> None:
    run = Run()
    flushes = 0
    for kind, value in facts:
        match kind:
            case "hear":
                run.hear(value)
            case "partial":
                words, stable = value
                run.apply(run.session.learn(run.engine.partial(words, min(stable, words)), run.now))
            case "final":
                answer = run.engine.final(value)
                if answer is not None:
                    run.apply(run.session.learn(answer, run.now))
            case "stale":
                run.apply(run.session.learn(hypothesis(value - 1, 1600, 2, 1, final=False), run.now))
            case "flush":
                flushes += 1
                run.apply(run.session.flush(flushes))
            case "wait":
                run.now += value
            case "endpointing":
                run.session.configure(value)
    run.apply(run.session.finish())
    run.answer_all(last_words)

    assert run.finished, "everything was answered, so the session must be over"
    finals = [event for event in run.events if isinstance(event, Final)]
    assert [final.turn for final in finals] == list(range(len(finals))), "in order, each once"
    for earlier, later in itertools.pairwise(finals):
        assert earlier.end <= later.start, "finals don't overlap"
    for final in finals:
        assert final.start <= final.end
        for word in final.words:
            assert final.start <= word.start <= word.end <= final.end + 1e-9
        starts = [word.start for word in final.words]
        assert starts == sorted(starts)
    assert [event.flush for event in run.events if isinstance(event, Flushed)] == list(range(1, flushes + 1))
    _fed_once(run, finals)
    _nothing_after_its_final(run.events)
    _progress_never_goes_back(run)


def _fed_once(run: Run, finals: list[Final]) -> None:
    """The engine was fed exactly the samples of the finals, in order, each once."""
    fed = np.concatenate(run.engine.fed) if run.engine.fed else np.zeros(0, np.float32)
    spans = [np.arange(round(f.start * SAMPLE_RATE), round(f.end * SAMPLE_RATE), dtype=np.float32) for f in finals]
    said = np.concatenate(spans) if spans else np.zeros(0, np.float32)
    assert np.array_equal(fed, said)


def _nothing_after_its_final(events: list[Any]) -> None:
    final_turns: set[int] = set()
    started: set[int] = set()
    for event in events:
        match event:
            case Final():
                final_turns.add(event.turn)
            case Partial():
                assert event.turn not in final_turns, "a partial after its final"
            case SpeechStarted():
                assert event.turn not in started
                started.add(event.turn)


def _progress_never_goes_back(run: Run) -> None:
    told = [event for event in run.events if isinstance(event, Settled)]
    assert [event.at for event in told] == sorted(event.at for event in told)
    finals = [event for event in run.events if isinstance(event, Final)]
    for index, event in enumerate(run.events):
        if isinstance(event, Settled):
            later = [f for f in run.events[index + 1 :] if isinstance(f, Final)]
            assert all(final.start >= event.at - 1e-9 for final in later), "settled audio was touched again"
    assert told, "a finished session says that everything is settled"
    assert told[-1].at * SAMPLE_RATE >= run.position - 1e-3
    assert not finals or told[-1].at >= finals[-1].end


@settings(max_examples=200, deadline=None)
@given(frames=st.lists(st.tuples(probability, st.integers(1, 30)), min_size=1, max_size=20), block=st.integers(1, 12))
def test_every_detected_speech_sample_lies_in_exactly_one_final(frames: list[Any], block: int) -> None:
    probabilities = [p for p, count in frames for _ in range(count)]
    whole, blocks = Run(), Run()
    whole.hear(probabilities)
    for start in range(0, len(probabilities), block):
        blocks.hear(probabilities[start : start + block])
    for run in (whole, blocks):
        run.apply(run.session.finish())
        run.answer_all(1)
    finals = [event for event in whole.events if isinstance(event, Final)]
    assert [e for e in blocks.events if isinstance(e, Final)] == finals, "the size of the blocks changes nothing"
    covered = np.zeros(whole.position, bool)
    for final in finals:
        covered[round(final.start * SAMPLE_RATE) : round(final.end * SAMPLE_RATE)] = True
    expected = _confirmed_speech(probabilities)
    assert not (expected & ~covered[::SPEECH_FRAME][: len(expected)]).any()


def _confirmed_speech(probabilities: list[float]) -> np.ndarray:
    """Frames of speech runs (entered at the upper threshold, kept above the lower) that last long enough to count."""
    marked = np.zeros(len(probabilities), bool)
    start = None
    for index, value in enumerate([*probabilities, 0.0]):
        if start is None:
            start = index if value >= RULES.speech_threshold else None
        elif value < RULES.silence_threshold:
            if (index - start) * SPEECH_FRAME >= RULES.min_speech + SPEECH_FRAME:
                marked[start:index] = True
            start = None
    return marked
