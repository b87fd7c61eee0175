"""The clips that calls are made of: decoded once, put through the line once, then only ever pointed at.

Everything lies in one array of 16-bit samples: first silence, then every clip, filled up with silence to whole frames.
A frame of any call is a slice of it, so thousands of calls cost no more memory than one. One channel: a call of two
channels is two streams to a server, and to whoever makes load.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from voxfleet.audio.pcm import pcm16
from voxfleet.errors import BadAudio, VoxfleetError
from voxfleet.evaluation.faults import BadManifest, BadOption
from voxfleet.evaluation.manifests.items import NON_SPEECH, BadItem, Item
from voxfleet.evaluation.sound.line import Line
from voxfleet.evaluation.sound.spans import Span, cut_out, spans_of_many, total
from voxfleet.evaluation.sound.synthetic import comfort_noise, phrases
from voxfleet.speech import Samples, Seconds

RATES = (8_000, 16_000)
LIMIT: Seconds = 1800.0
"""Audio kept by default: 58 MB at 16 kHz, and while it is made up to six times that."""

_SILENCE: Seconds = 60.0
_LEAST: Seconds = 0.5
"""Room for less than this is none."""
_CLEAN = Line()

SamplesOf: TypeAlias = Callable[[Item], tuple[Samples, int]]
"""The sound of an item: mono samples in -1..1 and their rate. Raises VoxfleetError or OSError."""
Progress: TypeAlias = Callable[[int, int], None]
"""Told how much of how much is done."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording as it lies in the pool."""

    id: str
    reference: str | None
    """What is said in it; None where nobody wrote it down."""
    spans: tuple[Span, ...]
    """Where somebody speaks, in seconds from its beginning, found before the line touched it."""
    seconds: Seconds
    """Its own length, without what fills its last frame."""
    frames: int
    first: int
    """Where it begins in the pool's array, in samples."""
    item: Item | None = None

    @property
    def speech(self) -> Seconds:
        """Seconds of speech; of a clip in which nobody speaks its whole length, so that calls don't fill with them."""
        return total(self.spans) or self.seconds


@dataclass(frozen=True, slots=True)
class _Clean:
    """A clip before the line: at the call's rate, not yet filled up."""

    id: str
    reference: str | None
    samples: Samples
    spans: list[Span]
    item: Item | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Clips and silence at one rate, cut into frames of one length; shared by all calls. Made by `load`, `synthetic`."""

    rate: int
    frame: Seconds
    line: Line
    clips: tuple[Clip, ...]
    silence_frames: int
    samples: NDArray[np.int16] = field(repr=False)
    """Silence first, then the clips; read-only."""
    bad: tuple[BadItem, ...] = ()
    left_out: int = 0
    """Items not taken because the limit was reached."""
    sound: memoryview = field(init=False, repr=False)
    """`samples` as bytes, little-endian, two per sample."""
    by_length: tuple[int, ...] = field(init=False, repr=False)
    """Numbers of the clips, the shortest first."""

    def __post_init__(self) -> None:
        self.samples.flags.writeable = False
        object.__setattr__(self, "sound", self.samples.data.cast("B"))
        numbers = range(len(self.clips))
        object.__setattr__(self, "by_length", tuple(sorted(numbers, key=lambda index: self.clips[index].frames)))

    @classmethod
    def load(
        cls,
        items: Iterable[Item],
        samples_of: SamplesOf,
        *,
        rate: int,
        line: Line = _CLEAN,
        frame: Seconds = 0.1,
        limit_seconds: Seconds | None = LIMIT,
        seed: int = 1,
        progress: Progress | None = None,
    ) -> "Pool":
        """The recordings of a manifest, in its order; where they are too many, some of them, by the seed's choice.

        An item that can't be decoded is in `bad`, and the rest goes on. Raises BadManifest where nothing is left,
        BadOption for a rate or a frame that can't be. `progress` counts each item twice: decoded, and sent down the
        line.
        """
        frame_length(rate, frame)
        tell = progress or _unwatched
        wanted = list(items)
        heard, bad, left_out = _decoded(wanted, samples_of, rate, limit_seconds, seed, tell)
        if not heard:
            raise BadManifest("the recordings", _why_none(bad, left_out, limit_seconds))
        skipped = len(wanted) - len(heard)
        clean = _with_spans(wanted, heard, rate)
        heard.clear()
        pool = _assembled(
            clean, rate, line, frame, seed, lambda done: tell(len(wanted) + skipped + done, len(wanted) * 2)
        )
        return replace(pool, bad=tuple(bad), left_out=left_out)

    @classmethod
    def synthetic(
        cls, rate: int, *, line: Line = _CLEAN, frame: Seconds = 0.1, clips: int = 64, seed: int = 1
    ) -> "Pool":
        """Clips of 1 to 8 s without words, so without reference, whose spans are exact to the sample: see `synthetic`."""
        dice = np.random.default_rng(seed)
        clean = []
        for index in range(clips):
            samples, spans = phrases(rate, dice.uniform(1.0, 6.0), dice)
            clean.append(_Clean(f"synthetic-{index:03}", None, samples, spans))
        return _assembled(clean, rate, line, frame, seed, _unwatched)

    @property
    def seconds(self) -> Seconds:
        """Audio of all clips, without what fills their last frames."""
        return sum(clip.seconds for clip in self.clips)

    @property
    def frame_samples(self) -> int:
        """Samples of one frame."""
        return round(self.rate * self.frame)


def frame_length(rate: int, frame: Seconds) -> int:
    """Samples in a frame. Raises BadOption for a rate no call has, or a frame that isn't a number of samples."""
    if rate not in RATES:
        raise BadOption("--rate", rate, " or ".join(map(str, RATES)) + " Hz")
    length = rate * frame
    if not 0.005 <= frame <= 2.0 or abs(length - round(length)) > 1e-6:
        raise BadOption("--frame", f"{frame:g} s", f"5 ms to 2 s, and a whole number of samples at {rate} Hz")
    return round(length)


