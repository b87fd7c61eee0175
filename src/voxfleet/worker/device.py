"""One thread owns the engine: it takes what has arrived, plans a step, runs it, settles it, and hands the words on.

Everything the engine does happens on this thread; other threads only put commands into the inbox. Audio that a place
has not worked on is bounded: a place whose audio outgrows the bound fails by name, its neighbours never notice.
"""

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voxfleet.clock import Clock
from voxfleet.cluster.messages import only
from voxfleet.engines.port import END_OF_TURN, Engine, EngineInfo, Heard, Increments, TrackOptions
from voxfleet.errors import AtCapacity, EngineBehind, VoxfleetError
from voxfleet.scheduling.admission import Admission
from voxfleet.scheduling.ladder import Ladder
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.scheduler import Scheduler
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE

IDLE_SECONDS = 0.25
"""How long the thread sleeps when nothing arrives; a command wakes it at once."""
FREED_SECONDS = 60.0
"""Streams that left in so long a time tell a refused one when to ask again."""
RETRY_SECONDS = (1.0, 30.0)
"""Least and most of such advice."""
UNKNOWN_RETRY = 5.0
"""The advice where nobody left lately."""


@dataclass(frozen=True, slots=True)
class Take:
    """A stream wants a place; `answer` is called on the engine thread with a place or the refusal."""

    options: TrackOptions
    answer: Callable[["Place | VoxfleetError"], None]


@dataclass(frozen=True, slots=True)
class Hear:
    """Increments of many places; rows of places that are no longer held under their key are dropped."""

    keys: NDArray[np.uint64]
    increments: Increments


@dataclass(frozen=True, slots=True)
class Free:
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    pass


Command = Take | Hear | Free | Stop


@dataclass(slots=True)
class StepLog:
    """What recent steps cost; written by the engine thread, read by anyone (single values, no tearing that matters)."""

    steps: int = 0
    checks: int = 0
    """Times the bookkeeping was checked while idle, and found right."""
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=256))
    batch: deque[int] = field(default_factory=lambda: deque(maxlen=256))
    queued: deque[float] = field(default_factory=lambda: deque(maxlen=1024))


