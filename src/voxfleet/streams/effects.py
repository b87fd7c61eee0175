"""What a session wants done. The session never does it: whoever drives the stream does."""

from dataclasses import dataclass
from typing import TypeAlias

from voxfleet.errors import VoxfleetError
from voxfleet.speech import Event, Samples


@dataclass(frozen=True, slots=True)
class Feed:
    """Give this audio to the track in this seat; `end_of_turn` closes the turn after it."""

    samples: Samples
    end_of_turn: bool = False
    seat: int = 0
    turn: int = 0
    """The number of the turn; -1 for audio before a replayed turn."""


@dataclass(frozen=True, slots=True)
class Reseat:
    """The stream has no track any more: find it another and say so with `Session.seated`; its audio is kept."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing more is wanted of the track in this seat; it can be closed."""

    seat: int


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

    error: VoxfleetError


Effect: TypeAlias = Feed | Reseat | Leave | Emit | Finished | Fail
