"""What each caller of a load run says and when: talk and silence put together from a pool, distinct by the dice.

Only whole clips are used, so that a call has an exact reference text. The silence between them is drawn lognormal
(most pauses are short, a few very long), and as much of it as makes speech the wanted share of the call: over many
calls the share is met on average, because the last clip of each is taken by a throw whose odds make up the difference.
A script is a few numbers; its frames are slices of the pool's array and are never copied.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.sound.pool import Clip, Pool
from voxfleet.evaluation.sound.spans import Span, merged
from voxfleet.speech import Seconds

TAIL: Seconds = 1.0
"""Least silence at the end of a call: the last turn ends by itself."""
PAUSE: Seconds = 0.3
"""Least silence between two clips."""
SPEECH_SHARE = 0.45
"""Of one side of a telephone call: two people who take turns, and some silence."""

_SPREAD = 1.0
"""Standard deviation of the logarithm of a pause: one in twenty is five times the middle one."""
_THROWS = 8
"""Attempts at a clip the call doesn't have yet."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some frames of a call that lie together in the pool."""

    clip: int | None
    """Its number in the pool; None: silence."""
    start: int
    """The call's first frame of it."""
    frames: int
    sample: int
    """Where it begins in the pool's array."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A clip of a call and when it begins, in stream time."""

    clip: Clip
    start: Seconds


@dataclass(frozen=True, slots=True)
class CallScript:
    """What one caller sends, frame by frame. Made by `compose` and `script_of_clip`."""

    pool: Pool = field(repr=False)
    stretches: tuple[Stretch, ...]
    frames: int = field(init=False)
    """How many there are."""
    _starts: tuple[int, ...] = field(init=False, repr=False)
    _offsets: tuple[int, ...] = field(init=False, repr=False)
    """Where in the pool's bytes frame 0 would lie, had the call begun with this stretch."""
    _bytes: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        width = self.pool.frame_samples * 2
        offsets = tuple(stretch.sample * 2 - stretch.start * width for stretch in self.stretches)
        object.__setattr__(self, "frames", sum(stretch.frames for stretch in self.stretches))
        object.__setattr__(self, "_starts", tuple(stretch.start for stretch in self.stretches))
        object.__setattr__(self, "_offsets", offsets)
        object.__setattr__(self, "_bytes", width)

    def frame(self, number: int) -> memoryview:
        """16-bit little-endian PCM of one frame, read-only, valid as long as the pool. Raises IndexError."""
        if not 0 <= number < self.frames:
            raise IndexError(f"frame {number} of a call of {self.frames}")
        begin = self._offsets[bisect_right(self._starts, number) - 1] + number * self._bytes
        return self.pool.sound[begin : begin + self._bytes]

    @property
    def seconds(self) -> Seconds:
        return self.frames * self.pool.frame

    @property
    def clips(self) -> tuple[Placed, ...]:
        """The clips in the order they are said."""
        return tuple(
            Placed(self.pool.clips[stretch.clip], stretch.start * self.pool.frame)
            for stretch in self.stretches
            if stretch.clip is not None
        )

    @property
    def reference(self) -> str | None:
        """All that is said; None where that of one clip isn't known, '' where nothing is said."""
        said = [placed.clip.reference for placed in self.clips]
        return None if None in said else " ".join(text for text in said if text)

    @property
    def speech_spans(self) -> tuple[Span, ...]:
        """Where somebody speaks, in stream time, ascending."""
        spans = [
            (placed.start + start, placed.start + end) for placed in self.clips for start, end in placed.clip.spans
        ]
        return tuple(merged(spans))


def compose(pool: Pool, seconds: Seconds, dice: Random, speech_share: float = SPEECH_SHARE) -> CallScript:
    """A call of `seconds`, to the nearest frame, that ends with at least a second of silence.

    Clips longer than the call are passed over; where all are, it is silent. Where even one clip is more speech than
    the share allows, the call has that one. No clip comes twice while there are others that fit. A share the clips
    can't reach (their own pauses count as silence) is approached. Raises BadOption for a share outside 0..1.
    """
    if not 0.0 <= speech_share <= 1.0:
        raise BadOption("--speech-share", speech_share, "between 0 and 1")
    frames = max(round(seconds / pool.frame), 1)
    tail = min(math.ceil(round(TAIL / pool.frame, 6)), frames)
    pause = math.ceil(round(PAUSE / pool.frame, 6))
    chosen = _chosen(pool, frames - tail, pause, speech_share * frames * pool.frame, dice)
    said = sum(pool.clips[clip].frames for clip in chosen)
    least = [0] + [pause] * (len(chosen) - 1) + [tail] if chosen else [tail]
    gaps = _gaps(frames - said, least, dice)
    return _script(pool, chosen, gaps, dice)


def script_of_clip(pool: Pool, index: int, lead: Seconds = 0.3, tail: Seconds = 1.5) -> CallScript:
    """One clip as a call, with at least so much silence before and after it. The same clip gives the same bytes."""
    gaps = [math.ceil(round(quiet / pool.frame, 6)) for quiet in (lead, tail)]
    return _script(pool, [index], gaps, Random(index))  # noqa: S311 - no secret


def _chosen(pool: Pool, room: int, pause: int, speech: Seconds, dice: Random) -> list[int]:
    """Clips that fit into `room` frames with pauses between, with `speech` seconds of speech on average."""
    chosen: list[int] = []
    while speech > 0 and (fit := bisect_right(pool.by_length, room, key=lambda clip: pool.clips[clip].frames)):
        clip = _another(pool.by_length, fit, chosen, dice)
        more = pool.clips[clip].speech
        if chosen and more > speech and dice.random() * more > speech:
            break
        chosen.append(clip)
        room -= pool.clips[clip].frames + pause
        speech -= more
    dice.shuffle(chosen)
    return chosen


def _another(by_length: Sequence[int], fit: int, chosen: Sequence[int], dice: Random) -> int:
    """One of the first `fit`, if possible one not chosen yet: a few throws find it, unless nearly all are chosen."""
    for _ in range(_THROWS):
        clip = by_length[dice.randrange(fit)]
        if clip not in chosen:
            return clip
    return dice.choice([clip for clip in by_length[:fit] if clip not in chosen] or by_length[:fit])


def _gaps(frames: int, least: Sequence[int], dice: Random) -> list[int]:
    """Whole frames of silence for each gap, lognormal above its least, adding up to `frames`."""
    free = frames - sum(least)
    weights = [dice.lognormvariate(0.0, _SPREAD) for _ in least]
    whole = sum(weights)
    gaps, passed, given = [], 0.0, 0
    for smallest, weight in zip(least, weights, strict=True):
        passed += weight
        upto = round(free * passed / whole)
        gaps.append(smallest + upto - given)
        given = upto
    return gaps


def _script(pool: Pool, chosen: Sequence[int], gaps: Sequence[int], dice: Random) -> CallScript:
    """Silence, clip, silence, clip, …, silence."""
    stretches: list[Stretch] = []
    at = 0
    for place, gap in enumerate(gaps):
        while gap:
            part = min(gap, pool.silence_frames)
            latest = (pool.silence_frames - part) * pool.frame_samples
            stretches.append(Stretch(None, at, part, dice.randint(0, latest)))
            at, gap = at + part, gap - part
        if place < len(chosen):
            clip = pool.clips[chosen[place]]
            stretches.append(Stretch(chosen[place], at, clip.frames, clip.first))
            at += clip.frames
    return CallScript(pool, tuple(stretches))
