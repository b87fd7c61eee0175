"""How a network gets its weights: from safetensors, strictly, tensor by tensor; or at random, for benchmarks.

Pickled weights (`*.bin`, `*.pt`) are never opened: unpickling runs what the file says.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from voxfleet.errors import SettingsError

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_NAMED = 3
"""Keys named in an error; the rest are counted."""


def load(
    module: nn.Module,
    folder: Path,
    dtype: torch.dtype,
    device: torch.device | str,
    aside: Collection[str] = (),
) -> None:
    """Fill every parameter and saved buffer of `module`, in place, with the checkpoint's, as `dtype` on `device`.

    The module may have been made on the device 'meta': then no second copy of it is ever held. On the host at most one
    tensor is held besides the mapped file. `aside`: keys a checkpoint may have that say nothing new.
    Raises SettingsError naming file and keys if a key is missing or too many, a shape differs, or a file is missing or
    damaged; the module is then of no use.
    """
    wanted: dict[str, torch.Tensor] = dict(module.state_dict(keep_vars=True))
    with ExitStack() as stack:
        where = _open(folder, stack)
        missing, extra = wanted.keys() - where.keys(), where.keys() - wanted.keys() - set(aside)
        if missing:
            raise SettingsError(f"{folder}: the weights lack {_some(missing)}, which this network has")
        if extra:
            raise SettingsError(f"{folder}: the weights have {_some(extra)}, which this network has not")
        shapes = {key: tuple(where[key][1].get_slice(key).get_shape()) for key in wanted}
        other = [key for key, tensor in wanted.items() if shapes[key] != tuple(tensor.shape)]
        if other:
            key = min(other)
            raise SettingsError(
                f"{where[key][0]}: {key} has shape {list(shapes[key])}, but config.json describes "
                f"{list(wanted[key].shape)}; {len(other)} such in all"
            )
        for key in sorted(wanted, key=lambda key: str(where[key][0])):
            path, file = where[key]
            try:
                tensor = file.get_tensor(key)
            except (SafetensorError, OSError) as error:
                raise SettingsError(f"{path} is damaged at {key}: {error}") from None
            if tensor.dtype not in _FLOATS:
                raise SettingsError(f"{path}: {key} is {tensor.dtype}; weights must be float32, float16 or bfloat16")
            own = tensor.to(device=device, dtype=dtype)
            _put(module, key, own.clone() if own is tensor else own)  # never a view of the mapped file
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            part.flatten_parameters()  # one block of memory, as the card's kernels want it; nothing on the host


def size(folder: Path) -> int:
    """Bytes of the weights in their files."""
    return sum(path.stat().st_size for path in files(folder))


def parameters(folder: Path) -> int:
    """How many numbers the weights hold."""
    with ExitStack() as stack:
        where = _open(folder, stack)
        return sum(torch.Size(file.get_slice(key).get_shape()).numel() for key, (_, file) in where.items())


def files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a folder, in order. Raises SettingsError if one is missing or there are none."""
    index = folder / INDEX
    if (folder / FILE).is_file():
        return (folder / FILE,)
    if index.is_file():
        paths = tuple(folder / name for name in sorted(set(_shards(index).values())))
        absent = [path.name for path in paths if not path.is_file()]
        if absent:
            raise SettingsError(f"{index} names {_some(absent)}, which the folder lacks: the download is incomplete")
        return paths
    pickled = sorted(
        path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.nemo") for path in folder.glob(pattern)
    )
    if pickled:
        raise SettingsError(
            f"{folder} has weights only as {_some(pickled)}: those formats can run code when opened, so only safetensors "
            f"are loaded; save the model as {FILE}"
        )
    raise SettingsError(f"{folder} has no weights: neither {FILE} nor {INDEX} is there")


def random_(module: nn.Module, seed: int) -> None:
    """Fill a module with weights of sane scale, the same for the same seed, shapes and device.

    Layers get their own default initialisation, so that activations keep a scale at which no precision overflows;
    loose parameters, which have none, a small normal one. The module must not be on the device 'meta'.
    """
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards), torch.no_grad():
        torch.manual_seed(seed)
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if reset is not None:
                reset()
            else:
                for parameter in part.parameters(recurse=False):
                    nn.init.normal_(parameter, std=0.02)


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def _shards(index: Path) -> Mapping[str, str]:
    """File name by key."""
    try:
        shards = msgspec.json.decode(index.read_bytes(), type=_Index).weight_map
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{index} is broken: {error}") from None
    outside = [name for name in shards.values() if Path(name).name != name or not name.endswith(".safetensors")]
    if outside or not shards:
        raise SettingsError(f"{index}: weight_map must name *.safetensors files of this folder, not {_some(outside)}")
    return shards


def _open(folder: Path, stack: ExitStack) -> dict[str, tuple[Path, Any]]:
    """Which opened file has which key."""
    where: dict[str, tuple[Path, Any]] = {}
    for path in files(folder):
        try:
            file = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
        except (SafetensorError, OSError) as error:
            raise SettingsError(f"{path} is damaged or cut short: {error}") from None
        for key in file.keys():  # noqa: SIM118 - no mapping
            if key in where:
                raise SettingsError(f"{path}: {key} is in {where[key][0].name} too")
            where[key] = (path, file)
    if not (folder / FILE).is_file():
        claimed = _shards(folder / INDEX)
        false = [key for key, name in claimed.items() if key not in where or where[key][0].name != name]
        if false:
            raise SettingsError(f"{folder / INDEX}: {_some(false)} not where it says")
    return where


def _put(module: nn.Module, key: str, tensor: torch.Tensor) -> None:
    """Replace a parameter or buffer; never copies into the old one, which may be on 'meta'."""
    *path, name = key.split(".")
    owner = module.get_submodule(".".join(path))
    old = getattr(owner, name)
    if isinstance(old, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=old.requires_grad)
    setattr(owner, name, tensor)


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    first = ", ".join(ordered[:_NAMED])
    return first if len(ordered) <= _NAMED else f"{first} and {len(ordered) - _NAMED} more"
