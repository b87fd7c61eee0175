"""Model folders written once per session; what a test changes it changes in a copy."""

from pathlib import Path

import pytest

from tests.engines.whisper.folders import whisper_folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multilingual model of the shape 'micro' with random weights, saved by the reference."""
    return whisper_folder(tmp_path_factory.mktemp("whisper") / "micro")


@pytest.fixture(scope="session")
def tiny_english_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An English-only model of the same sizes."""
    return whisper_folder(tmp_path_factory.mktemp("whisper") / "micro.en", multilingual=False)
