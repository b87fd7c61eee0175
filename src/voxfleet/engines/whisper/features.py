"""How windows become log-mel frames: on the device, a whole batch at a time, as if each were padded to thirty seconds.

The reference processor fills a window up with zeros and raises the quietest frames to a floor under its loudest one. What
was heard decides both, so only that is transformed; the frames after it are known beforehand.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from voxfleet.engines.whisper.mel import FLOOR, HOP, RANGE, WINDOW, filters


class LogMel(nn.Module):
    """Log-mel frames of many windows, equal to the reference processor's.

    Exact whatever is done to the model around it: the buffers keep their dtype under `.to(torch.bfloat16)`, autocast is
    off inside, and the one matrix product is made in float64 on a GPU, where TF32 can't reach it.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, mels: int) -> None:
        super().__init__()
        # The device is named, for these numbers must exist also while the model is built on the meta device.
        self.register_buffer("window", torch.hann_window(WINDOW, dtype=torch.float32, device="cpu"), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters(mels).T.copy()), persistent=False)

    def forward(self, audio: Tensor, lengths: Tensor, frames: int, whole: int = 3_000) -> Tensor:
        """The first `frames` frames of windows of `whole` frames: (B, mels, frames) float32.

        audio: (B, n) float32, full scale ±1; row b counts up to lengths[b] (int64), what lies behind doesn't matter.
        """
        with torch.autocast(audio.device.type, enabled=False):
            return self._frames(audio, lengths, frames, whole)

    def _frames(self, audio: Tensor, lengths: Tensor, frames: int, whole: int) -> Tensor:
        # Frames that anything of the audio can be heard in.
        width = min(whole, -(-(audio.shape[1] + WINDOW // 2) // HOP))
        audio = audio[:, : whole * HOP]
        heard = torch.arange(audio.shape[1], device=audio.device) < lengths[:, None]
        audio = torch.where(heard, audio, torch.zeros((), dtype=audio.dtype, device=audio.device))
        # To the end of the last frame, or to that of the window, behind which it is mirrored.
        reach = min(whole * HOP, width * HOP + WINDOW // 2)
        audio = nn.functional.pad(audio, (0, reach - audio.shape[1]))
        behind = WINDOW // 2 if reach == whole * HOP else 0
        audio = nn.functional.pad(audio[:, None], (WINDOW // 2, behind), mode="reflect")[:, 0]
        spectrum = torch.view_as_real(torch.fft.rfft(audio.unfold(1, WINDOW, HOP)[:, :width] * self.window))
        power = spectrum.square().sum(-1).to(self.filters.dtype)
        logs = (power @ self.filters).float().clamp_min(FLOOR).log10()
        silence = torch.full((), FLOOR, dtype=torch.float32, device=audio.device).log10()
        loudest = torch.maximum(logs.amax((1, 2), keepdim=True), silence)
        logs = nn.functional.pad(logs[:, :frames], (0, 0, 0, max(0, frames - width)), value=-10.0)
        return ((torch.maximum(logs, loudest - RANGE) + 4.0) / 4.0).transpose(1, 2)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LogMel":  # noqa: ARG002 - no children
        """The buffers follow the model to its device, never to its dtype."""
        device = fn(self.window).device
        self.window = self.window.to(device)
        self.filters = self.filters.to(device, torch.float64 if device.type == "cuda" else torch.float32)
        return self
