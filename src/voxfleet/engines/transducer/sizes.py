"""How much memory a transducer takes: counted from its shape, so that a machine can be judged before anything is loaded.

Weights and the rows of the arena are counted exactly; what a pass needs beside them is an upper estimate.
"""

from voxfleet.engines.transducer.layout import Shape

RING_SECONDS = 4
"""Audio kept per stream on the device, as 16-bit samples at 16 kHz."""
PASS_FRAMES = 4_096
"""Encoder frames of all streams that one pass on a GPU works on at most; larger batches go in several passes."""
CPU_PASS_FRAMES = 256
"""The same on a CPU."""
FREE_SHARE = 0.9
"""Of a card's free memory that is counted on: CUDA's own libraries, graphs and fragments take the rest."""
SLOT_ALIGNMENT = 8
"""Keys kept per stream are a multiple of this."""
PHRASE_NODES = 2_048
"""Nodes of one stream's trie of phrases."""
STAGE_COPIES = 4
"""The first stage's output exists so often at once: convolved, rectified, masked, padded."""
_LABEL_BYTES = 12
"""Of one emitted label: the label, its frame and its score."""
_COUNTER_BYTES = 4 * 8
"""Of one stream: frames to decode, pointer, symbols, labels."""


def bytes_needed(
    shape: Shape, places: int, bytes_per_value: int, chunk: int = 0, pass_frames: int = PASS_FRAMES
) -> int:
    """Memory (bytes) of the weights, of `places` streams and of one pass over `pass_frames` encoder frames of them.

    `bytes_per_value` is 2 for bf16 and fp16, 4 for fp32; `chunk` is the largest chunk served, in encoder frames (0 = the
    largest the network knows).
    """
    fixed = parameters(shape) * bytes_per_value + workspace_bytes(shape, bytes_per_value, pass_frames)
    return fixed + places * place_bytes(shape, bytes_per_value, chunk)


def places_within(shape: Shape, memory: int, bytes_per_value: int, chunk: int = 0) -> int:
    """The most places whose memory fits into `memory` bytes; 0 where not even the weights do."""
    left = memory - bytes_needed(shape, 0, bytes_per_value)
    return max(0, left // place_bytes(shape, bytes_per_value, chunk))


def place_bytes(shape: Shape, bytes_per_value: int, chunk: int = 0) -> int:
    """Memory (bytes) of one stream: its caches in the arena, its audio, and room for the phrases it expects."""
    chunk = chunk or shape.lookaheads[-1] + 1
    slots = -(-(shape.left + chunk) // SLOT_ALIGNMENT) * SLOT_ALIGNMENT
    first, second, _ = subsampled_bins(shape)
    values = (
        2 * shape.layers * slots * shape.hidden
        + shape.layers * (shape.conv_kernel - 1) * shape.hidden
        + shape.subsampling_channels * (first + second)
        + (2 * shape.decoder_layers + 1 + chunk) * shape.decoder_hidden
    )
    return (
        values * bytes_per_value
        + chunk * shape.max_symbols * _LABEL_BYTES
        + _COUNTER_BYTES
        + ring_bytes()
        + phrase_bytes()
    )


def phrase_bytes() -> int:
    """Memory (bytes) of the trie of one stream's phrases, and of where it is in it."""
    return PHRASE_NODES * 3 * 4 + 8


def ring_bytes() -> int:
    """Memory (bytes) of the audio kept for one stream."""
    return RING_SECONDS * 16_000 * 2


def workspace_bytes(shape: Shape, bytes_per_value: int, pass_frames: int = PASS_FRAMES) -> int:
    """Memory (bytes) of the activations of one pass: the first subsampling stage and what is made of it on the way to
    the second, the widest layer and its inputs, and the keys and values of its rows, gathered for one layer.

    Rows are counted for chunks of two frames, of which a pass holds most.
    """
    first = subsampled_bins(shape)[0]
    stage = STAGE_COPIES * 4 * shape.subsampling_channels * first  # four half-rate frames make one encoder frame
    gathered = (shape.left + shape.lookaheads[-1] + 1) * 2 * shape.hidden // 2
    return pass_frames * (shape.ff + 4 * shape.hidden + stage + gathered) * bytes_per_value


def parameters(shape: Shape) -> int:
    """How many weights the network has."""
    hidden, channels = shape.hidden, shape.subsampling_channels
    feed_forward = 2 * hidden * shape.ff + (hidden + shape.ff) * shape.attention_bias
    attention = 5 * hidden * hidden + 4 * hidden * shape.attention_bias + 2 * hidden
    convolution = 3 * hidden * hidden + hidden * shape.conv_kernel + 4 * hidden * shape.convolution_bias + 2 * hidden
    layer = 2 * feed_forward + attention + convolution + 5 * 2 * hidden
    stage = 9 * channels + channels + channels * channels + channels  # depthwise 3x3, pointwise
    subsampling = 9 * channels + channels + 2 * stage + (channels * subsampled_bins(shape)[2] + 1) * hidden
    decoder = shape.decoder_hidden
    lstm = shape.decoder_layers * (2 * 4 * decoder * decoder + 2 * 4 * decoder)
    prediction = shape.vocabulary * decoder + lstm + decoder * decoder + decoder
    joint = (hidden + 1) * decoder + (decoder + 1) * shape.vocabulary
    prompt = 0
    if shape.prompts:
        prompt = (hidden + shape.prompts + 1) * shape.prompt_hidden + (shape.prompt_hidden + 1) * hidden
    return shape.layers * layer + subsampling + prediction + joint + prompt


def subsampled_bins(shape: Shape) -> tuple[int, int, int]:
    """Frequency bins after each of the three strided convolutions."""
    first = shape.mels // 2 + 1
    second = first // 2 + 1
    return first, second, second // 2 + 1
