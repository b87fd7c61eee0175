"""How tests run the command as a user does: a process of its own, without this machine's settings."""

import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def voxfleet(tmp_path: Path) -> Run:
    """Run `voxfleet` with arguments; keyword arguments are environment variables."""

    def run(*arguments: object, timeout: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("VOXFLEET_")}
        return subprocess.run(
            [sys.executable, "-m", "voxfleet.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env=clean | {"COLUMNS": "120", "NO_COLOR": "1"} | environment,
            check=False,
        )

    return run


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
