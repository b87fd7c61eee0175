"""How much a transducer's lattice disagrees with a transcript: the RNNT loss, one step per anti-diagonal of the lattice.

All cells with the same frame + label sum depend only on the sum before, so a batch needs frames + labels steps of a few
tensor operations each (Graves 2012, "Sequence Transduction with Recurrent Neural Networks", equations 16 to 18).
"""

from __future__ import annotations

import torch

IMPOSSIBLE = -1e30


def rnnt_loss(
    logits_btuv: torch.Tensor, labels_bu: torch.Tensor, frames_b: torch.Tensor, lengths_b: torch.Tensor, blank: int
) -> torch.Tensor:
    """Negative log probability of each row's labels, shape (batch,), summed over all alignments.

    `logits_btuv` is (batch, frames, most labels + 1, vocabulary), not normalised; `labels_bu` is padded with any valid
    token; `frames_b` (at least 1) and `lengths_b` say how much of each row counts.
    """
    batch, frames, columns, _ = logits_btuv.shape
    scores = logits_btuv.log_softmax(-1)
    stay = scores[..., blank]
    if columns > 1:
        emit = scores[:, :, :-1].gather(-1, labels_bu[:, None, :, None].expand(-1, frames, -1, 1)).squeeze(-1)
        emit = torch.cat([emit, emit.new_full((batch, frames, 1), IMPOSSIBLE)], dim=2)
    else:
        emit = torch.full_like(stay, IMPOSSIBLE)
    stay, emit = _diagonals(stay), _diagonals(emit)
    alpha = stay.new_full((batch, columns), IMPOSSIBLE)
    alpha[:, 0] = 0.0
    edge = stay.new_full((batch, 1), IMPOSSIBLE)
    last = frames_b + lengths_b - 1  # the diagonal of the cell whose blank ends the row
    ended = stay.new_zeros(batch)
    rows = torch.arange(batch, device=stay.device)
    history = []
    for diagonal in range(frames + columns - 1):
        onward = alpha + stay[:, diagonal]
        history.append(onward)
        moved = torch.cat([edge, (alpha + emit[:, diagonal])[:, :-1]], dim=1)
        alpha = torch.logaddexp(onward, moved)
    ended = torch.stack(history, dim=1)[rows, last, lengths_b]
    return -ended


def _diagonals(cells_btu: torch.Tensor) -> torch.Tensor:
    """Cells by (batch, frame + label, label); those outside the lattice are impossible."""
    batch, frames, columns = cells_btu.shape
    wide = torch.nn.functional.pad(cells_btu.transpose(1, 2), (0, columns), value=IMPOSSIBLE)
    # A row one shorter than it is wide shifts each label's frames right by the label's number.
    skewed = wide.reshape(batch, -1)[:, : columns * (frames + columns - 1)]
    return skewed.reshape(batch, columns, frames + columns - 1).transpose(1, 2)
