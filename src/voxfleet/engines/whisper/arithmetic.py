"""How much arithmetic Whisper does: counted from its shape, so that a measured speed can be held against a machine's.

Products of weights and of attention, two operations per pair; norms, activations, softmax and the log-mel are left out.
A window that was padded is counted as encoded, for that is what the device does.
"""

from voxfleet.engines.whisper.layout import Shape


def encoder_flops(shape: Shape, positions: int) -> int:
    """Operations of encoding one window of so many positions (0.02 s each)."""
    hidden = shape.hidden
    convolutions = 3 * shape.mels * hidden * 2 * positions + 3 * hidden * hidden * positions
    weights = (4 * hidden * hidden + 2 * hidden * shape.encoder_ff) * positions
    attention = 2 * positions * positions * hidden
    return 2 * (convolutions + shape.encoder_layers * (weights + attention))


def heard_flops(shape: Shape, positions: int) -> int:
    """Operations of the keys and values that the decoder's layers make of an encoded window."""
    return 2 * shape.decoder_layers * 2 * shape.hidden * shape.hidden * positions


def token_flops(shape: Shape, place: int) -> int:
    """Operations of one token at this place of a transcript."""
    hidden = shape.hidden
    weights = 6 * hidden * hidden + 2 * hidden * shape.decoder_ff
    attention = 2 * (place + shape.source) * hidden
    return 2 * (shape.decoder_layers * (weights + attention) + shape.vocabulary * hidden)
