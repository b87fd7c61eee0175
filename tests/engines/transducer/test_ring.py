"""The ring on the device is, sample for sample, a plain two-dimensional array written one increment at a time."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
import torch

from voxfleet.engines.transducer.ring import AudioRing

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Write:
    """Arguments of one call."""

    rows: NDArray[np.uint32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    samples: NDArray[np.int16]

    def to(self, ring: AudioRing) -> None:
        ring.write(self.rows, self.starts, self.lengths, self.samples)

    def to_plain(self, plain: NDArray[np.int16]) -> None:
        at = 0
        for row, start, length in zip(self.rows, self.starts, self.lengths, strict=True):
            for i in range(int(length)):
                plain[row, (start + i) % plain.shape[1]] = self.samples[at]
                at += 1


def _write(rows: list[int], starts: list[int], lengths: list[int], seed: int = 0) -> Write:
    samples = np.random.default_rng(seed).integers(-32_768, 32_768, sum(lengths), np.int16)
    return Write(np.array(rows, np.uint32), np.array(starts, np.int64), np.array(lengths, np.uint32), samples)


def _live(draw: st.DrawFn, rows: int, capacity: int) -> list[Write]:
    """Streams that arrive in pieces, several pieces of one stream in one write, and now and then a new stream."""
    writes = []
    ends = [draw(st.sampled_from([0, 0, capacity - 1, 2**40])) for _ in range(rows)]
    for seed in range(draw(st.integers(1, 8))):
        order = draw(st.lists(st.integers(0, rows - 1), max_size=2 * rows))
        room, starts, lengths = [capacity] * rows, [], []
        for row in order:
            if room[row] == capacity and draw(st.integers(0, 9)) == 0:
                ends[row] = draw(st.integers(0, 3 * capacity))
            length = draw(st.integers(0, room[row]))
            starts.append(ends[row])
            lengths.append(length)
            ends[row] += length
            room[row] -= length
        writes.append(_write(order, starts, lengths, seed))
    return writes


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_interleaving_of_streams_is_what_a_plain_array_holds(data: st.DataObject) -> None:
    rows, capacity = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 40))
    ring, plain = AudioRing(rows, capacity, CPU), np.zeros((rows, capacity), np.int16)
    for write in data.draw(st.composite(_live)(rows, capacity)):
        write.to(ring)
        write.to_plain(plain)
        np.testing.assert_array_equal(ring.samples.numpy(), plain)
    asked = data.draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(-99, 2**40)), min_size=1, max_size=5))
    count = data.draw(st.integers(0, capacity))
    read = ring.read(torch.tensor([row for row, _ in asked]), torch.tensor([first for _, first in asked]), count)
    assert read.dtype == torch.float32
    for row, (of, first) in zip(read.numpy(), asked, strict=True):
        np.testing.assert_array_equal(row, plain[of, np.arange(first, first + count) % capacity] / np.float32(32_768))


def test_a_stream_longer_than_the_ring_keeps_its_last_samples() -> None:
    ring = AudioRing(rows=2, capacity=1_000, device=CPU)
    stream = np.random.default_rng(1).integers(-32_768, 32_768, 10_000, np.int16)
    for at in range(0, 10_000, 370):
        piece = stream[at : at + 370]
        ring.write(np.array([1], np.uint32), np.array([at]), np.array([len(piece)], np.uint32), piece)
    kept = ring.read(torch.tensor([1]), torch.tensor([9_000]), 1_000)[0]
    np.testing.assert_array_equal(kept.numpy(), stream[9_000:].astype(np.float32) / 32_768)
    assert not ring.samples[0].any(), "a row nobody wrote to is silent"


def test_full_scale_is_one() -> None:
    ring = AudioRing(rows=1, capacity=3, device=CPU)
    loud = np.array([-32_768, 32_767, 1], np.int16)
    ring.write(np.array([0], np.uint32), np.array([0]), np.array([3], np.uint32), loud)
    read = ring.read(torch.tensor([0]), torch.tensor([0]), 3)[0]
    assert read.tolist() == [-1.0, 32_767 / 32_768, 1 / 32_768]


def test_the_callers_arrays_are_copied_and_may_be_read_only() -> None:
    ring = AudioRing(rows=1, capacity=8, device=CPU)
    mine = np.arange(4, dtype=np.int16)
    for at in range(0, 40, 4):
        ring.write(np.array([0], np.uint32), np.array([at]), np.array([4], np.uint32), mine)
        mine += 4
    received = np.frombuffer(np.arange(40, 44, dtype=np.int16).tobytes(), np.int16)
    ring.write(np.array([0], np.uint32), np.array([40]), np.array([4], np.uint32), received)
    assert ring.samples.tolist() == [[40, 41, 42, 43, 36, 37, 38, 39]]


def test_an_empty_write_changes_nothing() -> None:
    ring = AudioRing(rows=2, capacity=4, device=CPU)
    _write([], [], []).to(ring)
    _write([0, 1, 0], [3, 9, 3], [0, 0, 0]).to(ring)
    assert not ring.samples.any()


@pytest.mark.parametrize(("write", "fault"), [
    (_write([0, 2], [0, 0], [1, 1]), "a row beyond"),
    (_write([1], [0], [5]), "more audio"),
    (_write([1, 0, 1], [0, 0, 3], [3, 4, 2]), "more audio"),
    (Write(np.array([0], np.uint32), np.array([0]), np.array([3], np.uint32), np.zeros(2, np.int16)), "add up"),
])  # fmt: skip
def test_what_no_ring_can_hold_is_a_programming_error(write: Write, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        write.to(AudioRing(rows=2, capacity=4, device=CPU))


def test_reading_more_than_the_ring_holds_is_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="more samples"):
        AudioRing(rows=1, capacity=4, device=CPU).read(torch.tensor([0]), torch.tensor([0]), 5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_writes_that_overtake_the_gpu_are_all_heard() -> None:
    ring, plain = AudioRing(64, 4_000, torch.device("cuda")), np.zeros((64, 4_000), np.int16)
    torch.cuda._sleep(500_000_000)  # the device is busy: every copy below waits, and so must their staging memory
    for seed in range(12):
        write = _write(list(range(64)), [300 * seed + row for row in range(64)], [300 + seed] * 64, seed)
        write.to(ring)
        write.samples[:] = 0
        _write(list(range(64)), [300 * seed + row for row in range(64)], [300 + seed] * 64, seed).to_plain(plain)
    np.testing.assert_array_equal(ring.samples.cpu().numpy(), plain)
