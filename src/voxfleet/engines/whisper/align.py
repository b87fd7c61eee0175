"""When each token was said: a monotone path through what the decoder attended to while it said it.

The attention of the alignment heads is set against its mean over the tokens, smoothed over time and averaged, as in
Whisper's own timing of words (openai/whisper, timing.py). The path then gives every token a stretch of frames of its own,
the first one from the first frame on, so that the sum over all is largest. Row i of a matrix belongs to token i, what was
attended to in order to say it; the last row, where there is one, to the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxfleet.engines.whisper.arena import Arena
from voxfleet.engines.whisper.layout import Heads
from voxfleet.speech import Seconds

FRAME = 0.02
"""Seconds of an encoder position."""
MARGIN = 3
"""Frames on either side of one that its median is taken over."""
_MEDIAN = ((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4))
"""Pairs to be put in order, one after the other, that bring the median of seven to place 3 (J. L. Smith, 1996)."""
_TINY = 1e-9
LEAD = 25
"""Frames by which the first token begins, at most, before the one it attended to most. The path gives it all silence
before it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A transcript whose attention is wanted."""

    slot: int
    begin: int
    """Where it begins among the tokens."""
    rows: int
    """Its tokens, and one more where it came to an end by itself."""
    frames: int
    """Encoder positions that hold audio; at least 1."""
    heads: Heads
    """Those of its language; some of the arena's."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of the tokens of a transcript, in seconds."""

    begins: tuple[Seconds, ...]
    ends: tuple[Seconds, ...]
    attended: tuple[Seconds, ...] | None
    """The end of the frame each attended to most."""


def matrices(arena: Arena, asked: Sequence[Asked]) -> Tensor:
    """What the tokens of each attended to: (n, rows, frames) float32, of the longest; what is beyond a shorter one means
    nothing. The transcripts must still be in their slots."""
    device = arena.device
    numbers = torch.tensor([[one.slot, one.begin, one.rows, one.frames] for one in asked]).to(device, non_blocking=True)
    slot, begin, rows, frames = numbers.unbind(1)
    most_rows, most_frames = max(one.rows for one in asked), max(one.frames for one in asked)
    places = (begin[:, None] - 1 + torch.arange(most_rows, device=device)).clamp_max(arena.target - 1)
    queries = arena.queries[slot[:, None], places]
    scale = queries.shape[-1] ** -0.5
    found = []
    for place, (layer, head) in enumerate(arena.heads):
        part = slice(head * queries.shape[-1], (head + 1) * queries.shape[-1])
        keys = arena.heard_keys[layer, :, :, part][slot]
        weights = (queries[:, :, place] @ keys.transpose(1, 2)).float().mul(scale).softmax(-1)
        found.append(weights[..., :most_frames])
    counted = torch.tensor([[float(head in one.heads) for head in arena.heads] for one in asked])
    counted = (counted / counted.sum(1, keepdim=True)).to(device, non_blocking=True)
    smooth = smoothed(standardised(torch.stack(found, 1), rows), frames)
    return torch.einsum("nhrf,nh->nrf", smooth, counted)


def standardised(weights_nhrf: Tensor, rows: Tensor) -> Tensor:
    """How far each token's attention to a frame is above the mean of all tokens, in standard deviations."""
    there = (torch.arange(weights_nhrf.shape[2], device=rows.device) < rows[:, None])[:, None, :, None]
    count = rows[:, None, None, None]
    mean = weights_nhrf.where(there, 0.0).sum(2, keepdim=True) / count
    off = (weights_nhrf - mean).where(there, 0.0)
    return off / ((off.square().sum(2, keepdim=True) / count).sqrt() + _TINY)


def smoothed(matrix_nhrf: Tensor, frames: Tensor) -> Tensor:
    """The median over seven frames, mirrored at the first and at the last one that holds audio."""
    most = matrix_nhrf.shape[-1]
    at = torch.arange(-MARGIN, most + MARGIN, device=frames.device).abs()
    last = frames[:, None] - 1
    at = torch.where(at > last, 2 * last - at, at).clamp(min=0).clamp_max(most - 1)
    index = at[:, None, None, :].expand(*matrix_nhrf.shape[:3], -1)
    wide = matrix_nhrf.gather(-1, index)
    seven = [wide[..., shift : shift + most] for shift in range(2 * MARGIN + 1)]
    for low, high in _MEDIAN:
        seven[low], seven[high] = torch.minimum(seven[low], seven[high]), torch.maximum(seven[low], seven[high])
    return torch.where((frames > MARGIN)[:, None, None, None], seven[MARGIN], matrix_nhrf)


def paths(matrix_nrf: Tensor, rows: Tensor, frames: Tensor) -> Tensor:
    """The frame each row begins with: (n, r) int64. Of rows beyond `rows`, and where there are more rows than frames, it
    means nothing."""
    count, most_rows, most_frames = matrix_nrf.shape
    sums = matrix_nrf.cumsum(2)
    never = torch.full((count, 1), -torch.inf, dtype=sums.dtype, device=sums.device)
    total = sums[:, 0]
    came_from: list[Tensor] = []
    for row in range(1, most_rows):
        best, at = (total - sums[:, row]).cummax(1)
        total = torch.cat([never, sums[:, row, 1:] + best[:, :-1]], 1)
        came_from.append(functional.pad(at[:, :-1].int() + 1, (1, 0)))
    begins = torch.zeros(count, most_rows, dtype=torch.int64, device=sums.device)
    end = (frames - 1).clamp_max(most_frames - 1)
    for row in range(most_rows - 1, 0, -1):
        begin = came_from[row - 1].gather(1, end[:, None])[:, 0].long()
        there = row < rows
        begins[:, row] = torch.where(there, begin, frames)
        end = torch.where(there, begin - 1, end).clamp_min(0)
    return begins


def found(matrix_nrf: Tensor, asked: Sequence[Asked]) -> Tensor:
    """Where each row begins and what it attended to most, in frames: (n, 2, r) int64, on the device."""
    numbers = torch.tensor([[one.rows, one.frames] for one in asked]).to(matrix_nrf.device, non_blocking=True)
    rows, frames = numbers.unbind(1)
    heard = torch.arange(matrix_nrf.shape[2], device=matrix_nrf.device) < frames[:, None]
    most = matrix_nrf.where(heard[:, None], -torch.inf).argmax(2)
    return torch.stack([paths(matrix_nrf, rows, frames), most], 1)


def times(begins: Sequence[int], most: Sequence[int], tokens: int, asked: Asked) -> Times:
    """Of the first `tokens` rows, by what `found` says of a transcript."""
    if asked.rows > asked.frames:
        spread = evenly(tokens, asked.frames * FRAME)
        return Times(spread.begins, spread.ends, tuple((frame + 1) * FRAME for frame in most[:tokens]))
    stops = [*begins[1 : asked.rows], asked.frames]
    first = min(max(0, most[0] - LEAD), stops[0] - 1)
    return Times(
        tuple(frame * FRAME for frame in (first, *begins[1:tokens])),
        tuple(frame * FRAME for frame in stops[:tokens]),
        tuple((frame + 1) * FRAME for frame in most[:tokens]),
    )


def evenly(tokens: int, seconds: Seconds) -> Times:
    """Where nothing is known of attention: each as long as the next."""
    edges = [seconds * place / max(1, tokens) for place in range(tokens + 1)]
    return Times(tuple(edges[:-1]), tuple(edges[1:]), None)
