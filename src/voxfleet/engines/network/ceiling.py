"""The speed of a bare matrix product here: what a network's arithmetic can be held against."""

import time
from statistics import median

import torch

SQUARE = {"cuda": 8192, "cpu": 1536}
"""Side of the matrices whose product is the ceiling: large enough to fill the machine."""
QUICK_SQUARE = 512


def ceiling(device: torch.device, dtype: torch.dtype, *, quick: bool = False, repeats: int = 10) -> float:
    """TFLOP/s of a large product of two random matrices."""
    side = QUICK_SQUARE if quick else SQUARE[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for number in range(repeats + 2):
        begin = _now(device)
        torch.mm(a, b)
        end = _now(device)
        if number >= 2:
            seconds.append(end - begin)
    return float(2 * side**3 / median(seconds) / 1e12)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
