"""Calls made by hand: what was said and sent when is planned to the microsecond, so that every figure is known beforehand."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from voxfleet.evaluation.load.account import Account, account
from voxfleet.evaluation.load.arrivals import Arrival
from voxfleet.evaluation.load.caller import FRAME, Record, Script
from voxfleet.evaluation.load.dialect import Ask, Native
from voxfleet.evaluation.load.reading import read
from voxfleet.evaluation.load.run import Course, Plan, Run
from voxfleet.wire import native

NATIVE = Native()
SILENCE = memoryview(bytes(round(FRAME * 16_000) * 2))


@dataclass(frozen=True)
class Quiet:
    """A script without a sound: only its times matter. `payload` is sent as each frame."""

    frames: int
    speech_spans: tuple[tuple[float, float], ...] = ()
    reference: str | None = None
    payload: memoryview = SILENCE

    def frame(self, number: int) -> memoryview:
        return self.payload


@dataclass(frozen=True)
class Spoken:
    """One turn. Words of half a second from `start` on; the k-th is shown `late[k]` after it was due, never before an
    earlier one, and the final comes `final_late` after the end of the last word, never before the last partial."""

    start: float
    late: tuple[float, ...]
    final_late: float

    @property
    def words(self) -> list[native.WordMessage]:
        return [
            native.WordMessage(f"w{k}", self.start + k / 2, self.start + (k + 1) / 2) for k in range(len(self.late))
        ]

    @property
    def end(self) -> float:
        return self.start + len(self.late) / 2

    @property
    def shown(self) -> list[float]:
        """When each word is shown, in stream time."""
        at, latest = [], -math.inf
        for word, late in zip(self.words, self.late, strict=True):
            latest = max(latest, due(word.end) + late)
            at.append(latest)
        return at

    @property
    def final_at(self) -> float:
        return max(due(self.end) + self.final_late, self.shown[-1])

    @property
    def emissions(self) -> list[float]:
        """What must be measured."""
        return [at - due(word.end) for at, word in zip(self.shown, self.words, strict=True)]

    @property
    def final(self) -> float:
        """What must be measured."""
        return self.final_at - due(self.end)

    def messages(self, turn: int) -> list[tuple[float, native.ServerMessage]]:
        texts = [word.word for word in self.words]
        said: list[tuple[float, native.ServerMessage]] = [
            (at, native.PartialMessage(0, turn, self.start, word.end, "", " ".join(texts[: k + 1])))
            for k, (at, word) in enumerate(zip(self.shown, self.words, strict=True))
        ]
        said.append(
            (self.final_at, native.FinalMessage(0, turn, self.start, self.end + 0.5, " ".join(texts), self.words))
        )
        return said


def due(at: float) -> float:
    """When the sample at this stream time can be sent: with the frame it is in."""
    return math.ceil(round(at / FRAME, 6)) * FRAME


def record_of(
    turns: Sequence[Spoken], number: int = 0, came: float = 1.0, admission: float = 0.25, shift: float = 0.0
) -> Record:
    """The record of a finished call in which these turns were spoken; `shift` delays every message but the first."""
    messages = sorted((pair for k, turn in enumerate(turns) for pair in turn.messages(k)), key=lambda pair: pair[0])
    seconds = max((turn.end for turn in turns), default=0.0) + 1.0
    script = Quiet(round(seconds / FRAME), tuple((turn.start, turn.end) for turn in turns))
    started = came + admission + 0.05
    return Record(
        number=number,
        came=came,
        script=script,
        admitted=came + admission,
        started=started,
        ended=started + max([seconds, *(at for at, _ in messages)]) + shift,
        outcome="finished",
        frames_sent=script.frames,
        heard=[(started + at + shift, native.encode(message).encode()) for at, message in messages],
    )


@dataclass
class Planted:
    """A course of hand-made records, as it would be read."""

    records: list[Record] = field(default_factory=list)
    warm_up: float = 0.0
    seconds: float = 600.0

    def account(self) -> Account:
        calls = tuple((Arrival(record.came, None), record.script) for record in self.records)
        plan = Plan(Ask("http://nowhere", 16_000), NATIVE, calls, self.warm_up, self.seconds, 1)
        course = Course(plan, list(self.records), ended=self.warm_up + self.seconds)
        return Account(course, [(record, read(record, NATIVE)) for record in self.records])


def plan(url: str, scripts: Sequence[Script], apart: float = 0.05, warm_up: float = 0.0, seconds: float = 20.0) -> Plan:
    """Callers who say this, one after the other."""
    calls = tuple((Arrival(k * apart, None), script) for k, script in enumerate(scripts))
    return Plan(Ask(url, 16_000), NATIVE, calls, warm_up, seconds, 1)


async def called(
    url: str, scripts: Sequence[Script], apart: float = 0.05, watch: Callable[[Course, float], None] | None = None
) -> Account:
    """A run of these callers, read."""
    return account(await Run(plan(url, scripts, apart), watch).run())
