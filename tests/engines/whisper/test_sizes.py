"""The ledger counts what is there."""

import pytest
import torch

from voxfleet.engines.whisper import arithmetic, sizes
from voxfleet.engines.whisper.arena import Arena
from voxfleet.engines.whisper.layout import SHAPES
from voxfleet.engines.whisper.model import Whisper
from voxfleet.errors import SettingsError

GB = 2**30


@pytest.mark.parametrize("name", ["micro", "tiny", "base.en", "large-v3", "large-v3-turbo", "distil-large-v3"])
def test_weights_are_counted_exactly(name: str) -> None:
    with torch.device("meta"):
        network = Whisper(SHAPES[name])
    assert sizes.parameters(SHAPES[name]) == sum(weight.numel() for weight in network.parameters())


def test_slots_are_counted_exactly() -> None:
    shape = SHAPES["micro"]
    for dtype in (torch.float32, torch.bfloat16):
        arena = Arena(shape, 3, ((0, 1), (1, 0)), dtype, "cpu")
        assert arena.bytes_per_slot == sizes.slot_bytes(shape, dtype.itemsize, 2)


def test_a_card_gets_as_many_slots_as_it_holds() -> None:
    turbo, large = SHAPES["large-v3-turbo"], SHAPES["large-v3"]
    assert sizes.slots_in(turbo, 0, 2, 6, 140 * GB, 140 * GB, "card") == sizes.SLOTS
    assert sizes.slots_in(turbo, 100, 2, 6, 140 * GB, 140 * GB, "card") == 100
    fewer = sizes.slots_in(large, 0, 2, 10, 16 * GB, 16 * GB, "card")
    assert sizes.LEAST_SLOTS <= fewer < sizes.SLOTS
    assert sizes.ledger(large, 2, fewer, min(sizes.ENCODE_ROWS, fewer), 10).total < 0.9 * 16 * GB


def test_too_little_memory_is_told_with_the_arithmetic() -> None:
    with pytest.raises(
        SettingsError, match=r"too little memory on card: 4\.0 GB of 8\.0 GB.*weights take 2\.9 GB.* 8 windows"
    ):
        sizes.slots_in(SHAPES["large-v3"], 0, 2, 10, 4 * GB, 8 * GB, "card")


def test_a_processor_carries_fewer_streams_of_a_larger_network() -> None:
    assert sizes.cpu_places(SHAPES["tiny"], 8) > sizes.cpu_places(SHAPES["base"], 8) > 0
    assert sizes.cpu_places(SHAPES["large-v3"], 1) == 1


@pytest.mark.parametrize(("name", "gflop"), [("tiny", 37), ("small", 344), ("large-v3", 2274)])
def test_encoder_arithmetic(name: str, gflop: float) -> None:
    assert arithmetic.encoder_flops(SHAPES[name], 1_500) / 1e9 == pytest.approx(gflop, rel=0.02)
