"""Audio comes back as it was put in, and where sound is does not depend on how it came."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.engines.windowed.sound import FRAME, Sound
from voxfleet.engines.windowed.tape import Tape


@given(st.lists(st.tuples(st.integers(0, 30_000), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_a_tape_gives_back_what_was_not_dropped(moves: list[tuple[int, float, float]]) -> None:
    tape, everything, dropped = Tape(), np.zeros(0, np.int16), 0
    for size, drop, look in moves:
        more = ((np.arange(size) + len(everything)) % 30_011).astype(np.int16)
        tape.add(more)
        everything = np.concatenate((everything, more))
        assert tape.end == len(everything)
        dropped = max(dropped, int(drop * len(everything)))
        tape.drop(dropped)
        begin = dropped + int(look * (len(everything) - dropped))
        assert (tape.view(begin, len(everything)) == everything[begin:]).all()


def test_what_was_dropped_can_not_be_seen_and_memory_does_not_grow() -> None:
    tape = Tape()
    for number in range(2_000):
        tape.add(np.full(1_600, number % 100, np.int16))
        tape.drop(tape.end - 16_000)
    assert len(tape._samples) < 100_000
    with pytest.raises(AssertionError):
        tape.view(0, 100)


@given(
    st.lists(st.booleans(), max_size=40),
    st.lists(st.integers(1, 900), min_size=1, max_size=6),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_sound_is_found_frame_by_frame(loud: list[bool], sizes: list[int], one: float, other: float) -> None:
    samples = np.repeat(np.array([3_000 if each else 5 for each in loud], np.int16), FRAME)
    sound, at, number = Sound(-60.0), 0, 0
    while at < len(samples):
        size = sizes[number % len(sizes)]
        sound.add(samples[at : at + size])
        at, number = at + size, number + 1
    begin, end = sorted((int(one * len(samples)), int(other * len(samples))))
    inside = [index for index in range(begin // FRAME, end // FRAME) if loud[index]]
    found = sound.within(begin, end)
    if not inside:
        assert found is None
    else:
        assert found == (max(begin, inside[0] * FRAME), (inside[-1] + 1) * FRAME)
