"""Reads the weights of an ONNX file and writes a small ONNX graph: the few messages of the format that the model of
voice activity needs, so that the `onnx` package isn't a dependency.

Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.float32] | NDArray[np.int64]

_FLOAT, _INT64 = 1, 7
_INT_SETTING, _STRING_SETTING = 2, 3
_IR_VERSION, _OPSET = 8, 16


def weights(model: bytes, branch: str) -> dict[str, NDArray[np.float32]]:
    """The named float tensors among the constants of a branch ("then_branch", "else_branch") of a model's outermost If.

    Raises ValueError where the bytes aren't a model, or it has no such branch.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for node in _all(_one(model, 7), 1):
        for attribute in _all(node, 5):
            if _one(attribute, 1) != branch.encode():
                continue
            for constant in _all(_one(attribute, 6), 1):
                for value in _all(constant, 5):
                    for tensor in _all(value, 5):
                        name = _one(tensor, 8).decode()
                        if name and _number(tensor, 2) == _FLOAT:
                            shape = [number for field, number in _fields(tensor) if field == 1]
                            flat = np.frombuffer(_one(tensor, 9), np.dtype("<f4"))
                            found[name] = flat.reshape(shape)  # type: ignore[arg-type]
    if not found:
        raise ValueError(f"the model has no constants in a '{branch}'")
    return found


class Graph:
    """An ONNX graph under construction: values are names, nodes are added in the order they run."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._tensors: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._names = 0

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """A float input; a dimension that is a word may differ from run to run."""
        self._inputs.append(_value(name, shape))
        return name

    def output(self, name: str, value: str, shape: Sequence[int | str]) -> None:
        """Names `value` as a result of the graph."""
        self._nodes.append(_node("Identity", [value], [name], {}))
        self._outputs.append(_value(name, shape))

    def constant(self, values: Tensor) -> str:
        """A tensor stored in the file."""
        name = self._name()
        kind, data = (_INT64, "<i8") if values.dtype == np.int64 else (_FLOAT, "<f4")
        dims = b"".join(_varint_field(1, size) for size in values.shape)
        raw = np.ascontiguousarray(values).astype(data).tobytes()
        self._tensors.append(dims + _varint_field(2, kind) + _bytes_field(8, name.encode()) + _bytes_field(9, raw))
        return name

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: int | str) -> list[str]:
        """Runs operator `op`; an input "" is an optional one left out."""
        names = [self._name() for _ in range(outputs)]
        self._nodes.append(_node(op, inputs, names, attributes))
        return names

    def file(self) -> bytes:
        """The model as the bytes of an .onnx file."""
        graph = b"".join(
            [
                *(_bytes_field(1, node) for node in self._nodes),
                _bytes_field(2, b"graph"),
                *(_bytes_field(5, tensor) for tensor in self._tensors),
                *(_bytes_field(11, value) for value in self._inputs),
                *(_bytes_field(12, value) for value in self._outputs),
            ]
        )
        opset = _bytes_field(1, b"") + _varint_field(2, _OPSET)
        return _varint_field(1, _IR_VERSION) + _bytes_field(7, graph) + _bytes_field(8, opset)

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"


def _node(op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, int | str]) -> bytes:
    parts = [_bytes_field(1, name.encode()) for name in inputs]
    parts += [_bytes_field(2, name.encode()) for name in outputs]
    parts.append(_bytes_field(4, op.encode()))
    for name, setting in attributes.items():
        value, kind = (
            (_bytes_field(4, setting.encode()), _STRING_SETTING)
            if isinstance(setting, str)
            else (_varint_field(3, setting), _INT_SETTING)
        )
        parts.append(_bytes_field(5, _bytes_field(1, name.encode()) + value + _varint_field(20, kind)))
    return b"".join(parts)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _bytes_field(1, _bytes_field(2, size.encode()) if isinstance(size, str) else _varint_field(1, size))
        for size in shape
    )
    tensor = _varint_field(1, _FLOAT) + _bytes_field(2, dims)
    return _bytes_field(1, name.encode()) + _bytes_field(2, _bytes_field(1, tensor))


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1  # negative numbers are their two's complement
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varint_field(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes_field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        match key & 7:
            case 0:
                number, at = _read_varint(message, at)
                yield key >> 3, number
            case 2:
                size, at = _read_varint(message, at)
                yield key >> 3, message[at : at + size]
                at += size
            case 1 | 5 as kind:
                at += 8 if kind == 1 else 4
            case kind:
                raise ValueError(f"not an ONNX file: wire type {kind}")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("not an ONNX file: it ends in the middle of a number")
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _all(message: bytes, wanted: int) -> Iterator[bytes]:
    return (value for field, value in _fields(message) if field == wanted and isinstance(value, bytes))


def _one(message: bytes, wanted: int) -> bytes:
    return next(_all(message, wanted), b"")


def _number(message: bytes, wanted: int) -> int:
    return next((value for field, value in _fields(message) if field == wanted and isinstance(value, int)), 0)
