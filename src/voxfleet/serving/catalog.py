"""Names to engines: which models can be served, what each is good for, and how one is built. Engines load lazily."""

import importlib
import importlib.util
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxfleet.engines.port import Engine
from voxfleet.engines.transducer.languages import AUTO, PUBLISHED
from voxfleet.errors import SettingsError, nearest
from voxfleet.serving import snapshot
from voxfleet.settings import WorkerSettings

PYTHON_PREFIX = "python:"
"""`python:package.module:Class` serves an engine of your own; options become its keyword arguments."""
FOLDER_PREFIX = "transducer:"
"""`transducer:FOLDER` serves a model folder in the Hugging Face layout; so does a path that begins with ., / or ~."""
TRANSDUCER_PACKAGES = ("torch", "safetensors", "tokenizers")
GPU_INSTALL = "pip install 'voxfleet[gpu]'"
HUB_SIZE = 2_550_000_000
"""Bytes of 0.64 billion weights in fp32, as such models are published; half of it where they come in bf16."""
_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")

Build = Callable[[str, int, dict[str, Any]], Engine]
"""Model, places (0 = as the engine advises) and engine options to a running engine."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One servable model as shown to a person."""

    name: str
    summary: str
    languages: tuple[str, ...]
    note: str
    """What an honest colleague would say before you use it."""
    licence: str
    packages: tuple[str, ...]
    """The modules whose presence means that its engine is installed."""
    install: str
    """The command that installs them."""
    build: Build
    size: int = 0
    """Bytes of its files, about; 0 = it has none of its own."""
    repository: str = ""
    """Where its files are fetched from; empty = they come with a package."""
    revision: str | None = None
    """The commit that is fetched; None = what the repository's main branch is when it is fetched, and recorded then."""
    shape: str = ""
    """Its name in `engines.transducer.layout.SHAPES`; empty where only its files tell."""
    folder: Path | None = None
    """Where its files are or will be; None = it has none of its own."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages it needs that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)

    @property
    def downloaded(self) -> bool:
        """Whether its files are here and have the sizes they were fetched with."""
        if self.folder is None:
            return True
        try:
            check_files(self)
        except SettingsError:
            return False
        return True

    @property
    def installed(self) -> bool:
        """Whether it can be served: its packages and its files are here."""
        return not self.missing and self.downloaded

    @property
    def needs(self) -> tuple[str, ...]:
        """What to do before it can be served: sentences that end in a command. Empty = nothing."""
        found = [f"needs {', '.join(self.missing)}: {self.install}"] if self.missing else []
        if not self.downloaded:
            pull = f"not downloaded: voxfleet models pull {self.name}"
            found.append(pull if self.repository else f"its files are not at {self.folder}")
        return tuple(found)


EMBEDDED_NOTE = (
    "PocketSphinx, US English only: works out of the box, demo quality. It gets most words of read speech wrong "
    "(LibriSpeech test-other: 62 % WER at its best offline, 71 % live with ten streams on two cores). "
    "Closed vocabularies (--grammar) work. Use a Whisper, Parakeet or Nemotron engine for real dictation."
)
NEMOTRON_NOTE = (
    "The model to use for live speech on a GPU: punctuation, capitals, 80 ms to 1.12 s of delay. Of its 40 locales 19 are "
    "called ready for transcription by the publisher, 13 (Romanian among them) broadly covered, 8 in need of fine-tuning. "
    "On a CPU it hears a few streams per core."
)
NEMOTRON_SPEECH_NOTE = (
    "English only, with punctuation and capitals; by its model card 6.9 % word errors over eight English sets at 1.12 s of "
    "delay, 8.4 % at 80 ms. Where nothing but English is spoken. On a CPU it hears a few streams per core."
)
DIGITS_NOTE = (
    "Our own network of 1.5 million weights that knows ten words, zero to nine; what else is said becomes digits or nothing. "
    "Four speakers taught it; others were not measured. For tests and demonstrations of the engine, not for callers."
)


def models() -> tuple[ModelEntry, ...]:
    """Every model this version knows by name."""
    return (
        ModelEntry(
            name="embedded",
            summary="PocketSphinx with the model inside its wheel; no download",
            languages=("en", "en-US"),
            note=EMBEDDED_NOTE,
            licence="BSD",
            packages=("pocketsphinx",),
            install="pip install pocketsphinx",
            build=_embedded,
        ),
        _hub_entry(
            name="nemotron-3.5",
            summary="NVIDIA Nemotron 3.5 ASR streaming, 0.6 B: 40 locales and automatic language",
            languages=(*PUBLISHED.split(), AUTO),
            note=NEMOTRON_NOTE,
            licence="OpenMDW-1.1",
            repository="nvidia/nemotron-3.5-asr-streaming-0.6b",
            shape="nemotron-3.5-0.6b",
        ),
        _hub_entry(
            name="nemotron-speech",
            summary="NVIDIA Nemotron Speech streaming, 0.6 B: English",
            languages=("en", "en-US"),
            note=NEMOTRON_SPEECH_NOTE,
            licence="NVIDIA Open Model License",
            repository="nvidia/nemotron-speech-streaming-en-0.6b",
            shape="nemotron-speech-0.6b",
        ),
        ModelEntry(
            name="digits",
            summary="spoken English digits, a small transducer that comes with Voxfleet; no download",
            languages=("en", "en-US"),
            note=DIGITS_NOTE,
            licence="CC-BY-SA-4.0",
            packages=TRANSDUCER_PACKAGES,
            install=GPU_INSTALL,
            build=_transducer,
            size=3_030_000,
            folder=snapshot.shipped_folder("digits"),
        ),
    )


def note_of(model: str) -> str:
    """The honest sentence about a model, '' for an engine of the user's own."""
    return next((entry.note for entry in models() if entry.name == model), "")


