"""Which speech the little digits model hears while it learns: strings of spoken digits, and how they are worn down.

A string is assembled from single spoken digits (recordings and synthetic voices), so the span of every digit in it is
known to the sample. Everything here is numpy at 16 kHz, driven by one random generator, and repeatable from its seed.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

RATE = 16_000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOICES = ("slt", "rms", "awb", "kal16", "kal")

COUNTS = (0.16, 0.16, 0.16, 0.15, 0.14, 0.11, 0.07, 0.05)  # how often a string has one digit, two, ... eight

Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One spoken digit, cut to the speech; ``rate`` is its own sample rate in hertz."""

    digit: int
    speaker: str
    rate: int
    samples: Audio


@dataclass(frozen=True, slots=True)
class Utterance:
    """A string of digits at 16 kHz; ``spans`` are (digit, first second, last second)."""

    samples: Audio
    spans: tuple[tuple[int, float, float], ...]


def read_wave(path: Path) -> tuple[Audio, int]:
    """Samples of a mono 16-bit wave file in -1..1, and its rate in hertz."""
    with wave.open(str(path)) as source:
        assert source.getsampwidth() == 2
        assert source.getnchannels() == 1
        raw = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
        return raw.astype(np.float32) / np.float32(32768), source.getframerate()


def recordings(table: Path, folder: Path, hold_out: Iterable[str] = (), prefix: str = "") -> list[Clip]:
    """The single digits a table of audio files names (`0_george_10.wav`: digit, speaker, take), less those held out."""
    clips = []
    with table.open() as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if not row["file"].startswith(prefix):
                continue
            digit, speaker, _ = Path(row["file"]).stem.split("_")
            if speaker not in hold_out:
                samples, rate = read_wave(folder / row["file"])
                clips.append(Clip(int(digit), speaker, rate, samples))
    return clips


def cut(samples: Audio, rate: int) -> Audio:
    """The part of a recording that is louder than 35 dB below its loudest 10 ms, with 20 ms on either side."""
    hop = rate // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    level = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (-35 / 20))
    return samples[max(0, (int(loud[0]) - 2) * hop) : (int(loud[-1]) + 3) * hop]


def synthetic(
    stretches: Iterable[float] = (0.75, 0.95, 1.2), pitches: Iterable[float] = (0.85, 1.0, 1.2)
) -> list[Clip]:
    """Each digit spoken alone by each `flite` voice, at several speeds and pitches."""
    means = {"slt": 170, "rms": 95, "awb": 130, "kal16": 105, "kal": 105}
    clips = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "digit.wav"
        for voice in VOICES:
            for stretch, pitch in zip(stretches, pitches, strict=True):
                for digit, word in enumerate(WORDS):
                    options = [f"duration_stretch={stretch}", f"int_f0_target_mean={means[voice] * pitch:.0f}"]
                    command = ["flite", "-voice", voice, "-t", word, "-o", str(path)]
                    subprocess.run([*command, "--setf", options[0], "--setf", options[1]], check=True)
                    samples, rate = read_wave(path)
                    clips.append(Clip(digit, f"flite-{voice}", rate, cut(samples, rate)))
    return clips


