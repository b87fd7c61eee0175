"""Any recogniser that can only transcribe a buffer, as an engine for live speech: the audio of its turns, and batches of
windows. What is decoded when, and what its words are worth, a `Turn` decides.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.port import END_OF_TURN, EngineInfo, Heard, Increments, TrackOptions
from voxfleet.engines.windowed.policy import USUAL, Policy
from voxfleet.engines.windowed.tape import Tape
from voxfleet.engines.windowed.transcriber import Transcriber, Transcript, Window
from voxfleet.engines.windowed.turn import Ask, Bounds, Turn
from voxfleet.errors import BadGrammar, BadRequest, EngineError, LanguageNotSupported
from voxfleet.scheduling.places import Place, Places
from voxfleet.scheduling.work import Plan
from voxfleet.speech import AUTO, SAMPLE_RATE, bare_language, hears


class WindowedEngine:
    """Turns on places around one transcriber. Its ladder is the cadence of decodes; words settle once in its last rung."""

    def __init__(
        self, transcriber: Transcriber, info: EngineInfo, policy: Policy | None = None, *, translate: bool = False
    ) -> None:
        """`info.chunk_ms`: the cadences, each dividing the last one. `translate`: English is said to every caller.

        Raises ValueError where a cadence does not divide the last one.
        """
        if any(info.chunk_ms[-1] % each for each in info.chunk_ms):
            raise ValueError(f"each cadence must divide the last: {info.chunk_ms} ms")
        self.info = replace(info, step_seconds=info.chunk_ms[-1] / 1000)
        self.policy = policy or USUAL
        self.transcriber = transcriber
        self.windows = 0
        """Decoded so far."""
        self._translate = translate
        every = info.chunk_ms[-1] * SAMPLE_RATE // 1000
        self._bounds = Bounds(every, round(transcriber.window_seconds * SAMPLE_RATE), transcriber.keeps_prefix)
        self._places = Places(info.places)
        self._streams: list[_Stream | None] = [None] * info.places

    def take(self, options: TrackOptions) -> Place:
        if not hears(self.info.languages, options.language):
            raise LanguageNotSupported(options.language, self.info.name, self.info.languages)
        if options.grammar is not None:
            raise BadGrammar(f"{self.info.name} hears open speech and takes no grammar")
        if options.phrases:
            raise BadRequest(f"{self.info.name} takes no phrases")
        if options.translate and not self.info.translates:
            raise BadRequest(f"{self.info.name} does not translate")
        place = self._places.take()
        self._streams[place.index] = _Stream(options, self._bounds, self.policy)
        return place

    def hear(self, increments: Increments) -> None:
        at = 0
        rows = zip(
            increments.places.tolist(), increments.lengths.tolist(), (increments.flags & END_OF_TURN).tolist(), strict=True
        )  # fmt: skip
        for index, length, ends in rows:
            stream = self._streams[index]
            assert stream is not None, f"place {index} is nobody's"
            stream.hear(increments.samples[at : at + length], ends=bool(ends))
            at += length

    def ready(self, places: NDArray[np.uint32], chunk_ms: int) -> NDArray[np.bool_]:
        chunk = chunk_ms * SAMPLE_RATE // 1000
        return np.fromiter(
            ((stream := self._streams[index]) is not None and stream.turn.ready(chunk) for index in places.tolist()),
            np.bool_,
            len(places),
        )

    def step(self, plan: Plan) -> Sequence[Heard]:
        """As in the port: one decode of every planned place, and of some further ones where marks or ends of turns wait
        within a mark's distance."""
        chunk = plan.chunk_ms * SAMPLE_RATE // 1000
        planned: dict[int, tuple[Place, _Stream]] = {}
        for work in plan.works:
            stream = self._streams[work.place.index] if self._places.holds(work.place) else None
            if stream is not None:
                planned[work.place.index] = work.place, stream
        said: list[Heard] = []
        for _, stream in planned.values():
            stream.begin_step(chunk)
        while asks := self._asks(planned, said):
            self._decode(planned, asks, said)
        said.extend(
            Heard(place, stream.turn.hypothesis())
            for index, (place, stream) in planned.items()
            if self._streams[index] is stream and stream.moved
        )
        return said

    def free(self, place: Place) -> None:
        self._places.free(place)
        self._streams[place.index] = None

    def check(self) -> None:
        self._places.check()

    def close(self) -> None:
        self._streams.clear()
        self.transcriber.close()

    def _asks(self, planned: dict[int, tuple[Place, "_Stream"]], said: list[Heard]) -> list[tuple[int, Ask]]:
        """The next decode of every place that wants one; turns that are over on the way become final."""
        found = []
        for index, (place, stream) in planned.items():
            ask = stream.next()
            while ask is None and stream.turn.over:
                said.append(Heard(place, stream.turn.hypothesis()))
                stream.turn_over()
                ask = stream.next()
            if ask is not None:
                found.append((index, ask))
        return found

    def _decode(
        self, planned: dict[int, tuple[Place, "_Stream"]], asks: list[tuple[int, Ask]], said: list[Heard]
    ) -> None:
        windows = [self._window(planned[index][1], ask) for index, ask in asks]
        self.windows += len(windows)
        for (index, ask), outcome in zip(asks, self.transcriber.transcribe(windows), strict=True):
            place, stream = planned[index]
            if isinstance(outcome, EngineError):
                said.append(Heard(place, error=outcome))
                del planned[index]
            else:
                stream.learn(ask, outcome)

    def _window(self, stream: "_Stream", ask: Ask) -> Window:
        begin = stream.turn.begin
        return Window(
            samples=stream.tape.view(begin + ask.begin, begin + ask.end),
            language=ask.language,
            translate=self._translate or stream.options.translate,
            prompt=ask.prompt,
            prefix=ask.prefix,
            draft=ask.draft,
            exact=ask.exact,
            careful=stream.options.recorded,
        )


