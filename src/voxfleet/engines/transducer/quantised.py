"""8-bit products for CPUs: every large matrix of the encoder's layers as integers, one scale per output and per input row.

Each row of the input is brought to full scale before it is rounded, so what a stream becomes does not depend on the
streams it shares a pass with. Attention itself, norms, convolutions, prediction and joint network stay in float32.
"""

import torch
from torch import Tensor, nn

from voxfleet.engines.transducer.model import Transducer
from voxfleet.errors import SettingsError

FULL = 127.0
"""Of a weight's byte."""
FULL_INPUT, ZERO = 63.0, 64
"""Inputs have seven bits: processors without 8-bit dot products (AVX2) add pairs of products in 16 bits, and two of a full
byte overflow them silently. `ZERO` is what 0.0 becomes."""


def quantise(model: Transducer) -> None:
    """Replace the linear maps of the encoder's layers, in place. Call it once the model is prepared.

    Raises SettingsError where this torch has no such products (they are oneDNN's).
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        raise SettingsError("precision 'int8': this PyTorch is built without oneDNN; a CPU is then served with float32")
    for layer in model.encoder.layers:
        for name, module in list(layer.named_modules()):
            if isinstance(module, nn.Linear) and not name.endswith("relative_k_proj"):
                owner, _, own = name.rpartition(".")
                setattr(layer.get_submodule(owner), own, Int8Linear(module))


class Int8Linear(nn.Module):
    """A linear map whose weights are bytes."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = weight.abs().amax(1).clamp_min(1e-12) / FULL
        whole = (weight / scale[:, None]).round().to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(whole, None)
        self._scale = scale
        self._zeros = torch.zeros(len(scale), dtype=torch.int64)
        self._bias = None if linear.bias is None else linear.bias.detach().clone()

    def forward(self, x_btd: Tensor) -> Tensor:
        x_nd = x_btd.flatten(0, -2)
        size = x_nd.abs().amax(1, keepdim=True).clamp_min(1e-12)
        whole = (x_nd * (FULL_INPUT / size)).round_().add_(ZERO).to(torch.uint8)
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            whole,
            1 / FULL_INPUT,
            ZERO,
            self._packed,
            self._scale,
            self._zeros,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        product *= size
        if self._bias is not None:
            product += self._bias
        return product.view(*x_btd.shape[:-1], -1)
