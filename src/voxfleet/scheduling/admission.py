"""How many streams a worker takes, and whether recorded work may run: by places, and by what its steps were measured to cost.

Utilisation is the share of a chunk that the steps take which a chunk of every speaking stream needs; lanes work side by
side. Under overload the ladder climbs first; then recorded work pauses; only on the ladder's top, and with the engine
busy, is a stream refused: when all streams speaking at once would exceed the target. Nobody is evicted, and without
evidence places alone decide.
"""

import math
from collections.abc import Sequence

from voxfleet.scheduling.costs import NOTHING, Curve, StepCosts
from voxfleet.scheduling.ladder import Ladder
from voxfleet.scheduling.work import Urgency, Work
from voxfleet.speech import SAMPLE_RATE

MARGIN = 0.1
"""The door that was closed opens, and recorded work that was paused goes on, this far below the target."""
CALM = 0.2
"""A smaller chunk must stay this far below the target to be tried."""
SAME = 0.9
"""A chunk that lowers utilisation no further than to this share is not worth its delay."""
RECENT = 3.0
"""Seconds over which those who speak now, and the time steps take, are averaged."""
REVIEW_SECONDS = 0.1
"""Decisions are made so often at most; a stream that asks for a place is always judged at once."""
EARLY = 0.5
"""Seconds of audio that may come at once when a turn begins (pre-roll) without being called a replay."""


