"""What Whisper hears: log-mel frames as the reference feature extractor computes them, for as much as there is to hear.

The window is padded with silence, whose frames are all alike, so only frames that touch the sound are computed.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from voxfleet.speech import SAMPLE_RATE

WINDOW = 400
"""Samples a frame looks at, centred on its own time."""
HOP = 160
FLOOR = 1e-10
RANGE = 8.0
"""Decades below the loudest value of the window at which all is silence."""


def log_mel(samples: NDArray[np.int16] | NDArray[np.float32], mels: int, frames: int) -> NDArray[np.float32]:
    """Shape (mels, frames), of a window of `frames` * 160 samples that begins with these (16 kHz, -1..1 if float).

    The sound must fit into the window.
    """
    count, padding = len(samples), WINDOW // 2
    assert count <= frames * HOP, f"{count} samples in a window of {frames} frames"
    heard = min(frames, -(-(count + padding) // HOP))
    sound = np.zeros((heard - 1) * HOP + WINDOW if heard else 0, np.float32)
    inner = sound[padding : padding + count]
    np.multiply(samples[: len(inner)], 1 / 32768 if samples.dtype == np.int16 else 1.0, out=inner, casting="unsafe")
    _reflect(sound, frames * HOP, padding)
    logarithms = np.full((mels, frames), np.log10(np.float32(FLOOR)), np.float32)
    if heard:
        framed = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
        spectrum = np.fft.rfft(framed * _window(), axis=1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        np.log10(np.maximum(filters(mels) @ power.T, FLOOR), out=logarithms[:, :heard])
    np.maximum(logarithms, logarithms.max(initial=-np.inf) - np.float32(RANGE), out=logarithms)
    logarithms += 4.0
    logarithms /= 4.0
    return logarithms


def _reflect(sound: NDArray[np.float32], whole: int, padding: int) -> None:
    """Both ends of the window are mirrored in its first and last sample; at the end that matters to a full one only."""
    head = sound[padding + 1 : 2 * padding + 1][::-1]
    sound[padding - len(head) : padding] = head
    over = len(sound) - padding - whole
    if over > 0:
        last = padding + whole - 1
        sound[last + 1 : last + 1 + over] = sound[last - over : last][::-1]


@cache
def _window() -> NDArray[np.float32]:
    """Periodic Hann."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear to 1 kHz, logarithmic above."""
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1000) / 1000) * 27 / np.log(6.4))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@cache
def filters(mels: int) -> NDArray[np.float32]:
    """Triangles on the mel scale from 0 to 8 kHz, each of area 1; shape (mels, 201)."""
    bins = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    edges = _hertz(np.linspace(0, float(_mel(np.array(SAMPLE_RATE / 2))), mels + 2))
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    return (np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)).astype(np.float32)
