"""What a caller can tell us, whatever dialect it speaks."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Audio:
    data: bytes


@dataclass(frozen=True, slots=True)
class Configure:
    """Change what may change in mid-stream; None = leave as it is."""

    endpointing_ms: int | None = None
    interim: bool | None = None


@dataclass(frozen=True, slots=True)
class Flush:
    """Make everything heard so far final, and say so."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Still here; answered at once."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio: make everything final, then say done."""


Command: TypeAlias = Audio | Configure | Flush | Ping | Finish
