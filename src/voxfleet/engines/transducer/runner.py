"""Runs passes on the device: one at a time in order, the host never waiting but for their labels.

`launch` copies the columns of a pass to the device and starts it; `collect` waits for its labels. Between the two the
host assembles the next pass. On a CUDA device a pass is two graphs, captured once for each number of rows (bucket) and
chunk: the network, and a burst of decoding. On the CPU the same functions are called directly. Rows that fill a bucket up
work in the arena's scratch row and are not told.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.engines.transducer.arena import COLUMNS, Arena, Batch
from voxfleet.engines.transducer.decoding import Decoder
from voxfleet.engines.transducer.features import ENDLESS, LogMel
from voxfleet.engines.transducer.model import Transducer
from voxfleet.engines.transducer.phrases import CAPACITY, PhraseBook
from voxfleet.engines.transducer.ring import AudioRing

ROW, FIRST, FRAMES, FLOOR, LIMIT, ORIGIN, PROMPT = range(len(COLUMNS))
"""Rows of the columns given to `launch`."""
BURST = 4
"""Iterations captured in one graph of decoding."""
MEL_FRAMES = 8
"""Per encoder frame."""


@dataclass(slots=True)
class Emissions:
    """What a pass said, row by row in the order of its columns."""

    count: NDArray[np.int64]
    """Labels, shape (n,)."""
    labels: NDArray[np.int32]
    """(n, most)"""
    frames: NDArray[np.int32]
    """The frame of the pass in which each was said, (n, most)."""
    scores: NDArray[np.float32]
    """Its probability, (n, most)."""


@dataclass(slots=True)
class Pass:
    """A pass that was launched and is not collected yet."""

    rows: int
    chunk: int
    columns: Tensor
    host: Tensor
    width: int = 0
    """Of the phrases its rows expect."""
    done: "torch.cuda.Event | None" = None


class Runner:
    """The network, its arena and its audio on one device. Owned by one thread."""

    def __init__(
        self,
        model: Transducer,
        mel: LogMel,
        ring: AudioRing,
        arena: Arena,
        *,
        device: torch.device,
        look: int,
        frames_per_pass: int,
        buckets: Sequence[int] = (),
    ) -> None:
        """`look`: see Decoder. `frames_per_pass`: encoder frames of all rows together. `buckets`: numbers of rows a
        pass may have, rising; none = any number, unpadded."""
        self.device = device
        self.launches = 0
        """Passes so far."""
        self.bursts = 0
        """Bursts of decoding so far, those for rows that needed more among them."""
        self._model, self._mel, self._ring, self._arena = model, mel, ring, arena
        self._decoder = Decoder(model, arena, look)
        self._frames_per_pass = frames_per_pass
        self._buckets = tuple(buckets)
        self._burst = BURST if device.type == "cuda" else 1
        """Iterations between two looks of the host; a CPU has nothing to wait for."""
        self._graphs = Graphs(device, arena.scratch) if device.type == "cuda" else None

    @property
    def phrases(self) -> PhraseBook:
        """What the streams of its rows expect."""
        return self._decoder.phrases

    def most_rows(self, chunk: int) -> int:
        """Rows that one pass over chunks of so many frames takes."""
        most = max(1, self._frames_per_pass // chunk)
        if not self._buckets:
            return most
        return self._buckets[max(0, bisect_left(self._buckets, most + 1) - 1)]

    @torch.inference_mode()
    def launch(self, columns: NDArray[np.int64], chunk: int) -> Pass:
        """Start a pass over `columns`, shape (7, n), n <= most_rows(chunk), every row at most once."""
        rows = columns.shape[1]
        padded = self._padded(columns, chunk)
        pinned = torch.from_numpy(padded)
        if self._graphs is not None:
            pinned = pinned.pin_memory()
        width = self.phrases.width(columns[ROW])
        started = Pass(rows, chunk, pinned.to(self.device, non_blocking=True), pinned, width)
        self._run(("pass", padded.shape[1], chunk), started.columns, lambda given: self._network(given, chunk))
        self._decode(started, self._expected(chunk))
        self.launches += 1
        return started

    @torch.inference_mode()
    def collect(self, started: Pass) -> Emissions:
        """What was said; waits for the pass to end, and lets rows that need it be decoded further."""
        packed = self._finished(started)
        while packed[:, 0].any():
            self._decode(started, 1)
            packed = self._finished(started)
        count = packed[:, 1].astype(np.int64)
        most = (packed.shape[1] - 2) // 3
        labels, frames, scores = (packed[:, 2 + part * most : 2 + (part + 1) * most] for part in range(3))
        return Emissions(count, labels, frames, scores.view(np.float32))

    # ---- the pass -----------------------------------------------------------------------------------------------

    def _network(self, columns: Tensor, chunk: int) -> None:
        batch = Batch.of(columns)
        first_mel = (batch.first - 1) * MEL_FRAMES
        mels = MEL_FRAMES * chunk + 1
        begin = batch.origin + first_mel * self._mel.shape.hop - self._mel.reach
        audio = self._ring.read(batch.row, begin, self._mel.samples(mels))
        mel_btf = self._mel(audio, first_mel, batch.limit).to(self._arena.prediction.dtype)
        self._decoder.begin(self._model.encode(mel_btf, batch, self._arena), batch)

    def _decode(self, started: Pass, bursts: int) -> None:
        size = started.columns.shape[1]

        def burst(given: Tensor) -> None:
            self._decoder.burst(given[ROW], self._burst, started.width)

        for _ in range(bursts):
            self._run(("burst", size, started.width), started.columns, burst)
            self.bursts += 1
        row = started.columns[ROW, : started.rows]
        arena = self._arena
        most = started.chunk * self._model.shape.max_symbols
        left = (arena.pointer[row] < arena.valid[row]).int()[:, None]
        parts = [
            left,
            arena.count[row].int()[:, None],
            arena.labels[row, :most],
            arena.label_frames[row, :most],
            arena.label_scores[row, :most].view(torch.int32),
        ]
        packed = torch.cat(parts, dim=1)
        if self._graphs is None:
            started.host = packed
            return
        started.host = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
        started.host.copy_(packed, non_blocking=True)
        started.done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        started.done.record()

    def _finished(self, started: Pass) -> NDArray[np.int32]:
        if started.done is not None:
            started.done.synchronize()
        result: NDArray[np.int32] = started.host.numpy()
        return result

    def _expected(self, chunk: int) -> int:
        """Bursts that carry nearly every row through: its frames, and a label for every second one."""
        if self._graphs is None:
            return -(-chunk // self._decoder.look)
        looks = -(-chunk // self._decoder.look)
        return -(-(looks + chunk // 2 + 1) // BURST)

    def _padded(self, columns: NDArray[np.int64], chunk: int) -> NDArray[np.int64]:
        rows = columns.shape[1]
        if not self._buckets:
            return np.ascontiguousarray(columns)
        size = self._buckets[bisect_left(self._buckets, rows)]
        padded = np.zeros((len(COLUMNS), size), np.int64)
        padded[:, :rows] = columns
        padded[ROW, rows:] = self._arena.scratch
        padded[FRAMES, rows:] = chunk
        padded[LIMIT, rows:] = ENDLESS
        return padded

    def _run(self, key: tuple[str, int, int], columns: Tensor, function: Callable[[Tensor], None]) -> None:
        if self._graphs is None:
            function(columns)
        else:
            self._graphs.run(key, columns, function)

    @torch.inference_mode()
    def warm(self, chunks: Sequence[int], places: int) -> None:
        """Capture every graph that so many places need, so that no live step waits for it. Does nothing on the CPU."""
        if self._graphs is None:
            return
        needed = self._buckets[: bisect_left(self._buckets, places) + 1]
        for chunk in chunks:
            for size in needed:
                if size <= self.most_rows(chunk):
                    columns = np.zeros((len(COLUMNS), size), np.int64)
                    columns[ROW], columns[FRAMES], columns[LIMIT] = self._arena.scratch, chunk, ENDLESS
                    started = self.launch(columns, chunk)
                    self._decode(replace(started, width=CAPACITY), 1)
                    self.collect(started)


class Graphs:
    """CUDA graphs by key, sharing one pool of memory: they run one after the other."""

    def __init__(self, device: torch.device, scratch: int) -> None:
        """`scratch`: a row of the arena that may be written while a graph is captured."""
        self._device = device
        self._scratch = scratch
        self._pool = torch.cuda.graph_pool_handle()
        self._known: dict[tuple[str, int, int], tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def run(self, key: tuple[str, int, int], columns: Tensor, function: Callable[[Tensor], None]) -> None:
        """The graph of this key over these columns; captured when first asked for."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._capture(columns, function)
        graph, given = known
        given.copy_(columns, non_blocking=True)
        graph.replay()

    def _capture(self, columns: Tensor, function: Callable[[Tensor], None]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Run twice beside the graph, for libraries to make their plans, on a row that is nobody's; then recorded."""
        given = columns.clone()
        given[ROW] = self._scratch
        current = torch.cuda.current_stream(self._device)
        aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            for _ in range(2):
                function(given)
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            function(given)
        return graph, given
