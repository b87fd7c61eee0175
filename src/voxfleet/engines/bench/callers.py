"""Simulated callers of an engine: who speaks when, and what a worker would be handed tick by tick.

Every caller talks without a pause at 16 kHz. Its audio arrives in the ticks of the link, its chunks are complete at a
phase of its own, and its turns end at times of its own. A caller who never pauses costs an engine more than a real one.
"""

from collections.abc import Sequence

import numpy as np

from voxfleet.engines.port import END_OF_TURN, Increments
from voxfleet.scheduling.places import Place
from voxfleet.speech import SAMPLE_RATE

BLOCKS = 4
"""Different ticks of audio that are prepared; they come round and round."""
LOUDNESS = 1_500.0


class Callers:
    """The audio of everyone who holds one of `places`, tick by tick from 0."""

    def __init__(
        self, places: Sequence[Place], tick_ms: int, chunk_ms: int, turn_seconds: float = 6.0, seed: int = 0
    ) -> None:
        """`turn_seconds`: how long everybody's turns are; where they end is drawn. The same seed, the same callers."""
        dice = np.random.default_rng(seed)
        count = len(places)
        self._tick = tick_ms * SAMPLE_RATE // 1000
        self._places = np.array([place.index for place in places], np.uint32)
        self._begins = dice.integers(0, max(1, chunk_ms // tick_ms), count)
        """The tick of each one's first audio."""
        self._partly = dice.integers(1, self._tick + 1, count)
        """Samples of it: where in a tick a chunk is complete differs too."""
        self._turn = max(2, round(turn_seconds * 1000 / tick_ms))
        self._ends = dice.integers(0, self._turn, count)
        self._everybody = int(self._begins.max(initial=0)) + 1
        """The tick from which on all of them bring the same amount."""
        self._whole = np.full(count, self._tick, np.uint32)
        voices = [dice.normal(0, LOUDNESS, count * self._tick) for _ in range(BLOCKS)]
        self._voices = [np.clip(voice, -32_768, 32_767).astype(np.int16) for voice in voices]

    def tick(self, number: int) -> Increments:
        """What everybody brings in this tick."""
        voice = self._voices[number % BLOCKS]
        flags = np.where((self._ends + number) % self._turn == 0, END_OF_TURN, 0).astype(np.uint8)
        if number >= self._everybody:
            return Increments(self._places, self._whole, flags, voice)
        lengths = np.where(number > self._begins, self._tick, np.where(number == self._begins, self._partly, 0))
        here = lengths > 0
        return Increments(
            self._places[here],
            lengths[here].astype(np.uint32),
            np.zeros(int(here.sum()), np.uint8),
            voice[: int(lengths.sum())],
        )
