"""How a window becomes what the decoder attends to: log-mel, the encoder, and silence where nothing was heard.

A CPU's encoder gains nothing from batches, but workers side by side do not hinder each other; a card's gains much.
"""

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.whisper.mel import HOP, log_mel
from voxfleet.errors import SettingsError
from voxfleet.speech import SAMPLE_RATE

if TYPE_CHECKING:
    from ctranslate2 import StorageView
    from ctranslate2.models import Whisper

PADDED, SILENCE_TAIL, HEARD = "padded", "silence_tail", "heard"
CONTEXTS = (PADDED, SILENCE_TAIL, HEARD)
MARGINS = {PADDED: 0, SILENCE_TAIL: 100, HEARD: 20}
"""Mel frames (10 ms) of silence that are encoded after the audio, where not all of the window is."""
STEP = 20
"""Mel frames to a multiple of which such a window is made up."""
HEARD_STEP = 150
"""Positions (3 s) to a multiple of which the silence behind what was heard is cut: only equally long ones share a batch."""

Encoded = NDArray[np.float32]
"""Shape (positions, hidden)."""


class Encoder:
    """The encoder of one model. Any thread may call it, as many at a time as the model has workers."""

    def __init__(self, model: "Whisper", source: int, context: str) -> None:
        """`source`: positions of a whole window. `context`: of CONTEXTS. Raises SettingsError for another."""
        if context not in CONTEXTS:
            raise SettingsError(f"encoder_context '{context}' is unknown; known: {', '.join(CONTEXTS)}")
        self._model, self._source, self._context = model, source, context
        self._silence: Encoded | None = None
        self._making = Lock()

    def frames(self, samples: int) -> int:
        """Mel frames that are encoded of a window with so many samples."""
        whole = 2 * self._source
        if self._context == PADDED:
            return whole
        heard = -(-samples // HOP) + MARGINS[self._context]
        return min(whole, -(-heard // STEP) * STEP)

    def positions(self, samples: int) -> int:
        """Encoder positions the decoder attends to, of a window with so many samples."""
        if self._context != HEARD:
            return self._source
        return min(self._source, -(-self.frames(samples) // (2 * HEARD_STEP)) * HEARD_STEP)

    def encode(self, windows: Sequence[NDArray[np.int16]]) -> list[Encoded]:
        """One call of the encoder, on windows for which `frames` is the same.

        Raises RuntimeError where CTranslate2 does.
        """
        frames = self.frames(len(windows[0]))
        mel = np.stack([log_mel(samples, self._model.n_mels, frames) for samples in windows])
        encoded = self._encoded(mel)
        whole = self.positions(len(windows[0]))
        if encoded.shape[1] == whole:
            return list(encoded)
        tail = self._tail()[encoded.shape[1] : whole]
        return [np.concatenate((each, tail)) for each in encoded]

    def _tail(self) -> Encoded:
        """A window of silence, encoded once."""
        with self._making:
            if self._silence is None:
                nothing = np.zeros(0, np.int16)
                self._silence = self._encoded(log_mel(nothing, self._model.n_mels, 2 * self._source)[None])[0]
            return self._silence

    def _encoded(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        from ctranslate2 import DataType

        view = self._model.encode(_view(mel), to_cpu=True)
        if view.dtype != DataType.float32:
            view = view.to(DataType.float32)
        return np.array(view)


def batch(encoded: Sequence[Encoded]) -> "StorageView":
    """Windows of one length, as CTranslate2 takes them."""
    return _view(np.stack(encoded))


def positions(samples: int) -> int:
    """Encoder positions, 20 ms each, that hold the audio of a window."""
    return -(-samples // (2 * HOP))


def seconds(samples: int) -> float:
    return samples / SAMPLE_RATE


def _view(array: NDArray[np.float32]) -> "StorageView":
    from ctranslate2 import StorageView

    return StorageView.from_array(np.ascontiguousarray(array))
