"""Conversations speak as long as they should, and their latencies are those of the engine."""

import numpy as np
import pytest

from tests.fakes.fake_engine import FakeEngine
from tests.fakes.reader import Reader, reading
from voxfleet.engines.bench.talks import TICK_MS, Conversations, Script, Talk, converse
from voxfleet.errors import AtCapacity


@pytest.mark.parametrize("speech", [0.3, 0.5, 1.0])
def test_people_speak_as_much_of_the_time_as_they_should(speech: float) -> None:
    script = Script(Talk(50, 1000, speech, 60.0, 0.0))
    spoken = turns = 0
    for number in range(3_000):
        here, ends = script.tick(number)
        spoken += len(here)
        turns += int(ends.sum())
    assert spoken / (50 * 3_000) == pytest.approx(speech, rel=0.1)
    assert spoken * TICK_MS / 1000 / turns == pytest.approx(5.0, rel=0.12)


def test_everything_said_is_shown_once_and_in_time() -> None:
    talk = Talk(6, 400, 0.5, seconds=4.0, warm_up=0.5, turn_seconds=1.0)
    engine = reading(Reader(), places=6)
    found = converse(engine, talk)
    assert found.met
    assert not found.lost
    assert len(found.final) > 6
    assert found.speech == pytest.approx(0.5 * 6 * 4.0, rel=0.35)
    assert 0.0 < np.median(found.emissions) < 1.0
    report = found.json()
    assert (report["streams"], report["met"]) == (6, True)
    engine.check()


def test_an_engine_that_is_too_slow_does_not_hold() -> None:
    talk = Talk(8, 400, 1.0, seconds=20.0, warm_up=0.0, turn_seconds=2.0)
    found = converse(FakeEngine(8, step_seconds=4.0), talk)
    assert not found.met
    assert found.span < 19.0, "it goes on although nothing can be saved"


def test_more_people_than_places_are_refused_and_nobody_keeps_a_place() -> None:
    engine = reading(places=2)
    with pytest.raises(AtCapacity):
        converse(engine, Talk(3, 1000, 0.5, 1.0, 0.0))
    assert not Conversations(Talk(1, 1000, 0.5, 1.0, 0.0)).met
    engine.check()
