"""The one port every engine implements. Synchronous, owned by one thread, shaped like a batch.

An engine has a fixed number of places. A stream takes one, its audio is scattered into it as it arrives (`hear`), a
step works on many places at once, and the place is freed when the stream ends. Engines never wait for a caller and
never queue a stream: a full engine raises `AtCapacity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxfleet.errors import EngineError
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan
from voxfleet.speech import Hypothesis
from voxfleet.wire.phrases import Phrase

END_OF_TURN = 1
"""Bit of an increment's flags: the turn ends after these samples."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine offers; declared once, never probed for."""

    name: str
    languages: tuple[str, ...]
    """BCP-47 tags it hears; a caller's 'en' matches 'en-US' and the reverse."""
    places: int
    chunk_ms: tuple[int, ...]
    """Audio (ms) it likes to be given per step, smallest first: the ladder."""
    step_seconds: float = 0.0
    """Most audio (s) of one place that a step works on, so that a replay does not hold up its neighbours; 0 = all."""
    lanes: int = 1
    """Processors inside the engine that work side by side; place i lies on lane i % lanes."""
    lane_batch: int = 0
    """Places per lane a step should hold at most, where larger batches gain nothing; 0 = all."""
    finds_endpoints: bool = False
    word_times: bool = True
    grammars: bool = False
    """Accepts TrackOptions.grammar."""
    phrases: bool = False
    """Accepts TrackOptions.phrases."""
    translates: bool = False
    """Accepts TrackOptions.translate."""
    context: float = 0.0
    """Seconds of audio before a turn that shape how it is heard (state that outlives a turn); 0 = turns stand alone.
    A stream that moves to another worker in mid-turn is given so much of what came before, and its words are dropped."""
    device: str = "cpu"
    advice: str = ""
    """One sentence for a caller whose language it does not hear: what to serve instead."""


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """What one stream asks of an engine. Travels with the place; an engine knows nothing else of a caller."""

    language: str = "en"
    grammar: str | None = None
    """A closed vocabulary: the name of a built-in grammar ('digits') or the text of a JSGF grammar."""
    phrases: tuple[Phrase, ...] = ()
    """Words that are likelier here than elsewhere: names of products and people."""
    translate: bool = False
    """English text of what is said in another language."""
    recorded: bool = False
    """Recorded work waits whenever live work is there."""


@dataclass(frozen=True, slots=True)
class Increments:
    """Newly arrived audio of many streams, in columns; row i belongs to `places[i]`.

    A place may occur more than once: its rows are in stream order. A row may be empty (a bare end of turn).
    """

    places: NDArray[np.uint32]
    """Indices of places, shape (n,)."""
    lengths: NDArray[np.uint32]
    """Samples per row, shape (n,)."""
    flags: NDArray[np.uint8]
    """END_OF_TURN or 0, shape (n,)."""
    samples: NDArray[np.int16]
    """All rows one after the other, 16 kHz mono, shape (sum(lengths),)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The outcome of a step for one place: a hypothesis, or the error that ended this track."""

    place: Place
    hypothesis: Hypothesis = field(default_factory=lambda: Hypothesis(turn=0))
    error: EngineError | None = None


class Engine(Protocol):
    """Called by one thread only, which also created it. Only `take` raises CallerError or CapacityError."""

    info: EngineInfo

    def take(self, options: TrackOptions) -> Place:
        """A place for one stream, with all state of earlier streams gone. Returns at once.

        Raises AtCapacity when none is free, LanguageNotSupported, BadGrammar or BadRequest (phrases it can't spell) when
        the options can't be met.
        """
        ...

    def hear(self, increments: Increments) -> None:
        """Put audio into the places it belongs to. Copies; costs no step."""
        ...

    def ready(self, places: NDArray[np.uint32], chunk_ms: int) -> NDArray[np.bool_]:
        """Which of these places (shape (n,)) a step with chunks of this size has something to do for. Cheap."""
        ...

    def step(self, plan: Plan) -> Sequence[Heard]:
        """One batched pass over the planned places, each over all the audio it has been given so far, or over
        `info.step_seconds` of it.

        For every end of turn heard there is exactly one final hypothesis; places with nothing new to say may be left
        out. Several hypotheses of one place are in stream order.
        """
        ...

    def free(self, place: Place) -> None:
        """Give the place back. Audio not yet stepped is dropped. Freeing twice is a programming error."""
        ...

    def check(self) -> None:
        """Raises AssertionError if a place was lost or given twice. Cheap; called whenever the engine is idle."""
        ...

    def close(self) -> None:
        """Release device and processes. Nothing may be called afterwards."""
        ...
