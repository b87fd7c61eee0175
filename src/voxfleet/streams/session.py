"""Everything that changes a stream's state is in this file.

Finals are never withdrawn, never repeated, and cover the stream in order: every sample detected as speech lies in
exactly one final, which may be empty. Facts come in (audio with its speech probabilities, hypotheses, the caller's
wishes), effects go out. The session never waits and never reads the clock.

States: between turns → a candidate (speech too short to count) → in a turn → between turns. Ended turns wait for their
last word in `_ended` and are told in order. A track may be lost: everything that is not
final is replayed to the next one. Or it is left at the end of a turn: then it only finishes the turns it has heard.
"""

from collections import deque
from collections.abc import Sequence

from msgspec.structs import replace

from voxfleet.errors import VoxfleetError
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
from voxfleet.streams.effects import Effect, Emit, Fail, Feed, Finished, Leave, Reseat
from voxfleet.streams.endpoint import Endpointer, TurnRules
from voxfleet.streams.timeline import Timeline
from voxfleet.streams.turn import NOWHERE, Turn

SETTLED_STEP = 4 * SAMPLE_RATE
"""Progress between two Settled events: often enough for a sender that paces itself, rare beside partials."""


class Session:
    """One stream. `channel` labels its events; `rules` may be changed by `configure`.

    A stream that goes on from another session's Settled event begins with audio at `start` (a multiple of SPEECH_FRAME,
    earlier than `settled`, so that speech detection warms up on it), opens no turn before `settled`, and numbers its
    turns from `turn`; `continued` as in Settled. Positions are 16 kHz samples.
    """

    def __init__(
        self,
        channel: int,
        rules: TurnRules,
        *,
        start: int = 0,
        settled: int = 0,
        turn: int = 0,
        continued: bool = False,
    ) -> None:
        self.channel = channel
        self.rules = rules
        self._timeline = Timeline(start)
        self._endpointer = Endpointer(rules)
        self._open: Turn | None = None
        self._ended: deque[Turn] = deque()
        self._turns = turn
        self._fed = start
        """Position up to which the present turn was given to its track."""
        self._last_end = settled
        """End of the newest ended turn: no later turn may begin before it."""
        self._seat = NOWHERE
        self._next_seat = NOWHERE
        """Where turns are heard from the next one on."""
        self._first: dict[int, int] = {}
        """For each seat in use, the number of the turn that its track calls 0."""
        self._context = 0
        """Samples before a replayed turn that the engine wants to hear."""
        self._shown: tuple[Word, ...] = ()
        self._waiting: Hypothesis | None = None
        """Newest hypothesis of the open turn that was not shown yet, because the last partial is too recent."""
        self._partial_at = float("-inf")
        self._told_settled = settled
        self._told_heard = start
        self._told_turn = turn
        self._finishing = False
        self._over = False
        if continued:
            self._endpointer.voice_end = settled
            self._open_turn(settled).continued = True

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
            if position > self._last_end:
                self._frame(probability, position, effects)
        if self._open is not None and self._fed < self._timeline.position:
            self._feed(self._timeline.position, effects)
        if self._waiting is not None:
            self._show(now, effects)
        self._settle(effects)
        return effects

    def learn(self, hypothesis: Hypothesis, now: float, seat: int = 0) -> list[Effect]:
        """What the engine in this seat now believes of one turn. What it says of turns it does not hear is ignored."""
        effects: list[Effect] = []
        first = self._first.get(seat)
        if self._over or first is None:
            return effects
        if first:
            hypothesis = replace(hypothesis, turn=first + hypothesis.turn)
        if hypothesis.final:
            self._learn_final(hypothesis, seat, effects)
        else:
            turn = self._turn_of(hypothesis)
            heard = round(hypothesis.heard * SAMPLE_RATE)
            if turn is not None and turn.seat == seat and heard >= turn.heard:  # else a replay is still catching up
                turn.heard = heard
                self._waiting = hypothesis
                self._show(now, effects)
        self._settle(effects)
        return effects

    def flush(self, number: int) -> list[Effect]:
        """The caller wants everything heard so far to be final; Flushed(number) says when it is."""
        effects: list[Effect] = []
        if self._open is None:
            self._endpointer.reset()
        elif self._open.start <= self._timeline.position:  # else still warming up to it
            self._end_turn(self._timeline.position, effects)
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
        if self._open is not None and self._open.start > self._timeline.position:
            self._open = None  # a resumed stream that ends before it got to where it was
        if self._open is not None:
            self._end_turn(self._timeline.position, effects)
        self._endpointer.reset()
        self._settle(effects)
        return effects

    # ---- seats ------------------------------------------------------------------------------------------------

    def seated(self, seat: int, context: Seconds = 0.0) -> list[Effect]:
        """There is a track in this new seat (numbers only grow): everything that is not final is given to it.

        An engine whose state outlives a turn hears up to `context` seconds of earlier audio first, as a turn of its own
        whose words nobody is told.
        """
        effects: list[Effect] = [Leave(other) for other in self._first]
        turns = self._unfinished()
        self._seat, self._next_seat = seat, NOWHERE
        self._first = {seat: turns[0].number if turns else self._turns}
        self._context = round(context * SAMPLE_RATE)
        if not turns:
            return effects
        begin = max(turns[0].start - self._context, self._timeline.kept_from)
        if self._context and begin < turns[0].start:
            self._first[seat] -= 1
            effects.append(Feed(self._timeline.between(begin, turns[0].start), True, seat, -1))
        for turn in turns:
            turn.replayed, turn.seat = turn.seat != NOWHERE, seat
            end = turn.end if turn.end >= 0 else self._fed
            if turn.end >= 0 or end > turn.start:
                effects.append(Feed(self._timeline.between(turn.start, end), turn.end >= 0, seat, turn.number))
        return effects

    def move(self, seat: int) -> list[Effect]:
        """There is a track in this new seat: it hears every turn from the next one on, nothing is replayed."""
        self._next_seat = seat
        effects: list[Effect] = []
        if self._open is None:
            self._change_seats(effects)
        return effects

    def lost_track(self, seat: int) -> list[Effect]:
        """The track in this seat is gone. If anything was still expected of it, everything unfinished is replayed."""
        if seat == self._next_seat:
            self._next_seat = NOWHERE
            return []
        if self._over or seat not in self._first:
            return []
        del self._first[seat]
        if seat != self._seat and not any(turn.seat == seat for turn in self._ended):
            return []
        effects: list[Effect] = [Leave(other) for other in self._first]
        self._first = {}
        self._seat = self._next_seat = NOWHERE
        return [*effects, Reseat()]

    def give_up(self, error: VoxfleetError) -> list[Effect]:
        """No track can be had any more: the stream ends with this error."""
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
    def seat(self) -> int:
        """Where the stream is heard now; NOWHERE while it has no track."""
        return self._seat

    @property
    def outstanding(self) -> bool:
        """Whether an engine owes an answer: a final, or word of audio it was given in the open turn."""
        turn = self._open
        return bool(self._ended) or (turn is not None and turn.start + turn.heard < self._fed)

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
                self._open_turn(position).continued = True

    def _start_turn(self, effects: list[Effect]) -> None:
        speech_start = self._endpointer.candidate or 0
        start = max(speech_start - self.rules.preroll, self._last_end, self._timeline.kept_from)
        turn = self._open_turn(start)
        effects.append(Emit(SpeechStarted(self.channel, turn.number, speech_start / SAMPLE_RATE)))

    def _open_turn(self, start: int) -> Turn:
        turn = self._open = Turn(self._turns, start, seat=self._seat)
        self._turns += 1
        self._fed = start
        self._shown = ()
        self._waiting = None
        return turn

    def _feed(self, end: int, effects: list[Effect], *, end_of_turn: bool = False) -> None:
        if self._seat != NOWHERE and self._open is not None:
            samples = self._timeline.between(self._fed, end)
            effects.append(Feed(samples, end_of_turn, self._seat, self._open.number))
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
        if self._next_seat != NOWHERE:
            self._change_seats(effects)

    def _change_seats(self, effects: list[Effect]) -> None:
        self._seat, self._next_seat = self._next_seat, NOWHERE
        self._first[self._seat] = self._turns
        self._leave_idle(effects)

    def _leave_idle(self, effects: list[Effect]) -> None:
        """Seats that the stream has left are free once their last turn is final."""
        if len(self._first) > 1:
            busy = {self._seat, *(turn.seat for turn in self._ended)}
            for seat in [seat for seat in self._first if seat not in busy]:
                del self._first[seat]
                effects.append(Leave(seat))

    def _unfinished(self) -> list[Turn]:
        return [*self._ended, *([self._open] if self._open is not None else ())]

    def _turn_of(self, hypothesis: Hypothesis) -> Turn | None:
        turn = self._open
        if turn is not None and turn.number == hypothesis.turn:
            return turn
        return next((turn for turn in self._ended if turn.number == hypothesis.turn), None)

    # ---- words ------------------------------------------------------------------------------------------------

    def _learn_final(self, hypothesis: Hypothesis, seat: int, effects: list[Effect]) -> None:
        for turn in self._ended:
            if turn.seat == seat and turn.final is None and turn.number <= hypothesis.turn:
                turn.final = hypothesis if turn.number == hypothesis.turn else Hypothesis(turn.number, final=True)
        while self._ended and (final := self._ended[0].final) is not None:
            turn = self._ended.popleft()
            words = turn.placed(turn.said(final).words)
            start, end = turn.start / SAMPLE_RATE, turn.end / SAMPLE_RATE
            speech_end = turn.speech_end / SAMPLE_RATE
            effects.append(Emit(Final(self.channel, turn.number, start, end, words, speech_end, final.language)))
            effects.extend(Emit(Flushed(self.channel, number)) for number in turn.flushes)
            if self._waiting is not None and self._waiting.turn <= turn.number:
                self._waiting = None
        self._leave_idle(effects)

    def _show(self, now: float, effects: list[Effect]) -> None:
        """A partial of the waiting hypothesis, unless the last one is too recent or says the same."""
        hypothesis = self._waiting
        if hypothesis is None or now - self._partial_at < self.rules.partial_interval:
            return
        self._waiting = None
        turn = self._turn_of(hypothesis)
        if turn is None or turn is not (self._open or self._ended[-1]):
            return  # a newer turn is being spoken; this one's final comes soon
        hypothesis = turn.said(hypothesis)
        turn.stable = hypothesis.stable
        words = turn.placed(hypothesis.words)
        if words == self._shown:
            return
        self._shown = words
        self._partial_at = now
        stable, unstable = words[: len(hypothesis.stable)], words[len(hypothesis.stable) :]
        start, end = turn.start / SAMPLE_RATE, min(turn.start / SAMPLE_RATE + hypothesis.heard, self.position)
        effects.append(Emit(Partial(self.channel, turn.number, start, end, stable, unstable)))

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
        self._timeline.forget(settled - self._context)
        heard = self._heard_position()
        oldest = self._ended[0] if self._ended else self._open
        turn = oldest.number if oldest is not None else self._turns
        done = self._finishing and not self._ended
        far = settled - self._told_settled >= SETTLED_STEP or heard - self._told_heard >= SETTLED_STEP
        if done or far or turn != self._told_turn:
            self._told_settled, self._told_heard, self._told_turn = settled, heard, turn
            continued = oldest is not None and oldest.continued
            at, known = settled / SAMPLE_RATE, heard / SAMPLE_RATE
            effects.append(Emit(Settled(self.channel, at, known, turn, continued)))
        if done:
            self._over = True
            effects.append(Finished())
