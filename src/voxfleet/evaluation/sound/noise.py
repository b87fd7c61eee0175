"""Noise, and how much of it: white, pink and babble, mixed to a signal-to-noise ratio that means one thing.

The ratio is that of the power inside the spans of speech: pauses don't count, or a recording with long ones would
get less noise than its label says. Everything is float32 mono and follows from the seed.
"""

from collections.abc import Sequence

import numpy as np

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.sound.spans import Span, cut_out
from voxfleet.speech import Samples

KINDS = ("white", "pink", "babble")
SPEECH_LEVEL = -26.0
"""dB of full scale (RMS inside the spans) that speech is brought to before noise is added: the level of ITU-T P.56
that codec tests use. So the noise of a line is equally loud in every clip, and in the silence between them."""

_TALKERS = 6
_LOWEST = 20.0
"""Hz below which pink noise has nothing: equal power in every octave would go on for ever."""


def noise(kind: str, count: int, rate: int, dice: np.random.Generator, voices: Sequence[Samples] = ()) -> Samples:
    """`count` samples of noise of RMS 1. `voices` are what babble is made of: speech without its pauses.

    Raises BadOption for an unknown kind, and for babble without voices.
    """
    match kind:
        case "white":
            made = dice.standard_normal(count, np.float32)
        case "pink":
            made = _pink(count, rate, dice)
        case "babble":
            made = _babble(count, dice, voices)
        case _:
            raise BadOption("--noise", kind, "one of " + ", ".join(KINDS))
    return made * np.float32(1 / max(rms(made), 1e-9))


def rms(samples: Samples) -> float:
    """Root of the mean square; 0 for no samples."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def decibels(amplitude: float) -> float:
    """dB of full scale; -200 for nothing."""
    return float(20 * np.log10(max(amplitude, 1e-10)))


def leveled(samples: Samples, rate: int, spans: Sequence[Span]) -> Samples:
    """The samples with the speech in them at `SPEECH_LEVEL`; as they are where there is none."""
    level = rms(cut_out(samples, rate, spans))
    return samples * np.float32(10 ** (SPEECH_LEVEL / 20) / level) if level > 1e-6 else samples


def mixed(samples: Samples, sound: Samples, rate: int, spans: Sequence[Span], snr_db: float) -> Samples:
    """Samples plus a noise of the same length, so loud that the ratio inside the spans is `snr_db`.

    Samples without spans are the silence of a call whose speech is at `SPEECH_LEVEL`.
    """
    speech, against = cut_out(samples, rate, spans), cut_out(sound, rate, spans)
    if rms(speech) > 1e-6 and rms(against) > 1e-9:
        gain = rms(speech) / rms(against) * 10 ** (-snr_db / 20)
    else:
        gain = 10 ** ((SPEECH_LEVEL - snr_db) / 20) / max(rms(sound), 1e-9)
    return samples + sound * np.float32(gain)


def _pink(count: int, rate: int, dice: np.random.Generator) -> Samples:
    """Power falling with 1/f, 3 dB an octave, shaped in the spectrum."""
    spectrum = np.fft.rfft(dice.standard_normal(count, np.float32))
    hertz = np.fft.rfftfreq(count, 1 / rate)
    shaped = spectrum / np.sqrt(np.maximum(hertz, _LOWEST))
    shaped[hertz < _LOWEST] = 0.0
    return np.asarray(np.fft.irfft(shaped, count), np.float32)


def _babble(count: int, dice: np.random.Generator, voices: Sequence[Samples]) -> Samples:
    """Several people talking at once, each without pauses and equally loud, each starting in the middle of something."""
    usable = [voice for voice in voices if len(voice) and rms(voice) > 1e-6]
    if not usable:
        raise BadOption("--noise", "babble", "white or pink where there is no other recording to make babble of")
    crowd = np.zeros(count, np.float32)
    for _ in range(_TALKERS):
        at = 0
        while at < count:
            voice = usable[int(dice.integers(len(usable)))]
            begin = int(dice.integers(len(voice))) if at == 0 else 0
            part = voice[begin : begin + count - at]
            crowd[at : at + len(part)] += part * np.float32(1 / rms(voice))
            at += len(part)
    return crowd
