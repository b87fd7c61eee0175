"""What was asked for is checked against the machine by name, before anything is loaded."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
import torch

from voxfleet.engines.cores import cores
from voxfleet.engines.network.device import PRECISIONS, find_device, find_precision
from voxfleet.engines.transducer import sizes
from voxfleet.engines.transducer.device import MOST_PLACES, fit, places_in
from voxfleet.engines.transducer.engine import TransducerEngine
from voxfleet.engines.transducer.layout import SHAPES
from voxfleet.errors import SettingsError

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
LARGE, TINY = SHAPES["nemotron-3.5-0.6b"], SHAPES["tiny"]
GB = 2**30


@pytest.mark.parametrize(("name", "said"), [
    ("gpu", "device 'gpu' is none; known: cpu, cuda, cuda:0"),
    ("cuda:one", "device 'cuda:one' is none"),
    ("", "device '' is none"),
    ("mps", "device 'mps' is not supported"),
    ("meta", "device 'meta' is not supported"),
])  # fmt: skip
def test_a_device_that_is_none_is_named(name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        find_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_a_gpu_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"device '{name}': no CUDA device can be used"):
        find_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_gpu_beyond_the_last_is_named() -> None:
    assert find_device("cuda") == GPU
    with pytest.raises(SettingsError, match=r"device 'cuda:99': this machine has \d+ CUDA devices?, numbered from 0"):
        find_device("cuda:99")


@pytest.mark.parametrize(("name", "device", "said"), [
    ("float64", CPU, "precision 'float64' is unknown.*known: float32, bfloat16, float16, int8"),
    ("bfloat", CPU, "did you mean 'bfloat16'"),
    ("float16", CPU, "precision 'float16' is for GPUs"),
    ("int8", GPU, "precision 'int8' is for the CPU"),
])  # fmt: skip
def test_a_precision_that_does_not_fit_is_named(name: str, device: torch.device, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        find_precision(name, device)


def test_precisions_of_a_cpu() -> None:
    assert find_precision("", CPU) == PRECISIONS["float32"]
    for name in ("float32", "bfloat16", "int8"):
        assert find_precision(name, CPU).name == name


@pytest.mark.parametrize("chunk", [2, 14])
@pytest.mark.parametrize("value", [2, 4])
def test_as_many_places_as_the_memory_holds_and_not_one_more(chunk: int, value: int) -> None:
    fixed, each = sizes.bytes_needed(LARGE, 0, value, chunk), sizes.place_bytes(LARGE, value, chunk)
    free = round((fixed + each * 100 + each // 2) / 0.9)
    assert places_in(LARGE, 0, chunk, value, free, 80 * GB, "a card") == 100
    assert places_in(LARGE, 100, chunk, value, free, 80 * GB, "a card") == 100
    assert places_in(LARGE, 7, chunk, value, free, 80 * GB, "a card") == 7
    with pytest.raises(SettingsError, match=r"101 places take .* There is room for 100 places") as error:
        places_in(LARGE, 101, chunk, value, free, 80 * GB, "a card")
    for part in (f"{free / GB:.1f} GB of 80.0 GB are free", f"take {fixed / GB:.1f} GB", f"{each / 2**20:.1f} MB each"):
        assert part in str(error.value)


def test_a_card_too_small_for_the_weights_says_so() -> None:
    for places in (0, 1, 5):
        with pytest.raises(
            SettingsError, match=r"too little memory on a small card: .*There is no room for a single place"
        ):
            places_in(LARGE, places, 14, 2, GB, 2 * GB, "a small card")


def test_nobody_is_offered_more_places_than_one_card_should_lose_at_once() -> None:
    assert places_in(TINY, 0, 14, 2, 80 * GB, 80 * GB, "a card") == MOST_PLACES
    assert places_in(TINY, MOST_PLACES + 1, 14, 2, 80 * GB, 80 * GB, "a card") == MOST_PLACES + 1


def test_a_cpu_offers_what_its_threads_carry() -> None:
    assert fit(LARGE, 0, 14, PRECISIONS["float32"], CPU, 1) == 1
    assert fit(TINY, 0, 14, PRECISIONS["float32"], CPU, 3) == 3 * fit(TINY, 0, 14, PRECISIONS["float32"], CPU, 1)
    assert fit(TINY, 0, 14, PRECISIONS["float32"], CPU) == cores() * fit(TINY, 0, 14, PRECISIONS["float32"], CPU, 1)
    assert fit(LARGE, 77, 14, PRECISIONS["float32"], CPU, 1) == 77


@pytest.mark.parametrize(("asked", "said"), [
    ({"chunks": (100,)}, "chunks 100: they must rise and be among 80, 160, 320, 560, 1120"),
    ({"chunks": (320, 160)}, "chunks 320, 160: they must rise"),
    ({"device": "gpu"}, "device 'gpu'"),
    ({"precision": "float16"}, "precision 'float16'"),
])  # fmt: skip
def test_an_engine_says_what_is_wrong_with_its_settings(asked: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        TransducerEngine("random:tiny", 1, **asked)  # type: ignore[arg-type]


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        TransducerEngine(str(tmp_path / "nowhere"), 1)
    with pytest.raises(SettingsError, match="shape 'tinny' is unknown; did you mean 'tiny'"):
        TransducerEngine("random:tinny", 1)
