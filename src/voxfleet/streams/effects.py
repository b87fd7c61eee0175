"""What a session wants done. The session never does it: whoever drives the stream does."""

from dataclasses import dataclass
from typing import TypeAlias

from voxfleet.errors import EngineError
from voxfleet.speech import Event, Samples


@dataclass(frozen=True, slots=True)
class Feed:
    """Give this audio to the track; `end_of_turn` closes the turn after it."""

    samples: Samples
    end_of_turn: bool = False


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the caller."""

    event: Event


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything is final and told; the track can be closed."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The stream can't go on; tell the caller why."""

    error: EngineError


Effect: TypeAlias = Feed | Emit | Finished | Fail
