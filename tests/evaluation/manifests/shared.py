"""What the tests of manifests share: the recordings beside the checkout, and small sound files made on the spot."""

import wave
from pathlib import Path

import pytest

AUDIO = Path(__file__).parents[3] / "../shared/audio"

needs_audio = pytest.mark.skipif(
    not (AUDIO / "MANIFEST.tsv").is_file(), reason="shared/audio is not beside the checkout"
)

CODES = {"missing_audio", "not_audio", "bad_row", "duplicate_id", "command_pipe"}


def sound(path: Path, *levels: int, rate: int = 8000, seconds: float = 1.0) -> Path:
    """A wav of as many channels as levels, each at one constant level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = b"".join(level.to_bytes(2, "little", signed=True) for level in levels or (1000,))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(levels) or 1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(frame * round(rate * seconds))
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
