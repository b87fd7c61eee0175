"""Where windows that are being decoded live: tensors allocated once, one row (slot) per window.

Slots from 0 up are in use without a gap, so a step works on a slice of every tensor and gathers nothing. Nothing of an
earlier tenant is ever read: a window that enters overwrites all it will attend to, and the positions it will reach later
are set to zero, for not even a weight of zero would stop a NaN left there.
"""

import torch
from torch import Tensor

from voxfleet.engines.whisper.layout import Heads, Shape


class Arena:
    """Caches and progress of `slots` windows. Shapes in the comments; positions count tokens or encoder positions."""

    def __init__(self, shape: Shape, slots: int, heads: Heads, dtype: torch.dtype, device: torch.device | str) -> None:
        """`heads`: (layer, head) whose queries are kept, for what they attended to is asked later; sorted."""
        assert list(heads) == sorted(set(heads))
        layers, hidden, target = shape.decoder_layers, shape.hidden, shape.target

        def zeros(*size: int, of: torch.dtype = dtype) -> Tensor:
            return torch.zeros(*size, dtype=of, device=device)

        self.slots = slots
        self.heads = heads
        self.target = target
        self.device = torch.device(device)
        self.keys = zeros(layers, slots, target, hidden)
        """Of the tokens so far."""
        self.values = zeros(layers, slots, target, hidden)
        self.heard_keys = zeros(layers, slots, shape.source, hidden)
        """Of the encoded window."""
        self.heard_values = zeros(layers, slots, shape.source, hidden)
        self.queries = zeros(slots, target, len(heads), hidden // shape.decoder_heads)
        """What the kept heads asked of the window, after the token at each position."""
        self.tokens = zeros(slots, target + 1, of=torch.int64)
        self.scores = zeros(slots, target + 1, of=torch.float32)
        """Natural logarithm of each token's probability; behind the last one, that of the end."""
        self.forced = torch.full((slots, target + 1), -1, dtype=torch.int64, device=device)
        """What is decoded whatever the network says, for measurements; -1 = what the network says."""
        self.length = torch.ones(slots, dtype=torch.int64, device=device)
        """Tokens so far, prompt and all; the next one comes to lie there."""
        self.limit = torch.ones(slots, dtype=torch.int64, device=device)
        """Tokens at most."""
        self.finished = torch.ones(slots, dtype=torch.bool, device=device)
        self.ended = zeros(slots, of=torch.bool)
        """Finished by the end token, not by the limit."""
        self.broken = zeros(slots, of=torch.bool)
        """The network's numbers are none."""
        self.accepted = zeros(slots, of=torch.int64)
        """Tokens of its draft that were right."""
        self.no_speech = zeros(slots, of=torch.float32)

    def _rows(self) -> list[Tensor]:
        """What has one row per slot."""
        state = [self.queries, self.tokens, self.scores, self.forced, self.length, self.limit, self.finished]
        return [*state, self.ended, self.broken, self.accepted, self.no_speech]

    def _caches(self) -> list[Tensor]:
        """What has one row per layer and slot."""
        return [self.keys, self.values, self.heard_keys, self.heard_values]

    def copy(self, source: int, target: int) -> None:
        """Put the window of one slot into another, too."""
        for tensor in self._rows():
            tensor[target].copy_(tensor[source], non_blocking=True)
        for tensor in self._caches():
            tensor[:, target].copy_(tensor[:, source], non_blocking=True)

    def release(self) -> None:
        """Give all memory back; the arena is of no use afterwards."""
        vars(self).clear()

    @property
    def bytes_per_slot(self) -> int:
        """Memory of one slot."""
        total = sum(tensor.element_size() * tensor.numel() for tensor in self._rows() + self._caches())
        return total // self.slots
