"""When callers come and how long they stay: an open-loop plan, drawn before the run and blind to how the server does.

A closed loop, in which the next call waits for the last, hides overload (evaluation rules 1 and 5 of the load generator).
`streams` is the number of callers offered at once on the plateau; Poisson and constant arrivals reach it by Little's law,
rate = streams ÷ mean length of a call, and begin with the calls a system in that state would already hold.
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path

from voxfleet.evaluation.faults import BadManifest, BadOption

PATTERNS = "hold, poisson, constant, ramp, step[:N], burst[:N] or trace:FILE"
BURST_SECONDS = 1.0
"""The callers of one burst come within this time."""


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """One caller: when it comes, in seconds of the run, and how long it speaks (None: until the run ends)."""

    at: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CallLength:
    """How long calls are: `fixed:60`, or `lognormal:180:0.8` with the mean in seconds and sigma of the logarithm."""

    mean: float
    sigma: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "CallLength":
        """Raises BadOption naming what can be."""
        kind, _, rest = text.partition(":")
        try:
            numbers = [float(number) for number in rest.split(":")]
            if kind == "fixed" and len(numbers) == 1 and 0 < numbers[0] < math.inf:
                return cls(numbers[0])
            if kind == "lognormal" and len(numbers) == 2 and 0 < numbers[0] < math.inf and 0 < numbers[1] <= 3:
                return cls(*numbers)
        except ValueError:
            pass
        raise BadOption("--call-seconds", text, "fixed:SECONDS or lognormal:MEAN:SIGMA (seconds; sigma 0..3)")

    def draw(self, dice: random.Random) -> float:
        """The length of a new call."""
        if not self.sigma:
            return self.mean
        return dice.lognormvariate(math.log(self.mean) - self.sigma**2 / 2, self.sigma)

    def remaining(self, dice: random.Random) -> float:
        """What is left of a call that is found in progress: long calls are found more often than they come."""
        if not self.sigma:
            return self.mean * dice.random()
        return dice.lognormvariate(math.log(self.mean) + self.sigma**2 / 2, self.sigma) * dice.random()

    def __str__(self) -> str:
        return f"{self.mean:g} s each" if not self.sigma else f"lognormal, mean {self.mean:g} s, sigma {self.sigma:g}"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A pattern with its parameters, as asked for."""

    pattern: str = "hold"
    parts: int = 1
    trace: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "Arrivals":
        """Raises BadOption naming what can be."""
        pattern, _, rest = text.partition(":")
        if pattern in ("hold", "poisson", "constant", "ramp") and not rest:
            return cls(pattern)
        if pattern in ("step", "burst"):
            parts = rest or ("5" if pattern == "step" else "1")
            if parts.isascii() and parts.isdigit() and 1 <= int(parts) <= 1_000:
                return cls(pattern, int(parts))
        if pattern == "trace" and rest:
            return cls(pattern, trace=Path(rest))
        raise BadOption("--arrivals", text, PATTERNS)

    def plan(
        self, streams: int, warm_up: float, seconds: float, length: CallLength | None, dice: random.Random
    ) -> list[Arrival]:
        """Every caller of a run of `warm_up` + `seconds`, in the order they come.

        Raises BadOption where the pattern needs a length of calls, and BadManifest for an unusable trace.
        """
        end = warm_up + seconds

        def stay() -> float | None:
            return length.draw(dice) if length else None

        match self.pattern:
            case "hold":
                times = _spread(streams, 0.0, warm_up, dice)
            case "ramp":
                times = _spread(streams, 0.0, end, dice)
            case "step":
                times = _grouped(streams, [end * k / self.parts for k in range(self.parts)], warm_up, dice)
            case "burst":
                times = _grouped(
                    streams, [warm_up + seconds * k / self.parts for k in range(self.parts)], BURST_SECONDS, dice
                )
            case "trace":
                assert self.trace is not None
                return [arrival for arrival in read_trace(self.trace) if arrival.at < end]
            case _:
                return self._stationary(streams, warm_up, end, length, dice)
        return sorted(Arrival(at, stay()) for at in times)

    def _stationary(
        self, streams: int, warm_up: float, end: float, length: CallLength | None, dice: random.Random
    ) -> list[Arrival]:
        if length is None:
            raise BadOption("--call-seconds", "nothing", f"given with {self.pattern} arrivals, e.g. lognormal:180:0.8")
        dialled = [(at, length.remaining(dice) - at) for at in _spread(streams, 0.0, warm_up, dice)]
        found = [Arrival(at, left) for at, left in dialled if left > 0]  # the others' calls would have ended by then
        gap, at = length.mean / streams, 0.0
        while True:
            at += gap if self.pattern == "constant" else dice.expovariate(1 / gap)
            if at >= end:
                return sorted(found)
            found.append(Arrival(at, length.draw(dice)))

    def __str__(self) -> str:
        if self.trace is not None:
            return f"trace {self.trace.name}"
        return f"{self.pattern} in {self.parts} parts" if self.parts > 1 else self.pattern


def read_trace(path: Path) -> list[Arrival]:
    """Lines `start<TAB or comma>seconds`, with or without a heading, ascending or not. Raises BadManifest."""
    found: list[Arrival] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadManifest(path, str(error)) from None
    for number, line in enumerate(lines, 1):
        row = line.replace("\t", ",").split(",")
        if not line.strip():
            continue
        try:
            at, stays = float(row[0]), float(row[1])
        except (ValueError, IndexError):
            if number == 1:
                continue  # the heading
            raise BadManifest(path, f"line {number} is not 'start,seconds'") from None
        if not (0 <= at < math.inf and 0 < stays < math.inf):
            raise BadManifest(path, f"line {number}: a call can't start at {row[0]} and last {row[1]} s")
        found.append(Arrival(at, stays))
    if not found:
        raise BadManifest(path, "no calls in it")
    return sorted(found)


def _spread(count: int, begin: float, end: float, dice: random.Random) -> list[float]:
    """One time in each of `count` equal parts: even, with a phase of its own for everybody."""
    return [begin + (end - begin) * (k + dice.random()) / count for k in range(count)]


def _grouped(count: int, begins: list[float], width: float, dice: random.Random) -> list[float]:
    """As many as can be alike from each of the begins, within `width` seconds."""
    gap = begins[1] - begins[0] if len(begins) > 1 else width
    sizes = [count * (k + 1) // len(begins) - count * k // len(begins) for k in range(len(begins))]
    return [
        at
        for begin, size in zip(begins, sizes, strict=True)
        for at in _spread(size, begin, begin + min(width, gap), dice)
    ]
