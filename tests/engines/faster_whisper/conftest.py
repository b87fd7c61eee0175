"""Models written and loaded once per session: a small one as Hugging Face saves it, and what CTranslate2 makes of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.whisper.folders import needed, whisper_folder
from voxfleet.engines.faster_whisper.folder import Loaded, load
from voxfleet.engines.faster_whisper.transcriber import CTranslate2Transcriber
from voxfleet.speech import SAMPLE_RATE


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Multilingual, random weights; encoder and decoder have different heads, so as not to be mistaken for each other."""
    needed("ctranslate2")
    return whisper_folder(tmp_path_factory.mktemp("faster_whisper") / "micro", encoder_heads=4, decoder_heads=2)


@pytest.fixture(scope="session")
def english_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needed("ctranslate2")
    return whisper_folder(tmp_path_factory.mktemp("faster_whisper") / "micro.en", multilingual=False)


@pytest.fixture(scope="session")
def loaded(folder: Path) -> Loaded:
    """In float32, with two workers."""
    return load(folder, "cpu", "float32", 2)


@pytest.fixture(scope="session")
def transcriber(loaded: Loaded) -> Iterator[CTranslate2Transcriber]:
    made = CTranslate2Transcriber(loaded, 2)
    yield made
    made.close()


def sound(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    """Something that no two seeds share: a few tones that come and go, and noise."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = sum(
        np.sin(2 * np.pi * random.uniform(100, 3000) * time) * (np.sin(2 * np.pi * random.uniform(0.5, 3) * time) > 0)
        for _ in range(5)
    )
    return np.asarray((tones + random.normal(0, 0.3, len(time))) * 3000, np.int16)
