"""Names to engines: which models can be served, what each is good for, and how one is built. Engines load lazily."""

import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voxfleet.engines.port import Engine
from voxfleet.errors import SettingsError, nearest
from voxfleet.settings import WorkerSettings

PYTHON_PREFIX = "python:"
"""`python:package.module:Class` serves an engine of your own; options become its keyword arguments."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One servable model as shown to a person."""

    name: str
    summary: str
    languages: tuple[str, ...]
    note: str
    """What an honest colleague would say before you use it."""
    package: str
    """The module whose presence means that it is installed."""
    install: str
    """The command that installs it."""
    build: Callable[[int, dict[str, Any]], Engine]
    """places (0 = as advised) and engine options to a running engine."""

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


EMBEDDED_NOTE = (
    "PocketSphinx, US English only: works out of the box, demo quality. It gets most words of read speech wrong "
    "(LibriSpeech test-other: 62 % WER at its best offline, 71 % live with ten streams on two cores). "
    "Closed vocabularies (--grammar) work. Use a Whisper, Parakeet or Nemotron engine for real dictation."
)


def models() -> tuple[ModelEntry, ...]:
    """Every model this version knows by name."""
    return (
        ModelEntry(
            name="embedded",
            summary="PocketSphinx with the model inside its wheel; no download",
            languages=("en", "en-US"),
            note=EMBEDDED_NOTE,
            package="pocketsphinx",
            install="pip install pocketsphinx",
            build=_embedded,
        ),
    )


def note_of(model: str) -> str:
    """The honest sentence about a model, '' for an engine of the user's own."""
    return next((entry.note for entry in models() if entry.name == model), "")


def build(worker: WorkerSettings) -> Engine:
    """The engine a worker is configured for, loaded. Raises SettingsError for a name or options nobody knows."""
    if worker.model.startswith(PYTHON_PREFIX):
        return _from_path(worker.model, worker.places, worker.options)
    entry = next((entry for entry in models() if entry.name == worker.model), None)
    if entry is None:
        names = [entry.name for entry in models()]
        raise SettingsError(f"unknown model '{worker.model}'{nearest(worker.model, names)}")
    if not entry.installed:
        raise SettingsError(f"model '{entry.name}' needs a package that is not installed: {entry.install}")
    return entry.build(worker.places, worker.options)


def advised_places() -> int:
    """Places of the embedded engine on this machine: five per core leave room for the gateway (README, Measured)."""
    return 5 * (os.cpu_count() or 1)


def part_of_machine(workers: int, places: int) -> tuple[int, dict[str, Any]]:
    """Places and options of one of several embedded workers on this machine; `places` are those set for all of them."""
    from voxfleet.engines.embedded import CAREFUL_PER_CORE

    cores = os.cpu_count() or 1
    each = -(-advised_places() // workers)
    quick = max(places, each * workers if not places else 0) > CAREFUL_PER_CORE * cores
    return each, {"processes": max(1, cores // workers), "quick": quick}


def _embedded(places: int, options: dict[str, Any]) -> Engine:
    from voxfleet.engines.embedded import EmbeddedEngine

    return _checked(EmbeddedEngine, "embedded", places or advised_places(), options)


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
        return kind(**arguments)
    except TypeError as error:
        raise SettingsError(f"options of engine '{model}': {error}") from None
