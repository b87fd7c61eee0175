"""What a caller says: made-up talk with a known rhythm, or real speech; the same again whenever it is asked for."""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.recording import Recording, read_recording
from voxfleet.speech import SAMPLE_RATE, Seconds

FRAME = 0.1
"""Seconds of audio in each message."""
CELL = 160
"""Samples for which somebody talks or nobody does: 10 ms."""
CELLS = round(FRAME * SAMPLE_RATE) // CELL
SHARED = Path(__file__).parents[2] / "../shared/audio"


class Call(Protocol):
    """Something that can be said into a telephone, in frames of FRAME seconds; usable as a key."""

    @property
    def channels(self) -> int: ...

    @property
    def frames(self) -> int: ...

    def frame(self, number: int) -> bytes:
        """16-bit PCM at 16 kHz, channels interleaved."""
        ...

    def talks(self, channel: int, start: Seconds, end: Seconds) -> bool:
        """Whether somebody talks on the channel all the time between these stream times, short breaths aside."""
        ...


@dataclass(frozen=True, slots=True)
class Talk:
    """Turns of 1 to 8 s with pauses of 0.7 to 2 s, made of noise: for engines that hear length alone.

    A `restless` caller makes no pause longer than 0.3 s, so that turns are cut where they are longest.
    """

    seed: int
    seconds: Seconds
    channels: int = 1
    restless: bool = False

    @property
    def frames(self) -> int:
        return round(self.seconds / FRAME)

    def frame(self, number: int) -> bytes:
        rhythms = [_rhythm(self.seed * 8 + c, self.frames, self.restless) for c in range(self.channels)]
        part = slice(number * CELLS, (number + 1) * CELLS)
        return b"".join(_sound(heard) for heard in zip(*(rhythm[part] for rhythm in rhythms), strict=True))

    def talks(self, channel: int, start: Seconds, end: Seconds) -> bool:
        rhythm = _rhythm(self.seed * 8 + channel, self.frames, self.restless)
        cells = rhythm[max(round(start * 100), 0) : max(round(end * 100), 0)]
        return len(cells) == round((end - start) * 100) and bytes(31) not in cells


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Real speech, one channel; it counts as talk where it is louder than a whisper."""

    name: str
    samples: NDArray[np.int16]

    @property
    def channels(self) -> int:
        return 1

    @property
    def frames(self) -> int:
        return -(-self.samples.size // (CELL * CELLS))

    def frame(self, number: int) -> bytes:
        step = CELL * CELLS
        return self.samples[number * step : (number + 1) * step].astype("<i2").tobytes()

    def talks(self, channel: int, start: Seconds, end: Seconds) -> bool:
        part = self.samples[max(round(start * SAMPLE_RATE), 0) : round(end * SAMPLE_RATE)]
        blocks = part[: part.size // 4_800 * 4_800].reshape(-1, 4_800)
        return blocks.size > 0 and bool((np.abs(blocks).max(axis=1) > 500).all())


def talk(number: int, seconds: Seconds) -> Talk:
    """What the caller of this number says: every fifth has two channels, every fourth is restless."""
    return Talk(number, seconds, 2 if number % 5 == 4 else 1, number % 4 == 3)


def reading(number: int, seconds: Seconds) -> Speech:
    """Sentences of real speech with a pause of a second between each, cut in the midst of the last; another for each number.

    Raises FileNotFoundError where the shared recordings are absent.
    """
    files = sorted((SHARED / "libri-other").glob("*.flac"))
    if not files:
        raise FileNotFoundError("the shared recordings are not here: libri-other/*.flac")
    quiet = np.random.default_rng(number).normal(0, 3, SAMPLE_RATE).astype(np.int16)
    said = [quiet]
    for part in range(len(files)):
        said += [read_recording(files[(number * 5 + part) % len(files)]).samples[:, 0], quiet]
        if sum(map(len, said)) > seconds * SAMPLE_RATE:
            break
    return Speech(f"libri {number}", np.concatenate(said)[: round(seconds * SAMPLE_RATE)])


def recording(call: Call) -> Recording:
    """The whole call, for those who send it as fast as it goes."""
    data = b"".join(call.frame(number) for number in range(call.frames))
    return Recording(np.frombuffer(data, "<i2").reshape(-1, call.channels), SAMPLE_RATE)


@cache
def _rhythm(seed: int, frames: int, restless: bool) -> bytes:
    """One byte for each cell: 1 where somebody talks."""
    dice = random.Random(seed)
    cells = frames * CELLS
    rhythm = bytearray(round(dice.uniform(0.2, 1.5) * 100))
    while len(rhythm) < cells:
        talk, pause = (dice.uniform(0.5, 3.0), (0.1, 0.3)) if restless else (dice.uniform(1.0, 8.0), (0.7, 2.0))
        rhythm += bytes([1]) * round(talk * 100) + bytes(round(dice.uniform(*pause) * 100))
    return bytes(rhythm[:cells])


@cache
def _sound(talking: tuple[int, ...]) -> bytes:
    """One cell of all channels: noise where somebody talks, next to nothing elsewhere."""
    noise = np.random.default_rng(5)
    sounds = [noise.normal(0, 3_000 if voice else 3, CELL) for voice in talking]
    return np.clip(np.stack(sounds, axis=1), -32_768, 32_767).astype("<i2").tobytes()
