"""Memory counted from a shape is what the network and its arena really take."""

from dataclasses import replace

import pytest

pytest.importorskip("torch")

import torch

from voxfleet.engines.transducer import sizes
from voxfleet.engines.transducer.arena import Arena
from voxfleet.engines.transducer.layout import SHAPES, Shape
from voxfleet.engines.transducer.model import Transducer

LARGE = SHAPES["nemotron-3.5-0.6b"]
ODD = replace(
    SHAPES["tiny-prompt"],
    attention_bias=False, convolution_bias=False, conv_kernel=5, mels=80, left=33, decoder_layers=1, lookaheads=(0, 6),
)  # fmt: skip


@pytest.mark.parametrize("shape", [*SHAPES.values(), ODD], ids=[*SHAPES, "odd"])
def test_weights_are_counted_to_the_last_one(shape: Shape) -> None:
    with torch.device("meta"):
        network = Transducer(shape)
    assert sizes.parameters(shape) == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("shape", [*SHAPES.values(), ODD], ids=[*SHAPES, "odd"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk", [1, 7, 14])
def test_a_place_takes_what_its_row_of_the_arena_takes(shape: Shape, dtype: "torch.dtype", chunk: int) -> None:
    arena = Arena(shape, 1, chunk, dtype, torch.device("meta"))
    counted = sizes.place_bytes(shape, dtype.itemsize, chunk) - sizes.ring_bytes() - sizes.phrase_bytes()
    assert counted == pytest.approx(arena.bytes_per_place, rel=0.02)


def test_the_published_model_has_the_size_its_publisher_says() -> None:
    assert sizes.parameters(SHAPES["nemotron-speech-0.6b"]) == 618_084_865
    assert sizes.parameters(LARGE) == 637_997_088
    assert sizes.place_bytes(LARGE, 2) == pytest.approx(7.73e6, rel=0.01)


def test_needs_add_up_and_invert() -> None:
    fixed, one = sizes.bytes_needed(LARGE, 0, 2), sizes.place_bytes(LARGE, 2)
    assert fixed == sizes.parameters(LARGE) * 2 + sizes.workspace_bytes(LARGE, 2)
    assert sizes.bytes_needed(LARGE, 1_000, 2) == fixed + 1_000 * one
    assert sizes.bytes_needed(LARGE, 1, 4) > sizes.bytes_needed(LARGE, 1, 2)
    assert sizes.bytes_needed(LARGE, 0, 4, pass_frames=256) < sizes.bytes_needed(LARGE, 0, 4)
    for places in (0, 1, 977):
        memory = sizes.bytes_needed(LARGE, places, 2)
        assert sizes.places_within(LARGE, memory, 2) == places
        assert sizes.places_within(LARGE, memory + one - 1, 2) == places
    assert sizes.places_within(LARGE, fixed - 1, 2) == 0
    assert sizes.places_within(LARGE, 0, 2) == 0


def test_a_larger_chunk_takes_more_of_a_place() -> None:
    taken = [sizes.place_bytes(LARGE, 2, lookahead + 1) for lookahead in LARGE.lookaheads]
    assert taken == sorted(taken)
    assert taken[-1] == sizes.place_bytes(LARGE, 2)
