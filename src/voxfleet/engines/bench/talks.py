"""Conversations on an engine, in real time, on one thread and through the worker's own scheduler: people speak a part of
the time, in turns, and what they wait for is their words.

*Emission*: from the moment a piece of a turn arrived (100 ms of audio) until a hypothesis that takes it into account was
out. *Final*: from the moment the end of a turn arrived until its final was out. Endpointing and the wire come on top.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.bench.seats import at_percent, seats, shares
from voxfleet.engines.port import END_OF_TURN, Engine, Heard, Increments
from voxfleet.scheduling.ladder import Ladder
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.scheduler import Scheduler
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE

TICK_MS = 100
"""How much audio a caller brings at a time. Longer than the link's tick: what `hear` costs is measured elsewhere."""
LOUDNESS = 1_500.0
VOICES = 8
LOST = 3.0
"""Times the budget after which a trial is not going to be saved."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What is to be kept, by p95."""

    emission: float = 2.0
    final: float = 1.0


@dataclass(frozen=True, slots=True)
class Talk:
    """What is to be held."""

    streams: int
    cadence_ms: int
    speech: float
    """Share of the time that everybody speaks."""
    seconds: float
    warm_up: float
    turn_seconds: float = 5.0
    """Mean length of a turn; they vary from half to one and a half of it."""
    budget: Budget = field(default_factory=Budget)
    seed: int = 0


@dataclass(slots=True)
class Conversations:
    """What it showed. Seconds."""

    talk: Talk
    emission: list[NDArray[np.float64]] = field(default_factory=list)
    final: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    speech: float = 0.0
    """Audio heard."""
    hearing: float = 0.0
    span: float = 0.0
    lost: bool = False
    probed: dict[str, float] = field(default_factory=dict)

    @property
    def streams(self) -> int:
        return self.talk.streams

    @property
    def emissions(self) -> NDArray[np.float64]:
        return np.concatenate(self.emission) if self.emission else np.zeros(0)

    @property
    def met(self) -> bool:
        """Whether both latencies stayed within the budget."""
        if self.lost or not self.final or not len(self.emissions):
            return False
        budget = self.talk.budget
        return at_percent(self.emissions, 95) <= budget.emission and at_percent(self.final, 95) <= budget.final

    def json(self) -> dict[str, object]:
        """Its figures; times in milliseconds."""
        return {
            "streams": self.talk.streams,
            "cadence_ms": self.talk.cadence_ms,
            "met": self.met,
            "fell_behind": self.lost,
            "seconds": round(self.span, 1),
            "speech": round(self.speech / max(1e-9, self.span * self.talk.streams), 3),
            "emission_ms": shares(self.emissions, 1),
            "final_ms": shares(self.final, 1),
            "turns": len(self.final),
            "step_ms": shares(self.steps, 1),
            "steps": len(self.steps),
            "places_per_step": round(float(np.mean(self.rows)), 1) if self.rows else 0,
            "share_of_time_in_steps": round(sum(self.steps) / max(1e-9, self.span), 3),
            "share_of_time_in_hearing": round(self.hearing / max(1e-9, self.span), 4),
        }


def converse(engine: Engine, talk: Talk, probe: Callable[[], dict[str, float]] = dict) -> Conversations:
    """Let so many people talk to an engine nobody else uses. `probe` is read at begin and end of what is measured.

    Raises AtCapacity when the engine has fewer places.
    """
    with seats(engine, talk.streams) as places:
        return _Room(engine, talk, places, probe).run()


