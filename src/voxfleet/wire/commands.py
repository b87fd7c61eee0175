"""What a caller can tell us, whatever dialect it speaks."""

from typing import TypeAlias

from msgspec import Struct


class Audio(Struct, frozen=True):
    data: bytes


class Configure(Struct, frozen=True):
    """Change what may change in mid-stream; None = leave as it is."""

    endpointing_ms: int | None = None
    interim: bool | None = None


class Flush(Struct, frozen=True):
    """Make everything heard so far final, and say so."""


class Ping(Struct, frozen=True):
    """Still here; answered at once."""

    id: str | None = None


class Finish(Struct, frozen=True):
    """No more audio: make everything final, then say done."""


Command: TypeAlias = Audio | Configure | Flush | Ping | Finish
