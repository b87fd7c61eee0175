"""How any sample rate becomes 16 kHz, and how long live audio may wait for it.

Measured: what is held back, and what is left of tones that should not be in the result. soxr HQ 37 ms from 48 kHz and
115 ms from 8 kHz, -115 dB; LQ 20 and 61 ms, -111 dB; QQ 0 ms, but it doesn't filter at all: 11 kHz in 48 kHz comes out
at full strength. So files take HQ, live audio takes LQ, and live telephony a half-band filter of our own: 2 ms, -65 dB
up to 3.4 kHz.
"""

from typing import Protocol

import numpy as np
import soxr

from voxfleet.audio.decode import Frames
from voxfleet.errors import BadValue
from voxfleet.speech import SAMPLE_RATE, Samples

_LOWEST, _HIGHEST = 4_000, 384_000


class Resampler:
    """One channel of one stream on its way to 16 kHz. Any split of the same samples gives the same result."""

    def __init__(self, source_rate: int, *, live: bool) -> None:
        """Raises BadValue for a rate no recording has."""
        _check(source_rate)
        self._stream: _Stream | None = None
        if live and source_rate * 2 == SAMPLE_RATE:
            self._stream = _Doubler()
        elif source_rate != SAMPLE_RATE:
            quality = "LQ" if live else "HQ"
            self._stream = soxr.ResampleStream(source_rate, SAMPLE_RATE, 1, dtype="float32", quality=quality)

    def feed(self, samples: Samples, last: bool = False) -> Samples:
        """What is ready of `samples` (n,) and those before them, at 16 kHz; all the rest where they are the `last`."""
        return samples if self._stream is None else self._stream.resample_chunk(samples, last=last)


class _Stream(Protocol):
    def resample_chunk(self, x: Samples, last: bool = False) -> Samples: ...


_SIDE = 16
"""Samples on either side that a sample in between is made of: 2 ms at 8 kHz."""


def _between() -> Samples:
    """The half-band filter at the points between samples: windowed sinc, flat to 3.5 kHz, of sum 1."""
    points = np.arange(-_SIDE, _SIDE) + 0.5
    taps = np.sinc(points) * np.kaiser(2 * _SIDE, 6.0)
    return np.asarray(taps / taps.sum(), np.float32)


class _Doubler:
    """Twice the rate: every sample, and the one between it and the next."""

    _TAPS = _between()

    def __init__(self) -> None:
        self._heard = np.zeros(_SIDE - 1, np.float32)

    def resample_chunk(self, x: Samples, last: bool = False) -> Samples:
        heard = np.concatenate([self._heard, x, np.zeros(_SIDE if last else 0, np.float32)])
        ready = len(heard) - 2 * _SIDE + 1
        if ready <= 0:
            self._heard = heard
            return np.empty(0, np.float32)
        self._heard = heard[ready:]
        doubled = np.empty((ready, 2), np.float32)
        doubled[:, 0] = heard[_SIDE - 1 : _SIDE - 1 + ready]
        doubled[:, 1] = np.convolve(heard, self._TAPS, "valid")
        return doubled.ravel()


def resample_file(samples: Frames, source_rate: int) -> Frames:
    """A whole recording (n,) or (n, channels) at 16 kHz, same shape otherwise. BadValue for a rate no file has."""
    _check(source_rate)
    if source_rate == SAMPLE_RATE or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, source_rate, SAMPLE_RATE, quality="HQ"), np.float32)


def _check(source_rate: int) -> None:
    if not _LOWEST <= source_rate <= _HIGHEST:
        raise BadValue("sample_rate", source_rate, f"between {_LOWEST} and {_HIGHEST} Hz")
