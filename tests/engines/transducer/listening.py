"""How tests listen with a transducer: one network without an engine around it, and an engine that remembers its tokens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tests.engines.hearing import NOTHING, Row, columns, planned
from voxfleet.engines.port import END_OF_TURN, Heard, Increments, TrackOptions
from voxfleet.engines.transducer.engine import TransducerEngine
from voxfleet.engines.transducer.layout import Layout
from voxfleet.engines.transducer.loading import Loading, Machine, load_folder
from voxfleet.engines.transducer.model import Transducer
from voxfleet.engines.transducer.runner import Emissions
from voxfleet.engines.transducer.turns import Frames, Turns
from voxfleet.scheduling.places import Place
from voxfleet.speech import Hypothesis, Word

LADDER = (80, 160, 320, 560, 1120)
LOOKAHEADS = (0, 1, 3, 6, 13)
FRAME = 1280
NEVER = 10**9

Audio = NDArray[np.int16]


def noise(samples: int, seed: int = 0) -> Audio:
    """Noise whose loudness changes ten times a second: the tiny networks say something different at every frame."""
    numbers = np.random.default_rng(seed)
    loudness = np.repeat(numbers.random(samples // 1_600 + 1), 1_600)[:samples]
    return (numbers.standard_normal(samples) * 3_000 * loudness).astype(np.int16)


@dataclass(frozen=True, slots=True)
class Told:
    """What a network made of one turn."""

    frames: torch.Tensor
    """What the joint network was given, (frames, hidden)."""
    labels: list[int]
    at: list[int]
    """The frame each label was said at."""
    scores: list[float]


def loaded(folder: Path, **machine: Any) -> Loading:
    """The network of a folder, fp32, two places."""
    asked: dict[str, Any] = {"places": 2, "threads": 1, "chunks": LADDER} | machine
    return load_folder(Layout.read(folder), Machine(**asked))


def hear_alone(
    loading: Loading,
    audio: Audio,
    chunk: int | Sequence[int],
    by: int = 3_333,
    prompt: int = 0,
    refresh: int = NEVER,
) -> Told:
    """One turn in one place, `by` samples at a time and `chunk` frames a pass, with nothing but turns, ring and runner.

    Of several sizes of chunks each is taken for one pass, round and round. State is made anew every `refresh` frames,
    whatever is said. The ring, the arena and the place are as whoever was there before left them.
    """
    place, turns = loading.places - 1, Turns(loading.places, loading.ring.capacity, refresh)
    sizes = cycle([chunk] if isinstance(chunk, int) else chunk)
    size = next(sizes)
    told = Told(torch.zeros(0, loading.arena.encoded.shape[2]), [], [], [])
    frames = [told.frames]
    for begin in range(0, max(1, len(audio)), by):
        piece, ends = audio[begin : begin + by], begin + by >= len(audio)
        flags = np.array([END_OF_TURN if ends else 0], np.uint8)
        row, length = np.array([place], np.uint32), np.array([len(piece)], np.uint32)
        writes = turns.hear(Increments(row, length, flags, piece))
        loading.ring.write(row, writes.starts, length, writes.samples)
        while (coming := turns.next(np.array([place]), size)).places.size:
            given = (coming.places, coming.first, coming.count, coming.floor, coming.limit, coming.origin, [prompt])
            said = loading.runner.collect(loading.runner.launch(np.array(given, np.int64), size))
            frames.append(loading.arena.encoded[place, : int(coming.count[0])].clone())
            count = int(said.count[0])
            told.labels.extend(said.labels[0, :count].tolist())
            told.at.extend((said.frames[0, :count] + coming.first[0]).tolist())
            told.scores.extend(said.scores[0, :count].tolist())
            turns.advance(coming, np.zeros(1, np.int64))
            size = next(sizes)
    assert turns.over(place) == len(audio)
    return replace(told, frames=torch.cat(frames))


class Label(NamedTuple):
    label: int
    frame: int
    score: float


@torch.inference_mode()
def plainly(model: Transducer, frames: torch.Tensor) -> Iterator[Label]:
    """Greedy decoding of one turn as a textbook has it."""
    shape = model.shape
    nothing = [torch.zeros(1, shape.decoder_hidden) for _ in range(shape.decoder_layers)]
    said, hidden, cell = model.decoder(torch.tensor([shape.blank]), nothing, nothing)
    for at, frame in enumerate(frames):
        for _ in range(shape.max_symbols):
            scores = model.joint(frame[None], said)[0].softmax(0)
            label = int(scores.argmax())
            if label == shape.blank:
                break
            yield Label(label, at, float(scores[label]))
            said, hidden, cell = model.decoder(torch.tensor([label]), hidden, cell)


@dataclass(slots=True)
class Turn:
    """One turn as an engine told it."""

    labels: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    words: tuple[Word, ...] | None = None
    """Of its final; None = there was none yet."""
    heard: float = 0.0

    def check_same(self, other: "Turn") -> None:
        """Token for token; scores and times but for rounding."""
        assert self.labels == other.labels
        assert self.at == other.at
        np.testing.assert_allclose(self.scores, other.scores, rtol=1e-3)
        assert [(word.text, word.start, word.end) for word in self.words or ()] == [
            (word.text, word.start, word.end) for word in other.words or ()
        ]
        assert self.heard == other.heard


class TokenEngine(TransducerEngine):
    """The engine, keeping what every turn of every stream was made of."""

    def __init__(self, folder: Path, places: int, **machine: Any) -> None:
        asked: dict[str, Any] = {"threads": 1, "chunks": LADDER} | machine
        super().__init__(str(folder), places, **asked)
        self.turns: dict[tuple[Place, int], Turn] = {}
        self._owner: dict[int, Place] = {}

    def take(self, options: TrackOptions) -> Place:
        place = super().take(options)
        self._owner[place.index] = place
        return place

    def turn(self, place: Place, number: int = 0) -> Turn:
        return self.turns.setdefault((place, number), Turn())

    def hear_rows(self, *rows: Row) -> None:
        """Rows of (place, samples, turn ends here)."""
        self.hear(columns(*rows))

    def step_all(self, places: Iterable[Place], chunk_ms: int) -> list[Hypothesis]:
        """One step over these places; what it said, in order."""
        return [heard.hypothesis for heard in self.step_heard(places, chunk_ms)]

    def step_heard(self, places: Iterable[Place], chunk_ms: int) -> list[Heard]:
        """The same, with who it was said to."""
        said = list(self.step(replace(planned(*places), chunk_ms=chunk_ms)))
        for heard in said:
            assert heard.error is None
            if heard.hypothesis.final:
                turn = self.turn(heard.place, heard.hypothesis.turn)
                assert turn.words is None, "a second final"
                turn.words, turn.heard = heard.hypothesis.words, heard.hypothesis.heard
        return said

    def finish(self, places: Sequence[Place], chunk_ms: int) -> list[Hypothesis]:
        """Steps over these places until none has anything left."""
        said, indices = [], np.array([place.index for place in places], np.uint32)
        while self.ready(indices, chunk_ms).any():
            said += self.step_all(places, chunk_ms)
        return said

    def alone(self, audio: Audio, chunk_ms: int, language: str = "en", by: int = 1_600) -> Turn:
        """One turn with nobody else there, live."""
        place = self.take(TrackOptions(language))
        for begin in range(0, len(audio), by):
            self.hear_rows((place, audio[begin : begin + by], False))
            self.finish([place], chunk_ms)
        self.hear_rows((place, NOTHING, True))
        self.finish([place], chunk_ms)
        self.free(place)
        return self.turns.pop((place, 0))

    def _spell(self, row: int, emissions: Emissions, frames: Frames) -> int:
        index, count = int(frames.places[row]), int(emissions.count[row])
        turn = self.turn(self._owner[index], int(self._turns.number[index]))
        turn.labels.extend(emissions.labels[row, :count].tolist())
        turn.at.extend((emissions.frames[row, :count] + frames.first[row]).tolist())
        turn.scores.extend(emissions.scores[row, :count].tolist())
        return super()._spell(row, emissions, frames)