def _decoded(
    items: Sequence[Item],
    samples_of: SamplesOf,
    rate: int,
    limit: Seconds | None,
    seed: int,
    tell: Progress,
) -> tuple[dict[int, Samples], list[BadItem], int]:
    """What could be decoded within the limit by its place in the list, what could not, and how many were left out."""
    order = list(range(len(items)))
    if limit is not None:
        Random(seed).shuffle(order)  # noqa: S311 - no secret
    room = math.inf if limit is None else limit * rate
    heard: dict[int, Samples] = {}
    bad: list[BadItem] = []
    left_out = 0
    for done, index in enumerate(order):
        tell(done, 2 * len(order))
        if room < _LEAST * rate:
            left_out += len(order) - done
            break
        try:
            samples = at_rate(*samples_of(items[index]), rate)
            if not len(samples):
                raise BadAudio("there is no audio in it")
        except (VoxfleetError, OSError) as error:
            code = error.code if isinstance(error, VoxfleetError) else "unreadable"
            bad.append(BadItem(items[index].id, code, str(error)))
            continue
        if len(samples) > room:
            left_out += 1
        else:
            heard[index] = samples
            room -= len(samples)
    return heard, bad, left_out


def _with_spans(items: Sequence[Item], heard: dict[int, Samples], rate: int) -> list[_Clean]:
    """In the order of the manifest, with the spans of speech; none where the manifest says that nobody speaks."""
    indexes = sorted(heard)
    spoken = [index for index in indexes if items[index].kind not in NON_SPEECH]
    spans = dict(zip(spoken, spans_of_many([heard[index] for index in spoken], rate), strict=True))
    return [
        _Clean(items[index].id, items[index].reference, heard[index], spans.get(index, []), items[index])
        for index in indexes
    ]


def _assembled(
    clean: Sequence[_Clean], rate: int, line: Line, frame: Seconds, seed: int, tell: Callable[[int], None]
) -> Pool:
    """The pool of these clips after the line, each filled up to whole frames with the silence of a line."""
    size = frame_length(rate, frame)
    voices = [cut_out(clip.samples, rate, clip.spans) for clip in clean] if line.noise == "babble" else []
    silence_frames = math.ceil(_SILENCE / frame)
    quiet = comfort_noise(silence_frames * size, np.random.default_rng([seed, 0]))
    parts = [_sent(line, quiet, rate, [], voices, seed)]
    clips: list[Clip] = []
    first = len(quiet)
    for number, clip in enumerate(clean, start=1):
        frames = math.ceil(len(clip.samples) / size)
        rest = comfort_noise(frames * size - len(clip.samples), np.random.default_rng([seed, number]))
        others = voices[: number - 1] + voices[number:]
        parts.append(_sent(line, np.concatenate([clip.samples, rest]), rate, clip.spans, others, seed + number))
        seconds = len(clip.samples) / rate
        clips.append(Clip(clip.id, clip.reference, tuple(clip.spans), seconds, frames, first, clip.item))
        first += frames * size
        tell(number)
    return Pool(rate, frame, line, tuple(clips), silence_frames, np.concatenate(parts))


def _sent(
    line: Line, samples: Samples, rate: int, spans: Sequence[Span], voices: Sequence[Samples], seed: int
) -> NDArray[np.int16]:
    """What the server is sent of it: as long, at the same rate."""
    degraded, its_rate = line.applied(samples, rate, spans, voices, seed)
    return pcm16(at_rate(degraded, its_rate, rate, len(samples)))


def at_rate(samples: Samples, rate: int, wanted: int, count: int | None = None) -> Samples:
    """The samples at the wanted rate, cut or filled with nothing to `count`."""
    if rate != wanted and len(samples):
        samples = np.asarray(soxr.resample(samples, rate, wanted, quality="HQ"), np.float32)
    if count is not None and len(samples) != count:
        samples = np.concatenate([samples[:count], np.zeros(max(count - len(samples), 0), np.float32)])
    return samples


def _why_none(bad: Sequence[BadItem], left_out: int, limit: Seconds | None) -> str:
    if left_out:
        return f"each of them is longer than the {limit:g} s that may be kept"
    return f"none can be used; the first: {bad[0].where}: {bad[0].message}" if bad else "there are none"


def _unwatched(done: int, of: int = 0) -> None:
    """Nobody wants to know."""