def entry_of(model: str) -> ModelEntry:
    """The model a person names: one of the catalogue, or a folder. Raises SettingsError for a name nobody knows."""
    folder = folder_named(model)
    if folder is not None:
        return ModelEntry(
            name=folder.resolve().name,
            summary=f"the transducer in {folder}",
            languages=(),
            note="",
            licence="",
            packages=TRANSDUCER_PACKAGES,
            install=GPU_INSTALL,
            build=_transducer,
            folder=folder,
        )
    entry = next((entry for entry in models() if entry.name == model), None)
    if entry is None:
        hint = f"; for the folder of that name say ./{model}" if Path(model).is_dir() else ""
        raise SettingsError(f"unknown model '{model}'{hint or nearest(model, [entry.name for entry in models()])}")
    return entry


def folder_named(model: str) -> Path | None:
    """The folder a model's name stands for; None for names of the catalogue and engines of the user's own."""
    if model.startswith(FOLDER_PREFIX):
        return Path(model.removeprefix(FOLDER_PREFIX)).expanduser()
    if model.startswith(PYTHON_PREFIX) or not model.startswith((".", "/", "~")):
        return None
    return Path(model).expanduser()


def short_name(model: str) -> str:
    """What a worker of this model is called by default: letters, digits, '-', '_' and '.' only."""
    folder = folder_named(model)
    name = model.rpartition(":")[2] if folder is None else folder.resolve().name
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:30] or "model"


def computes_on_cpu(worker: WorkerSettings) -> bool:
    """Whether it is a transducer that takes the processors of this machine. Raises SettingsError for an unknown model."""
    if worker.model.startswith(PYTHON_PREFIX) or entry_of(worker.model).folder is None:
        return False
    return str(_options(worker).get("device", "cpu")) == "cpu"


def check(worker: WorkerSettings) -> None:
    """Find what can be found wrong with a worker before anything is loaded: name, packages, files, device.

    Reads only headers and JSON; what the device can hold is the engine's to say. Raises SettingsError.
    """
    options = _options(worker)
    if worker.model.startswith(PYTHON_PREFIX):
        return
    entry = entry_of(worker.model)
    if entry.missing:
        raise SettingsError(
            f"model '{entry.name}' needs packages that are not installed ({', '.join(entry.missing)}): {entry.install}"
        )
    device = str(options.get("device", "cpu"))
    if entry.folder is None:
        if device != "cpu":
            raise SettingsError(f"model '{entry.name}' runs on the CPU only, not on '{device}'")
        return
    from voxfleet.engines.transducer.layout import Layout

    check_files(entry)
    Layout.read(entry.folder)


