"""From a model folder and a machine to a network that runs: everything that can be wrong is found out here, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from voxfleet.engines.cores import cores
from voxfleet.engines.network.device import Precision, find_device, find_precision
from voxfleet.engines.network.weights import load, random_
from voxfleet.engines.transducer import sizes
from voxfleet.engines.transducer.arena import Arena
from voxfleet.engines.transducer.device import fit
from voxfleet.engines.transducer.features import LogMel
from voxfleet.engines.transducer.layout import SHAPES, FeatureShape, Layout, Shape
from voxfleet.engines.transducer.model import Transducer
from voxfleet.engines.transducer.quantised import quantise
from voxfleet.engines.transducer.ring import AudioRing
from voxfleet.engines.transducer.runner import Runner
from voxfleet.engines.transducer.tokens import Vocabulary
from voxfleet.errors import SettingsError, nearest
from voxfleet.speech import AUTO, SAMPLE_RATE

FRAME_MS = 80
LEAST_MS = 160
"""The smallest chunk served without being asked for: at 80 ms these models cost most and hear worst."""
BUCKETS = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
"""Rows of a pass on a GPU: a batch is filled up to the next one, a third of it at most."""
GPU_FRAMES, CPU_FRAMES = sizes.PASS_FRAMES, 256
"""Encoder frames per pass: enough to keep the device busy, few enough for its memory and for latency."""
HUSH = 1.0
"""Added to the blank of a random network."""
LOOK = 2
"""Frames one iteration of decoding judges. More skip blanks in fewer iterations, and judge frames in vain that a label
makes them judge again: with all 7 frames of 560 ms at once a CPU spent as much on labels as on the network."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was asked for; see TransducerEngine."""

    device: str = "cpu"
    precision: str = ""
    chunks: tuple[int, ...] = ()
    places: int = 0
    threads: int = 0
    frames_per_pass: int = 0
    buckets: tuple[int, ...] = ()


@dataclass(slots=True)
class Loading:
    """What was made of it."""

    name: str
    languages: tuple[str, ...]
    prompt_of: Callable[[str], int]
    vocabulary: Vocabulary
    chunk_ms: tuple[int, ...]
    places: int
    device_name: str
    precision: Precision
    model: Transducer
    ring: AudioRing
    arena: Arena
    runner: Runner

    def release(self) -> None:
        """Give the device's memory back."""
        self.arena.release()
        if self.runner.device.type == "cuda":
            torch.cuda.empty_cache()


def load_folder(layout: Layout, machine: Machine) -> Loading:
    """A model folder. Raises SettingsError."""
    vocabulary = layout.vocabulary()
    vocabulary.encode("a")  # the tokenizer loads now, not when the first stream expects phrases

    def fill(model: Transducer, dtype: torch.dtype, device: torch.device) -> None:
        load(model, layout.folder, dtype, device)

    languages, name = layout.languages() + ((AUTO,) if layout.shape.prompts else ()), layout.name
    return _assemble(name, languages, layout.prompt_of, vocabulary, layout.shape, layout.features, machine, fill)


def load_random(name: str, machine: Machine) -> Loading:
    """A shape known by name with random weights, for measurements: its timing is real, its text is not."""
    if name not in SHAPES:
        raise SettingsError(f"shape '{name}' is unknown{nearest(name, SHAPES)}; known: {', '.join(SHAPES)}")
    shape = SHAPES[name]

    def fill(model: Transducer, dtype: torch.dtype, device: torch.device) -> None:
        model.to_empty(device=device)
        random_(model, seed=0)
        _hush(model)
        model.to(dtype)

    vocabulary = Vocabulary([f"▁{index}" for index in range(shape.vocabulary)], shape.blank)
    features = FeatureShape(SAMPLE_RATE, shape.mels, 512, 400, 160, 0.97, "float32")
    return _assemble(
        f"random:{name}", ("en",), lambda _: shape.default_prompt, vocabulary, shape, features, machine, fill
    )


def _assemble(
    name: str,
    languages: tuple[str, ...],
    prompt_of: Callable[[str], int],
    vocabulary: Vocabulary,
    shape: Shape,
    features: FeatureShape,
    machine: Machine,
    fill: Callable[[Transducer, torch.dtype, torch.device], None],
) -> Loading:
    device = find_device(machine.device)
    precision = find_precision(machine.precision, device)
    chunk_ms = _chunks(machine.chunks, shape)
    chunk = chunk_ms[-1] // FRAME_MS
    places = fit(shape, machine.places, chunk, precision, device, machine.threads)
    if device.type == "cpu":
        torch.set_num_threads(machine.threads or cores())
    else:
        torch.cuda.set_device(device)
    with torch.device("meta"):
        model = Transducer(shape)
    fill(model, precision.dtype, device)
    model.prepare(chunk)
    if precision.quantised:
        quantise(model)
    arena = Arena(shape, places, chunk, precision.dtype, device)
    ring = AudioRing(places + 1, sizes.RING_SECONDS * SAMPLE_RATE, device)
    on_gpu = device.type == "cuda"
    runner = Runner(
        model,
        LogMel(features).to(device),
        ring,
        arena,
        device=device,
        look=LOOK,
        frames_per_pass=machine.frames_per_pass or (GPU_FRAMES if on_gpu else CPU_FRAMES),
        buckets=machine.buckets or (BUCKETS if on_gpu else ()),
    )
    runner.warm([ms // FRAME_MS for ms in chunk_ms], places)
    where = torch.cuda.get_device_name(device) if on_gpu else "cpu"
    return Loading(
        name, languages, prompt_of, vocabulary, chunk_ms, places, where, precision, model, ring, arena, runner
    )  # fmt: skip


def _hush(model: Transducer) -> None:
    """Random networks babble at every frame; real ones say three or four tokens a second of speech. The blank is made
    as much likelier as it takes, for what labels cost is part of what is measured."""
    with torch.no_grad():
        model.joint.head.bias[model.shape.blank] += HUSH


def _chunks(asked: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """The chunk sizes served, in ms: those asked for, or those the model was trained with from LEAST_MS up."""
    trained = tuple((lookahead + 1) * FRAME_MS for lookahead in shape.lookaheads)
    if not asked:
        return tuple(ms for ms in trained if ms >= LEAST_MS) or trained
    wrong = [ms for ms in asked if ms not in trained]
    if wrong or list(asked) != sorted(set(asked)):
        known = ", ".join(map(str, trained))
        raise SettingsError(f"chunks {', '.join(map(str, asked))}: they must rise and be among {known} (ms)")
    return tuple(asked)
