"""The counted arithmetic is what torch counts when the network runs."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from voxfleet.engines.transducer import arithmetic
from voxfleet.engines.transducer.arena import Arena, Batch
from voxfleet.engines.transducer.layout import SHAPES, Shape
from voxfleet.engines.transducer.model import Transducer

ROWS = 3
WIDE = replace(SHAPES["tiny-prompt"], hidden=96, ff=384, layers=3, left=56, prompt_hidden=192)


@pytest.mark.parametrize("shape", [SHAPES["tiny"], SHAPES["tiny-prompt"], WIDE], ids=["tiny", "tiny-prompt", "wide"])
@pytest.mark.parametrize("chunk", [2, 7, 14])
def test_encoder(shape: Shape, chunk: int) -> None:
    model, cpu = Transducer(shape), torch.device("cpu")
    model.prepare(chunk)
    arena = Arena(shape, ROWS, chunk, torch.float32, cpu)
    rows = torch.arange(ROWS)
    columns = [rows, rows * 0 + 280, rows * 0 + chunk, rows * 0, rows * 0 + 2**40, rows * 0, rows * 0]
    mel_btf = torch.randn(ROWS, 8 * chunk + 1, shape.mels)
    with FlopCounterMode(display=False) as counted, torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        model.encode(mel_btf, Batch.of(torch.stack(columns)), arena)
    joint = 2 * shape.decoder_hidden * shape.vocabulary
    told = ROWS * chunk * (arithmetic.frame_flops(shape, chunk) - joint)
    # What is computed beyond it: one more frame of every stage, slots that nobody sees, distances that are not needed.
    assert 0.7 * counted.get_total_flops() < told <= 1.02 * counted.get_total_flops()


def test_labels() -> None:
    shape = SHAPES["tiny"]
    model = Transducer(shape)
    nothing = [torch.zeros(1, shape.decoder_hidden) for _ in range(shape.decoder_layers)]
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        said, _, _ = model.decoder(torch.tensor([1]), nothing, nothing)
        model.joint(torch.zeros_like(said), said)
    assert arithmetic.label_flops(shape) == pytest.approx(counted.get_total_flops(), rel=0.02)


def test_the_published_network_is_as_large_as_it_is_said_to_be() -> None:
    """0.6 billion weights, each used once per frame but for embeddings and biases: 1.2 GFLOP."""
    assert arithmetic.frame_flops(SHAPES["nemotron-3.5-0.6b"], 4) == pytest.approx(1.21e9, rel=0.02)