class _Stream:
    """What one place has heard and not forgotten: the turn under way, and audio of later ones."""

    __slots__ = (
        "_bounds",
        "_chunk",
        "_decodes",
        "_limit",
        "_partial",
        "_policy",
        "_waiting",
        "moved",
        "options",
        "tape",
        "turn",
    )

    def __init__(self, options: TrackOptions, bounds: Bounds, policy: Policy) -> None:
        self.options = options
        self.tape = Tape()
        self.moved = False
        """Whether this step gave the present turn a new hypothesis."""
        self._bounds, self._policy = bounds, policy
        self._waiting: deque[int] = deque()
        """Stream positions at which turns end, after the present one's end."""
        self._chunk = self._decodes = 0
        self._limit = 0.0
        self._partial = False
        self.turn = self._turn(0, 0)

    def hear(self, samples: NDArray[np.int16], *, ends: bool) -> None:
        """More audio, and perhaps the end of a turn after it."""
        if len(samples):
            self.tape.add(samples)
            if self.turn.end is None:
                self.turn.hear(samples)
        if ends:
            if self.turn.end is None:
                self.turn.end = self.turn.received
            else:
                self._waiting.append(self.tape.end)

    def begin_step(self, chunk: int) -> None:
        """A step with chunks of so many samples begins."""
        self.moved = False
        self._chunk = chunk
        self._partial = self.turn.ready(chunk)
        live = not self.options.recorded
        self._limit = self.turn.begin + self.turn.decoded + self._bounds.every if live else math.inf
        self._decodes = 0

    def next(self) -> Ask | None:
        """The next decode of this step; see `Turn.next`."""
        turn = self.turn
        mark = turn.mark
        due = turn.end is not None or (mark is not None and turn.received >= mark)
        if not due and not self._partial:
            return None
        self._partial = False  # one look at what a turn says so far is enough for a step
        before = turn.decoded
        ask = turn.next(round(min(self._limit - turn.begin, 1e15)))
        self.moved |= turn.decoded != before
        if ask is not None and self.options.recorded:
            if self._decodes:  # they are long: what is live may want the next step
                return None
            self._decodes += 1
        return ask

    def learn(self, ask: Ask, transcript: Transcript) -> None:
        """The answer to the last decode."""
        self.turn.learn(ask, transcript)
        self.tape.drop(self.turn.begin + self.turn.cut)
        self.moved = True

    def turn_over(self) -> None:
        """The turn is final: the next one begins."""
        end = self.turn.begin + self.turn.received
        self.tape.drop(end)
        self.turn = self._turn(self.turn.number + 1, end)
        self.moved = False
        ends = bool(self._waiting)
        until = self._waiting.popleft() if ends else self.tape.end
        if until > end:
            self.turn.hear(self.tape.view(end, until))
        if ends:
            self.turn.end = self.turn.received
        self._partial = self.turn.ready(self._chunk)

    def _turn(self, number: int, begin: int) -> Turn:
        language = bare_language(self.options.language)
        return Turn(
            number, begin, self._bounds, self._policy, "" if language == AUTO else language, recorded=self.options.recorded
        )  # fmt: skip
