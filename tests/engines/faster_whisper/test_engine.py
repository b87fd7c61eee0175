"""Live streams through CTranslate2: turns become final, streams don't hear each other, and settings are checked."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engines.faster_whisper.conftest import sound
from tests.engines.hearing import NOTHING, columns, hypotheses, say, worked
from voxfleet.engines.faster_whisper import FasterWhisperEngine
from voxfleet.engines.faster_whisper.engine import advised_places
from voxfleet.engines.faster_whisper.folder import Loaded
from voxfleet.engines.port import TrackOptions
from voxfleet.errors import AtCapacity, BadRequest, LanguageNotSupported, SettingsError
from voxfleet.speech import SAMPLE_RATE

PLACES = 4
STEP = SAMPLE_RATE // 2


@pytest.fixture(scope="module", params=["padded", "silence_tail"])
def engine(request: pytest.FixtureRequest, folder: Path) -> Iterator[FasterWhisperEngine]:
    made = FasterWhisperEngine(
        str(folder), PLACES, compute_type="float32", encoder_context=request.param, threads=2, chunks=(500, 1000)
    )
    yield made
    made.close()


def test_what_it_offers(engine: FasterWhisperEngine) -> None:
    info = engine.info
    assert (info.places, info.chunk_ms, info.device, info.translates) == (PLACES, (500, 1000), "cpu", True)
    assert {"en", "ro", "auto"} <= set(info.languages)
    assert info.lane_batch == 16


def test_a_turn_becomes_final(engine: FasterWhisperEngine) -> None:
    place = engine.take(TrackOptions("en"))
    said = say(engine, place, sound(3.2, 5), STEP)
    assert len(said) > 3
    stable = [each.stable for each in said]
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(stable))
    final = said[-1]
    assert final.words
    assert final.language == "en"
    assert all(0 <= word.start <= word.end <= 3.2 for word in final.words)
    engine.free(place)
    engine.check()


def test_streams_together_say_what_each_says_alone(engine: FasterWhisperEngine) -> None:
    clips = [sound(1.4 + 0.9 * index, 10 + index) for index in range(PLACES)]
    alone = []
    for clip in clips:
        place = engine.take(TrackOptions("en"))
        alone.append(say(engine, place, clip, STEP)[-1])
        engine.free(place)
    places = [engine.take(TrackOptions("en")) for _ in clips]
    finals: dict[int, Any] = {}
    for begin in range(0, max(map(len, clips)) + STEP, STEP):
        rows = [
            (place, clip[begin : begin + STEP], begin + STEP >= len(clip) > begin - STEP)
            for place, clip in zip(places, clips, strict=True)
            if begin - STEP < len(clip) and place.index not in finals
        ]
        engine.hear(columns(*rows) if rows else columns((places[0], NOTHING, False)))
        heard = worked(engine, *places)
        for place in places:
            for each in hypotheses(heard, place):
                if each.final:
                    finals[place.index] = each
    for place, one in zip(places, alone, strict=True):
        assert finals[place.index].words == one.words
        engine.free(place)


def test_silence_says_nothing(engine: FasterWhisperEngine) -> None:
    place = engine.take(TrackOptions("auto"))
    before = engine.windows
    assert say(engine, place, np.zeros(3 * SAMPLE_RATE, np.int16), STEP)[-1].words == ()
    assert engine.windows == before
    engine.free(place)


def test_refusals(engine: FasterWhisperEngine) -> None:
    with pytest.raises(LanguageNotSupported):
        engine.take(TrackOptions("xx"))
    places = [engine.take(TrackOptions("ro", translate=True)) for _ in range(PLACES)]
    with pytest.raises(AtCapacity):
        engine.take(TrackOptions())
    for place in places:
        engine.free(place)


def test_english_models_do_not_translate(english_folder: Path) -> None:
    engine = FasterWhisperEngine(str(english_folder), 1, compute_type="float32", threads=1)
    assert engine.info.languages == ("en",)
    with pytest.raises(BadRequest):
        engine.take(TrackOptions("en", translate=True))
    engine.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoder_context": "short"}, "encoder_context 'short' is unknown"),
        ({"policy": "hope"}, "policy 'hope' is unknown"),
        ({"policy": "attention", "align": "exact"}, "needs align 'always'"),
        ({"align": "sometimes"}, "align 'sometimes' is unknown"),
        ({"task": "sing"}, "task 'sing' is unknown"),
        ({"chunks": (300, 1000)}, "each dividing the last"),
        ({"chunks": (1000, 500)}, "rising"),
        ({"compute_type": "int3"}, "int3"),
    ],
)
def test_settings_are_checked(folder: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        FasterWhisperEngine(str(folder), 1, threads=1, **options)


def test_attention_settles_words(folder: Path) -> None:
    engine = FasterWhisperEngine(str(folder), 1, compute_type="float32", policy="attention", threads=1, chunks=(1000,))
    assert engine.policy.attention > 0
    place = engine.take(TrackOptions("en"))
    said = say(engine, place, sound(4.0, 5), STEP)
    assert any(each.stable for each in said[:-1])
    engine.close()


def test_a_missing_package_names_its_command(folder: Path) -> None:
    program = (
        "import sys; sys.modules['ctranslate2'] = None\n"
        "from voxfleet.engines.faster_whisper import FasterWhisperEngine\n"
        f"FasterWhisperEngine({str(folder)!r}, 1)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "pip install 'voxfleet[whisper-cpu]'" in done.stderr
    assert "SettingsError" in done.stderr


def test_places_follow_from_size_and_cores(loaded: Loaded) -> None:
    tiny, small, large = (replace(loaded, hidden=hidden) for hidden in (384, 768, 1280))
    assert advised_places(tiny, 2, "padded") < advised_places(tiny, 2, "silence_tail")
    assert advised_places(tiny, 1, "padded") < advised_places(tiny, 4, "padded")
    assert advised_places(small, 2, "padded") == advised_places(large, 64, "silence_tail") == 1
