"""Larger chunks under lasting pressure, smaller ones when it is over, never in a flutter."""

import pytest

from voxfleet.scheduling.ladder import PATIENCE, PATIENCE_LONG, Ladder


def steps(ladder: Ladder, count: int, waited: float, apart: float = 0.01) -> int:
    """So many steps whose oldest work had waited so long; the chunk afterwards."""
    for number in range(count):
        ladder.planned(4, waited, number * apart)
    return ladder.chunk_ms


def test_the_ladder_climbs_under_lasting_pressure_and_comes_down_without_flutter() -> None:
    ladder = Ladder((100, 200, 400))
    assert steps(ladder, PATIENCE - 1, 0.15) == 100
    assert steps(ladder, 1, 0.05) == 100, "one calm step starts the count again"
    assert steps(ladder, PATIENCE, 0.15) == 200
    assert steps(ladder, 3 * PATIENCE, 0.15) == 200, "a wait shorter than the chunk is no pressure"
    assert steps(ladder, 2 * PATIENCE, 5.0) == 400
    assert steps(ladder, 3 * PATIENCE, 0.0) == 100


def test_long_steps_need_fewer_of_them_but_never_a_single_one() -> None:
    ladder = Ladder((100, 200))
    assert steps(ladder, PATIENCE_LONG - 1, 5.0, apart=2.0) == 100
    assert steps(ladder, PATIENCE_LONG, 0.0, apart=2.0) == 100
    assert steps(ladder, PATIENCE_LONG, 5.0, apart=2.0) == 200


def test_measured_steps_move_it_where_nobody_waits_and_hold_it() -> None:
    ladder = Ladder((100, 200, 400))
    ladder.least_ms = 200
    assert steps(ladder, 3 * PATIENCE, 0.0) == 200, "up to what is measured to be needed, and not down again"
    ladder.least_ms = 100
    assert steps(ladder, PATIENCE, 0.0) == 100


def test_a_ladder_must_rise() -> None:
    for rungs in ((), (200, 100), (100, 100)):
        with pytest.raises(ValueError, match="rise"):
            Ladder(rungs)


def test_no_ready_work_is_no_pressure() -> None:
    ladder = Ladder((100, 200))
    for number in range(3 * PATIENCE):
        ladder.planned(0, 9.0, float(number))
    assert ladder.chunk_ms == 100
