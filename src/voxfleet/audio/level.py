"""Speech by loudness alone: any sound above a fixed level counts. For clean lines, tiny machines and measurements.

It costs almost nothing and can't tell a voice from a door: noise becomes turns.
"""

import numpy as np

from voxfleet.audio.silero import Floats, Rows

SPEECH_LEVEL = 10 ** (-45 / 20)
"""RMS of full scale; a quiet voice on a telephone line is 15 dB above it."""


class LevelListener:
    """A Listener without a model and without state."""

    def hear(self, frames: Floats, counts: Rows, rows: Rows, sample_rate: int) -> Floats:  # noqa: ARG002 - the port's
        """1 for frames above the level, 0 for the others; shapes as in Listener."""
        power = np.einsum("nks,nks->nk", frames, frames) / frames.shape[2]
        loud: Floats = (power > SPEECH_LEVEL**2).astype(np.float32)
        return loud

    def reset(self, row: int) -> None:
        """Nothing is remembered."""
