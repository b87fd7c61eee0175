"""How much arithmetic a transducer does: counted from its shape, so that a measured speed can be held against a machine's.

Multiplications and additions of the weights and of attention, two per pair. Norms, activations, softmax and the log-mel
(an FFT of 512 and a 257 x 128 product per 10 ms, 0.3 % of the large network) are left out, and so is what padding costs:
this is the useful work, and a share of a ceiling reached with it cannot be flattered by waste.
"""

from voxfleet.engines.transducer.layout import Shape


def frame_flops(shape: Shape, chunk: int) -> int:
    """Operations for one encoder frame (80 ms) when chunks have `chunk` of them, its look by the joint network included."""
    return 2 * (subsampling(shape) + shape.layers * (layer(shape) + attended(shape, chunk)) + outwards(shape))


def label_flops(shape: Shape) -> int:
    """Operations for one emitted label: the prediction network, and a second look at the frame."""
    decoder = shape.decoder_hidden
    predicted = shape.decoder_layers * 8 * decoder * decoder + decoder * decoder
    return 2 * (predicted + decoder * shape.vocabulary)


def layer(shape: Shape) -> int:
    """Products with the weights of one conformer block, per frame: two feed-forwards, four projections, a convolution."""
    hidden = shape.hidden
    return 4 * hidden * shape.ff + 4 * hidden * hidden + 3 * hidden * hidden + hidden * shape.conv_kernel


def attended(shape: Shape, chunk: int) -> int:
    """Products of a query with the keys, values and relative positions of the frames it may see."""
    visible = shape.left // chunk * chunk + chunk
    return 3 * visible * shape.hidden


def subsampling(shape: Shape) -> int:
    """Four frames of the first stage, two of the second and one of the third make an encoder frame."""
    channels = shape.subsampling_channels
    first, second, third = shape.subsampled_bins()
    stages = 4 * first * 9 * channels + (2 * second + third) * (9 * channels + channels * channels)
    return stages + channels * third * shape.hidden


def outwards(shape: Shape) -> int:
    """From the encoder to the labels: language prompt, projection, joint network."""
    prompt = 2 * shape.hidden * shape.prompt_hidden if shape.prompts else 0
    return prompt + shape.hidden * shape.decoder_hidden + shape.decoder_hidden * shape.vocabulary
