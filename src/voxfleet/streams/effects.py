"""What a session wants done. The session never does it: whoever drives the stream does."""

from typing import TypeAlias

from msgspec import Struct

from voxfleet.errors import VoxfleetError
from voxfleet.speech import Event, Samples


class Feed(Struct, frozen=True):
    """Give this audio to the track in this seat; `end_of_turn` closes the turn after it."""

    samples: Samples
    end_of_turn: bool = False
    seat: int = 0
    turn: int = 0
    """The number of the turn; -1 for audio before a replayed turn."""


class Reseat(Struct, frozen=True):
    """The stream has no track any more: find it another and say so with `Session.seated`; its audio is kept."""


class Leave(Struct, frozen=True):
    """Nothing more is wanted of the track in this seat; it can be closed."""

    seat: int


class Emit(Struct, frozen=True):
    """Tell the caller."""

    event: Event


class Finished(Struct, frozen=True):
    """Everything is final and told; the track can be closed."""


class Fail(Struct, frozen=True):
    """The stream can't go on; tell the caller why."""

    error: VoxfleetError


Effect: TypeAlias = Feed | Reseat | Leave | Emit | Finished | Fail
