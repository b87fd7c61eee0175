"""Speech for tests: a flite voice where it is installed, and the shared recordings where they are."""

import shutil
import subprocess
import wave
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

SHARED = Path(__file__).parents[2] / "shared" / "audio"


def shared(name: str) -> Path:
    """A file of the shared recordings; skips where they are absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the shared recordings are not here: {path.name}")
    return path


@cache
def spoken(text: str, voice: str = "slt") -> NDArray[np.int16]:
    """The text spoken by flite, 16 kHz mono; skips where flite is not installed (apt-get install flite)."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed")
    path = Path("/tmp") / f"voxfleet-flite-{abs(hash((text, voice)))}.wav"
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        assert file.getframerate() == 16_000
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    path.unlink()
    return samples


def padded(speech: NDArray[np.int16], before: float = 0.3, after: float = 1.0) -> NDArray[np.int16]:
    """The speech with silence around it, seconds."""
    quiet = np.random.default_rng(1).normal(0, 3, round((before + after) * 16_000)).astype(np.int16)
    cut = round(before * 16_000)
    return np.concatenate([quiet[:cut], speech, quiet[cut:]])
