"""The engine that is always there: PocketSphinx, which hears English on any CPU with nothing to download.

It is a demonstration and command engine: 66 % WER on 15 LibriSpeech test-other clips, 41 % on 25 easier ones; digit
strings at 16 kHz are heard well, tightly cut 8 kHz digits are not (50 %). Every place is a decoder in a child process;
consecutive places lie in different processes, so that half-full engines use all cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.cores import cores
from voxfleet.engines.grammars import Grammars
from voxfleet.engines.port import END_OF_TURN, EngineInfo, Heard, Increments, TrackOptions
from voxfleet.engines.sphinx_child import Supervised, gather
from voxfleet.engines.sphinx_messages import Answers, Feed, Step, TurnHeard
from voxfleet.errors import AtCapacity, CapacityError, EngineFailed, LanguageNotSupported
from voxfleet.scheduling.places import Place, Places
from voxfleet.scheduling.work import Plan
from voxfleet.speech import SAMPLE_RATE, Hypothesis, Word, hears

LOADING = 120.0
"""Seconds the decoders get to load; 0.5 s each is usual."""


LANE_BATCH = 2
"""Places a process works on in one step: decoders gain nothing from each other, and a final waits for its whole step."""

CAREFUL_PER_CORE = 2
"""Places of careful decoding that one processor carries with room for the gateway beside it."""


@dataclass(slots=True)
class Tenant:
    """The stream in a place: what it asked for, and its audio that no step has worked on yet."""

    place: Place
    grammar: str
    audio: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    turn: int = 0
    lost: bool = False
    """Its decoder failed; it has been told and hears nothing any more."""

    def feed(self, seat: int) -> Feed:
        """Everything unsent, which counts as sent from now on."""
        feed = Feed(seat, self.place.generation, self.grammar, bytes(self.audio), self.ends)
        self.audio.clear()
        self.ends = []
        return feed


class EmbeddedEngine:
    """PocketSphinx behind the engine's port. Dictation, or a closed grammar per stream.

    All words of a partial are unstable: PocketSphinx promises nothing about what it says before the end of a turn.
    """

    def __init__(
        self, places: int, processes: int | None = None, answer_within: float = 20.0, quick: bool | None = None
    ) -> None:
        """Load `places` decoders into `processes` children (default: one per core), and return when they are ready.

        `quick` decoding costs half as much and makes more errors; None chooses it where the places would be too many
        for the processors with careful decoding, CAREFUL_PER_CORE each.
        A child that gives no answer for `answer_within` seconds is taken for dead. Raises EngineFailed.
        """
        self._places = Places(places)
        self._tenants: list[Tenant | None] = [None] * places
        self._untold: list[Heard] = []
        """Bad news found between two steps."""
        self._answer_within = answer_within
        count = min(places, processes or cores())
        self.info = EngineInfo(
            name="embedded",
            languages=("en-US",),
            places=places,
            chunk_ms=(100, 200, 400),
            lanes=count,
            lane_batch=LANE_BATCH,
            grammars=True,
            advice=(
                "Other languages need a multilingual model, such as Whisper: pip install faster-whisper, and plug it in "
                "as docs/engines.md shows."
            ),
        )
        seats = [len(range(number, places, count)) for number in range(count)]
        if quick is None:
            quick = places > CAREFUL_PER_CORE * cores()
        self._children = [Supervised(number, quick) for number in seats]
        self._grammars = Grammars()
        try:
            gather([each.child for each in self._children] + [self._grammars.checker], LOADING)
            for child in (self._grammars.checker, *(each.child for each in self._children)):
                if child.fault:
                    raise EngineFailed(child.fault)
        except BaseException:
            self.close()
            raise

    def take(self, options: TrackOptions) -> Place:
        if not hears(self.info.languages, options.language):
            raise LanguageNotSupported(options.language, self.info.name, self.info.languages, self.info.advice)
        place = self._ready_place()
        try:
            grammar = self._grammars.resolve(options.grammar) if options.grammar is not None else ""
        except BaseException:
            self._places.free(place)
            raise
        self._tenants[place.index] = Tenant(place, grammar)
        return place

    def hear(self, increments: Increments) -> None:
        samples = increments.samples
        begin = 0
        rows = zip(increments.places.tolist(), increments.lengths.tolist(), increments.flags.tolist(), strict=True)
        for index, length, flags in rows:
            tenant = self._tenants[index]
            if tenant is not None and not tenant.lost:
                if length:
                    tenant.audio += samples[begin : begin + length].tobytes()
                if flags & END_OF_TURN:
                    tenant.ends.append(len(tenant.audio))
            begin += length

    def ready(self, places: NDArray[np.uint32], chunk_ms: int) -> NDArray[np.bool_]:
        chunk = chunk_ms * SAMPLE_RATE // 1000 * 2  # 16-bit samples
        tenants = [self._tenants[index] for index in places.tolist()]
        return np.array(
            [each is not None and (len(each.audio) >= chunk or bool(each.ends)) for each in tenants], np.bool_
        )

    def step(self, plan: Plan) -> Sequence[Heard]:
        feeds: dict[int, list[Feed]] = {}
        for work in plan.works:
            if (tenant := self._tenant(work.place)) is not None and (tenant.audio or tenant.ends):
                seat, number = divmod(work.place.index, len(self._children))
                feeds.setdefault(number, []).append(tenant.feed(seat))
        for number, child_feeds in feeds.items():
            self._children[number].child.ask(Step(child_feeds))
        audio = max((sum(len(feed.audio) for feed in fed) for fed in feeds.values()), default=0)
        patience = self._answer_within + audio / (2 * SAMPLE_RATE)  # a long recording may take its time
        gather((self._children[number].child for number in feeds), patience)
        heard = [each for each in self._untold if self._places.holds(each.place)]
        self._untold = []
        for number, supervised in enumerate(self._children):
            match supervised.child.take_reply():
                case Answers(answers=answers):
                    for answer in answers:
                        heard += self._learn(answer.seat * len(self._children) + number, answer.turns, answer.error)
            supervised.look()
            if supervised.child.fault:
                heard += self._lose(number)
        return heard

    def free(self, place: Place) -> None:
        self._places.free(place)
        self._tenants[place.index] = None

    def check(self) -> None:
        self._places.check()

    def close(self) -> None:
        for supervised in self._children:
            supervised.child.close()
        self._grammars.close()

    def _tenant(self, place: Place) -> Tenant | None:
        tenant = self._tenants[place.index]
        return tenant if tenant is not None and tenant.place == place and not tenant.lost else None

    def _ready_place(self) -> Place:
        """A free place whose decoder is loaded; those of a process that is starting again are passed over."""
        for number, supervised in enumerate(self._children):
            supervised.look()
            if supervised.child.fault:
                self._untold += self._lose(number)
        passed: list[Place] = []
        try:
            while True:
                place = self._places.take()
                if self._children[place.index % len(self._children)].child.ready:
                    return place
                passed.append(place)
        except AtCapacity:
            if passed:
                raise CapacityError("a decoder process is starting again; try again in 2 s", 2.0) from None
            raise
        finally:
            for place in reversed(passed):
                self._places.free(place)

    def _learn(self, index: int, turns: list[TurnHeard], error: str) -> list[Heard]:
        tenant = self._tenants[index]
        assert tenant is not None, "a step and a free never overlap: one thread calls both"
        heard = []
        for turn in turns:
            words = tuple(Word(said.text, said.start, said.end, said.confidence) for said in turn.words)
            stable, unstable = (words, ()) if turn.final else ((), words)
            seconds = turn.samples / SAMPLE_RATE
            heard.append(Heard(tenant.place, Hypothesis(tenant.turn, stable, unstable, seconds, turn.final)))
            tenant.turn += turn.final
        if error:
            tenant.lost = True
            heard.append(Heard(tenant.place, error=EngineFailed(error)))
        return heard

    def _lose(self, number: int) -> list[Heard]:
        """Tell every stream of a dead process, and start another for those to come."""
        supervised = self._children[number]
        lost = []
        for tenant in self._tenants[number :: len(self._children)]:
            if tenant is not None and not tenant.lost:
                tenant.lost = True
                lost.append(Heard(tenant.place, error=EngineFailed(supervised.child.fault)))
        supervised.replace()
        return lost
