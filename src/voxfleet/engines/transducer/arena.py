"""Where the state of every stream lives: tensors allocated once, one row per place, and one row nobody owns.

A row is never cleared. Everything kept in it is read under the position it was written for (`Batch.first`,
`Batch.floor`), so a turn that begins at frame 0 sees nothing of what was there before: not its own place's past, not
another caller's. Not even a NaN left there reaches it, for what may not be seen is not read: a weight of zero would not
stop it. The row after the places is scratch: the padding of a batch works there.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from voxfleet.engines.transducer.layout import Shape

SLOT_ALIGNMENT = 8
"""Attention kernels want the number of keys to be a multiple of this."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a pass is told of its rows: int64 columns of shape (B,), on the device. Positions count from the turn's start."""

    row: Tensor
    """Row of the arena."""
    first: Tensor
    """Encoder frame this pass begins with; 0 = the turn begins."""
    frames: Tensor
    """Valid encoder frames, 1..chunk; fewer than the chunk only where the turn ends."""
    floor: Tensor
    """Earliest encoder frame that may still be attended to; equal to `first` where the state is refreshed."""
    limit: Tensor
    """Samples of the turn, or a very large number while it goes on."""
    origin: Tensor
    """Absolute position in the audio ring of the turn's first sample."""
    prompt: Tensor
    """Language prompt."""

    @classmethod
    def of(cls, columns: Tensor) -> "Batch":
        """The rows of one tensor of shape (7, B), in the order of the fields."""
        return cls(*columns.unbind(0))


COLUMNS = tuple(field.name for field in fields(Batch))


class Arena:
    """All caches of `places` streams, for chunks of up to `chunk` encoder frames. Shapes in the comments."""

    def __init__(self, shape: Shape, places: int, chunk: int, dtype: torch.dtype, device: torch.device) -> None:
        rows, hidden = places + 1, shape.hidden
        self.scratch = places
        """The row padding works in."""
        self.chunk = chunk
        self.slots = slots_of(shape, chunk)
        first, second, _ = shape.subsampled_bins()

        def zeros(*size: int, of: torch.dtype = dtype) -> Tensor:
            return torch.zeros(*size, dtype=of, device=device)

        self.nothing = (places + 1) * self.slots
        """Where, counting the slots of all rows, nobody writes: read in place of what may not be seen."""
        self.keys = [zeros(rows + 1, self.slots, hidden) for _ in range(shape.layers)]
        """Frame f of the turn lies in slot f % slots."""
        self.values = [zeros(rows + 1, self.slots, hidden) for _ in range(shape.layers)]
        self.convolution = [zeros(rows, shape.conv_kernel - 1, hidden) for _ in range(shape.layers)]
        self.subsampling = [zeros(rows, shape.subsampling_channels, bins) for bins in (first, second)]
        """The last frame that went into the second and the third stage."""
        self.hidden = [zeros(rows, shape.decoder_hidden) for _ in range(shape.decoder_layers)]
        self.cell = [zeros(rows, shape.decoder_hidden) for _ in range(shape.decoder_layers)]
        self.prediction = zeros(rows, shape.decoder_hidden)
        """What the prediction network says after the last label."""
        self.encoded = zeros(rows, chunk, shape.decoder_hidden)
        """The frames of the last pass, as the joint network wants them."""
        self.valid = zeros(rows, of=torch.int64)
        """How many of them are to be decoded."""
        self.pointer = zeros(rows, of=torch.int64)
        """The frame decoding looks at."""
        self.symbols = zeros(rows, of=torch.int64)
        """Labels emitted at that frame so far."""
        most = chunk * shape.max_symbols + 1
        self.count = zeros(rows, of=torch.int64)
        """Labels of the last pass; which, in which of its frames, and how sure."""
        self.labels = zeros(rows, most, of=torch.int32)
        self.label_frames = zeros(rows, most, of=torch.int32)
        self.label_scores = zeros(rows, most, of=torch.float32)

    def tensors(self) -> list[Tensor]:
        """Everything it holds."""
        found: list[Tensor] = []
        for value in vars(self).values():
            found.extend(value if isinstance(value, list) else [value] if isinstance(value, Tensor) else [])
        return found

    def release(self) -> None:
        """Give all memory back; the arena is of no use afterwards."""
        vars(self).clear()

    @property
    def bytes_per_place(self) -> int:
        """Memory of one row."""
        return sum(tensor.element_size() * tensor[0].numel() for tensor in self.tensors())


def slots_of(shape: Shape, chunk: int) -> int:
    """Keys kept per stream: the left context, and the chunk that is being worked on."""
    return -(-(shape.left + chunk) // SLOT_ALIGNMENT) * SLOT_ALIGNMENT
