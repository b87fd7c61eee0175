"""The benchmark's document is whole and adds up; the meter tells what went through and changes nothing."""

import json

import numpy as np
import pytest
import torch

from voxfleet.engines.bench.closed import choir
from voxfleet.engines.network.ceiling import ceiling
from voxfleet.engines.transducer.bench import Asked, measure, shape_of
from voxfleet.engines.transducer.engine import TransducerEngine
from voxfleet.engines.transducer.meter import MeteredRunner
from voxfleet.engines.transducer.profile import launches
from voxfleet.engines.transducer.talk import enliven, tune
from voxfleet.errors import SettingsError


@pytest.fixture
def engine() -> TransducerEngine:
    return TransducerEngine("random:tiny", places=4, threads=1, chunks=(560, 1120))


def test_the_meter_counts_what_went_through(engine: TransducerEngine) -> None:
    runner = MeteredRunner(engine.runner)
    engine.runner = runner
    with choir(engine, 3, 560) as voices:
        for _ in range(5):
            voices.step()
    found = runner.readings()
    assert found["frames"] == 3 * 7 * 5
    assert found["passes"] == 5
    assert found["bursts"] >= 5
    assert found["device"] == found["waited"] > 0


def test_the_meter_changes_nothing(engine: TransducerEngine) -> None:
    said = []
    plain = engine.runner
    for runner in (plain, MeteredRunner(plain)):
        engine.runner = runner
        columns = np.array([[0, 1], [0, 0], [14, 14], [0, 0], [2**40] * 2, [0, 0], [0, 0]], np.int64)
        said.append(runner.collect(runner.launch(columns, 14)))
    assert np.array_equal(said[0].labels, said[1].labels)
    assert np.array_equal(said[0].count, said[1].count)


def test_a_random_network_is_brought_to_talk(engine: TransducerEngine) -> None:
    runner = MeteredRunner(engine.runner)
    engine.runner = runner
    enliven(engine, runner)
    assert 0.5 < tune(engine, runner, 3.5, 560) < 12


def test_a_step_is_taken_apart(engine: TransducerEngine) -> None:
    runner = MeteredRunner(engine.runner)
    engine.runner = runner
    few, many = launches(engine, runner, 1, 560), launches(engine, runner, 4, 560)
    assert few["passes"] == many["passes"] == 1
    assert isinstance(few["operators"], int)
    assert few["operators"] > 100
    if few["bursts"] == many["bursts"]:
        assert few["operators"] == many["operators"]  # what is launched does not depend on who is there


def test_ceiling_is_a_speed() -> None:
    assert 1e-4 < ceiling(torch.device("cpu"), torch.float32, quick=True, repeats=2) < 100


def test_the_document() -> None:
    sentences: list[str] = []
    asked = Asked("random:tiny", chunks=(1120,), streams=2, seconds=1.0, trial_seconds=1.0, threads=1, quick=True)
    found = json.loads(json.dumps(measure(asked, sentences.append)))
    assert found["benchmark"] == "transducer"
    assert found["precision"] == "float32"
    assert found["places"] == 2
    assert found["kb_per_place"]["arena"] > 10
    (chunk,) = found["chunks"]
    assert chunk["chunk_ms"] == 1120
    assert [each["rows"] for each in chunk["steps_by_batch"]] in ([1], [1, 2])
    assert chunk["trials"]
    assert chunk["streams"] in (0, 1, 2)
    if chunk["held"] is not None:  # a busy machine may hold none
        held = chunk["held"]
        assert held["streams"] == chunk["streams"]
        assert 0 <= held["device_busy_share"] <= 1
        assert 0 <= held["share_of_ceiling"] < 1
        assert held["host_us_per_stream_step"] > 0
        assert held["audio_seconds_per_second"] == pytest.approx(chunk["streams"], rel=0.6)
    assert sentences


@pytest.mark.parametrize(("model", "named"), [("random:tinny", "tiny"), ("nowhere/at/all", "nowhere/at/all")])
def test_unknown_models_are_named(model: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        shape_of(model)
