"""A recogniser of buffers whose audio says exactly what it is: levels are words. It mishears the end of a window, as real
ones do, and remembers what it was asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.port import EngineInfo
from voxfleet.engines.windowed.engine import WindowedEngine
from voxfleet.engines.windowed.policy import Policy
from voxfleet.engines.windowed.transcriber import Spelled, Transcript, Window
from voxfleet.errors import EngineError, EngineFailed
from voxfleet.speech import SAMPLE_RATE, Word

WORD = SAMPLE_RATE // 5
"""Samples (200 ms) of a word."""
STEP = 40
"""Between the levels of two words."""
BASE = 2_000
POISON = 400
"""The word at which the recogniser fails."""


def told(ids: Sequence[int], pauses: dict[int, float] | None = None) -> NDArray[np.int16]:
    """Audio that says these words (0..699), with pauses (s) after some of them. Neighbours must differ."""
    parts = []
    for index, word in enumerate(ids):
        parts.append(np.full(WORD, BASE + STEP * word, np.int16))
        if pauses and index in pauses:
            parts.append(np.zeros(round(pauses[index] * SAMPLE_RATE), np.int16))
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


@dataclass
class Reader:
    """`unsure`: seconds before the end of a window in which every third word is misheard."""

    window_seconds: float = 30.0
    keeps_prefix: bool = True
    unsure: float = 1.0
    attention: bool = False
    language: str = ""
    sentence: int = 0
    """Every so many words end a sentence; 0 = none does."""
    no_speech: float = 0.0
    batches: list[list[Window]] = field(default_factory=list)
    closed: bool = False

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript | EngineError]:
        assert windows
        assert all(len(window.samples) <= self.window_seconds * SAMPLE_RATE for window in windows)
        self.batches.append(list(windows))
        return [self._read(window) for window in windows]

    def close(self) -> None:
        self.closed = True

    @property
    def windows(self) -> list[Window]:
        return [window for batch in self.batches for window in batch]

    def _read(self, window: Window) -> Transcript | EngineError:
        samples = window.samples.astype(np.int64)
        edges = [0, *(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
        words: list[Spelled] = []
        for begin, end in pairwise(edges):
            if samples[begin] == 0:
                continue
            word = (int(samples[begin]) - BASE) // STEP
            if word == POISON:
                return EngineFailed("the poisoned word")
            words.append(self._spell(word, begin, end, len(samples)))
        if self.keeps_prefix and window.prefix:
            assert [word.tokens[0] for word in words[: len(window.prefix)]] == [
                token if words[index].tokens[0] == token else words[index].tokens[0]
                for index, token in enumerate(window.prefix)
            ]
            words = words[len(window.prefix) :]
        return Transcript(
            tuple(words), window.language or self.language, self.no_speech, -2.0 if self.no_speech else 0.0
        )

    def _spell(self, word: int, begin: int, end: int, length: int) -> Spelled:
        whole = end - begin >= WORD
        late = end > length - self.unsure * SAMPLE_RATE and word % 3 == 0
        text = f"w{word}" if whole and not late else f"m{word}x{length - begin}"
        if self.sentence and word % self.sentence == 0:
            text += "."
        token = word if whole and not late else 10_000 + word
        spoken = Word(text, begin / SAMPLE_RATE, end / SAMPLE_RATE, 0.9)
        return Spelled(spoken, (token,), end / SAMPLE_RATE if self.attention else None)


def reading(
    reader: Reader | None = None,
    places: int = 4,
    chunks: tuple[int, ...] = (400, 1000, 2000),
    policy: Policy | None = None,
    *,
    translates: bool = False,
) -> WindowedEngine:
    """An engine around a reader."""
    info = EngineInfo("reader", ("en", "ro", "auto"), places, chunks, translates=translates)
    return WindowedEngine(reader or Reader(), info, policy)
