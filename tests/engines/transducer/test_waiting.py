"""A pass must not make the host wait, and must keep to its device: proved without a GPU, on the device 'meta'.

Tensors there have shapes and no content, so whatever reads a value back, or mixes in a tensor of another device, raises.
What passes can be recorded in a CUDA graph as far as its operations go.
"""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[gpu]'")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from voxfleet.engines.transducer.arena import COLUMNS, Arena  # noqa: E402
from voxfleet.engines.transducer.features import LogMel  # noqa: E402
from voxfleet.engines.transducer.layout import SHAPES, FeatureShape  # noqa: E402
from voxfleet.engines.transducer.model import Transducer  # noqa: E402
from voxfleet.engines.transducer.ring import AudioRing  # noqa: E402
from voxfleet.engines.transducer.runner import Runner  # noqa: E402

META = torch.device("meta")
NO_KERNEL = {"view", "transpose", "unsqueeze", "squeeze", "flatten", "expand", "permute", "slice", "select", "t", "unbind",
             "unfold", "detach", "alias", "empty", "as_strided", "_unsafe_view", "view_as_real", "chunk", "split"}  # fmt: skip


class Kernels(TorchDispatchMode):
    """Counts the operations that compute something; those that only look at memory otherwise launch nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function._schema.name.split("::")[1] not in NO_KERNEL
        return function(*args, **(kwargs or {}))


class MetaMel(LogMel):
    """Autocast knows no 'meta'; everything else as it is."""

    def forward(self, audio: Any, first: Any, limit: Any) -> Any:
        frames = (audio.shape[1] - self.samples(1)) // self.shape.hop + 1
        return self._frames(audio, first[:, None], limit[:, None], frames)


@pytest.mark.parametrize("name", ["nemotron-3.5-0.6b", "nemotron-speech-0.6b"])
@pytest.mark.parametrize("chunk", [2, 14])
def test_a_pass_reads_nothing_back_and_stays_on_its_device(name: str, chunk: int) -> None:
    shape = SHAPES[name]
    with META:
        model = Transducer(shape).to(torch.bfloat16)
        mel = MetaMel(FeatureShape(16_000, shape.mels, 512, 400, 160, 0.97, "float32"))
        mel.window, mel.filters = torch.zeros(512), torch.zeros(257, shape.mels, dtype=torch.float64)
    model.prepare(14)
    ring = AudioRing(101, 64_000, META)
    arena = Arena(shape, 100, 14, torch.bfloat16, META)
    runner = Runner(model, mel, ring, arena, device=META, look=2, frames_per_pass=4_096, buckets=(64,))
    columns = torch.from_numpy(np.zeros((len(COLUMNS), 64), np.int64)).to(META)
    with torch.inference_mode(), Kernels() as network:
        runner._network(columns, chunk)
    with torch.inference_mode(), Kernels() as burst:
        runner._decoder.burst(columns[0], 4)
    print(f"{name}, chunks of {chunk} frames: {network.count} kernels, and {burst.count} for a burst of 4")
    assert arena.encoded.dtype is torch.bfloat16
    assert network.count < 70 * shape.layers, "more launches per layer than the design reckons with"
    assert burst.count < 4 * 70
