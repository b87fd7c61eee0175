"""Which device and which precision: what was asked for, checked against what is there, before anything is loaded."""

import os
from dataclasses import dataclass

import torch

from voxfleet.engines.transducer import sizes
from voxfleet.engines.transducer.layout import Shape
from voxfleet.errors import SettingsError, nearest

MOST_PLACES = 8_192
"""Offered without being asked: beyond it one card has more streams than anybody wants to lose at once."""
CPU_FLOPS = 15e9
"""Arithmetic a processor core gets through per second in float32 with small batches; a cautious guess: admission measures."""
CPU_PLACES = 48
"""Per core: below so small a network, work on the host decides."""
FRAMES_PER_SECOND = 12.5


@dataclass(frozen=True, slots=True)
class Precision:
    """`dtype` of weights and caches; `quantised`: matrix products of the weights in 8-bit integers."""

    name: str
    dtype: torch.dtype
    quantised: bool = False


PRECISIONS = {
    "float32": Precision("float32", torch.float32),
    "bfloat16": Precision("bfloat16", torch.bfloat16),
    "float16": Precision("float16", torch.float16),
    "int8": Precision("int8", torch.float32, quantised=True),
}


def find_device(name: str) -> torch.device:
    """Raises SettingsError where this machine has no such device."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"device '{name}' is none; known: cpu, cuda, cuda:0, cuda:1 and so on") from None
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise SettingsError(f"device '{name}' is not supported by this engine; known: cpu, cuda, cuda:N")
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else f"; PyTorch {torch.__version__} here is built without CUDA"
        raise SettingsError(f"device '{name}': no CUDA device can be used{built}. `voxfleet doctor` says what is there")
    count = torch.cuda.device_count()
    index = device.index or 0
    if index >= count:
        raise SettingsError(
            f"device '{name}': this machine has {count} CUDA device{'s' * (count != 1)}, numbered from 0"
        )
    return torch.device("cuda", index)


def find_precision(name: str, device: torch.device) -> Precision:
    """Raises SettingsError for one that is unknown or that this device lacks."""
    if not name:
        name = "float32" if device.type == "cpu" else "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if name not in PRECISIONS:
        raise SettingsError(f"precision '{name}' is unknown{nearest(name, PRECISIONS)}; known: {', '.join(PRECISIONS)}")
    precision = PRECISIONS[name]
    if precision.quantised and device.type != "cpu":
        raise SettingsError("precision 'int8' is for the CPU; a GPU is served with bfloat16 or float16")
    if precision.dtype is torch.float16 and device.type == "cpu":
        raise SettingsError("precision 'float16' is for GPUs; a CPU is served with float32, bfloat16 or int8")
    return precision


def fit(shape: Shape, places: int, chunk: int, precision: Precision, device: torch.device, threads: int = 0) -> int:
    """Places to offer, for chunks of up to `chunk` frames: as asked, or as many as the device holds, or as so many
    `threads` of a CPU (0 = all this process may use) may be expected to carry.

    Raises SettingsError with the arithmetic where the memory is not enough.
    """
    if device.type == "cpu":
        return places or _cpu_places(shape, threads or cores())
    free, total = torch.cuda.mem_get_info(device)
    return places_in(shape, places, chunk, precision.dtype.itemsize, free, total, torch.cuda.get_device_name(device))


def places_in(shape: Shape, places: int, chunk: int, value: int, free: int, total: int, name: str) -> int:
    """As `fit`, by numbers: `free` of `total` bytes on the card `name`, `value` bytes per number."""
    usable = int(free * sizes.FREE_SHARE)
    each = sizes.place_bytes(shape, value, chunk)
    fixed = sizes.bytes_needed(shape, 0, value, chunk)
    most = (usable - fixed) // each
    if most < max(1, places):
        room = f"room for {most} places" if most > 0 else "no room for a single place"
        raise SettingsError(
            f"too little memory on {name}: {_gb(free)} of {_gb(total)} are free and {sizes.FREE_SHARE:.0%} of that are used; "
            f"weights and work space take {_gb(fixed)}, and {max(1, places)} places take {each / 2**20:.1f} MB each, "
            f"{_gb(each * max(1, places))}. There is {room}"
        )
    return places or min(most, MOST_PLACES)


def _cpu_places(shape: Shape, threads: int) -> int:
    flops = 2 * sizes.parameters(shape) * FRAMES_PER_SECOND
    return max(1, int(threads * min(CPU_PLACES, CPU_FLOPS / flops)))


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