class Admission:
    """One worker's door. Pure: told of every step, asked before every stream. One thread calls; others may read
    `capacity`, `utilisation`, `recorded_paused`, `decision` and `decisions`."""

    def __init__(self, places: int, ladder: Ladder, max_batch: int, lanes: int = 1, target: float = 0.8) -> None:
        self.capacity = places
        """Streams it takes now: its places, or fewer; never fewer than it has."""
        self.utilisation = 0.0
        """At the present chunk, if every stream it has spoke; 0 = unknown."""
        self.recorded_paused = False
        self.closed = False
        """Closed by measurement; a worker whose places are all taken is full, not closed."""
        self.decision = ""
        """The last change of mind, as a sentence."""
        self.decisions = 0
        """Changes of mind so far."""
        self._places = places
        self._ladder = ladder
        self._max_batch = max_batch
        self._lanes = lanes
        self._target = target
        self._costs = StepCosts()
        self._spoken = Recent()
        self._worked = Recent()
        self._reviewed = -math.inf

    def observe(self, works: Sequence[Work], began: float, seconds: float) -> None:
        """A step over these works began at `began` by the clock and took `seconds`.

        Recorded works and replays are no measure of what live streams cost: steps that hold one are passed over.
        """
        live = [work for work in works if work.urgency is not Urgency.RECORDED]
        chunk_ms = self._ladder.chunk_ms
        current = [work for work in live if not catching_up(work, began, chunk_ms)]
        self._spoken.add([work.samples / SAMPLE_RATE for work in current], began + seconds)
        if not works or len(current) < len(works):
            return
        self._worked.add([seconds], began + seconds)
        loads = [0] * self._lanes
        samples = [0] * self._lanes
        for work in works:
            loads[work.place.index % self._lanes] += 1
            samples[work.place.index % self._lanes] += work.samples
        self._costs.observe(chunk_ms, max(loads), max(samples) / SAMPLE_RATE, seconds, began + seconds)

    def speaking(self, now: float) -> float:
        """Live streams that speak: seconds of their audio per second, lately."""
        return self._spoken.rate(now)

    def busy(self, now: float) -> float:
        """Share of the time that steps over live works took lately; batches of them may be small."""
        return self._worked.rate(now)

    def review(self, taken: int, now: float, asked: bool = False) -> None:
        """Decide anew, with `taken` streams; at most every REVIEW_SECONDS unless somebody `asked` for a place."""
        if not asked and now - self._reviewed < REVIEW_SECONDS:
            return
        self._reviewed = now
        here = self._curve(self._ladder.chunk_ms, now)
        self.utilisation = self._share(here, taken, self._ladder.chunk_ms)
        self._review_chunk(now)
        self._review_recorded(here, now)
        self._review_door(taken, now)

    # ---- the three decisions, in the order in which overload meets them -------------------------------------------

    def _review_chunk(self, now: float) -> None:
        """Tell the ladder which chunk those who speak now need; a smaller one where it is safe, or costs no more."""
        rungs, here = self._ladder.rungs, self._ladder.rungs.index(self._ladder.chunk_ms)
        speaking = self.speaking(now)
        share = self._share(self._curve(rungs[here], now), speaking, rungs[here])
        least = rungs[here]
        if share > self._target:
            least = rungs[min(here + 1, len(rungs) - 1)]
        elif here > 0:
            smaller = self._share(self._curve(rungs[here - 1], now), speaking, rungs[here - 1])
            free = share <= self._target - MARGIN and smaller * SAME <= share
            least = rungs[here - 1] if free or smaller <= self._target - CALM else least
        self._ladder.least_ms = least

    def _review_recorded(self, here: Curve, now: float) -> None:
        share = self._share(here, self.speaking(now), self._ladder.chunk_ms)
        climbing = self._ladder.least_ms > self._ladder.chunk_ms
        if not self.recorded_paused and not climbing and share > self._target:
            self.recorded_paused = True
            self._decide(
                f"recorded work pauses: live streams take {share:.2f} of every {self._ladder.chunk_ms} ms chunk"
            )
        elif self.recorded_paused and share < self._target - MARGIN:
            self.recorded_paused = False
            self._decide(
                f"recorded work goes on: live streams take {share:.2f} of every {self._ladder.chunk_ms} ms chunk"
            )

    def _review_door(self, taken: int, now: float) -> None:
        chunk_ms = self._ladder.chunk_ms
        curve = self._curve(chunk_ms, now) if chunk_ms == self._ladder.rungs[-1] else NOTHING
        share = self._share(curve, taken + 1, chunk_ms)
        busy = self.busy(now) > self._target - MARGIN
        if not self.closed and busy and share > self._target and 0 < taken < self._places:
            self.closed = True
            self._decide(f"closed at {taken} of {self._places} places: {taken + 1} would take {_of(share, chunk_ms)}")
        elif self.closed and (share < self._target - MARGIN or taken == 0):
            self.closed = False
            why = f"{taken + 1} take {_of(share, chunk_ms)}" if share else f"chunks of {chunk_ms} ms are enough"
            self._decide(f"open at {taken} of {self._places} places: {why}")
        if self.closed:
            self.capacity = taken
        else:
            self.capacity = self._sustained(curve, min(taken + 1, self._places), chunk_ms) if busy else self._places

    # ---- what it rests on -----------------------------------------------------------------------------------------

    def _curve(self, chunk_ms: int, now: float) -> Curve:
        return self._costs.curve(chunk_ms, now)

    def _share(self, curve: Curve, streams: float, chunk_ms: int) -> float:
        """Utilisation if `streams` speak; 0 where too little is known to tell."""
        lane = streams / self._lanes
        if lane == 0 or min(lane, self._max_batch) > curve.reach:
            return 0.0
        full, rest = divmod(lane, self._max_batch)
        seconds = full * curve.seconds(self._max_batch) if full else 0.0
        return (seconds + min(1.0, rest) * curve.seconds(max(1.0, rest))) * 1000 / chunk_ms

    def _sustained(self, curve: Curve, least: int, chunk_ms: int) -> int:
        """The most streams, from `least` to the places, whose utilisation stays within the target."""
        low, high = least, self._places
        if self._max_batch > curve.reach:  # larger loads are unknown, and what is unknown is not refused
            known = math.floor(curve.reach) * self._lanes
            if self._share(curve, min(high, known), chunk_ms) <= self._target:
                return high
            high = min(high, known)
        while low < high:
            middle = (low + high + 1) // 2
            if self._share(curve, middle, chunk_ms) <= self._target:
                low = middle
            else:
                high = middle - 1
        return low

    def _decide(self, sentence: str) -> None:
        self.decisions += 1
        self.decision = sentence


class Recent:
    """How much of recent time something filled, such as speech or work: what was long ago counts less and less."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._at = -math.inf

    def add(self, lengths: Sequence[float], now: float) -> None:
        """Stretches of so many seconds, side by side, have ended now."""
        self._sum = self._faded(now) - RECENT * sum(math.expm1(-length / RECENT) for length in lengths)
        self._at = now

    def rate(self, now: float) -> float:
        """Per second."""
        return self._faded(now) / RECENT

    def _faded(self, now: float) -> float:
        return self._sum * math.exp(min(0.0, self._at - now) / RECENT)


def catching_up(work: Work, now: float, chunk_ms: int) -> bool:
    """Whether its audio came faster than real time: a replay, which says nothing about how the engine keeps up."""
    return work.samples / SAMPLE_RATE > (now - work.added) + 1.5 * chunk_ms / 1000 + EARLY


def _of(share: float, chunk_ms: int) -> str:
    return f"{share:.2f} of a {chunk_ms} ms chunk"