class Script:
    """Who speaks when, in ticks: the same for the same seed."""

    def __init__(self, talk: Talk) -> None:
        self._dice = np.random.default_rng(talk.seed)
        self._talk = talk
        count = talk.streams
        self.speaking = np.zeros(count, np.bool_)
        mean = talk.turn_seconds / talk.speech
        self._changes = [(float(self._dice.uniform(0, mean)), caller) for caller in range(count)]
        heapq.heapify(self._changes)

    def tick(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Who brings audio in this tick, and whose turn ends with it."""
        now = number * TICK_MS / 1000
        ends = np.zeros(len(self.speaking), np.bool_)
        while self._changes and self._changes[0][0] <= now:
            at, caller = heapq.heappop(self._changes)
            if self.speaking[caller]:
                ends[caller] = True
                pause = self._talk.turn_seconds * (1 - self._talk.speech) / self._talk.speech
                length = self._vary(pause)
            else:
                self.speaking[caller] = True
                length = self._vary(self._talk.turn_seconds)
            heapq.heappush(self._changes, (at + max(TICK_MS / 1000, length), caller))
        here = np.flatnonzero(self.speaking)
        result = here, ends[here]
        self.speaking[ends] = False
        return result

    def _vary(self, mean: float) -> float:
        return mean * float(self._dice.uniform(0.5, 1.5))


class _Room:
    def __init__(self, engine: Engine, talk: Talk, places: list[Place], probe: Callable[[], dict[str, float]]) -> None:
        self._engine, self._talk, self._probe = engine, talk, probe
        info = engine.info
        self._scheduler = Scheduler(info.lane_batch or info.places, Ladder((talk.cadence_ms,)), info.lanes)
        self._indices = np.array([place.index for place in places], np.uint32)
        self._places = places
        self._caller = {place: number for number, place in enumerate(places)}
        self._script = Script(talk)
        dice = np.random.default_rng(talk.seed)
        tick = TICK_MS * SAMPLE_RATE // 1000
        self._voices = np.clip(dice.normal(0, LOUDNESS, (VOICES, talk.streams + 1, tick)), -30_000, 30_000).astype(
            np.int16
        )
        self._arrived: list[list[list[float]]] = [[[]] for _ in places]
        """When the pieces of the turns of each caller arrived; the last turn is the one under way."""
        self._ended: list[list[float]] = [[] for _ in places]
        self._shown = np.zeros(len(places), np.int64)
        """Pieces of the oldest turn that hypotheses have taken into account."""
        self._result = Conversations(talk)
        self._measuring = False

    def run(self) -> Conversations:
        talk, result = self._talk, self._result
        start = time.perf_counter() + 0.05
        begin, end = start + talk.warm_up, start + talk.warm_up + talk.seconds
        number, before = 0, dict[str, float]()
        while (now := time.perf_counter()) < end and not result.lost:
            if not self._measuring and now >= begin:
                self._measuring, begin, before = True, now, self._probe()
            while start + number * TICK_MS / 1000 <= now:
                self._hear(number, start + number * TICK_MS / 1000)
                number += 1
            if not self._step():
                time.sleep(max(0.0, start + number * TICK_MS / 1000 - time.perf_counter()))
        result.span = max(1e-9, time.perf_counter() - begin)
        result.probed = {name: value - before.get(name, 0.0) for name, value in self._probe().items()}
        return result

    def _hear(self, number: int, due: float) -> None:
        here, ends = self._script.tick(number)
        if not here.size:
            return
        began = time.perf_counter()
        samples = self._voices[number % VOICES, here].reshape(-1)
        lengths = np.full(len(here), TICK_MS * SAMPLE_RATE // 1000, np.uint32)
        flags = np.where(ends, END_OF_TURN, 0).astype(np.uint8)
        self._engine.hear(Increments(self._indices[here], lengths, flags, samples))
        for caller, over in zip(here.tolist(), ends.tolist(), strict=True):
            self._arrived[caller][-1].append(due)
            if over:
                self._arrived[caller].append([])
                self._ended[caller].append(due)
        self._add(here, due)
        if self._measuring:
            self._result.hearing += time.perf_counter() - began
            self._result.speech += len(here) * TICK_MS / 1000

    def _add(self, callers: NDArray[np.int64], now: float) -> None:
        ready = self._engine.ready(self._indices[callers], self._talk.cadence_ms)
        for caller in callers[ready].tolist():
            urgency = Urgency.FINAL if self._ended[caller] else Urgency.PARTIAL
            due = now if urgency is Urgency.FINAL else now + self._talk.cadence_ms / 1000
            self._scheduler.add(Work(self._places[caller], urgency, due, now))

    def _step(self) -> bool:
        """One step over what is most urgent, if anything is ready."""
        began = time.perf_counter()
        plan: Plan = self._scheduler.plan(began)
        if not plan:
            return False
        heard = self._engine.step(plan)
        now = time.perf_counter()
        self._scheduler.settle(plan.works)
        for each in heard:
            self._learn(each, now)
        self._add(np.array([self._caller[work.place] for work in plan.works]), now)
        if self._measuring:
            self._result.steps.append(now - began)
            self._result.rows.append(len(plan.works))
        return True

    def _learn(self, heard: Heard, now: float) -> None:
        if heard.error is not None:
            raise heard.error
        caller, hypothesis = self._caller[heard.place], heard.hypothesis
        pieces = self._arrived[caller][0]
        covered = len(pieces) if hypothesis.final else min(len(pieces), int(hypothesis.heard * 1000 / TICK_MS + 0.01))
        shown = int(self._shown[caller])
        if covered > shown:
            ages = now - np.array(pieces[shown:covered])
            self._shown[caller] = covered
            if self._measuring:
                self._result.emission.append(ages)
            self._result.lost |= bool(ages.max() > LOST * self._talk.budget.emission)
        if hypothesis.final:
            if self._measuring:
                self._result.final.append(now - self._ended[caller][0])
            del self._ended[caller][0], self._arrived[caller][0]
            self._shown[caller] = 0
