"""Which device and which precision: what was asked for, checked against what is there, before anything is loaded."""

from dataclasses import dataclass

import torch

from voxfleet.errors import SettingsError, nearest


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
