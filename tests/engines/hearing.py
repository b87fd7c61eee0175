"""How tests speak to an engine: real speech as samples, columns of increments, plans, and whole turns."""

import functools
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from voxfleet.engines.port import END_OF_TURN, Engine, Heard, Increments
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE, Hypothesis, text_of

SHARED = Path(__file__).parents[2] / "../shared/audio"
STEP = SAMPLE_RATE // 10
NOTHING: NDArray[np.int16] = np.zeros(0, np.int16)

Row = tuple[Place, NDArray[np.int16], bool]


def read_wav(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        rate = file.getframerate()
    return samples if rate == SAMPLE_RATE else np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.int16)


def recorded(name: str) -> NDArray[np.int16]:
    """A clip of real speech from the folder beside the checkout; skips the test where there is none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"shared/audio/{name} is not beside the checkout")
    return read_wav(path)


@functools.cache
def spoken(text: str) -> NDArray[np.int16]:
    """The text as synthetic speech; skips the test where flite is not installed."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed: no speech to recognise")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True, capture_output=True)
        return read_wav(path)


def columns(*rows: Row) -> Increments:
    """Rows of (place, samples, turn ends here) as an engine hears them."""
    return Increments(
        places=np.array([place.index for place, _, _ in rows], np.uint32),
        lengths=np.array([len(samples) for _, samples, _ in rows], np.uint32),
        flags=np.array([END_OF_TURN if ends else 0 for _, _, ends in rows], np.uint8),
        samples=np.concatenate([samples for _, samples, _ in rows] or [NOTHING]),
    )


def planned(*places: Place) -> Plan:
    return Plan(tuple(Work(place, Urgency.PARTIAL, due=0.0, added=0.0) for place in places))


def hypotheses(heard: Sequence[Heard], place: Place) -> list[Hypothesis]:
    """What was said for one place; an error fails the test."""
    mine = [each for each in heard if each.place == place]
    assert all(each.error is None for each in mine), mine
    return [each.hypothesis for each in mine]


def ready(engine: Engine, *places: Place) -> bool:
    """Whether a step with the smallest chunk has something to do for any of them."""
    indices = np.array([place.index for place in places], np.uint32)
    return bool(engine.ready(indices, engine.info.chunk_ms[0]).any())


def worked(engine: Engine, *places: Place) -> list[Heard]:
    """A step over these places, and as many more as it takes until none of them has anything left; what was said."""
    heard = list(engine.step(planned(*places)))
    while ready(engine, *places):
        heard += engine.step(planned(*places))
    return heard


def say(engine: Engine, place: Place, samples: NDArray[np.int16], by: int = STEP) -> list[Hypothesis]:
    """Say one turn in increments of `by` samples with the steps each needs; everything heard, the final last."""
    said: list[Hypothesis] = []
    for begin in range(0, len(samples), by):
        engine.hear(columns((place, samples[begin : begin + by], False)))
        said += hypotheses(worked(engine, place), place)
    engine.hear(columns((place, NOTHING, True)))
    said += hypotheses(worked(engine, place), place)
    assert [each.final for each in said].count(True) == 1
    assert said[-1].final
    return said


def words(hypothesis: Hypothesis) -> str:
    return text_of(hypothesis.words)
