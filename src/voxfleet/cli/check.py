"""What a look at this machine found: one line of `voxfleet doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found, and what to do where it isn't well."""

    name: str
    status: Status
    found: str
    advice: str = ""
