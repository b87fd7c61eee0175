"""Whisper as an engine: turns become words, wrong settings are told by name."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.engines.hearing import say, words
from tests.engines.whisper.test_recogniser import SOUNDS
from voxfleet.engines.port import TrackOptions
from voxfleet.engines.whisper.engine import WhisperEngine
from voxfleet.engines.windowed.transcriber import Transcript, Window
from voxfleet.errors import LanguageNotSupported, SettingsError
from voxfleet.speech import text_of


@pytest.fixture(scope="module")
def engine(tiny_folder: Path) -> Iterator[WhisperEngine]:
    engine = WhisperEngine(str(tiny_folder), places=3, threads=1)
    yield engine
    engine.close()


def test_a_turn_said_at_once_is_its_transcript(engine: WhisperEngine) -> None:
    """Of a turn without drafts or settled words the engine says what the transcriber says, as far as its guards let it."""
    place = engine.take(TrackOptions("ro"))
    said = say(engine, place, SOUNDS[0], by=len(SOUNDS[0]))
    engine.free(place)
    (alone,) = engine.transcriber.transcribe([Window(SOUNDS[0], "ro")])
    assert isinstance(alone, Transcript)
    assert said[-1].final
    whole = text_of(tuple(word.word for word in alone.words))
    assert whole.startswith(words(said[-1])[:10])
    engine.check()


def test_stable_words_stay(engine: WhisperEngine) -> None:
    place = engine.take(TrackOptions("en"))
    said = say(engine, place, SOUNDS[3])
    engine.free(place)
    assert len(said) > 5
    for before, after in pairwise(said):
        assert after.words[: len(before.stable)] == before.stable
    counters = engine.transcriber.counters()
    assert counters["offered"] > 0


def test_what_it_offers(engine: WhisperEngine, tiny_english_folder: Path) -> None:
    info = engine.info
    assert info.places == 3
    assert info.chunk_ms == (400, 1_000, 2_000)
    assert info.translates
    assert {"en", "ro", "auto"} <= set(info.languages)
    english = WhisperEngine(str(tiny_english_folder), threads=1)
    assert not english.info.translates
    assert english.info.places >= 1
    with pytest.raises(LanguageNotSupported):
        english.take(TrackOptions("ro"))
    english.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"task": "translat"}, r"task 'translat' is unknown.*translate"),
        ({"policy": "hope"}, r"policy 'hope' is unknown"),
        ({"encoder_context": "silence"}, r"encoder_context 'silence' is unknown"),
        ({"precision": "float17"}, r"precision 'float17' is unknown"),
        ({"device": "tpu"}, r"device 'tpu'"),
        ({"chunks": (400, 900)}, r"chunks 400, 900: they must rise, and each must divide"),
        ({"chunks": (0, 900)}, r"chunks 0, 900"),
    ],
)
def test_wrong_settings_are_told(tiny_folder: Path, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        WhisperEngine(str(tiny_folder), **wrong)  # type: ignore[arg-type]


def test_an_unknown_shape_is_told() -> None:
    with pytest.raises(SettingsError, match=r"shape 'tinny' is unknown.*tiny"):
        WhisperEngine("random:tinny")


def test_translating_needs_other_languages(tiny_english_folder: Path) -> None:
    with pytest.raises(SettingsError, match="English only"):
        WhisperEngine(str(tiny_english_folder), task="translate", threads=1)


def test_random_weights_rehearse() -> None:
    """Lengths as people speak, and drafts that are mostly right."""
    engine = WhisperEngine("random:micro", places=1, threads=1, encoder_context="silence_tail")
    engine.rehearse(tokens_per_second=3.0)
    place = engine.take(TrackOptions("en"))
    said = say(engine, place, SOUNDS[3], by=16_000)
    assert len(said[-1].words) > 5
    counted = engine.transcriber.counters()
    assert counted["accepted"] > 0.5 * counted["offered"] > 0
    engine.free(place)
    engine.close()
