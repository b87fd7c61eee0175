"""Weights are loaded exactly, or refused with key and file; nothing pickled is ever opened."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs torch: pip install -e '.[gpu]'")
pytest.importorskip("safetensors", reason="needs safetensors: pip install -e '.[gpu]'")

import torch
from safetensors.torch import save_file

from voxfleet.engines.network import weights
from voxfleet.errors import SettingsError


class Little(torch.nn.Module):
    """One of every kind of thing that has weights."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(6, 4)
        self.lstm = torch.nn.LSTM(4, 3, 2, batch_first=True)
        self.norm = torch.nn.LayerNorm(3)
        self.embedding = torch.nn.Embedding(5, 4)
        self.loose = torch.nn.Parameter(torch.zeros(2, 2))
        self.register_buffer("table", torch.arange(3.0))
        self.register_buffer("scratch", torch.zeros(7), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.norm(self.lstm(self.linear(x))[0])


def _little(seed: int = 1) -> Little:
    module = Little()
    weights.random_(module, seed)
    return module


def _save(folder: Path, tensors: dict[str, Any]) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / weights.FILE)
    return folder


def _shard(folder: Path, tensors: dict[str, Any], parts: int = 3) -> dict[str, str]:
    keys = sorted(tensors)
    where = {key: f"model-{index % parts:05d}-of-{parts:05d}.safetensors" for index, key in enumerate(keys)}
    for name in set(where.values()):
        save_file({key: tensors[key] for key in keys if where[key] == name}, folder / name)
    (folder / weights.INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return where


def _refused(folder: Path) -> str:
    with pytest.raises(SettingsError) as error:
        weights.load(Little(), folder, torch.float32, "cpu")
    assert str(folder) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("saved", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16, torch.float16])
def test_every_tensor_arrives_in_the_wanted_precision(tmp_path: Path, saved: Any, wanted: Any) -> None:
    tensors = {key: tensor.to(saved) for key, tensor in _little().state_dict().items()}
    other = _little(2)
    weights.load(other, _save(tmp_path, tensors), wanted, "cpu")
    for key, tensor in other.state_dict().items():
        assert tensor.dtype == wanted
        assert torch.equal(tensor, tensors[key].to(wanted)), key


@pytest.mark.parametrize("sharded", [False, True])
def test_a_loaded_module_computes_what_the_saved_one_did(tmp_path: Path, sharded: bool) -> None:
    module = _little()
    (_shard if sharded else _save)(tmp_path, module.state_dict())
    with torch.device("meta"):
        other = Little()
    weights.load(other, tmp_path, torch.float32, "cpu")
    x = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(other(x), module(x))
    assert {type(parameter) for parameter in other.parameters()} == {torch.nn.Parameter}
    assert weights.parameters(tmp_path) == sum(tensor.numel() for tensor in module.state_dict().values())
    assert weights.size(tmp_path) == sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))


def test_the_references_checkpoint_loads_into_its_own_network(
    tiny_prompt_folder: Path, reference: Callable[[Path], Any]
) -> None:
    model = reference(tiny_prompt_folder)
    empty = type(model)(model.config)
    weights.load(empty, tiny_prompt_folder, torch.float32, "cpu")
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in empty.state_dict().items())
    assert weights.parameters(tiny_prompt_folder) == sum(tensor.numel() for tensor in model.state_dict().values())


def test_loaded_weights_outlive_their_file(tmp_path: Path) -> None:
    module = _little()
    _save(tmp_path, module.state_dict())
    other = Little()
    weights.load(other, tmp_path, torch.float32, "cpu")
    os.truncate(tmp_path / weights.FILE, 0)
    assert torch.equal(other.linear.weight, module.linear.weight)


def test_missing_and_extra_keys_are_named_and_counted(tmp_path: Path) -> None:
    tensors = dict(_little().state_dict())
    few = {key: tensor for key, tensor in tensors.items() if not key.startswith("lstm")}
    assert "the weights lack lstm.bias_hh_l0, lstm.bias_hh_l1, lstm.bias_ih_l0 and 5 more" in _refused(
        _save(tmp_path, few)
    )
    assert "the weights have ghost.weight, which" in _refused(
        _save(tmp_path, tensors | {"ghost.weight": torch.zeros(1)})
    )


def test_a_wrong_shape_or_type_names_the_key(tmp_path: Path) -> None:
    tensors = dict(_little().state_dict())
    said = _refused(_save(tmp_path, tensors | {"linear.weight": torch.zeros(4, 7)}))
    assert "linear.weight has shape [4, 7], but config.json describes [4, 6]; 1 such in all" in said
    said = _refused(_save(tmp_path, tensors | {"loose": torch.zeros(2, 2, dtype=torch.int8)}))
    assert "loose is torch.int8" in said


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    path = _save(tmp_path, _little().state_dict()) / weights.FILE
    whole = path.stat().st_size
    os.truncate(path, int(whole * kept) if isinstance(kept, float) else kept)
    assert f"{weights.FILE} is damaged or cut short" in _refused(tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / weights.FILE).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2468\n" * 3)
    assert "damaged or cut short" in _refused(tmp_path)
    (tmp_path / weights.FILE).write_bytes((2).to_bytes(8, "little") + b"[]")
    assert "damaged or cut short" in _refused(tmp_path)


def test_incomplete_shards_are_refused(tmp_path: Path) -> None:
    where = _shard(tmp_path, dict(_little().state_dict()))
    name = where["loose"]
    bytes_ = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    assert f"names {name}, which the folder lacks" in _refused(tmp_path)
    (tmp_path / name).write_bytes(bytes_[:-1])
    assert f"{name} is damaged or cut short" in _refused(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / where["linear.bias"]).read_bytes())
    assert "is in" in _refused(tmp_path)


@pytest.mark.parametrize("where", ["{", "{}", '{"weight_map": {}}', '{"weight_map": {"loose": "../x.safetensors"}}'])
def test_a_broken_index_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / weights.INDEX).write_text(where)
    assert weights.INDEX in _refused(tmp_path)


def test_an_index_that_lies_is_refused(tmp_path: Path) -> None:
    where = _shard(tmp_path, dict(_little().state_dict()))
    (tmp_path / weights.INDEX).write_text(json.dumps({"weight_map": where | {"loose": where["linear.bias"]}}))
    assert "loose not where it says" in _refused(tmp_path)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    torch.save(_little().state_dict(), tmp_path / "pytorch_model.bin")
    assert "only as pytorch_model.bin: those formats can run code" in _refused(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    assert "has no weights" in _refused(tmp_path)


def test_random_weights_are_the_same_for_the_same_seed() -> None:
    module = Little()
    before = torch.random.get_rng_state()
    weights.random_(module, 7)
    assert torch.equal(torch.random.get_rng_state(), before)
    one, same, other = _little(7).state_dict(), _little(7).state_dict(), _little(8).state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["linear.weight"], other["linear.weight"])
    assert not torch.equal(one["loose"], other["loose"])
    assert 0 < one["loose"].abs().max() < 0.2
    assert torch.equal(one["norm.weight"], torch.ones(3))
