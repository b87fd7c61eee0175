"""Streams on an engine nobody else uses, given back at the end; and how the times of a trial are told."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.port import Engine, TrackOptions
from voxfleet.scheduling.places import Place

SHARES = (50, 95, 99)


@contextmanager
def seats(engine: Engine, count: int) -> Iterator[list[Place]]:
    """So many of an engine's places. Raises AtCapacity when it has fewer."""
    places: list[Place] = []
    try:
        places.extend(engine.take(TrackOptions(engine.info.languages[0])) for _ in range(count))
        yield places
    finally:
        for place in places:
            engine.free(place)


def at_percent(values: Sequence[float] | NDArray[np.float64], share: float) -> float:
    """The value that so many percent don't exceed."""
    return float(np.percentile(values, share))


def shares(values: Sequence[float] | NDArray[np.float64], digits: int) -> dict[str, float]:
    """p50, p95 and p99 of seconds, in milliseconds; nothing of nothing."""
    if not len(values):
        return {}
    found = np.percentile(values, SHARES)
    return {f"p{share}": round(float(value) * 1000, digits) for share, value in zip(SHARES, found, strict=True)}
