"""Everything that changes a stream's state is in this file.

Finals are never withdrawn, never repeated, and cover the stream in order: every sample detected as speech lies in
exactly one final, which may be empty. Facts come in (audio with its speech probabilities, hypotheses, the caller's
wishes), effects go out. The session never waits and never reads the clock.

States: between turns → a candidate (speech too short to count) → in a turn → between turns. Ended turns wait for their
last word in `_ended`; they are answered in order, because a track is heard in order.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from voxfleet.errors import EngineError
from voxfleet.speech import (
    SAMPLE_RATE,
    SPEECH_FRAME,
    Final,
    Flushed,
    Hypothesis,
    Partial,
    Samples,
    Seconds,
    Settled,
    SpeechStarted,
    Word,
)
from voxfleet.streams.effects import Effect, Emit, Fail, Feed, Finished
from voxfleet.streams.endpoint import Endpointer, TurnRules
from voxfleet.streams.timeline import Timeline

SETTLED_STEP = 4 * SAMPLE_RATE
"""Progress between two Settled events: often enough for a sender that paces itself, rare beside partials."""


@dataclass(slots=True)
class Turn:
    """One turn of this stream; positions are samples of the stream."""

    number: int
    start: int
    """First sample given to the engine, pre-roll included."""
    end: int = -1
    """-1 while somebody speaks."""
    speech_end: int = 0
    heard: int = 0
    """Samples of the turn that the engine has taken into account."""
    flushes: list[int] = field(default_factory=list)
    """Flushes to be answered once this turn is final."""


class Session:
    """One stream. `channel` labels its events; `rules` may be changed by `configure`."""

    def __init__(self, channel: int, rules: TurnRules) -> None:
        self.channel = channel
        self.rules = rules
        self._timeline = Timeline()
        self._endpointer = Endpointer(rules)
        self._open: Turn | None = None
        self._ended: deque[Turn] = deque()
        self._turns = 0
        self._fed = 0
        """Position up to which the present turn was given to the track."""
        self._last_end = 0
        """End of the newest ended turn: no later turn may begin before it."""
        self._shown: tuple[Word, ...] = ()
        self._waiting: Hypothesis | None = None
        """Newest hypothesis of the open turn that was not shown yet, because the last partial is too recent."""
        self._partial_at = float("-inf")
        self._told_settled = 0
        self._told_heard = 0
        self._finishing = False
        self._over = False

    # ---- facts ------------------------------------------------------------------------------------------------

    def hear(self, samples: Samples, speech_probability: Sequence[float], now: float) -> list[Effect]:
        """New audio with one probability per SPEECH_FRAME of it (the last frame may be shorter)."""
        effects: list[Effect] = []
        if self._over:
            return effects
        position = self._timeline.position
        self._timeline.append(samples)
        for probability in speech_probability:
            position = min(position + SPEECH_FRAME, self._timeline.position)
            self._frame(probability, position, effects)
        if self._open is not None and self._fed < self._timeline.position:
            self._feed(self._timeline.position, effects)
        if self._waiting is not None:
            self._show(now, effects)
        self._settle(effects)
        return effects

    def learn(self, hypothesis: Hypothesis, now: float) -> list[Effect]:
        """What the engine now believes of one turn. Hypotheses of turns that are final already are ignored."""
        effects: list[Effect] = []
        if self._over:
            return effects
        if hypothesis.final:
            self._learn_final(hypothesis, effects)
        else:
            turn = next((t for t in (*self._ended, self._open) if t and t.number == hypothesis.turn), None)
            if turn is not None:
                turn.heard = max(turn.heard, round(hypothesis.heard * SAMPLE_RATE))
                self._waiting = hypothesis
                self._show(now, effects)
        self._settle(effects)
        return effects

    def flush(self, number: int) -> list[Effect]:
        """The caller wants everything heard so far to be final; Flushed(number) says when it is."""
        effects: list[Effect] = []
        if self._open is not None:
            self._end_turn(self._timeline.position, effects)
        self._endpointer.reset()
        if self._ended:
            self._ended[-1].flushes.append(number)
        else:
            effects.append(Emit(Flushed(self.channel, number)))
        return effects

    def finish(self) -> list[Effect]:
        """There is no more audio. Finished follows the last final."""
        effects: list[Effect] = []
        if self._over or self._finishing:
            return effects
        self._finishing = True
        if self._open is not None:
            self._end_turn(self._timeline.position, effects)
        self._endpointer.reset()
        self._settle(effects)
        return effects

    def lost_track(self, error: EngineError) -> list[Effect]:
        """The track is gone. The stream ends with this retryable error; it is not replayed to another worker yet."""
        if self._over:
            return []
        self._over = True
        return [Fail(error)]

    def configure(self, endpointing_ms: int) -> None:
        """Another silence ends turns from now on."""
        self.rules = self._endpointer.rules = self.rules.with_endpointing(endpointing_ms)

    # ---- what a driver may ask --------------------------------------------------------------------------------

    @property
    def position(self) -> Seconds:
        """Stream time up to which audio was heard here."""
        return self._timeline.position / SAMPLE_RATE

    @property
    def heard(self) -> Seconds:
        """Stream time up to which the audio has been dealt with: by the engine inside turns, by silence outside."""
        return self._heard_position() / SAMPLE_RATE

    @property
    def awaited(self) -> Seconds | None:
        """End of the oldest turn whose final is still to come, or None."""
        return self._ended[0].end / SAMPLE_RATE if self._ended else None

    @property
    def settled(self) -> Seconds:
        """Stream time before which nothing will change any more."""
        return self._settled_position() / SAMPLE_RATE

    # ---- turns ------------------------------------------------------------------------------------------------

    def _frame(self, probability: float, position: int, effects: list[Effect]) -> None:
        turn = self._open
        if turn is None:
            if self._endpointer.starts(probability, position):
                self._start_turn(effects)
            return
        if self._endpointer.ends(probability, position):
            self._end_turn(position, effects)
        elif position - turn.start >= self.rules.max_turn:
            self._end_turn(position, effects)
            if self._endpointer.voice_end == position:  # still speaking: the next turn continues without a gap
                self._open_turn(position)

    def _start_turn(self, effects: list[Effect]) -> None:
        speech_start = self._endpointer.candidate or 0
        start = max(speech_start - self.rules.preroll, self._last_end, self._timeline.kept_from)
        turn = self._open_turn(start)
        effects.append(Emit(SpeechStarted(self.channel, turn.number, speech_start / SAMPLE_RATE)))

    def _open_turn(self, start: int) -> Turn:
        turn = self._open = Turn(self._turns, start)
        self._turns += 1
        self._fed = start
        self._shown = ()
        self._waiting = None
        return turn

    def _feed(self, end: int, effects: list[Effect], *, end_of_turn: bool = False) -> None:
        effects.append(Feed(self._timeline.between(self._fed, end), end_of_turn))
        self._fed = end

    def _end_turn(self, position: int, effects: list[Effect]) -> None:
        turn = self._open
        assert turn is not None
        self._feed(position, effects, end_of_turn=True)
        turn.end = self._last_end = position
        turn.speech_end = min(max(self._endpointer.voice_end, turn.start), position)
        self._ended.append(turn)
        self._open = None
        self._endpointer.reset()

    # ---- words ------------------------------------------------------------------------------------------------

    def _learn_final(self, hypothesis: Hypothesis, effects: list[Effect]) -> None:
        while self._ended and self._ended[0].number <= hypothesis.turn:
            turn = self._ended.popleft()
            words = self._placed(hypothesis.words, turn) if turn.number == hypothesis.turn else ()
            start, end = turn.start / SAMPLE_RATE, turn.end / SAMPLE_RATE
            effects.append(
                Emit(Final(self.channel, turn.number, start, end, words, speech_end=turn.speech_end / SAMPLE_RATE))
            )
            effects.extend(Emit(Flushed(self.channel, number)) for number in turn.flushes)
            if self._waiting is not None and self._waiting.turn <= turn.number:
                self._waiting = None

    def _show(self, now: float, effects: list[Effect]) -> None:
        """A partial of the waiting hypothesis, unless the last one is too recent or says the same."""
        hypothesis = self._waiting
        if hypothesis is None or now - self._partial_at < self.rules.partial_interval:
            return
        self._waiting = None
        turn = next((t for t in (self._open, *self._ended) if t and t.number == hypothesis.turn), None)
        if turn is None or turn is not (self._open or self._ended[-1]):
            return  # a newer turn is being spoken; this one's final comes soon
        words = self._placed(hypothesis.words, turn)
        if words == self._shown:
            return
        self._shown = words
        self._partial_at = now
        stable, unstable = words[: len(hypothesis.stable)], words[len(hypothesis.stable) :]
        start, end = turn.start / SAMPLE_RATE, min(turn.start / SAMPLE_RATE + hypothesis.heard, self.position)
        effects.append(Emit(Partial(self.channel, turn.number, start, end, stable, unstable)))

    @staticmethod
    def _placed(words: tuple[Word, ...], turn: Turn) -> tuple[Word, ...]:
        """The words in stream time, inside their turn and in order, whatever rounding the engine does."""
        offset = latest = turn.start / SAMPLE_RATE
        limit = turn.end / SAMPLE_RATE if turn.end >= 0 else float("inf")
        placed = []
        for word in words:
            start = min(max(offset + word.start, latest), limit)
            end = min(max(offset + word.end, start), limit)
            placed.append(Word(word.text, start, end, word.confidence))
            latest = start
        return tuple(placed)

    # ---- progress ---------------------------------------------------------------------------------------------

    def _heard_position(self) -> int:
        turn = self._ended[0] if self._ended else self._open
        return turn.start + turn.heard if turn else self._timeline.position

    def _settled_position(self) -> int:
        if self._ended:
            return self._ended[0].start
        if self._open is not None:
            return self._open.start
        edge = self._timeline.position if self._endpointer.candidate is None else self._endpointer.candidate
        return self._timeline.position if self._finishing else max(self._last_end, edge - self.rules.preroll)

    def _settle(self, effects: list[Effect]) -> None:
        """Forget what nothing needs, say how far everything is settled, and end when it all is."""
        settled = self._settled_position()
        self._timeline.forget(settled)
        heard = self._heard_position()
        done = self._finishing and not self._ended
        if done or settled - self._told_settled >= SETTLED_STEP or heard - self._told_heard >= SETTLED_STEP:
            self._told_settled, self._told_heard = settled, heard
            effects.append(Emit(Settled(self.channel, settled / SAMPLE_RATE, heard / SAMPLE_RATE)))
        if done:
            self._over = True
            effects.append(Finished())
