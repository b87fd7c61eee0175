"""Where arriving audio waits on the device: a ring of samples per place, addressed by absolute stream position.

Sample `p` of a stream lies in column `p % capacity` of its row. The ring doesn't know what was written: whoever reads
knows which positions are still there, and masks the rest.
"""

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FULL_SCALE = 32_768.0


class AudioRing:
    """`capacity` samples of 16-bit audio for each of `rows` streams, in one tensor on the device.

    Used by the one thread that owns the device. A write is queued on the current CUDA stream and isn't waited for, so
    a read queued after it on the same stream finds it. The content of a row nobody wrote to is silence.
    """

    def __init__(self, rows: int, capacity: int, device: torch.device) -> None:
        self.rows = rows
        self.capacity = capacity
        self.samples = torch.zeros(rows, capacity, dtype=torch.int16, device=device)
        self._scale = torch.full((1,), 1 / _FULL_SCALE, dtype=torch.float32, device=device)
        self._stages: Iterator[_Stage] = cycle([_Stage(device) for _ in range(_STAGES)])

    def write(
        self,
        rows: NDArray[np.uint32],
        starts: NDArray[np.int64],
        lengths: NDArray[np.uint32],
        samples: NDArray[np.int16],
    ) -> None:
        """Put audio where it belongs: `lengths[i]` samples at stream position `starts[i]` of row `rows[i]`.

        The first three have shape (n,); `samples` holds the increments one after the other. A row may occur more than
        once, but all its positions must lie within one span of `capacity`, none given twice. Copies: the arrays are
        the caller's again on return. On a GPU it waits only for the third write before this one.
        """
        total = len(samples)
        assert int(lengths.sum(dtype=np.int64)) == total, "lengths don't add up to the samples given"
        if not total:
            return
        per_row = np.bincount(rows, weights=lengths, minlength=self.rows)
        assert len(per_row) == self.rows, "a row beyond the ring"
        assert per_row.max() <= self.capacity, "more audio for a row than the ring holds"
        sent, block = next(self._stages).send(self._pieces(rows, starts, lengths.astype(np.int64)), samples)
        target = torch.repeat_interleave(sent[0], sent[1], output_size=total)
        target += torch.arange(total, device=target.device)
        self.samples.view(-1).scatter_(0, target, block)

    def _pieces(
        self, rows: NDArray[np.uint32], starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Every increment cut in two where the ring begins anew: (2, 2n), what to add to the number a sample has in
        the whole block to find its place in the whole ring, and the number of samples for which that holds."""
        columns = starts % self.capacity
        pieces = np.empty((2, len(rows), 2), np.int64)
        target, count = pieces
        count[:, 0] = np.minimum(lengths, self.capacity - columns)
        count[:, 1] = lengths - count[:, 0]
        target[:, 1] = rows.astype(np.int64) * self.capacity
        target[:, 0] = target[:, 1] + columns
        target.reshape(-1)[:] -= count.cumsum() - count.reshape(-1)
        return pieces.reshape(2, -1)

    def read(self, rows: Tensor, first: Tensor, count: int) -> Tensor:
        """`count` samples from absolute position `first[b]` on of each row `rows[b]`: (B, count) float32 in -1..1.

        rows, first: (B,) int64 on the device. Positions not written, overwritten or negative give some sample or other
        of the same row. Nothing is read back and shapes are fixed by the arguments: a CUDA graph can hold it.
        """
        assert count <= self.capacity, "more samples than the ring holds"
        columns = torch.arange(count, device=first.device).add(first[:, None]).remainder_(self.capacity)
        return self.samples[rows[:, None], columns] * self._scale


_STAGES = 3
"""Writes that may be on their way at once; one more waits for the oldest."""


class _Stage:
    """Host memory a GPU copies from by itself: page-locked, and not written again before that copy is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._gpu = device.type == "cuda"
        self._memory = torch.empty(0, dtype=torch.uint8)
        self._copied: torch.cuda.Event | None = None

    def send(self, columns: NDArray[np.int64], samples: NDArray[np.int16]) -> tuple[Tensor, Tensor]:
        """Both arrays on the device, in one copy; valid until this stage sends again."""
        if self._copied is not None:
            self._copied.synchronize()
        cut, size = columns.nbytes, columns.nbytes + samples.nbytes
        if len(self._memory) < size:
            self._memory = torch.empty(1 << (size - 1).bit_length(), dtype=torch.uint8, pin_memory=self._gpu)
        memory = self._memory.numpy()
        memory[:cut].view(np.int64)[:] = columns.reshape(-1)
        memory[cut:size].view(np.int16)[:] = samples
        sent = self._memory[:size].to(self._device, non_blocking=True)
        if self._gpu:
            self._copied = self._copied or torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(self._device))
        return sent[:cut].view(torch.int64).view(columns.shape), sent[cut:].view(torch.int16)
