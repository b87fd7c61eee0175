"""How many places a device offers: what was asked for, checked against its memory before anything is loaded."""

import torch

from voxfleet.engines.cores import cores
from voxfleet.engines.network.device import Precision
from voxfleet.engines.transducer import sizes
from voxfleet.engines.transducer.layout import Shape
from voxfleet.errors import SettingsError

MOST_PLACES = 8_192
"""Offered without being asked: beyond it one card has more streams than anybody wants to lose at once."""
CPU_FLOPS = 15e9
"""Arithmetic a processor core gets through per second in float32 with small batches; a cautious guess: admission measures."""
CPU_PLACES = 48
"""Per core: below so small a network, work on the host decides."""
FRAMES_PER_SECOND = 12.5


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


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
