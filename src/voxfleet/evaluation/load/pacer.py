"""Who speaks next: every frame of every caller at the moment it is due, and an honest record of how late that was.

One heap of due times and one task for all callers. Lateness of a send is the generator's own fault and is recorded, unless
the connection was full, which is the server's; in both cases latencies are counted from the due time, so a generator or a
server that falls behind can only make the figures worse (coordinated omission: evaluation reference, rule 7).
"""

import asyncio
import heapq
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from voxfleet.evaluation.load.caller import FRAME, GOODBYE_SECONDS, UNREAD_SECONDS, Caller

HEARTBEAT = 0.02
"""Seconds between the pacer's own events: a loop with few callers is watched as closely."""
TICK = 0.001
"""Seconds it sleeps at least: loops count time in milliseconds, and for less than one they would only spin."""
LAG_P99_LIMIT = 0.025
"""Seconds. A generator that sends later than this one time in a hundred is not real time any more."""
LAG_MAX_LIMIT = 1.0
CPU_LIMIT = 0.95
"""Of one core, on which the event loop runs: above it, lateness is a matter of luck."""


@dataclass(slots=True)
class Wakes:
    """How late the generator itself was, while the figures were taken."""

    late: "array[float]" = field(default_factory=lambda: array("f"))
    frames: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    @property
    def cpu_share(self) -> float:
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else 0.0


class Pacer:
    """Speaks for all callers. `clock` is the run's: seconds since it began.

    From `measure_from` on its lateness is watched. After `until` all callers leave at once and nobody is owed a frame in
    time; the heartbeat still tells if the loop stands still while the last texts come.
    """

    def __init__(self, clock: Callable[[], float], measure_from: float, until: float) -> None:
        self.wakes = Wakes()
        self._clock = clock
        self._measure_from = measure_from
        self._until = until
        self._due: list[tuple[float, int, Caller | None]] = []
        self._cpu: tuple[float, float] | None = None

    def add(self, caller: Caller, starts: float) -> None:
        """A caller is admitted and begins to speak at `starts`."""
        caller.record.started = starts
        heapq.heappush(self._due, (starts + FRAME, caller.record.number, caller))

    async def run(self) -> None:
        """Until cancelled. What is added while it sleeps waits no longer than a heartbeat."""
        heapq.heappush(self._due, (self._clock() + HEARTBEAT, -1, None))
        while True:
            wait = self._due[0][0] - self._clock()
            await asyncio.sleep(max(wait, TICK) if wait > 0 else 0)
            self._speak()

    def _speak(self) -> None:
        """Everything that is due now, for at most a few milliseconds: what arrives must be stamped too."""
        for _ in range(200):
            now = self._clock()
            measured = now >= self._measure_from
            due, number, caller = self._due[0]
            if due > now:
                break
            if caller is None:
                heapq.heapreplace(self._due, (now + HEARTBEAT, -1, None))
                self._note_time()
                if measured:
                    self.wakes.late.append(now - due)
                continue
            if measured and now < self._until and not (caller.paused or caller.behind):
                self.wakes.late.append(now - due)
                self.wakes.frames += 1
            self._turn(due, number, caller, now)

    def _turn(self, due: float, number: int, caller: Caller, now: float) -> None:
        """One caller's frame, or its end."""
        record = caller.record
        if caller.is_over:
            heapq.heappop(self._due)
        elif caller.paused:
            heapq.heappop(self._due)
            caller.behind = True
            if now - due > UNREAD_SECONDS:
                caller.end("failed", "audio_not_taken", f"the server took no audio for {UNREAD_SECONDS:g} s")
            else:
                asyncio.get_running_loop().call_later(FRAME / 2, self._again, (due, number, caller))
        elif record.frames_sent < record.script.frames:
            caller.speak()
            following = record.started + (record.frames_sent + 1) * FRAME
            caller.behind = caller.behind and following <= now
            heapq.heapreplace(self._due, (following, number, caller))
        else:
            heapq.heappop(self._due)
            caller.finish()
            asyncio.get_running_loop().call_later(GOODBYE_SECONDS, _no_goodbye, caller)

    def _again(self, entry: tuple[float, int, Caller]) -> None:
        """A caller whose connection was full: its frame stays due when it was."""
        heapq.heappush(self._due, entry)

    def _note_time(self) -> None:
        if self._clock() < self._measure_from:
            return
        now = time.process_time(), self._clock()
        if self._cpu is None:
            self._cpu = now
        self.wakes.cpu_seconds = now[0] - self._cpu[0]
        self.wakes.wall_seconds = now[1] - self._cpu[1]


def _no_goodbye(caller: Caller) -> None:
    caller.end("failed", "no_goodbye", f"the server did not finish within {GOODBYE_SECONDS:g} s of the last audio")
