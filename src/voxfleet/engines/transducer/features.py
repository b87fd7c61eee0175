"""How audio becomes log-mel frames: on the device, for a whole batch, and for any stretch of a stream as if offline.

A mel frame is centred on sample `hop * t` and reaches half a window to either side, so a stretch of frames needs only
its own samples: nothing is carried from one step to the next, and a row never sees another row. What lies before the
stream or past its end is silence *after* pre-emphasis, which is how the reference processor pads one offline pass.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxfleet.engines.transducer.layout import FeatureShape

GUARD = 2.0**-24
"""Added before the logarithm: a silent frame is log(2**-24) in every mel."""

ENDLESS = 2**62
"""The `limit` of a stream whose end isn't known yet."""


class LogMel(nn.Module):
    """Log-mel frames of many streams at once, equal to the reference processor's single pass over each stream.

    Exact whatever is done to the model around it: the buffers aren't part of a checkpoint and keep their dtype under
    `.to(torch.bfloat16)`, autocast is off inside, and TF32 can't reach the one matrix product, for on a GPU it is made
    in float64, of which no reduced form exists. Shapes follow from those of the arguments and nothing is read back,
    so a CUDA graph can hold it (after one call outside of it for each shape: cuFFT plans are made then).
    """

    window: Tensor
    filters: Tensor
    zero: Tensor

    def __init__(self, shape: FeatureShape) -> None:
        super().__init__()
        self.shape = shape
        left = (shape.n_fft - shape.window) // 2
        self._margins = left, shape.n_fft - shape.window - left
        self.reach = shape.n_fft // 2 - left + 1
        """Samples needed before the one a frame is centred on: half a window, and one for pre-emphasis."""
        # The device is named, for these numbers must exist also while the model is built on the meta device.
        taper = torch.hann_window(shape.window, periodic=False, dtype=torch.float32, device="cpu")
        bank = torch.from_numpy(mel_filters(shape.sample_rate, shape.n_fft, shape.mels))
        rounded: torch.dtype = getattr(torch, shape.filter_dtype)
        taper = nn.functional.pad(taper.to(rounded).float(), self._margins)
        self.register_buffer("window", taper, persistent=False)
        self.register_buffer("filters", bank.to(rounded).float(), persistent=False)
        self.register_buffer("zero", torch.zeros((), dtype=torch.float32, device="cpu"), persistent=False)

    def samples(self, frames: int) -> int:
        """How many samples of a row make so many frames."""
        return self.shape.hop * (frames - 1) + self.shape.window + 1

    def forward(self, audio: Tensor, first: Tensor, limit: Tensor) -> Tensor:
        """Mel frames `first[b]`, `first[b] + 1`, ... of the streams whose samples are given.

        audio: (rows, samples(frames)) float32, full scale ±1; row b begins at stream position
        `hop * first[b] - reach`. first: (rows,) int64, in mel frames. limit: (rows,) int64, samples of the stream, or
        ENDLESS. Returns (rows, frames, mels) float32; frames before the stream, and those from `limit // hop` on, are
        exactly 0. What `audio` holds outside of the stream doesn't matter.
        """
        more, rest = divmod(audio.shape[1] - self.samples(1), self.shape.hop)
        if more < 0 or rest:
            raise ValueError(f"{audio.shape[1]} samples a row are no whole number of mel frames")
        with torch.autocast(audio.device.type, enabled=False):
            return self._frames(audio, first[:, None], limit[:, None], more + 1)

    def _frames(self, audio: Tensor, first: Tensor, limit: Tensor, frames: int) -> Tensor:
        hop = self.shape.hop
        offsets = torch.arange(-self.reach, audio.shape[1] - self.reach, device=audio.device)
        position = torch.add(offsets, first, alpha=hop)
        begun = position >= 0
        heard = torch.where(begun, audio, self.zero)
        # Product and difference are rounded one by one, as in the reference: beside loud audio, the quietest mels
        # show it when they aren't.
        sharp = heard[:, 1:] - self.shape.preemphasis * heard[:, :-1]
        sharp = nn.functional.pad(torch.where(position[:, 1:] < limit, sharp, self.zero), self._margins)
        spectrum = torch.view_as_real(torch.fft.rfft(sharp.unfold(1, self.shape.n_fft, hop) * self.window))
        real, imaginary = spectrum[..., 0], spectrum[..., 1]
        power = torch.addcmul(real.square(), imaginary, imaginary)
        mels = torch.log((power.to(self.filters.dtype) @ self.filters).float() + GUARD)
        centre = slice(self.reach, self.reach + hop * (frames - 1) + 1, hop)
        counted = begun[:, centre] & (position[:, centre] <= limit - hop)
        return torch.where(counted[:, :, None], mels, self.zero)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LogMel":  # noqa: ARG002 - no children
        """The buffers follow the model to its device, never to its dtype."""
        device = fn(self.window).device
        self.window, self.zero = self.window.to(device), self.zero.to(device)
        self.filters = self.filters.to(device, torch.float64 if device.type == "cuda" else torch.float32)
        return self


def mel_filters(sample_rate: int, n_fft: int, mels: int) -> NDArray[np.float32]:
    """Slaney's triangular filters of equal area, from 0 Hz to half the sample rate: (n_fft // 2 + 1, mels).

    The mel scale is that of M. Slaney's Auditory Toolbox (1998): linear to 1 kHz with 3 mels per 200 Hz, then 27 mels
    per factor of 6.4. Rounded to float32 before and after the division by the area, as librosa does.
    """
    top = sample_rate / 2
    edges = _hertz(np.linspace(0.0, _mel(top), mels + 2))
    bins = np.linspace(0.0, top, n_fft // 2 + 1)[:, None]
    widths = np.diff(edges)
    rising, falling = (bins - edges[:-2]) / widths[:-1], (edges[2:] - bins) / widths[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))).astype(np.float32)


def _mel(hertz: float) -> float:
    return 3 * hertz / 200 if hertz < 1_000 else 15 + 27 * float(np.log(hertz / 1_000) / np.log(6.4))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, 200 * mel / 3, 1_000 * np.exp((mel - 15) * (np.log(6.4) / 27)))
