"""Which digits are spoken in tests, and when: recordings of single digits, joined to strings; the same ones again each time.

The clips are those the model never learnt from. A string has 4 to 6 digits of one speaker with gaps of 50 to 350 ms; a
call has some strings, with pauses between them that end a turn.
"""

import csv
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from tests.engines.hearing import read_wav
from voxfleet.client import StreamOptions
from voxfleet.evaluation.sound.degrade import encoded
from voxfleet.speech import SAMPLE_RATE, Seconds
from voxfleet.wire.options import Encoding

SHARED = Path(__file__).parents[2] / "../shared/audio"
FRAME = 1_600
"""Samples of a message: 100 ms, as `tests.faults.calls` counts them."""
FEWEST, MOST = 4, 6
"""Digits of a string."""
GAP = 0.05, 0.35
"""Seconds between two digits of a string, shortest and longest."""
PAUSE = 0.9, 1.3
"""Seconds between two strings of a call: longer than the silence that ends a turn."""
LEAD, TRAIL = 0.3, 0.7
"""Seconds of silence around a call."""
FLOOR = 20.0
"""Noise over the whole call, of 32,767: 64 dB below full scale, a good line. On lines with no noise at all, which nobody
has, Silero misses some digits that stand alone: 1 % of these (none of 400 from a floor of 10 on)."""
TELEPHONE = StreamOptions(encoding=Encoding.MULAW, sample_rate=8_000)

Audio = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Clip:
    """One spoken digit."""

    word: str
    speaker: str
    samples: Audio


@dataclass(frozen=True, slots=True)
class Said:
    """A digit of a call, and where its clip lies; a clip begins and ends with a little silence of its own."""

    word: str
    start: Seconds
    end: Seconds


@dataclass(frozen=True, slots=True, eq=False)
class DigitCall:
    """Strings of digits, one channel; usable as a `tests.faults.calls.Call`."""

    name: str
    samples: Audio
    """16 kHz."""
    said: tuple[Said, ...]

    @property
    def text(self) -> str:
        return " ".join(each.word for each in self.said)

    @property
    def seconds(self) -> Seconds:
        return self.samples.size / SAMPLE_RATE

    @property
    def channels(self) -> int:
        return 1

    @property
    def frames(self) -> int:
        return -(-self.samples.size // FRAME)

    def frame(self, number: int) -> bytes:
        return self.samples[number * FRAME : (number + 1) * FRAME].astype("<i2").tobytes()

    def talks(self, _channel: int, start: Seconds, end: Seconds) -> bool:
        reached = start
        for each in self.said:
            if each.start <= reached + GAP[1] and each.end > reached:
                reached = each.end
        return reached >= end


@dataclass(frozen=True, slots=True, eq=False)
class Telephone:
    """The same call over a telephone line: frames of 8 kHz µ-law, to be sent with TELEPHONE."""

    call: DigitCall
    bytes_: bytes

    @property
    def channels(self) -> int:
        return 1

    @property
    def frames(self) -> int:
        return self.call.frames

    def frame(self, number: int) -> bytes:
        return self.bytes_[number * FRAME // 2 : (number + 1) * FRAME // 2]

    def talks(self, channel: int, start: Seconds, end: Seconds) -> bool:
        return self.call.talks(channel, start, end)


def on_telephone(call: DigitCall) -> Telephone:
    """The call as G.711 leaves it."""
    narrow = soxr.resample(call.samples.astype(np.float32) / 32_768, SAMPLE_RATE, TELEPHONE.sample_rate)
    return Telephone(call, encoded(narrow, TELEPHONE.encoding.value))


@functools.cache
def clips() -> tuple[Clip, ...]:
    """Every digit of the shared recordings, at 16 kHz; skips the test where they are absent."""
    table = SHARED / "MANIFEST.tsv"
    if not table.exists():
        pytest.skip("the shared recordings are not beside the checkout: shared/audio/MANIFEST.tsv")
    with table.open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["file"].startswith("fsdd/")]
    if not rows or not all((SHARED / row["file"]).exists() for row in rows):
        pytest.skip("the shared recordings are not beside the checkout: shared/audio/fsdd/*.wav")
    return tuple(Clip(row["transcript"], row["file"].split("_")[1], read_wav(SHARED / row["file"])) for row in rows)


@functools.cache
def strings(seed: int = 6) -> tuple[DigitCall, ...]:
    """Calls of one string each in which every clip is heard exactly once."""
    dice = np.random.default_rng(seed)
    calls: list[DigitCall] = []
    for speaker in sorted({clip.speaker for clip in clips()}):
        mine = [clip for clip in clips() if clip.speaker == speaker]
        order = dice.permutation(len(mine)).tolist()
        for number, part in enumerate(_parts(len(mine), dice)):
            chosen = [mine[order.pop()] for _ in range(part)]
            calls.append(_joined(f"{speaker} {number}", [chosen], dice))
    return tuple(calls)


def calls(count: int, seconds: Seconds, seed: int = 7, digits: tuple[int, int] = (FEWEST, MOST)) -> list[DigitCall]:
    """Calls of about so many seconds in strings of so many digits, each by one speaker; no two are the same."""
    return [_call(number, seconds, seed, digits) for number in range(count)]


def _call(number: int, seconds: Seconds, seed: int, digits: tuple[int, int]) -> DigitCall:
    dice = np.random.default_rng((seed, number))
    speakers = sorted({clip.speaker for clip in clips()})
    speaker = speakers[number % len(speakers)]
    mine = [clip for clip in clips() if clip.speaker == speaker]
    said: list[list[Clip]] = []
    length = LEAD + TRAIL
    while length < seconds:
        said.append([mine[each] for each in dice.integers(len(mine), size=dice.integers(digits[0], digits[1] + 1))])
        length += (
            sum(clip.samples.size for clip in said[-1]) / SAMPLE_RATE + len(said[-1]) * sum(GAP) / 2 + sum(PAUSE) / 2
        )
    return _joined(f"call {number} of {speaker}", said, dice)


def _parts(count: int, dice: np.random.Generator) -> list[int]:
    """So many things in parts of FEWEST to MOST."""
    parts: list[int] = []
    while (left := count - sum(parts)) > 0:
        fit = [part for part in range(FEWEST, MOST + 1) if left - part in (0, 4, 5, 6) or left - part >= 2 * FEWEST]
        parts.append(int(dice.choice(fit)))
    return parts


def _joined(name: str, said: Sequence[Sequence[Clip]], dice: np.random.Generator) -> DigitCall:
    parts, spans, at = [_silence(LEAD)], [], round(LEAD * SAMPLE_RATE)
    for string, chosen in enumerate(said):
        for number, clip in enumerate(chosen):
            if number or string:
                parts.append(_silence(dice.uniform(*(GAP if number else PAUSE))))
                at += parts[-1].size
            spans.append(Said(clip.word, at / SAMPLE_RATE, (at + clip.samples.size) / SAMPLE_RATE))
            parts.append(clip.samples)
            at += clip.samples.size
    clean = np.concatenate([*parts, _silence(TRAIL)])
    noisy = np.clip(clean + dice.normal(0, FLOOR, clean.size), -32_768, 32_767)
    return DigitCall(name, noisy.astype(np.int16), tuple(spans))


def _silence(seconds: Seconds) -> Audio:
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)
