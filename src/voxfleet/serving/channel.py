"""One channel of a call: its audio goes in at the caller's rate, its events come out. Runs on the event loop.

Who hears it is its seating's affair.

The audio clock is watched here: `backlog` is what was received and not yet dealt with.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.detector import VoiceStream
from voxfleet.audio.resample import Resampler
from voxfleet.clock import Clock
from voxfleet.errors import VoxfleetError
from voxfleet.serving.seating import Seating
from voxfleet.speech import SAMPLE_RATE, SPEECH_FRAME, Event, Final, Hypothesis, Samples, Seconds
from voxfleet.streams.effects import Effect, Emit, Fail, Feed, Finished, Leave, Reseat
from voxfleet.streams.session import Session
from voxfleet.streams.timeline import Arrivals

TELEPHONE_RATE = 8_000
"""Audio of this rate is looked at by the 8 kHz half of the speech detector, at two thirds of the cost."""


class Call(Protocol):
    """What a channel tells the call it belongs to."""

    def emit(self, channel: "Channel", event: Event) -> None: ...

    def finished(self, channel: "Channel") -> None: ...

    def failed(self, error: VoxfleetError) -> None: ...

    def progressed(self) -> None:
        """The backlog may have become smaller."""
        ...


class Channel:
    """One stream: resampler, speech detection, session and seating."""

    def __init__(
        self, call: Call, session: Session, voice: VoiceStream, rate: int | None, live: bool, clock: Clock
    ) -> None:
        """`rate` in Hz, None where it is known only with the first audio (containers): `hear` is told then."""
        self.number = session.channel
        self.session = session
        self.arrivals = Arrivals(session.position)
        self.seating: Seating
        """Who hears the stream; set before there is audio."""
        self.ends: deque[tuple[int, float]] = deque()
        """Turn numbers whose end was fed, with the clock time of that, until their final is known."""
        self.learned = 0.0
        """Clock time of the newest final hypothesis."""
        self._call = call
        self._voice = voice
        self._at_telephone_rate = rate == TELEPHONE_RATE
        self._live = live
        self._resampler = Resampler(rate, live=live) if rate else None
        self._clock = clock
        self._received = round(session.position * SAMPLE_RATE)
        self._samples: list[Samples] = []
        self._held = 0
        """Samples in `_samples`: heard by nobody yet, because their speech probabilities are still to come."""
        self._probabilities: list[float] = []
        self._flushes: deque[tuple[int, int]] = deque()
        """Flush numbers and the sample count that must have been heard before each."""

    @property
    def received(self) -> Seconds:
        return self._received / SAMPLE_RATE

    @property
    def backlog(self) -> Seconds:
        """Audio received and not yet dealt with by detector or engine."""
        return self.received - self.session.heard

    # ---- from the caller --------------------------------------------------------------------------------------

    def hear(self, samples: Samples, rate: int, now: float, *, last: bool = False) -> None:
        """Mono audio at the caller's rate (Hz), shape (n,); `last` = nothing follows."""
        if self._resampler is None:
            self._resampler = Resampler(rate or SAMPLE_RATE, live=self._live)
        resampled = self._resampler.feed(samples, last=last)
        if resampled.size:
            self._samples.append(resampled)
            self._held += resampled.size
            self._received += resampled.size
            self.arrivals.arrived(resampled.size, now)
        looked_at = samples if self._at_telephone_rate else resampled
        if looked_at.size:
            self._voice.hear(looked_at)
        if last:
            self._voice.finish()

    def flush(self, number: int) -> None:
        """Make final what was received so far, to within one speech frame (32 ms)."""
        self._flushes.append((number, self._received - self._received % SPEECH_FRAME))
        self._flush_due()

    def configure(self, endpointing_ms: int) -> None:
        self.session.configure(endpointing_ms)

    def close(self) -> None:
        """Give place and detector row back; nothing is emitted afterwards. May be called twice."""
        self._voice.close()
        self._voice.owner = None
        self.seating.close()

    # ---- from the detector ------------------------------------------------------------------------------------

    def voiced(self, probabilities: NDArray[np.float32], *, finished: bool) -> None:
        """Speech probabilities of the next frames; `finished` = the last ones."""
        self._probabilities.extend(probabilities.tolist())
        frames = min(len(self._probabilities), self._held // SPEECH_FRAME)
        if finished:
            frames = len(self._probabilities)
        while frames:  # in pieces that end where the caller flushed
            before_flush = (self._flushes[0][1] - self._received + self._held) // SPEECH_FRAME if self._flushes else 0
            count = min(frames, before_flush) if before_flush > 0 else frames
            samples = self._first(self._held if finished and count == frames else count * SPEECH_FRAME)
            heard, self._probabilities = self._probabilities[:count], self._probabilities[count:]
            self.apply(self.session.hear(samples, heard, self._clock.now()))
            self._flush_due()
            frames -= count
        if finished:
            self.apply(self.session.finish())
        self._call.progressed()

    def _first(self, count: int) -> Samples:
        held = self._samples[0] if len(self._samples) == 1 else np.concatenate(self._samples or [_NOTHING])
        self._samples = [held[count:]] if count < held.size else []
        self._held -= count
        return held[:count]

    def _flush_due(self) -> None:
        while self._flushes and self._received - self._held >= self._flushes[0][1]:
            self.apply(self.session.flush(self._flushes.popleft()[0]))

    # ---- from the seating -------------------------------------------------------------------------------------

    def learn(self, hypothesis: Hypothesis, seat: int) -> None:
        """What the engine in this seat believes."""
        now = self._clock.now()
        if hypothesis.final:
            self.learned = now
        self.apply(self.session.learn(hypothesis, now, seat))
        self._call.progressed()

    def broke(self, error: VoxfleetError) -> None:
        """Something of ours went wrong with this stream: it ends by name, its neighbours never notice."""
        self.apply(self.session.give_up(error))

    def apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Feed():
                    self.seating.feed(effect)
                    if effect.end_of_turn:
                        self.ends.append((effect.turn, self._clock.now()))
                case Reseat():
                    self.seating.reseat()
                case Leave():
                    self.seating.let_go(effect.seat)
                case Emit():
                    self._call.emit(self, effect.event)
                case Finished():
                    self._call.finished(self)
                case Fail():
                    self._call.failed(effect.error)
                case _:
                    assert_never(effect)

    def stages(self, final: Final) -> tuple[float, float] | None:
        """Clock times at which this final's turn was ended and was known; None if that is forgotten."""
        found = None
        while self.ends and self.ends[0][0] <= final.turn:
            turn, ended = self.ends.popleft()
            if turn == final.turn and found is None:  # a replay ends it once more, later
                found = ended, self.learned
        return found


_NOTHING: Samples = np.empty(0, np.float32)