class Speech:
    """Draws utterances without end from single digits; the same seed draws the same ones."""

    def __init__(self, clips: list[Clip], seed: int, synthetic_share: float = 0.2) -> None:
        self._random = np.random.default_rng(seed)
        self._noises = noises(self._random)
        self._by_speaker: dict[str, list[list[Clip]]] = {}
        for clip in clips:
            self._by_speaker.setdefault(clip.speaker, [[] for _ in WORDS])[clip.digit].append(clip)
        self._people = [name for name in self._by_speaker if not name.startswith("flite-")]
        self._voices = [name for name in self._by_speaker if name.startswith("flite-")]
        self._synthetic_share = synthetic_share if self._voices else 0.0

    def draw(self) -> Utterance:
        """One utterance: none to eight digits, worn down by speed, room, line, noise and level."""
        random = self._random
        count = 0 if random.random() < 0.08 else int(random.choice(8, p=COUNTS)) + 1
        samples, spans = self._assemble(count)
        if count and random.random() < 0.75:
            samples = self._colour(samples)
        samples = self._noise(samples, heard=count > 0)
        samples = samples * np.float32(10 ** (random.uniform(-20, 3) / 20))
        if random.random() < 0.25:
            samples = mu_law(samples)
        return Utterance(np.clip(samples, -1, 1).astype(np.float32), spans)

    def _assemble(self, count: int) -> tuple[Audio, tuple[tuple[int, float, float], ...]]:
        random = self._random
        lead, trail = self._edge(0.3), self._edge(0.5)
        if not count:
            return np.zeros(int((lead + trail + random.uniform(0, 3)) * RATE), np.float32), ()
        mixed = random.random() < 0.3
        speaker = self._speaker()
        pace = random.uniform(0.85, 1.15) if random.random() < 0.8 else random.uniform(0.75, 1.3)
        close = random.random()
        widest = 0.0 if close < 0.2 else 0.1 if close < 0.4 else 0.3 if close < 0.75 else 0.6
        spoken: list[tuple[int, int, Audio]] = []
        at = int(lead * RATE)
        for _ in range(count):
            again = bool(spoken) and random.random() < 0.08  # the same digit twice is what is heard as one
            digit = spoken[-1][0] if again else int(random.integers(10))
            takes = self._by_speaker[self._speaker() if mixed else speaker][digit]
            take = takes[int(random.integers(len(takes)))]
            speed = pace * random.uniform(0.95, 1.05)
            word = soxr.resample(take.samples, take.rate * speed, RATE, quality="LQ").astype(np.float32)
            word *= np.float32(10 ** (random.uniform(-4, 4) / 20))
            edge = min(len(word) // 4, 80)
            word[:edge] *= np.linspace(0, 1, edge, dtype=np.float32)
            word[-edge:] *= np.linspace(1, 0, edge, dtype=np.float32)
            spoken.append((digit, at, word))
            overlap = int(random.uniform(0, 0.03) * RATE) if random.random() < 0.15 else 0
            at += len(word) + (int(random.uniform(0, widest) * RATE) if not overlap else -min(overlap, len(word) // 4))
        end = spoken[-1][1] + len(spoken[-1][2])
        samples = np.zeros(end + int(trail * RATE), np.float32)
        for _, start, word in spoken:
            samples[start : start + len(word)] += word
        return samples, tuple((digit, start / RATE, (start + len(word)) / RATE) for digit, start, word in spoken)

    def _edge(self, usual: float) -> float:
        random = self._random
        return float(random.uniform(usual - 0.1, usual + 0.1) if random.random() < 0.6 else random.uniform(0.05, 0.8))

    def _speaker(self) -> str:
        random = self._random
        names = self._voices if random.random() < self._synthetic_share else self._people
        return names[int(random.integers(len(names)))]

    def _colour(self, samples: Audio) -> Audio:
        """Another microphone, room and line: spectral tilt, a smooth equaliser, echoes and a band limit, in one pass."""
        random = self._random
        size = -(-(len(samples) + RATE // 4) // 2048) * 2048
        spectrum = np.fft.rfft(samples, size)
        hertz = np.linspace(0, RATE / 2, len(spectrum))
        octave = np.log2((hertz + 60) / 1000)
        decibel = random.uniform(-3, 3) * octave
        decibel += np.interp(octave, np.linspace(-4, 3, 8), random.normal(0, 3, 8))
        if random.random() < 0.7:
            decibel -= np.clip((hertz - random.uniform(3300, 4000)) / 10, 0, 70)
        if random.random() < 0.25:
            decibel -= np.clip((random.uniform(150, 350) - hertz) / 8, 0, 30)
        spectrum *= 10 ** (decibel / 20)
        if random.random() < 0.25:
            length = int(random.uniform(0.05, 0.25) * RATE)
            room = random.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
            room *= random.uniform(0.1, 0.5) / np.sqrt((room**2).sum())
            room[0] = 1.0
            spectrum *= np.fft.rfft(room, size)
        coloured: Audio = np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
        loudness = np.sqrt((samples**2).sum() / max(float((coloured**2).sum()), 1e-9))
        coloured *= np.float32(loudness)
        return coloured

    def _noise(self, samples: Audio, heard: bool) -> Audio:
        """Background noise 10 to 40 dB below the speech in most strings, digital silence between words in the others."""
        random = self._random
        if random.random() < 0.4:
            return samples
        if heard:
            level = float(np.sqrt((samples**2).sum() / max(int((np.abs(samples) > 1e-4).sum()), 1)))
            level *= 10 ** (-(random.uniform(10, 40) if random.random() < 0.7 else random.uniform(40, 65)) / 20)
        else:
            level = 10 ** (-random.uniform(5, 60) / 20)
        bank = self._noises[int(random.integers(len(self._noises)))]
        start = int(random.integers(len(bank) - len(samples)))
        noise = bank[start : start + len(samples)].copy()
        noise *= np.float32(level / np.sqrt((noise**2).mean() + 1e-12))
        return samples + noise


def noises(random: np.random.Generator, count: int = 40, seconds: int = 40) -> list[Audio]:
    """Long stretches of noise: white to brown, full band or telephone band, and mains hum; cut from at random."""
    bank = []
    size = seconds * RATE
    hertz = np.linspace(0, RATE / 2, size // 2 + 1)
    for i in range(count):
        noise = random.standard_normal(size)
        if i % 5 == 0:
            tones = random.choice((50.0, 60.0)) * np.arange(1, 8)
            phases = 2 * np.pi * np.outer(np.arange(size) / RATE, tones) + random.uniform(0, 6.3, 7)
            noise = noise * 0.05 + (np.sin(phases) * random.uniform(0, 1, 7) / np.arange(1, 8)).sum(axis=1)
        else:
            limit = random.uniform(3400, 4000) if i % 2 else RATE
            shape = (hertz + 30) ** -random.uniform(0, 1.3) * 10 ** (-np.clip((hertz - limit) / 200, 0, 3.5))
            noise = np.fft.irfft(np.fft.rfft(noise) * shape, size)
        bank.append((noise / noise.std()).astype(np.float32))
    return bank


def mu_law(samples: Audio) -> Audio:
    """What a telephone line's eight bits per sample (G.711 µ-law) leave of it."""
    squeezed = np.sign(samples) * np.log1p(255 * np.minimum(np.abs(samples), 1)) / np.log(256)
    coarse = np.round(squeezed * 127) / 127
    worn: Audio = (np.sign(coarse) * np.expm1(np.abs(coarse) * np.log(256)) / 255).astype(np.float32)
    return worn


def joined(
    clips: list[Clip],
    seed: int,
    lead: float = 0.3,
    trail: float = 0.5,
    gaps: tuple[float, float] = (0.05, 0.35),
    lengths: tuple[int, int] = (4, 6),
    repeats: int = 3,
) -> list[Utterance]:
    """Clean strings of 4 to 6 digits in which every clip is heard `repeats` times: what the model is measured on."""
    random = np.random.default_rng(seed)
    order = [int(i) for _ in range(repeats) for i in random.permutation(len(clips))]
    strings = []
    while order:
        parts, spans, at = [np.zeros(int(lead * RATE), np.float32)], [], lead
        for _ in range(int(random.integers(lengths[0], lengths[1] + 1))):
            if not order:
                break
            clip = clips[order.pop()]
            word = soxr.resample(clip.samples, clip.rate, RATE, quality="HQ").astype(np.float32)
            gap = np.zeros(int(random.uniform(*gaps) * RATE), np.float32)
            spans.append((clip.digit, at, at + len(word) / RATE))
            at += (len(word) + len(gap)) / RATE
            parts += [word, gap]
        strings.append(Utterance(np.concatenate([*parts, np.zeros(int(trail * RATE), np.float32)]), tuple(spans)))
    return strings
