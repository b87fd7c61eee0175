"""What a step costs, learned from steps: seconds by works per lane and chunk size.

Works are counted, and steps remembered, by powers of two of the works in the fullest lane. Engines differ in what they
pay for: a GPU by the step, a CPU decoder by the second of audio. Where works hold more audio than a chunk, because they
waited, the benefit of the doubt is the engine's: their step counts as if it had cost by the second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

REMEMBERED = 32
"""Steps of a size over which their cost is averaged."""
MOST_WEIGHT = 256.0
"""A size counts as so many steps at most: with HALF_LIFE it is forgotten six minutes after it was last seen."""
HALF_LIFE = 120.0
"""Seconds in which the weight of a size that is not seen any more halves."""
SURPRISE = 3.0
"""A step is counted as so many times the mean, or a hundredth of a chunk, at most: one hiccup is no evidence, many are."""
SETTLED = 8.0
"""Steps of a size before its mean is one to be surprised by; until then a step is counted as one chunk at most."""
START_UP = 1
"""The first step of a size may load, compile and warm up: it is no measure of the others."""
KNOWN = 3.0
"""Steps of a size before it has a say."""
EVIDENCE = 30.0
"""Steps that must tell something about a load before it is called too much."""
REACH = 32.0
"""Sizes up to so many times the largest one seen are estimated by a straight line; beyond it nothing is known."""


@dataclass(slots=True)
class Size:
    """Steps whose fullest lane held about the same number of works. Means, of the fullest lane."""

    skipped: int = 0
    """Steps of its start-up that were passed over."""
    weight: float = 0.0
    seen: float = 0.0
    """When, by the clock."""
    works: float = 0.0
    audio: float = 0.0
    """Seconds, of all works together."""
    seconds: float = 0.0

    def observe(self, works: int, audio: float, seconds: float, chunk: float, now: float) -> None:
        """One more step, made while chunks were `chunk` seconds long; beyond what would be a surprise it is not counted."""
        weight = self.weight_at(now)
        most = max(SURPRISE * self.seconds, chunk / 100 if weight >= SETTLED else chunk)
        counted = min(1.0, most / seconds) if seconds > 0 else 1.0
        share = max(1 / (weight + 1), 1 / REMEMBERED)
        self.works += share * (works - self.works)
        self.audio += share * (counted * audio - self.audio)
        self.seconds += share * (counted * seconds - self.seconds)
        self.weight, self.seen = min(weight + 1, MOST_WEIGHT), now

    def weight_at(self, now: float) -> float:
        """Steps it counts as, by now."""
        return self.weight * math.exp2(-max(0.0, now - self.seen) / HALF_LIFE)

    def seconds_at(self, chunk: float) -> float:
        """Of a step whose works hold `chunk` seconds each."""
        return self.seconds / max(1.0, self.audio / (self.works * chunk))


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds of a step by works per lane, at one chunk; rising. No points = nothing is known."""

    points: tuple[tuple[float, float], ...]
    """(works, seconds), rising in both."""
    slope: float
    """Seconds per work beyond the last point."""
    reach: float
    """The most works per lane about which there is evidence."""

    def seconds(self, works: float) -> float:
        """Of a step with so many works in its fullest lane; straight lines between what was seen."""
        before: tuple[float, float] | None = None
        for point in self.points:
            if works <= point[0]:
                return _between(before, point, works) if before else point[1]
            before = point
        return before[1] + self.slope * (works - before[0]) if before else 0.0


NOTHING = Curve((), 0.0, 0.0)


class StepCosts:
    """Learns from steps; told by the thread that runs them."""

    def __init__(self) -> None:
        self._sizes: dict[int, dict[int, Size]] = {}

    def observe(self, chunk_ms: int, works: int, audio: float, seconds: float, now: float) -> None:
        """A step took `seconds`; its fullest lane held `works` works with `audio` seconds of audio in all."""
        sizes = self._sizes.setdefault(chunk_ms, {})
        size = sizes.setdefault(works.bit_length(), Size())
        if size.skipped < START_UP:
            size.skipped += 1
        else:
            size.observe(works, audio, seconds, chunk_ms / 1000, now)

    def curve(self, chunk_ms: int, now: float) -> Curve:
        """What steps cost whose works hold a chunk each. Sizes not seen at this chunk size are taken from the nearest
        smaller one, as if a larger chunk cost no more."""
        nearest: dict[int, Size] = {}
        steps: dict[int, float] = {}
        for seen_at in sorted(ms for ms in self._sizes if ms <= chunk_ms):
            for key, size in self._sizes[seen_at].items():
                if (weight := size.weight_at(now)) >= KNOWN:
                    nearest[key] = size
                    steps[key] = steps.get(key, 0.0) + weight
        if not nearest:
            return NOTHING
        known = [nearest[key] for key in sorted(nearest)]
        weights = [steps[key] for key in sorted(nearest)]
        works = [size.works for size in known]
        seconds = _rising([size.seconds_at(chunk_ms / 1000) for size in known], weights)
        slope = min(max(0.0, _slope(works, seconds, weights)), seconds[-1] / works[-1])
        return Curve(tuple(zip(works, seconds, strict=True)), slope, _reach(works, weights))


def _between(low: tuple[float, float], high: tuple[float, float], works: float) -> float:
    return low[1] + (high[1] - low[1]) * (works - low[0]) / (high[0] - low[0])


def _rising(seconds: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values that never fall: neighbours in the wrong order are averaged by weight."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(seconds, weights, strict=True):
        count = 1
        while blocks and blocks[-1][0] > value:
            other, more, others = blocks.pop()
            value = (value * weight + other * more) / (weight + more)
            weight, count = weight + more, count + others
        blocks.append((value, weight, count))
    return [value for value, _, count in blocks for _ in range(count)]


def _slope(works: Sequence[float], seconds: Sequence[float], weights: Sequence[float]) -> float:
    """Of the straight line nearest to the points; 0 for a single one."""
    total = sum(weights)
    mean_works = sum(w * x for w, x in zip(weights, works, strict=True)) / total
    squares = sum(w * (x - mean_works) ** 2 for w, x in zip(weights, works, strict=True))
    if squares == 0:
        return 0.0
    return sum(w * (x - mean_works) * y for w, x, y in zip(weights, works, seconds, strict=True)) / squares


def _reach(works: Sequence[float], weights: Sequence[float]) -> float:
    """REACH times the largest size that at least EVIDENCE steps had, or exceeded; 0 where there is no such size."""
    steps = 0.0
    for size, weight in zip(reversed(works), reversed(weights), strict=True):
        steps += weight
        if steps >= EVIDENCE:
            return size * REACH
    return 0.0
