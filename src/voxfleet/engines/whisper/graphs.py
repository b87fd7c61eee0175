"""Bursts of steps as CUDA graphs: captured once for each number of slots and each reach, then replayed.

A burst takes nothing and gives nothing back: all it works on lies in the arena. Before it is captured it runs once beside
the graph, for libraries to make their plans; meanwhile all windows count as finished, which a burst leaves as they are.
"""

from collections.abc import Callable

import torch
from torch import Tensor


class Graphs:
    """Graphs by key, sharing one pool of memory: they run one after the other."""

    def __init__(self, device: torch.device, finished: Tensor) -> None:
        """`finished`: the windows that a burst leaves as they are."""
        self._device, self._finished = device, finished
        self._pool = torch.cuda.graph_pool_handle()
        self._known: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    def run(self, key: tuple[int, int], function: Callable[[], None]) -> None:
        """The graph of this key; captured when first asked for."""
        graph = self._known.get(key)
        if graph is None:
            graph = self._known[key] = self._capture(function)
        graph.replay()

    def _capture(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        before = self._finished.clone()
        self._finished.fill_(True)
        current = torch.cuda.current_stream(self._device)
        aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            function()
        current.wait_stream(aside)
        self._finished.copy_(before)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            function()
        return graph
