"""How much memory Whisper takes: counted from its shape, so that a card can be judged before anything is loaded.

Weights and slots are counted exactly; what encoding and decoding need beside them is an upper estimate. A stream that is
not being decoded takes nothing on the device: its audio waits on the host.
"""

from dataclasses import dataclass

from voxfleet.engines.whisper import arithmetic
from voxfleet.engines.whisper.layout import Shape
from voxfleet.errors import SettingsError

FREE_SHARE = 0.9
"""Of a card's free memory that is counted on: CUDA's own libraries, graphs and fragments take the rest."""
ENCODE_ROWS = 16
"""Windows encoded at once on a GPU: enough to keep it busy."""
SLOTS, LEAST_SLOTS = 64, 8
"""Windows decoded at once on a GPU where it holds so many, and at least."""
PLACES = 1_024
"""Streams offered by a GPU without being asked: measured admission says how many it carries."""
CPU_ENCODE_ROWS, CPU_SLOTS = 1, 8
CPU_FLOPS = 30e9
"""Arithmetic a processor core gets through per second in float32; a cautious guess: admission measures."""
CADENCE = 2.0
"""Seconds between two decodes of a stream, where there is more to do than can be done every second."""
WINDOW_SECONDS = 30.0
MEL_FRAMES_BYTES = 201 * 2 * 4 * 3
"""Of one mel frame in the making: spectrum and power in float32, and a copy in float64."""
JUDGED_AT_ONCE = 1_024
"""Tokens of prefixes and drafts whose logits exist at the same time."""
HEADS = 10
"""Alignment heads counted where it isn't known how many there are."""


def parameters(shape: Shape) -> int:
    """How many weights the network has."""
    hidden = shape.hidden
    norm, attention = 2 * hidden, 4 * hidden * hidden + 3 * hidden
    convolutions = 3 * shape.mels * hidden + 3 * hidden * hidden + 2 * hidden
    encoder_layer = attention + 2 * norm + 2 * hidden * shape.encoder_ff + shape.encoder_ff + hidden
    decoder_layer = 2 * attention + 3 * norm + 2 * hidden * shape.decoder_ff + shape.decoder_ff + hidden
    encoder = convolutions + shape.source * hidden + shape.encoder_layers * encoder_layer + norm
    decoder = (shape.vocabulary + shape.target) * hidden + shape.decoder_layers * decoder_layer + norm
    return encoder + decoder


def slot_bytes(shape: Shape, value: int, heads: int = HEADS) -> int:
    """Memory (bytes) of one window that is being decoded, `value` bytes per number: keys and values of its tokens and of
    what was heard, the queries of so many alignment heads, and its progress."""
    caches = 2 * shape.decoder_layers * (shape.target + shape.source) * shape.hidden
    queries = shape.target * heads * (shape.hidden // shape.decoder_heads)
    return (caches + queries) * value + (shape.target + 1) * (8 + 8 + 4) + 3 * 8 + 3 + 4


def workspace_bytes(shape: Shape, value: int, encode_rows: int, slots: int) -> int:
    """Memory (bytes) beside weights and slots: the larger of encoding and of judging drafts, and the attention of those
    who left."""
    positions = encode_rows * shape.source
    frames = 2 * positions * (MEL_FRAMES_BYTES + shape.mels * (4 + value) + 2 * shape.hidden * value)
    encoding = max(frames, positions * (2 * shape.encoder_ff + 6 * shape.hidden) * value)
    judging = (
        JUDGED_AT_ONCE * shape.vocabulary * 4 * 3
        + encode_rows * shape.target * (2 * shape.decoder_ff + 6 * shape.hidden) * value
    )
    attention = slots * shape.target // 2 * shape.source * 4
    return max(encoding, judging) + attention


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where a card's memory goes, in bytes."""

    weights: int
    workspace: int
    slot: int
    slots: int

    @property
    def total(self) -> int:
        """What will be taken."""
        return self.weights + self.workspace + self.slots * self.slot


def ledger(shape: Shape, value: int, slots: int, encode_rows: int, heads: int = HEADS) -> Ledger:
    """`value`: bytes per number; 8-bit weights are loaded whole, and counted so."""
    work = workspace_bytes(shape, value, encode_rows, slots)
    return Ledger(parameters(shape) * value, work, slot_bytes(shape, value, heads), slots)


def slots_in(shape: Shape, slots: int, value: int, heads: int, free: int, total: int, name: str) -> int:
    """Slots for the card `name`, of whose `total` bytes so many are free: as asked, or (0) as many as are of use.

    Raises SettingsError with the arithmetic where the memory is not enough.
    """
    usable = int(free * FREE_SHARE)
    wanted = slots or SLOTS
    least = slots or LEAST_SLOTS
    while True:
        counted = ledger(shape, value, wanted, min(ENCODE_ROWS, wanted), heads)
        if counted.total <= usable:
            return wanted
        if wanted <= least:
            break
        wanted = max(least, wanted // 2)
    raise SettingsError(
        f"too little memory on {name}: {_gb(free)} of {_gb(total)} are free and {FREE_SHARE:.0%} of that are used; weights "
        f"take {_gb(counted.weights)}, work space {_gb(counted.workspace)}, and {wanted} windows being decoded take "
        f"{counted.slot / 2**20:.0f} MB each, {_gb(counted.slot * wanted)}: {_gb(counted.total)} in all"
    )


def cpu_places(shape: Shape, threads: int) -> int:
    """Streams that so many processor cores may be expected to carry."""
    flops = arithmetic.encoder_flops(shape, shape.source) + arithmetic.heard_flops(shape, shape.source)
    return max(1, int(threads * CPU_FLOPS * CADENCE / flops))


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
