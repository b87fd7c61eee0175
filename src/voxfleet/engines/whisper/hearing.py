"""From windows of audio to what the decoder attends to: samples to the device, frames, the encoder, in batches of one length.

`padded` encodes thirty seconds of every window, as the network was trained. `silence_tail` encodes what was heard and a
margin, and takes the rest from an encoding of silence: several times cheaper, and right only as far as evaluation says.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.engines.whisper.features import LogMel
from voxfleet.engines.whisper.mel import HOP
from voxfleet.engines.whisper.model import Whisper
from voxfleet.errors import SettingsError, nearest
from voxfleet.speech import SAMPLE_RATE

PADDED, SILENCE_TAIL = CONTEXTS = ("padded", "silence_tail")
MARGIN_SECONDS = 1.0
"""Of silence encoded behind the audio."""
BUCKET_SECONDS = 2.0
"""Lengths that are encoded are whole multiples of it, so that windows of about the same length go together."""
POSITION = 2 * HOP
"""Samples of an encoder position."""


class Hearing:
    """The encoder at work. Owned by one thread."""

    def __init__(self, model: Whisper, device: torch.device, context: str = PADDED) -> None:
        """Raises SettingsError for an unknown context."""
        if context not in CONTEXTS:
            raise SettingsError(
                f"encoder_context '{context}' is unknown{nearest(context, CONTEXTS)}; known: {', '.join(CONTEXTS)}"
            )
        self.context = context
        self.samples = model.shape.source * POSITION
        """Of the longest window."""
        self._model, self._device = model, device
        self._mel = LogMel(model.shape.mels).to(device)
        self.silence: list[tuple[Tensor, Tensor]] = []
        """Keys and values per layer of the decoder, (t, d) each, of a window of silence; none where it isn't needed."""
        if context == SILENCE_TAIL:
            with torch.inference_mode():
                encoded = self.encode([np.zeros(0, np.int16)], model.shape.source)
                layers = range(model.shape.decoder_layers)
                found = (model.keys_and_values(layer, encoded) for layer in layers)
                self.silence = [(keys[0].clone(), values[0].clone()) for keys, values in found]

    def positions(self, samples: int) -> int:
        """Encoder positions that a window of so many samples is encoded with."""
        if self.context == PADDED:
            return self._model.shape.source
        bucket = round(BUCKET_SECONDS * SAMPLE_RATE)
        wanted = samples + round(MARGIN_SECONDS * SAMPLE_RATE)
        return min(self._model.shape.source, -(-wanted // bucket) * bucket // POSITION)

    def encode(self, windows: Sequence[NDArray[np.int16]], positions: int) -> Tensor:
        """The first positions of each: (b, positions, d)."""
        longest = max(1, *(len(samples) for samples in windows))
        sent = np.zeros((len(windows), longest), np.int16)
        for row, samples in zip(sent, windows, strict=True):
            row[: len(samples)] = samples
        audio = self._to_device(sent).float() / 32_768
        lengths = self._to_device(np.array([len(samples) for samples in windows], np.int64))
        mel_bft = self._mel(audio, lengths, 2 * positions, 2 * self._model.shape.source)
        encoded_btd: Tensor = self._model.encoder(mel_bft.to(self._model.dtype))
        return encoded_btd

    def _to_device(self, numbers: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(numbers)
        return tensor if self._device.type == "cpu" else tensor.pin_memory().to(self._device, non_blocking=True)
