"""Token times come out where the reference's time warping puts them, for each transcript as if it were alone."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from tests.engines.whisper.networks import HEADS, SHAPE, Bench, encoded, entry, ours, reference
from voxfleet.engines.whisper.align import FRAME, Asked, evenly, found, matrices, paths, smoothed, standardised, times
from voxfleet.engines.whisper.continuous import Decoded


def diagonal(rows: int, frames: int, seed: int, noise: float = 0.3) -> Tensor:
    """Attention that goes through the audio once, at an uneven pace: (rows, frames)."""
    draws = torch.Generator().manual_seed(seed)
    pace = torch.rand(rows, generator=draws) + 0.2
    centres = (pace.cumsum(0) - pace / 2) / pace.sum() * frames
    spread = 0.5 * frames / rows
    matrix = torch.exp(-(((torch.arange(frames) - centres[:, None]) / spread) ** 2))
    return matrix + noise * torch.rand(rows, frames, generator=draws)


def warped(matrix: Tensor) -> list[int]:
    """The frame each row begins with, by the reference."""
    rows, frames = _dynamic_time_warping(-matrix.double().numpy())
    first = np.pad(np.diff(rows), (1, 0), constant_values=1).astype(bool)
    return [int(frame) for frame in frames[first]]


def alone(matrix: Tensor) -> list[int]:
    rows, frames = matrix.shape
    return [int(frame) for frame in paths(matrix[None], torch.tensor([rows]), torch.tensor([frames]))[0]]


@pytest.mark.parametrize("seed", range(4))
def test_paths_are_near_the_references(seed: int) -> None:
    raw = diagonal(20, 150, seed)[None, None]
    matrix = smoothed(standardised(raw, torch.tensor([20])), torch.tensor([150]))[0, 0]
    off = np.abs(np.array(alone(matrix)) - np.array(warped(matrix)))
    assert np.mean(off <= 2) >= 0.9, off


def test_a_clear_path_is_found_exactly() -> None:
    edges = [0, 3, 4, 9, 20]
    matrix = torch.full((4, 20), -1.0)
    for row, (begin, end) in enumerate(pairwise(edges)):
        matrix[row, begin:end] = 1.0
    assert alone(matrix) == edges[:-1]


def test_the_path_is_the_best_there_is() -> None:
    """Against all paths of a small matrix."""
    matrix = torch.randn(4, 9, generator=torch.Generator().manual_seed(3))

    def worth(begins: tuple[int, ...]) -> float:
        return sum(float(matrix[row, a:b].sum()) for row, (a, b) in enumerate(pairwise((*begins, 9))))

    every = [(0, a, b, c) for a in range(1, 7) for b in range(a + 1, 8) for c in range(b + 1, 9)]
    assert tuple(alone(matrix)) == max(every, key=worth)


def test_each_transcript_is_as_if_alone() -> None:
    sizes = [(20, 150), (5, 150), (12, 40), (1, 30), (7, 7)]
    single = [diagonal(rows, frames, seed) for seed, (rows, frames) in enumerate(sizes)]
    together = torch.full((len(sizes), 1, 20, 150), 7.0)
    for place, (rows, frames) in enumerate(sizes):
        together[place, 0, :rows, :frames] = single[place]
    rows_n, frames_n = torch.tensor(sizes).unbind(1)
    matrix = smoothed(standardised(together, rows_n), frames_n)[:, 0]
    asked = [Asked(0, 1, rows, frames, ()) for rows, frames in sizes]
    for place, (one, (rows, frames)) in enumerate(zip(single, sizes, strict=True)):
        only = smoothed(standardised(one[None, None], torch.tensor([rows])), torch.tensor([frames]))[0]
        assert torch.allclose(matrix[place, :rows, :frames], only[0], atol=1e-5)
        expected = found(only, [asked[place]])[0]
        assert torch.equal(found(matrix, asked)[place, :, :rows], expected)


def test_medians_are_the_references() -> None:
    matrix = torch.randn(2, 3, 5, 40)
    assert torch.equal(smoothed(matrix, torch.tensor([40, 40])), _median_filter(matrix, 7))
    short = torch.randn(1, 1, 4, 3)
    assert torch.equal(smoothed(short, torch.tensor([3])), short)


def test_attention_is_that_of_the_alignment_heads() -> None:
    """Queries kept while decoding, asked afterwards, say what the reference says it attended to."""
    theirs = reference(1).double()
    theirs.set_attn_implementation("eager")
    bench = Bench(ours(theirs), heads=HEADS)
    windows = encoded(1, 3)
    kept: dict[int, Tensor] = {}
    settle = bench.desk._leave

    def leave(leaving: Sequence[Decoded]) -> None:
        for one in leaving:
            asked = Asked(one.slot, one.entry.begin, len(one.tokens) + one.ended, SHAPE.source, HEADS)
            kept[one.key] = matrices(bench.arena, [asked])[0]
        settle(leaving)

    bench.desk._leave = leave
    entries = [entry(prompt=(7, 8)), entry(draft=(1, 2)), entry(prefix=(4, 9, 9))]
    for key, one in enumerate(bench.run(entries, windows, group=2)):
        tokens = torch.tensor([[*one.entry.head, *one.tokens]])
        with torch.inference_mode():
            said = theirs(encoder_outputs=(windows[key : key + 1],), decoder_input_ids=tokens, output_attentions=True)
        rows = slice(one.entry.begin - 1, one.entry.begin - 1 + len(one.tokens) + one.ended)
        raw = torch.stack([said.cross_attentions[layer][0, head, rows] for layer, head in HEADS])
        off = (raw - raw.mean(1, keepdim=True)) / raw.std(1, keepdim=True, unbiased=False)
        assert kept[key].shape[0] > 2
        assert torch.allclose(kept[key], _median_filter(off[None], 7)[0].mean(0).float(), atol=1e-3)


def test_times_are_seconds_of_the_window() -> None:
    asked = Asked(0, 4, 4, 50, ())
    said = times([0, 10, 30, 45], [5, 20, 31, 49], 3, asked)
    assert said.begins == pytest.approx((0, 10 * FRAME, 30 * FRAME))
    assert said.ends == pytest.approx((10 * FRAME, 30 * FRAME, 45 * FRAME))
    assert said.attended == pytest.approx((6 * FRAME, 21 * FRAME, 32 * FRAME))
    stopped = times([0, 10, 30], [5, 20, 31], 3, Asked(0, 4, 3, 50, ()))
    assert stopped.ends == pytest.approx((0.2, 0.6, 1.0))
    late = times([0, 60], [45, 70], 2, Asked(0, 4, 2, 80, ()))
    assert late.begins == pytest.approx((0.4, 1.2))
    crowded = times([0] * 4, [1, 1, 0, 1], 4, Asked(0, 4, 4, 2, ()))
    assert crowded.ends == pytest.approx((0.01, 0.02, 0.03, 0.04))


def test_without_attention_tokens_share_the_audio() -> None:
    said = evenly(4, 2.0)
    assert said.begins == (0.0, 0.5, 1.0, 1.5)
    assert said.ends == (0.5, 1.0, 1.5, 2.0)
    assert said.attended is None
    assert evenly(0, 1.0).begins == ()
