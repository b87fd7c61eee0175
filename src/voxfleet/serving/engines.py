"""How an engine is made of its settings: the class that computes a model, and the options it takes. Engines load lazily."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from voxfleet.engines.cores import cores
from voxfleet.engines.port import Engine
from voxfleet.errors import SettingsError
from voxfleet.serving.backend import BACKEND, Backend, choose
from voxfleet.serving.entry import Form, ModelEntry

log = structlog.get_logger()

PYTHON_PREFIX = "python:"
"""`python:package.module:Class` serves an engine of your own; options become its keyword arguments."""
_WHISPERS = {
    Backend.PYTORCH: ("voxfleet.engines.whisper.engine", "WhisperEngine"),
    Backend.CTRANSLATE2: ("voxfleet.engines.faster_whisper", "FasterWhisperEngine"),
}


def made(entry: ModelEntry, places: int, options: dict[str, Any]) -> Engine:
    """The engine of a model, loaded; places 0 = as the engine advises. Raises SettingsError for options it does not take.

    Callers ask for it by the name of its entry.
    """
    match entry.form:
        case None:
            engine = _embedded(places, options)
        case Form.TRANSDUCER:
            engine = _transducer(entry, places, options)
        case Form.WHISPER | Form.CTRANSLATE2:
            engine = _whisper(entry, entry.form, places, options)
    engine.info = replace(engine.info, name=entry.name)
    return engine


def from_path(model: str, places: int, options: dict[str, Any]) -> Engine:
    """An engine of the user's own, by `python:package.module:Class`. Raises SettingsError where it can't be found."""
    module_name, _, class_name = model.removeprefix(PYTHON_PREFIX).partition(":")
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"can't load engine '{model}' (python:package.module:Class): {error}") from None
    return _checked(kind, model, places, options)


def advised_places() -> int:
    """Places of the embedded engine on this machine: five per core leave room for the gateway (README, Measured)."""
    return 5 * cores()


def part_of_machine(workers: int, places: int) -> tuple[int, dict[str, Any]]:
    """Places and options of one of several embedded workers on this machine; `places` are those set for all of them."""
    from voxfleet.engines.embedded import CAREFUL_PER_CORE

    usable = cores()
    each = -(-advised_places() // workers)
    quick = max(places, each * workers if not places else 0) > CAREFUL_PER_CORE * usable
    return each, {"processes": max(1, usable // workers), "quick": quick}


def _embedded(places: int, options: dict[str, Any]) -> Engine:
    from voxfleet.engines.embedded import EmbeddedEngine

    told = {name: value for name, value in options.items() if name != "device"}
    return _checked(EmbeddedEngine, "embedded", places or advised_places(), told)


def _transducer(entry: ModelEntry, places: int, options: dict[str, Any]) -> Engine:
    module = importlib.import_module("voxfleet.engines.transducer.engine")
    return _checked(module.TransducerEngine, entry.name, places, {"model": str(entry.folder), **options})


def _whisper(entry: ModelEntry, form: Form, places: int, options: dict[str, Any]) -> Engine:
    choice = choose(form, options)
    log.info("engine_chosen", model=entry.name, backend=choice.backend.value, device=choice.device, why=choice.why)
    module_name, class_name = _WHISPERS[choice.backend]
    kind = getattr(importlib.import_module(module_name), class_name)
    told = {name: value for name, value in options.items() if name != BACKEND}
    arguments = {"model": str(entry.folder), **told, "device": choice.device}
    return _checked(kind, f"{entry.name} ({choice.backend})", places, arguments)


def _checked(kind: Callable[..., Engine], model: str, places: int, options: dict[str, Any]) -> Engine:
    arguments = dict(options)
    if places:
        arguments["places"] = places
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        raise SettingsError(f"options of engine '{model}': {error}") from None
    return kind(**arguments)
