"""Which workers a new stream tries, in which order, and whether one stream should move to make the shares even. Pure.

Two random choices, the emptier first: many gateways that see the same stale reports do not all run to one worker
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

REGION = "region"
"""The label that says where a worker stands."""
LEAST_MOVES = 2.0
"""Fewer streams to move until shares are equal is noise: of workers of equal capacity, four streams apart."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A worker as the pool knows it now."""

    name: str
    model: str
    capacity: int
    """Streams it says it sustains now; at most its places."""
    taken: int
    ready: bool
    """Linked, heard of lately, not draining."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of its capacity, how much is taken; above 1 when its capacity shrank under its streams."""
        return self.taken / self.capacity if self.capacity > 0 else float("inf")

    @property
    def full(self) -> bool:
        """Whether it would very likely refuse."""
        return self.taken >= self.capacity


@dataclass(frozen=True, slots=True)
class Wish:
    """What a stream asks of its worker."""

    model: str
    region: str = ""
    """Preferred, never required; '' = no preference."""
    require: Mapping[str, str] = field(default_factory=dict)
    """Labels a worker must have, with exactly these values."""
    near: str = ""
    """The worker that hears the call's other channels, or ''."""
    avoid: frozenset[str] = frozenset()
    """Workers this stream was just lost from."""


def order(candidates: Iterable[Candidate], wish: Wish, dice: random.Random) -> list[str]:
    """Names of all ready workers of the model that have the required labels, each once, the first to try first.

    The one near the call's other channels, then the region's, then other regions' workers with room, then full ones
    (the worker itself has the last word), then those to avoid.
    """
    fit = [c for c in candidates if c.ready and c.model == wish.model and _has(c.labels, wish.require)]
    ranks: list[list[Candidate]] = [[] for _ in range(6)]
    for candidate in fit:
        ranks[_rank(candidate, wish)].append(candidate)
    return [candidate.name for rank in ranks for candidate in _emptier_of_two_first(rank, dice)]


def rebalance(
    candidates: Iterable[Candidate], floor: float = 0.25, require: Mapping[str, str] | None = None
) -> tuple[str, str] | None:
    """(from, to): between which workers of one model and region, that have these labels, one stream should move now.

    Only while the shares differ by more than `floor` and at least two streams must move until they are equal: a move
    never turns the difference round, so nothing is moved to and fro. None where nothing should move.
    """
    fit = [c for c in candidates if c.ready and c.capacity > 0 and _has(c.labels, require or {})]
    fit.sort(key=lambda c: c.name)
    pairs = [(a, b) for a, b in permutations(fit, 2) if _uneven(a, b, floor)]
    if not pairs:
        return None
    fuller, emptier = max(pairs, key=lambda pair: pair[0].share - pair[1].share)
    return fuller.name, emptier.name


def _has(labels: Mapping[str, str], required: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in required.items())


def _rank(candidate: Candidate, wish: Wish) -> int:
    if candidate.name in wish.avoid:
        return 5
    if candidate.name == wish.near and not candidate.full:
        return 0
    elsewhere = bool(wish.region) and candidate.labels.get(REGION) != wish.region
    return (3 if candidate.full else 1) + elsewhere


def _emptier_of_two_first(rank: Sequence[Candidate], dice: random.Random) -> list[Candidate]:
    shuffled = dice.sample(rank, len(rank))  # equal shares stay in this order: no worker is first by its name
    return sorted(shuffled[:2], key=_share) + sorted(shuffled[2:], key=_share)


def _share(candidate: Candidate) -> float:
    return candidate.share


def _uneven(fuller: Candidate, emptier: Candidate, floor: float) -> bool:
    difference = fuller.share - emptier.share
    if difference <= floor or emptier.full or fuller.model != emptier.model:
        return False
    if fuller.labels.get(REGION) != emptier.labels.get(REGION):
        return False
    moves = difference / (1 / fuller.capacity + 1 / emptier.capacity)
    return moves >= LEAST_MOVES - 1e-9
