"""What the console's tests run on: a server, a browser, something to hear.

The pages are tested against a scripted server. With VOXFLEET_CONSOLE_URL set to a running one, the tests that make
sense on a real server run against that instead, and the others are skipped.
"""

import os
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from .browser import Page, executable, launched
from .scripted import Scripted, serving

TONE_HZ = 440
ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "console"
SPEECH = Path(__file__).parents[2] / "../shared/audio/cards/001.wav"


def write_wav(path: Path, channels: list[np.ndarray], rate: int) -> Path:
    """Channels of samples in -1..1 as a 16-bit file."""
    samples = np.stack(channels, axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def tone(hz: float, seconds: float, rate: int = 48_000) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


@pytest.fixture(scope="session")
def _scripted() -> Iterator[Scripted]:
    with serving() as scripted:
        yield scripted


@pytest.fixture
def scripted(_scripted: Scripted) -> Scripted:
    """The scripted server, as new. Skips when the tests run against a real one."""
    if os.environ.get("VOXFLEET_CONSOLE_URL"):
        pytest.skip("needs the scripted server; VOXFLEET_CONSOLE_URL points to another")
    fresh = Scripted()
    _scripted.heard, _scripted.models = fresh.heard, fresh.models
    _scripted.status, _scripted.status_code = fresh.status, fresh.status_code
    _scripted.fleet, _scripted.asked, _scripted.refusal = fresh.fleet, fresh.asked, fresh.refusal
    return _scripted


@pytest.fixture
def base_url(request: pytest.FixtureRequest) -> str:
    """The server under test, without a slash at the end."""
    real = os.environ.get("VOXFLEET_CONSOLE_URL")
    return real.rstrip("/") if real else str(request.getfixturevalue("scripted").url)


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's fake microphone hears, over and over: a tone, or speech for a real server."""
    folder = tmp_path_factory.mktemp("microphone")
    if not os.environ.get("VOXFLEET_CONSOLE_URL"):
        return write_wav(folder / "tone.wav", [tone(TONE_HZ, 5.0)], 48_000)
    if not SPEECH.exists():
        pytest.skip("no speech to play to a real server: shared/audio is absent")
    with wave.open(str(SPEECH)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768
        pause = np.zeros(2 * file.getframerate())  # ends the turn
        return write_wav(folder / "speech.wav", [np.concatenate([samples, pause])], file.getframerate())


@pytest.fixture
async def page(microphone: Path) -> AsyncIterator[Page]:
    """A fresh browser. A test that ends with complaints of the browser fails, unless it cleared them."""
    if executable() is None:
        pytest.skip("no chromium, chromium-browser or google-chrome is installed")
    async with launched(f"--use-file-for-fake-audio-capture={microphone}") as page:
        await page.viewport(1280, 860)
        yield page
        assert page.complaints == []
