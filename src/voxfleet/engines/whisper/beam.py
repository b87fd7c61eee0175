"""Beam search, for recorded files: of several transcripts at once, the one with the best mean log probability is kept.

Which candidates live on, when one counts as finished and when the search may stop are those of the reference's generate
with `num_beams`, a length penalty of 1 and early stopping off. Beams of a window lie side by side in the arena.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxfleet.engines.whisper.decoding import Decoding, at
from voxfleet.engines.whisper.entries import Entry

WIDTH = 5
NEVER = -1.0e9
"""The score of a beam there isn't."""


@dataclass(slots=True)
class _Beams:
    """Of w windows, k beams each; the finished ones best first."""

    tokens_wkl: Tensor
    scores_wk: Tensor
    finished_wkl: Tensor
    finished_scores_wk: Tensor
    lengths_wk: Tensor
    """Tokens of the finished ones, the end left out."""
    is_finished_wk: Tensor
    open_w: Tensor
    """Whether one of the beams may still become the best."""


def search(
    decoding: Decoding,
    encoded_btd: Tensor,
    entries: Sequence[Entry],
    width: int = WIDTH,
    tail: Sequence[tuple[Tensor, Tensor]] = (),
) -> list[tuple[int, ...]]:
    """The transcripts, prefixes first, of encoded windows that are decoded in the slots from 0 on, `width` each.

    `tail`: see Decoding.remember. Drafts are of no use here.
    """
    device, windows = decoding.arena.device, len(entries)
    length = max(len(entry.head) + len(entry.prefix) for entry in entries)
    most = max(_room(entry, decoding) for entry in entries)
    given = np.zeros((windows, length), np.int64)
    for row, entry in zip(given, entries, strict=True):
        row[: len(entry.head) + len(entry.prefix)] = entry.head + entry.prefix
    begin_w = torch.tensor([len(entry.head) + len(entry.prefix) for entry in entries], device=device)
    most_w = torch.tensor([_room(entry, decoding) for entry in entries], device=device)
    first_w = torch.tensor([not entry.prefix for entry in entries], device=device)
    decoding.remember(0, encoded_btd.repeat_interleave(width, 0), tail)
    known = decoding.open(0, torch.from_numpy(given).to(device).repeat_interleave(width, 0))
    logits = decoding.model.decoder.logits(at(known, (begin_w - 1).repeat_interleave(width)[:, None]))[:, 0]
    beams = _start(windows, width, most, logits)
    for step in range(most):
        scores = logits.log_softmax(-1) + decoding.silent
        if step == 0:
            scores = scores + torch.where(first_w.repeat_interleave(width)[:, None], decoding.first, 0.0)
        source_wk = _grow(beams, scores.view(windows, width, -1), step, most_w, decoding.special.end)
        if step + 1 == most or not bool(beams.open_w.any()):
            break
        offsets = torch.arange(windows, device=device)[:, None] * width
        reach = length + step + 1
        _follow(decoding, (source_wk + offsets).flatten(), reach)
        positions = (begin_w + step).repeat_interleave(width)[:, None]
        logits = decoding.after(beams.tokens_wkl[:, :, step].reshape(-1, 1), positions, reach)
    best = beams.finished_wkl[:, 0].tolist()
    lengths = beams.lengths_wk[:, 0].tolist()
    return [entry.prefix + tuple(row[:size]) for entry, row, size in zip(entries, best, lengths, strict=True)]


def _room(entry: Entry, decoding: Decoding) -> int:
    """Tokens that may be said; one position is kept for the pass that times them."""
    return max(1, min(entry.limit, decoding.arena.target - 1) - len(entry.head) - len(entry.prefix))


def _start(windows: int, width: int, most: int, like: Tensor) -> _Beams:
    """All beams are the same at first, so only one counts."""
    tokens = torch.zeros(windows, width, most, dtype=torch.int64, device=like.device)
    scores = torch.full((windows, width), NEVER, dtype=like.dtype, device=like.device)
    running = scores.clone()
    running[:, 0] = 0
    none = torch.zeros(windows, width, dtype=torch.bool, device=like.device)
    return _Beams(tokens, running, tokens.clone(), scores, none.long(), none, none[:, 0] | True)


def _grow(beams: _Beams, scores_wkv: Tensor, step: int, most_w: Tensor, end: int) -> Tensor:
    """One token more; returns which beam each goes on from, (w, k)."""
    _, width, vocabulary = scores_wkv.shape
    total = (scores_wkv + beams.scores_wk[..., None]).flatten(1)
    best, at_ = total.topk(2 * width, 1)
    source, token = at_ // vocabulary, at_ % vocabulary
    tokens = _taken(beams.tokens_wkl, source)
    tokens[:, :, step] = token
    full = (step + 1 >= most_w)[:, None]
    ends = (token == end) | full

    on = (best + ends * NEVER).topk(width, 1).indices
    running, came_from = _taken(tokens, on), source.gather(1, on)
    running_scores = (best + ends * NEVER).gather(1, on)

    counted = ends & beams.open_w[:, None]
    counted[:, width:] = False
    scored = torch.where(counted, best / (step + 1), NEVER)
    lengths = torch.where(token == end, step, step + 1)
    merged = torch.cat([beams.finished_scores_wk, scored], 1)
    kept = merged.topk(width, 1).indices
    beams.finished_wkl = _taken(torch.cat([beams.finished_wkl, tokens], 1), kept)
    beams.finished_scores_wk = merged.gather(1, kept)
    beams.lengths_wk = torch.cat([beams.lengths_wk, lengths], 1).gather(1, kept)
    beams.is_finished_wk = torch.cat([beams.is_finished_wk, counted], 1).gather(1, kept)
    beams.tokens_wkl, beams.scores_wk = running, running_scores

    worst = torch.where(beams.is_finished_wk, beams.finished_scores_wk.min(1, keepdim=True).values, NEVER)
    beams.open_w = beams.open_w & ~full[:, 0] & (running_scores[:, :1] / (step + 1) > worst).any(1)
    return came_from


def _follow(decoding: Decoding, source: Tensor, reach: int) -> None:
    """Every slot takes over what the slot it goes on from remembers of its tokens."""
    for cache in (decoding.arena.keys, decoding.arena.values):
        for layer in cache:
            layer[: len(source), :reach] = layer[source, :reach]


def _taken(tokens_wkl: Tensor, index_wk: Tensor) -> Tensor:
    return tokens_wkl.gather(1, index_wk[:, :, None].expand(-1, -1, tokens_wkl.shape[2]))
