"""A runner with a watch: how long the device worked, how long the host waited for it, how much went through.

On a CPU the passes are the calling thread's own work, so device time is the time inside `launch` and `collect`. On a GPU
it is the time between two events around what was enqueued, from a runner that enqueues in one go; it therefore holds the
gaps of that enqueueing too and is an upper bound.
"""

import time

import numpy as np
import torch
from numpy.typing import NDArray

from voxfleet.engines.transducer.arena import Arena
from voxfleet.engines.transducer.model import Transducer
from voxfleet.engines.transducer.runner import FRAMES, Emissions, Pass, Runner


class MeteredRunner(Runner):
    """Another runner's passes, measured. It takes the other one's place."""

    def __init__(self, runner: Runner) -> None:
        vars(self).update(vars(runner))
        self._device_seconds = 0.0
        self._waited = 0.0
        """Seconds the host stood still for the device."""
        self._frames = 0
        self._labels = 0
        self._launching = False
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @property
    def model(self) -> Transducer:
        """The network."""
        return self._model

    @property
    def arena(self) -> Arena:
        """The state of all places."""
        return self._arena

    def readings(self) -> dict[str, float]:
        """Everything counted so far; call it while no pass is under way."""
        for begin, end in self._events:
            end.synchronize()
            self._device_seconds += begin.elapsed_time(end) / 1000
        self._events.clear()
        return {
            "device": self._device_seconds,
            "waited": self._waited if self.device.type == "cuda" else self._device_seconds,
            "passes": float(self.launches),
            "bursts": float(self.bursts),
            "frames": float(self._frames),
            "labels": float(self._labels),
        }

    def launch(self, columns: NDArray[np.int64], chunk: int) -> Pass:
        self._frames += int(columns[FRAMES].sum())
        began = self._begin()
        self._launching = True
        started = super().launch(columns, chunk)
        self._launching = False
        self._end(began)
        return started

    def collect(self, started: Pass) -> Emissions:
        began = time.perf_counter()
        emissions = super().collect(started)
        if self.device.type != "cuda":
            self._device_seconds += time.perf_counter() - began
        self._labels += int(emissions.count.sum())
        return emissions

    def _decode(self, started: Pass, bursts: int) -> None:
        if self._launching or self.device.type != "cuda":
            super()._decode(started, bursts)
            return
        began = self._begin()
        super()._decode(started, bursts)
        self._end(began)

    def _finished(self, started: Pass) -> NDArray[np.int32]:
        began = time.perf_counter()
        result = super()._finished(started)
        self._waited += time.perf_counter() - began
        return result

    def _begin(self) -> "torch.cuda.Event | float":
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _end(self, began: "torch.cuda.Event | float") -> None:
        if isinstance(began, float):
            self._device_seconds += time.perf_counter() - began
            return
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._events.append((began, event))
