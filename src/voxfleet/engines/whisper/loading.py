"""From a model folder and a machine to a transcriber that runs: everything that can be wrong is found out here, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from voxfleet.engines.cores import cores
from voxfleet.engines.network.device import Precision, find_device, find_precision
from voxfleet.engines.network.weights import load, random_
from voxfleet.engines.whisper import sizes
from voxfleet.engines.whisper.hearing import PADDED
from voxfleet.engines.whisper.languages import offered
from voxfleet.engines.whisper.layout import SHAPES, Heads, Layout, Shape, Special, random_layout
from voxfleet.engines.whisper.model import Whisper
from voxfleet.engines.whisper.recogniser import WhisperTranscriber
from voxfleet.engines.whisper.tokens import Vocabulary
from voxfleet.errors import SettingsError, nearest

RANDOM = "random:"
INT8 = "int8"
TIED = ("proj_out.weight",)
"""Keys of a checkpoint that repeat another."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was asked for; see WhisperEngine."""

    device: str = "cpu"
    precision: str = ""
    encoder_context: str = PADDED
    places: int = 0
    rows: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Loading:
    """What was made of it."""

    name: str
    languages: tuple[str, ...]
    multilingual: bool
    places: int
    slots: int
    device_name: str
    special: Special
    transcriber: WhisperTranscriber


@dataclass(frozen=True, slots=True)
class _Source:
    """What is loaded, and where from."""

    name: str
    shape: Shape
    special: Special
    vocabulary: Vocabulary
    heads: Mapping[str, Heads]
    fill: Callable[[Whisper, torch.dtype, torch.device], None]


def load_model(model: str, machine: Machine) -> Loading:
    """A folder, or random:NAME. Raises SettingsError."""
    source = _random(model.removeprefix(RANDOM)) if model.startswith(RANDOM) else _folder(Layout.read(Path(model)))
    device = find_device(machine.device)
    precision, quantised = _precision(machine.precision, device)
    aligned = tuple(sorted(set().union(*source.heads.values())))
    on_gpu = device.type == "cuda"
    if on_gpu:
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
        value = precision.dtype.itemsize
        slots = sizes.slots_in(source.shape, machine.rows, value, len(aligned), free, total, name)
        places, encode_rows = machine.places or sizes.PLACES, sizes.ENCODE_ROWS
        torch.cuda.set_device(device)
    else:
        threads = machine.threads or cores()
        name, slots, encode_rows = "cpu", machine.rows or sizes.CPU_SLOTS, sizes.CPU_ENCODE_ROWS
        places = machine.places or sizes.cpu_places(source.shape, threads)
        torch.set_num_threads(threads)
    with torch.device("meta"):
        network = Whisper(source.shape)
    source.fill(network, precision.dtype, device)
    network.eval().requires_grad_(False)
    if quantised:
        quantise(network)
    transcriber = WhisperTranscriber(
        network, source.special, source.vocabulary, source.heads, device,
        slots=slots, encode_rows=encode_rows, encoder_context=machine.encoder_context,
    )  # fmt: skip
    transcriber.warm()
    languages = offered(source.special.languages)
    multilingual = bool(source.special.languages)
    return Loading(source.name, languages, multilingual, places, slots, name, source.special, transcriber)


def quantise(network: Whisper) -> None:
    """Weights of the linear layers as 8-bit integers, by torchao, in place. Raises SettingsError where it is missing."""
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise SettingsError(
            f"precision 'int8' needs torchao, which can't be used here ({error}): pip install torchao"
        ) from None
    quantize_(network, Int8WeightOnlyConfig())


def _precision(name: str, device: torch.device) -> tuple[Precision, bool]:
    """int8 is of the weights only: all else stays as it would be without it."""
    return find_precision("" if name == INT8 else name, device), name == INT8


def _folder(layout: Layout) -> _Source:
    def fill(network: Whisper, dtype: torch.dtype, device: torch.device) -> None:
        load(network, layout.folder, dtype, device, TIED)

    heads = {"": layout.heads(""), **{language: layout.heads(language) for language in layout.special.languages}}
    return _Source(layout.name, layout.shape, layout.special, layout.vocabulary(), heads, fill)


def _random(name: str) -> _Source:
    """Its timing is real, its text is not. Half of the last layers' first heads stand for alignment heads."""
    if name not in SHAPES:
        raise SettingsError(f"shape '{name}' is unknown{nearest(name, SHAPES)}; known: {', '.join(SHAPES)}")
    shape, special, vocabulary = random_layout(name)

    def fill(network: Whisper, dtype: torch.dtype, device: torch.device) -> None:
        network.to_empty(device=device)
        random_(network, seed=0)
        network.to(dtype)

    layers = range(shape.decoder_layers // 2, shape.decoder_layers)
    heads = tuple((layer, 0) for layer in layers)[: sizes.HEADS]
    return _Source(f"{RANDOM}{name}", shape, special, vocabulary, {"": heads}, fill)
