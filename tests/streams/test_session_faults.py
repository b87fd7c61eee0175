"""Whatever is lost, moved or resumed, and when: the finals are those of the undisturbed run."""

from collections import deque
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.speech import SAMPLE_RATE, SPEECH_FRAME, Final, Hypothesis, Partial, Settled, Word, text_of
from voxfleet.streams.effects import Effect, Emit, Feed, Finished, Leave, Reseat
from voxfleet.streams.session import Session

from .test_session_properties import RULES, probability, runs_of_frames

WARM_UP = 31 * SPEECH_FRAME
TOLD = 128
"""One sample of so many is a word; every sample holds its own position."""


class Exact:
    """An engine whose words tell exactly which samples it was given in the turn; every lost or doubled one shows."""

    def __init__(self) -> None:
        self.turn = 0
        self.audio: list[float] = []
        self.length = 0
        self.ended: deque[tuple[int, list[float]]] = deque()

    def hear(self, feed: Feed) -> None:
        self.audio += feed.samples[feed.samples % TOLD == 0].tolist()
        self.length += feed.samples.size
        if feed.end_of_turn:
            self.ended.append((self.turn, self.audio))
            self.turn, self.audio, self.length = self.turn + 1, [], 0

    def final(self) -> Hypothesis | None:
        if not self.ended:
            return None
        turn, audio = self.ended.popleft()
        return Hypothesis(turn, _words(audio), (), 0.0, True)

    def partial(self) -> Hypothesis:
        return Hypothesis(self.turn, _words(self.audio), (), self.length / SAMPLE_RATE)


def _words(audio: list[float]) -> tuple[Word, ...]:
    return tuple(Word(f"{value:.0f}", i * 0.008, i * 0.008) for i, value in enumerate(audio))


class Run:
    """A session and the engines it ever sat at."""

    def __init__(self, session: Session, context: float = 0.0) -> None:
        self.session = session
        self.context = context
        self.engines: dict[int, Exact] = {}
        self.seats = 0
        self.unseated = False
        self.finals: list[Final] = []
        self.partials: list[Partial] = []
        self.settled: list[Settled] = []
        self.finished = False
        self.now = 0.0
        self.sit()

    def sit(self) -> None:
        self.engines[self.seats] = Exact()
        self.unseated = False
        self.apply(self.session.seated(self.seats, self.context))
        self.seats += 1

    def move(self) -> None:
        self.engines[self.seats] = Exact()
        self.apply(self.session.move(self.seats))
        self.seats += 1

    def lose(self, seat: int) -> None:
        self.engines.pop(seat, None)
        self.apply(self.session.lost_track(seat))

    def apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Feed():
                    self.engines[effect.seat].hear(effect)
                case Leave():
                    self.engines.pop(effect.seat, None)
                case Reseat():
                    assert not self.unseated
                    self.unseated = True
                case Finished():
                    self.finished = True
                case Emit(event=Final() as final):
                    self.finals.append(final)
                case Emit(event=Partial() as partial):
                    self.partials.append(partial)
                case Emit(event=Settled() as settled):
                    self.settled.append(settled)

    def hear(self, position: int, probabilities: list[float]) -> None:
        count = len(probabilities) * SPEECH_FRAME
        samples = np.arange(position, position + count, dtype=np.float32)
        self.apply(self.session.hear(samples, probabilities, self.now))

    def answer(self, seat: int) -> bool:
        engine = self.engines.get(seat)
        answer = engine.final() if engine is not None else None
        if answer is not None:
            self.apply(self.session.learn(answer, self.now, seat))
        return answer is not None

    def guess(self, seat: int) -> None:
        if (engine := self.engines.get(seat)) is not None:
            self.now += 1.0
            self.apply(self.session.learn(engine.partial(), self.now, seat))

    def end(self) -> None:
        self.apply(self.session.finish())
        if self.unseated:
            self.sit()
        while any(self.answer(seat) for seat in tuple(self.engines)):
            pass


def undisturbed(heard: list[list[float]]) -> Run:
    run = Run(Session(0, RULES))
    position = 0
    for probabilities in heard:
        run.hear(position, probabilities)
        position += len(probabilities) * SPEECH_FRAME
    run.end()
    return run


seat = st.integers(0, 5)
fact = st.one_of(
    st.tuples(st.just("hear"), runs_of_frames),
    st.tuples(st.just("hear"), runs_of_frames),
    st.tuples(st.just("final"), seat),
    st.tuples(st.just("partial"), seat),
    st.tuples(st.just("lose"), seat),
    st.tuples(st.just("sit"), st.none()),
    st.tuples(st.just("move"), st.none()),
)


@settings(max_examples=400, deadline=None)
@given(facts=st.lists(fact, max_size=40), context=st.sampled_from([0.0, 0.5]))
def test_losing_and_moving_tracks_changes_no_final(facts: list[Any], context: float) -> None:
    run = Run(Session(0, RULES), context)
    position = 0
    for kind, value in facts:
        match kind:
            case "hear":
                run.hear(position, value)
                position += len(value) * SPEECH_FRAME
            case "final":
                run.answer(value)
            case "partial":
                run.guess(value)
            case "lose":
                run.lose(value)
            case "sit" if run.unseated:
                run.sit()
            case "move" if not run.unseated:
                run.move()
    run.end()
    assert run.finished
    assert run.finals == undisturbed([value for kind, value in facts if kind == "hear"]).finals
    for earlier, later in zip(run.partials, run.partials[1:], strict=False):
        if earlier.turn == later.turn:
            assert text_of(later.stable).startswith(text_of(earlier.stable)), "a stable word was taken back"


@settings(max_examples=300, deadline=None)
@given(heard=st.lists(st.lists(probability, min_size=1, max_size=60), min_size=1, max_size=12), cut=st.integers(0, 200))
def test_a_stream_resumed_from_any_progress_has_the_finals_that_were_still_to_come(
    heard: list[list[float]], cut: int
) -> None:
    whole = undisturbed(heard)
    told = whole.settled[cut % len(whole.settled)]
    frames = [p for probabilities in heard for p in probabilities]
    settled = round(told.at * SAMPLE_RATE)
    start = max(settled - WARM_UP, 0) // SPEECH_FRAME * SPEECH_FRAME
    resumed = Run(Session(0, RULES, start=start, settled=settled, turn=told.turn, continued=told.continued))
    resumed.hear(start, frames[start // SPEECH_FRAME :])
    resumed.end()
    assert resumed.finals == [final for final in whole.finals if final.turn >= told.turn]
