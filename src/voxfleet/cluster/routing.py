"""Which worker a new stream should try first. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A worker as the pool knows it now."""

    name: str
    model: str
    places: int
    taken: int
    ready: bool


def order(candidates: Iterable[Candidate], model: str) -> list[str]:
    """Names of the ready workers of this model, the one with the largest share of free places first.

    Full workers come last and are still tried: the worker itself has the last word.
    """
    fit = [c for c in candidates if c.ready and c.model == model]
    return [c.name for c in sorted(fit, key=lambda c: (c.taken / max(c.places, 1), c.name))]


def hears(languages: Iterable[str], language: str) -> bool:
    """Whether an engine of these languages hears this one: equal tags, or one is the bare language of the other."""
    wanted = language.lower()
    for tag in languages:
        offered = tag.lower()
        if offered in ("*", wanted) or offered.split("-")[0] == wanted or wanted.split("-")[0] == offered:
            return True
    return False
