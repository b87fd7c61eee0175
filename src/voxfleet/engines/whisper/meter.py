"""What a transcriber has done so far, and how long its device was busy with it."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import torch


@dataclass(slots=True)
class Counters:
    """Sums since the start."""

    windows: int = 0
    positions: int = 0
    """Encoder positions, 20 ms each, silence among them."""
    steps: int = 0
    """Of the decoder, each over all windows in it."""
    tokens: int = 0
    """Decoded; those of drafts that were right among them."""
    offered: int = 0
    """Tokens of drafts."""
    accepted: int = 0
    """Tokens of drafts that were right."""
    encoder_seconds: float = 0.0
    """On the device; on a GPU up to the last time it was asked."""
    decoder_seconds: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Meter:
    """Counters, and a clock that runs on the device. Owned by the thread that owns the device."""

    def __init__(self, device: torch.device) -> None:
        self.counters = Counters()
        self._on_gpu = device.type == "cuda"
        self._events: deque[tuple[str, torch.cuda.Event, torch.cuda.Event]] = deque()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """What the block gives the device to do is counted to the seconds of this name. Never waits for the device."""
        if not self._on_gpu:
            began = time.perf_counter()
            yield
            self._add(name, time.perf_counter() - began)
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        yield
        end.record()
        self._events.append((name, begin, end))
        self._collect()

    def read(self) -> Counters:
        """Up to what the device has finished."""
        self._collect()
        return self.counters

    def _collect(self) -> None:
        while self._events and self._events[0][2].query():  # type: ignore[no-untyped-call]
            name, begin, end = self._events.popleft()
            self._add(name, begin.elapsed_time(end) / 1000)

    def _add(self, name: str, seconds: float) -> None:
        field = f"{name}_seconds"
        setattr(self.counters, field, getattr(self.counters, field) + seconds)
