"""Sound that stands in for speech where no recordings are given: phrases whose beginnings and ends are known exactly.

A source and a filter: the harmonics of a moving pitch, weighted by the formants of one vowel after another, with a
hiss between the vowels. There are no words in it, so nothing can be said of accuracy; but it is loud from the first
sample of a phrase to the last, and Silero takes it for speech (all of it on a clean line, three quarters of it behind
µ-law and babble at 10 dB): whatever waits for a voice is set to work, and the end of speech is known exactly.
"""

import numpy as np
from numpy.typing import NDArray

from voxfleet.evaluation.sound.noise import SPEECH_LEVEL, rms
from voxfleet.evaluation.sound.spans import Span
from voxfleet.speech import Samples, Seconds

COMFORT_LEVEL = -66.0
"""dB of full scale of the silence of a good line: 16 of 32,768."""

_VOWELS = np.array(
    [
        (730, 1090, 2440),
        (270, 2290, 3010),
        (300, 870, 2240),
        (530, 1840, 2480),
        (570, 840, 2410),
        (660, 1720, 2410),
        (490, 1350, 1690),
    ],
    float,
)
"""Hz of three formants each: Peterson & Barney, JASA 1952, men."""
_FORMANTS = ((1.0, 60.0), (0.5, 80.0), (0.25, 120.0))
"""Strength and half width in Hz of each formant."""
_PITCH = (90.0, 150.0)
_HIGHEST = 3800.0
_SYLLABLES = 5.0
_PHRASE, _PAUSE = (0.5, 2.0), (0.15, 0.5)


def comfort_noise(count: int, dice: np.random.Generator) -> Samples:
    """What a quiet line sounds like: a hiss hardly above nothing."""
    return dice.standard_normal(count, np.float32) * np.float32(10 ** (COMFORT_LEVEL / 20))


def phrases(rate: int, seconds: Seconds, dice: np.random.Generator) -> tuple[Samples, list[Span]]:
    """At least `seconds` of phrases with pauses between, ending with a phrase; where they are, exact to the sample."""
    parts: list[Samples] = []
    spans: list[Span] = []
    at = 0
    while at < seconds * rate:
        if parts:
            parts.append(comfort_noise(round(rate * dice.uniform(*_PAUSE)), dice))
            at += len(parts[-1])
        parts.append(voice(round(rate * dice.uniform(*_PHRASE)), rate, dice))
        spans.append((at / rate, (at + len(parts[-1])) / rate))
        at += len(parts[-1])
    return np.concatenate(parts), spans


def voice(count: int, rate: int, dice: np.random.Generator) -> Samples:
    """`count` samples of something like a voice at `SPEECH_LEVEL`, syllable after syllable without a pause."""
    at = np.arange(count) / rate
    knots = np.linspace(0.0, count / rate, max(round(count / rate * _SYLLABLES), 1) + 1)
    pitch = dice.uniform(*_PITCH) * np.interp(at, knots, dice.uniform(0.8, 1.25, len(knots)))
    between = np.sin(np.pi * (at / knots[1] % 1.0))
    vowels = _harmonics(pitch, knots, rate, dice) * (1.0 - 0.85 * between**4)
    hiss = np.diff(dice.standard_normal(count + 1)) * (0.03 + 0.3 * between**8) / np.sqrt(2.0)
    sound: Samples = np.asarray(vowels / np.sqrt(np.mean(vowels**2)) + hiss, np.float32)
    return np.asarray(sound * (10 ** (SPEECH_LEVEL / 20) / rms(sound)), np.float32)


def speech_shaped(count: int, rate: int, dice: np.random.Generator) -> Samples:
    """Noise with the long-term spectrum of speech, of RMS 1: no voice in it.

    (Byrne et al., JASA 1994, roughly: flat from 100 to 500 Hz, then falling by 9 dB an octave.)
    """
    spectrum = np.fft.rfft(dice.standard_normal(count, np.float32))
    hertz = np.fft.rfftfreq(count, 1 / rate)
    shape = np.minimum(hertz / 100.0, 1.0) ** 2 * np.maximum(hertz / 500.0, 1.0) ** -1.5
    sound: Samples = np.asarray(np.fft.irfft(spectrum * shape, count), np.float32)
    return np.asarray(sound / max(rms(sound), 1e-9), np.float32)


def _harmonics(
    pitch: NDArray[np.float64], knots: NDArray[np.float64], rate: int, dice: np.random.Generator
) -> NDArray[np.float64]:
    """The voiced part: every multiple of the pitch below `_HIGHEST`, as loud as the formants around it make it.

    Loudness is worked out every 10 ms and drawn straight in between.
    """
    every = np.arange(0, len(pitch), rate // 100)
    vowels = _VOWELS[dice.integers(len(_VOWELS), size=len(knots))] * dice.uniform(0.9, 1.15)
    formants = [np.interp(every / rate, knots, vowels[:, each]) for each in range(len(_FORMANTS))]
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = np.zeros(len(pitch))
    for number in range(1, int(_HIGHEST / pitch.min()) + 1):
        hertz = number * pitch[every]
        loud = np.zeros(len(every))
        for (strength, width), formant in zip(_FORMANTS, formants, strict=True):
            loud += strength / (1 + ((hertz - formant) / width) ** 2)
        loud *= hertz < _HIGHEST
        sound += np.interp(np.arange(len(pitch)), every, loud) * np.sin(number * phase)
    return sound