class Device:
    """The engine, its scheduler and its thread.

    `spread` is called on the engine thread with the outcomes of each step; it must not block.
    """

    def __init__(
        self,
        build: Callable[[], Engine],
        spread: Callable[[Iterable[Heard]], None],
        clock: Clock,
        stream_bound: float,
        utilisation: float = 0.8,
    ) -> None:
        """`stream_bound`: seconds of audio kept per stream. `utilisation`: share of the time steps may take; beyond it
        new streams are refused."""
        self.log = StepLog()
        self.taken = 0
        self._build = build
        self._spread = spread
        self._clock = clock
        self._bound = round(stream_bound * SAMPLE_RATE)
        self._target = utilisation
        self._freed: deque[float] = deque(maxlen=256)
        """When streams left."""
        self._step_began: float | None = None
        self._inbox: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._loaded: queue.SimpleQueue[EngineInfo | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.failure: BaseException | None = None
        """Why the thread ended, if it was not asked to."""

    def start(self) -> EngineInfo:
        """Load the engine on its thread; returns when it can be used. Raises what its constructor raised."""
        self._thread.start()
        info = self._loaded.get()
        if isinstance(info, BaseException):
            raise info
        return info

    def submit(self, command: Command) -> None:
        """Thread-safe; never blocks."""
        self._inbox.put(command)

    def stop(self, wait_seconds: float = 10.0) -> None:
        """End the thread and release the engine."""
        self.submit(Stop())
        self._thread.join(wait_seconds)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def chunk_ms(self) -> int:
        return self._scheduler.ladder.chunk_ms

    @property
    def capacity(self) -> int:
        """Streams it takes now: its places, or fewer where its steps would not sustain them; never fewer than it has."""
        return self._admission.capacity

    @property
    def utilisation(self) -> float:
        """Share of the time its steps would take if every stream spoke, by measured step seconds; 0 = unknown."""
        return self._admission.utilisation

    @property
    def recorded_paused(self) -> bool:
        """Recorded work waits, because live work needs every step."""
        return self._admission.recorded_paused

    @property
    def decision(self) -> str:
        """The last time admission changed its mind, as a sentence; empty = never."""
        return self._admission.decision

    @property
    def decisions(self) -> int:
        """How often admission changed its mind."""
        return self._admission.decisions

    def stuck_for(self) -> float:
        """Seconds the running step has lasted so far; 0 between steps. Any thread may ask."""
        began = self._step_began
        return 0.0 if began is None else self._clock.now() - began

    # ---- the engine thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._engine = self._build()
        except BaseException as error:  # noqa: BLE001 - the thread ends here; start() raises it
            self._loaded.put(error)
            return
        info = self._engine.info
        ladder, max_batch = Ladder(info.chunk_ms), info.lane_batch or info.places
        self._scheduler = Scheduler(max_batch, ladder, info.lanes)
        self._admission = Admission(info.places, ladder, max_batch, info.lanes, self._target)
        self._keys = np.zeros(info.places, np.uint64)
        self._options: dict[Place, TrackOptions] = {}
        self._pending = np.zeros(info.places, np.int64)
        self._ended = np.zeros(info.places, np.bool_)
        self._per_step = round(info.step_seconds * SAMPLE_RATE)
        self._loaded.put(info)
        try:
            while self._obey():
                self._step()
        except Exception as error:  # noqa: BLE001 - the thread ends here; the service sees it and ends the worker
            self.failure = error
        finally:
            self._engine.close()

    def _obey(self) -> bool:
        """Carry out everything in the inbox; waits for a command only when no work can run. False = stop."""
        wait = not self._scheduler.runnable
        while True:
            try:
                command = self._inbox.get(wait, IDLE_SECONDS) if wait else self._inbox.get_nowait()
            except queue.Empty:
                if wait:
                    self._check()
                return True
            wait = False
            match command:
                case Hear():
                    self._hear(command)
                case Take():
                    self._take(command)
                case Free():
                    for place in command.places:
                        self._free(place)
                case Stop():
                    return False

    def _take(self, command: Take) -> None:
        now = self._clock.now()
        self._admission.review(self.taken, now, asked=True)
        if self.taken >= self._admission.capacity:
            command.answer(AtCapacity(self._admission.capacity, self._retry_after(now)))
            return
        try:
            place = self._engine.take(command.options)
        except VoxfleetError as error:
            command.answer(error)
            return
        self._options[place] = command.options
        self._keys[place.index] = place.key
        self._pending[place.index] = 0
        self._ended[place.index] = False
        self.taken = len(self._options)
        command.answer(place)

    def _free(self, place: Place) -> None:
        if self._options.pop(place, None) is None:
            return  # it failed before and was freed then
        self._keys[place.index] = 0
        self._scheduler.cancel(place)
        self._engine.free(place)
        self.taken = len(self._options)
        self._freed.append(self._clock.now())

    def _retry_after(self, now: float) -> float:
        """Seconds until a stream may be expected to leave, by those that left lately."""
        least, most = RETRY_SECONDS
        lately = sum(now - freed < FREED_SECONDS for freed in self._freed)
        return min(most, max(least, math.ceil(FREED_SECONDS / lately))) if lately else UNKNOWN_RETRY

    def _hear(self, command: Hear) -> None:
        increments = command.increments
        inside = increments.places < self._keys.size
        held = inside & (self._keys[np.where(inside, increments.places, 0)] == command.keys)
        if not held.all():
            increments = only(increments, held)
        if not increments.places.size:
            return
        self._engine.hear(increments)
        np.add.at(self._pending, increments.places, increments.lengths)
        self._ended[increments.places[(increments.flags & END_OF_TURN) != 0]] = True
        touched = np.unique(increments.places)
        self._add_ready(touched)
        for index in touched[self._pending[touched] > self._bound].tolist():
            self._fall_behind(Place.of(int(self._keys[index])))

    def _add_ready(self, indices: NDArray[np.uint32]) -> None:
        """Work for those of these places that a step could do something for."""
        now = self._clock.now()
        for index in indices[self._engine.ready(indices, self._scheduler.ladder.chunk_ms)].tolist():
            self._add(Place.of(int(self._keys[index])), now)

    def _add(self, place: Place, now: float) -> None:
        samples = int(self._pending[place.index])
        if self._options[place].recorded:
            urgency, due = Urgency.RECORDED, now + 60.0
        elif self._ended[place.index]:
            urgency, due = Urgency.FINAL, now
        else:
            urgency, due = Urgency.PARTIAL, now + self._scheduler.ladder.chunk_ms / 1000
        self._scheduler.add(Work(place, urgency, due, now, samples))

    def _fall_behind(self, place: Place) -> None:
        lag = self._pending[place.index] / SAMPLE_RATE
        self._free(place)
        self._spread([Heard(place, error=EngineBehind(lag))])

    def _check(self) -> None:
        """While idle: raises AssertionError, which ends this worker, if a place or a work was lost."""
        self._engine.check()
        self._scheduler.check()
        held = {place.key for place in self._options}
        if {int(key) for key in self._keys if key} != held:
            raise AssertionError(f"{len(held)} places are held, the keys say otherwise")
        self.log.checks += 1

    def _step(self) -> None:
        now = self._clock.now()
        self._admission.review(self.taken, now)
        self._scheduler.recorded_paused = self._admission.recorded_paused
        plan = self._scheduler.plan(now)
        if not plan:
            return
        indices = [work.place.index for work in plan.works]
        left = np.maximum(self._pending[indices] - self._per_step, 0) if self._per_step else 0
        self._pending[indices] = left
        self._ended[indices] &= left > 0
        started = time.perf_counter()
        self._step_began = now
        heard = self._engine.step(plan)
        self._step_began = None
        self._note(plan, now, time.perf_counter() - started)
        self._scheduler.settle(plan.works)
        for outcome in heard:
            if outcome.error is not None:
                self._free(outcome.place)
        self._spread(heard)
        if self._per_step:  # what a step leaves, the next one goes on with
            self._add_ready(
                np.array([work.place.index for work in plan.works if work.place in self._options], np.uint32)
            )

    def _note(self, plan: Plan, began: float, seconds: float) -> None:
        now = self._clock.now()
        self._admission.observe(plan.works, began, seconds)
        self.log.steps += 1
        self.log.seconds.append(seconds)
        self.log.batch.append(len(plan.works))
        self.log.queued.append(max(now - seconds - work.added for work in plan.works))
