"""The search finds what an engine holds, confirms it, and says when the engine's places ended first."""

import pytest

from voxfleet.engines.bench.search import CLOSE, Found, largest
from voxfleet.engines.bench.trial import Terms, Trial


class Held:
    """An engine that holds exactly so many streams, and fewer for long."""

    def __init__(self, short: int, long: int | None = None) -> None:
        self.capacity = {1.0: short, 20.0: short if long is None else long}
        self.tried: list[tuple[int, float]] = []

    def trial(self, streams: int, seconds: float) -> Trial:
        self.tried.append((streams, seconds))
        p95 = 0.1 if streams <= self.capacity[seconds] else 0.3
        return Trial(Terms(streams, 320, seconds, 0.0), step=[p95], lag=[p95])

    def search(self, guess: int, most: int = 4_096, tries: int = 1_000) -> "Found[Trial]":
        return largest(
            lambda streams: self.trial(streams, 1.0),
            lambda streams: self.trial(streams, 20.0),
            guess,
            most,
            lambda trial: None,
            lambda: len(self.tried) >= tries,
        )


@pytest.mark.parametrize("guess", [1, 90, 137, 138, 1_000, 4_096])
@pytest.mark.parametrize("capacity", [1, 2, 137, 3_000])
def test_finds_it_from_anywhere(capacity: int, guess: int) -> None:
    held = Held(capacity)
    found = held.search(guess)
    assert found.streams <= capacity < max(found.streams + 2, found.streams * CLOSE + 1)
    assert found.confirmed is found.trials[-1]
    assert held.tried[-1] == (found.streams, 20.0)
    assert not found.bounded


def test_nothing_is_held() -> None:
    found = Held(0).search(64)
    assert (found.streams, found.confirmed, found.bounded) == (0, None, False)


def test_places_end_first() -> None:
    found = Held(500).search(60, most=100)
    assert (found.streams, found.bounded) == (100, True)


def test_what_fails_for_long_is_lowered() -> None:
    found = Held(200, long=185).search(150)
    assert 175 <= found.streams <= 185
    assert found.confirmed is not None
    assert found.confirmed.terms.seconds == 20.0


def test_never_claims_what_was_not_held_for_long() -> None:
    assert Held(200, long=50).search(150).streams == 0


def test_late_confirms_the_best_so_far() -> None:
    held = Held(1_000)
    found = held.search(100, tries=3)
    assert held.tried == [(100, 1.0), (125, 1.0), (156, 1.0), (156, 20.0)]
    assert found.streams == 156


def test_criterion_takes_the_worse_of_step_and_lag() -> None:
    terms = Terms(1, 500, 1.0, 0.0)
    assert Trial(terms, step=[0.39], lag=[0.39]).met
    assert not Trial(terms, step=[0.41], lag=[0.1]).met
    assert not Trial(terms, step=[0.1], lag=[0.41]).met
    assert not Trial(terms, step=[0.1], lag=[0.1], lost=True).met
    assert not Trial(terms).met
