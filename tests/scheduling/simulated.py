"""A worker on a simulated clock: the real scheduler, ladder and admission, an engine that is a formula."""

import random
from collections.abc import Callable

from voxfleet.scheduling.admission import Admission
from voxfleet.scheduling.ladder import Ladder
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.scheduler import Scheduler
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE

TICK = 0.02
Cost = Callable[[int, float], float]
"""Seconds of a step by works and by seconds of audio in the fullest lane."""


class SimulatedWorker:
    """Streams of the given share of speech; time passes in ticks of 20 ms, a step ends when it ends.

    `hiccup` is added to the next step's seconds, once.
    """

    def __init__(self, cost: Cost, places: int, rungs: tuple[int, ...], lanes: int = 1, max_batch: int = 0) -> None:
        self.now = 100.0
        self.ladder = Ladder(rungs)
        self.scheduler = Scheduler(max_batch or places, self.ladder, lanes)
        self.admission = Admission(places, self.ladder, max_batch or places, lanes)
        self.places = places
        self.hiccup = 0.0
        self.streams: dict[Place, int] = {}
        """Pending samples by place."""
        self.refused_at: list[int] = []
        self.chunks: list[int] = []
        self.waits: list[float] = []
        """How long each live work waited and was worked on."""
        self.recorded_steps = 0
        self._recorded: Place | None = None
        self._cost = cost
        self._lanes = lanes
        self._random = random.Random(1)
        self._ends: tuple[float, Plan] | None = None
        self._generation = 0

    @property
    def taken(self) -> int:
        return len(self.streams) + (self._recorded is not None)

    def join(self) -> bool:
        """One more stream, at a random phase; False where it is refused."""
        self.admission.review(self.taken, self.now, asked=True)
        if self.taken >= self.admission.capacity:
            self.refused_at.append(self.taken)
            return False
        self.seat()
        return True

    def seat(self) -> None:
        """One more stream, without asking the door."""
        self.streams[self._free_place()] = self._random.randrange(self.ladder.chunk_ms * SAMPLE_RATE // 1000)

    def record(self) -> None:
        """A recording that always has a minute of audio to work on."""
        self._recorded = self._free_place()

    def leave(self, count: int) -> None:
        for place in list(self.streams)[:count]:
            del self.streams[place]
            self.scheduler.cancel(place)

    def replay(self, seconds: float) -> None:
        """The first stream is given much audio at once."""
        self.streams[next(iter(self.streams))] += round(seconds * SAMPLE_RATE)

    def run(self, seconds: float, speaking: Callable[[Place], bool] = lambda _: True) -> None:
        end = self.now + seconds
        while self.now < end:
            for place in self.streams:
                if speaking(place):
                    self.streams[place] += round(TICK * SAMPLE_RATE)
                if self.streams[place] * 1000 >= self.ladder.chunk_ms * SAMPLE_RATE:
                    due = self.now + self.ladder.chunk_ms / 1000
                    self.scheduler.add(Work(place, Urgency.PARTIAL, due, self.now, self.streams[place]))
            if self._recorded is not None:
                work = Work(self._recorded, Urgency.RECORDED, self.now + 60, self.now, 60 * SAMPLE_RATE)
                self.scheduler.add(work)
            self._work()
            self.now += TICK
            self.scheduler.check()

    def _free_place(self) -> Place:
        used = {place.index for place in self.streams} | ({self._recorded.index} if self._recorded else set())
        self._generation += 1
        return Place(min(set(range(self.places)) - used), self._generation)

    def _work(self) -> None:
        """Steps that end by now are settled, and the next begins at once."""
        if self._ends is None:
            self._begin(self.now)
        while self._ends is not None and self._ends[0] <= self.now:
            ended, plan = self._ends
            self._ends = None
            self.scheduler.settle(plan.works)
            self.waits += [ended - work.added for work in plan.works if work.urgency is not Urgency.RECORDED]
            self._begin(max(ended, self.now - TICK))

    def _begin(self, at: float) -> None:
        self.admission.review(self.taken, at)
        self.scheduler.recorded_paused = self.admission.recorded_paused
        plan = self.scheduler.plan(at)
        self.chunks.append(self.ladder.chunk_ms)
        if not plan:
            return
        loads, audio = [0] * self._lanes, [0.0] * self._lanes
        for work in plan.works:
            loads[work.place.index % self._lanes] += 1
            audio[work.place.index % self._lanes] += work.samples / SAMPLE_RATE
            if work.place in self.streams:
                self.streams[work.place] = 0
        self.recorded_steps += plan.works[0].urgency is Urgency.RECORDED
        seconds = self._cost(max(loads), max(audio)) + self.hiccup
        self.hiccup = 0.0
        self.admission.observe(plan.works, at, seconds)  # what it will have taken
        self._ends = (at + seconds, plan)
