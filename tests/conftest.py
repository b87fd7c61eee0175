"""Small recordings that tests of several rooms use."""

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
"""A property holds however long an example takes on a machine that is busy with something else."""


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A second of stereo 16 kHz audio without speech."""
    path = tmp_path / "tone.wav"
    phase = np.arange(16_000) * 2 * np.pi * 440 / 16_000
    samples = np.repeat((np.sin(phase) * 3_000).astype("<i2")[:, None], 2, axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path
