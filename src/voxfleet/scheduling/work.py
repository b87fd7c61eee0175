"""What can be asked of a step: one place's pending audio, by when, and why."""

from dataclasses import dataclass
from enum import IntEnum

from voxfleet.scheduling.places import Place


class Urgency(IntEnum):
    """Why a place wants a step; lower goes first."""

    FINAL = 0
    """A turn has ended: somebody waits for its last word."""
    PARTIAL = 1
    """Somebody is speaking: show what was said so far."""
    RECORDED = 2
    """A file: whenever there is room."""


@dataclass(frozen=True, slots=True)
class Work:
    """All pending audio of one place."""

    place: Place
    urgency: Urgency
    due: float
    """Clock time by which the words should be there."""
    added: float
    """Clock time at which it could have run."""
    samples: int = 0
    """Audio to work on, 16 kHz samples; what a cost model needs to know."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The places of one step, most urgent first."""

    works: tuple[Work, ...] = ()
    chunk_ms: int = 0

    def __bool__(self) -> bool:
        return bool(self.works)