def build(worker: WorkerSettings) -> Engine:
    """The engine a worker is configured for, loaded. Raises SettingsError for a name or options nobody knows."""
    options = _options(worker)
    if worker.model.startswith(PYTHON_PREFIX):
        return _from_path(worker.model, worker.places, options)
    check(worker)
    return entry_of(worker.model).build(worker.model, worker.places, options)


def check_files(entry: ModelEntry) -> None:
    """Raises SettingsError where files of a model are missing, cut off, or not what was fetched."""
    if entry.folder is None:
        return
    if entry.repository and not entry.folder.is_dir():
        raise SettingsError(
            f"model '{entry.name}' is not downloaded (about {snapshot.size_text(entry.size)}): "
            f"voxfleet models pull {entry.name}"
        )
    if not entry.folder.is_dir():
        raise SettingsError(f"there is no model folder {entry.folder}")
    snapshot.check_sizes(entry.folder)
    snapshot.check_weights(entry.folder)


def advised_places() -> int:
    """Places of the embedded engine on this machine: five per core leave room for the gateway (README, Measured)."""
    return 5 * usable_cores()


def usable_cores() -> int:
    """Processors this process may use: a container or taskset may leave fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def part_of_machine(workers: int, places: int) -> tuple[int, dict[str, Any]]:
    """Places and options of one of several embedded workers on this machine; `places` are those set for all of them."""
    from voxfleet.engines.embedded import CAREFUL_PER_CORE

    cores = usable_cores()
    each = -(-advised_places() // workers)
    quick = max(places, each * workers if not places else 0) > CAREFUL_PER_CORE * cores
    return each, {"processes": max(1, cores // workers), "quick": quick}


def _hub_entry(*, name: str, **facts: Any) -> ModelEntry:
    """A transducer of 0.6 billion weights that is fetched from the hub."""
    return ModelEntry(
        name=name,
        packages=TRANSDUCER_PACKAGES,
        install=GPU_INSTALL,
        build=_transducer,
        size=HUB_SIZE,
        folder=snapshot.models_folder() / name,
        **facts,
    )


def _options(worker: WorkerSettings) -> dict[str, Any]:
    """Engine options with the device among them. Raises SettingsError where it is no device, or two are named."""
    options = dict(worker.options)
    if worker.device:
        check_device(worker.device)
        if options.setdefault("device", worker.device) != worker.device:
            raise SettingsError(
                f"a worker of model '{worker.model}' has device '{worker.device}' and, among its options, "
                f"'{options['device']}': keep one"
            )
    return options


def check_device(device: str) -> None:
    """Raises SettingsError for what can't name a device; whether it is there, the engine finds out."""
    if not _DEVICE.fullmatch(device):
        raise SettingsError(f"'{device}' is no device: say cpu, cuda:0, cuda:1 and so on")


def _embedded(_: str, places: int, options: dict[str, Any]) -> Engine:
    from voxfleet.engines.embedded import EmbeddedEngine

    told = {name: value for name, value in options.items() if name != "device"}
    return _checked(EmbeddedEngine, "embedded", places or advised_places(), told)


def _transducer(model: str, places: int, options: dict[str, Any]) -> Engine:
    entry = entry_of(model)
    engine_module = importlib.import_module("voxfleet.engines.transducer.engine")
    engine = _checked(engine_module.TransducerEngine, entry.name, places, {"model": str(entry.folder), **options})
    engine.info = replace(engine.info, name=entry.name)  # callers ask for it by the name it is served under
    return engine


def _from_path(model: str, places: int, options: dict[str, Any]) -> Engine:
    module_name, _, class_name = model.removeprefix(PYTHON_PREFIX).partition(":")
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"can't load engine '{model}' (python:package.module:Class): {error}") from None
    return _checked(kind, model, places, options)


def _checked(kind: Callable[..., Engine], model: str, places: int, options: dict[str, Any]) -> Engine:
    arguments = dict(options)
    if places:
        arguments["places"] = places
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        raise SettingsError(f"options of engine '{model}': {error}") from None
    return kind(**arguments)
