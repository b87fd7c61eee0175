"""Names to engines: what a model's name or folder stands for, and what is wrong with a worker before it is loaded."""

import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from voxfleet.engines.cores import cores as usable_cores
from voxfleet.engines.port import Engine
from voxfleet.errors import SettingsError, nearest
from voxfleet.serving import backend, engines, folders
from voxfleet.serving.backend import Choice
from voxfleet.serving.engines import PYTHON_PREFIX, advised_places, part_of_machine
from voxfleet.serving.entry import GPU_INSTALL, RUNTIMES, Form, ModelEntry, check_files
from voxfleet.serving.models import models
from voxfleet.settings import WorkerSettings

__all__ = [
    "GPU_INSTALL",
    "ModelEntry",
    "advised_places",
    "build",
    "canonical",
    "caution",
    "check",
    "check_device",
    "check_files",
    "computes_on_cpu",
    "computes_with",
    "entry_of",
    "folder_named",
    "meant",
    "models",
    "note_of",
    "part_of_machine",
    "short_name",
    "usable_cores",
]

PREFIXES = {"transducer:": Form.TRANSDUCER, "whisper:": Form.WHISPER}
"""`transducer:FOLDER` and `whisper:FOLDER` serve a model folder; a path that begins with ., / or ~ is looked into."""
_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")


def note_of(model: str) -> str:
    """The honest sentence about a model, '' for an engine of the user's own."""
    return next((entry.note for entry in models() if entry.name == model), "")


def canonical(model: str) -> str:
    """The catalogue's own name of a model: 'whisper-tiny' of 'tiny' or 'openai/whisper-tiny'; others unchanged."""
    return next(
        (entry.name for entry in models() if model in (entry.name, *entry.spellings, entry.repository or None)), model
    )


def meant(asked: str | None, served: Container[str]) -> str | None:
    """The served model a caller means, who may spell it in another way; what nobody knows stays as it is."""
    name = canonical(asked) if asked is not None and asked not in served else asked
    return name if name in served else asked


def entry_of(model: str) -> ModelEntry:
    """The model a person names: one of the catalogue, or a folder. Raises SettingsError for a name nobody knows."""
    folder = folder_named(model)
    if folder is not None:
        form = _form_told(model, folder)
        return ModelEntry(
            name=folder.resolve().name,
            summary=f"the model in {folder}" if form is None else f"the {form} model in {folder}",
            languages=(),
            note="",
            licence="",
            runtimes=() if form is None else RUNTIMES[form],
            form=form,
            folder=folder,
        )
    name = canonical(model)
    entry = next((entry for entry in models() if entry.name == name), None)
    if entry is None:
        hint = f"; for the folder of that name say ./{model}" if Path(model).is_dir() else ""
        known = [spelled for entry in models() for spelled in (entry.name, *entry.spellings)]
        raise SettingsError(f"unknown model '{model}'{hint or nearest(model, known)}")
    return entry


def folder_named(model: str) -> Path | None:
    """The folder a model's name stands for; None for names of the catalogue and engines of the user's own."""
    for prefix in PREFIXES:
        if model.startswith(prefix):
            return Path(model.removeprefix(prefix)).expanduser()
    if model.startswith(PYTHON_PREFIX) or not model.startswith((".", "/", "~")):
        return None
    return Path(model).expanduser()


def short_name(model: str) -> str:
    """What a worker of this model is called by default: letters, digits, '-', '_' and '.' only."""
    folder = folder_named(model)
    name = canonical(model).rpartition(":")[2] if folder is None else folder.resolve().name
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:30] or "model"


def computes_with(worker: WorkerSettings) -> tuple[str, Choice] | None:
    """Name and choice of a model that can be computed in several ways, here; None for all others. Raises SettingsError."""
    if worker.model.startswith(PYTHON_PREFIX):
        return None
    entry = entry_of(worker.model)
    if entry.form not in (Form.WHISPER, Form.CTRANSLATE2):
        return None
    return entry.name, backend.choose(entry.form, _options(worker))


def caution(worker: WorkerSettings, url: str) -> str:
    """What who serves this worker at `url` should know and check; '' = nothing. Raises SettingsError."""
    chosen = computes_with(worker)
    return backend.caution(chosen[0], worker.options, url) if chosen is not None else ""


def computes_on_cpu(worker: WorkerSettings) -> bool:
    """Whether it is a network that takes the processors of this machine. Raises SettingsError for an unknown model."""
    if worker.model.startswith(PYTHON_PREFIX) or entry_of(worker.model).form is None:
        return False
    if (chosen := computes_with(worker)) is not None:
        return chosen[1].device == "cpu"
    return str(_options(worker).get("device", "cpu")) == "cpu"


def check(worker: WorkerSettings) -> None:
    """Find what can be found wrong with a worker before anything is loaded: name, packages, files, device.

    Reads only headers and JSON; what the device can hold is the engine's to say. Raises SettingsError.
    """
    options = _options(worker)
    if worker.model.startswith(PYTHON_PREFIX):
        return
    entry = entry_of(worker.model)
    if (chosen := computes_with(worker)) is not None:
        backend.check_runtime(entry.name, chosen[1])
    elif entry.missing:
        raise SettingsError(
            f"model '{entry.name}' needs packages that are not installed ({', '.join(entry.missing)}): {entry.install}"
        )
    device = str(options.get("device", "cpu"))
    if entry.folder is None:
        if device != "cpu":
            raise SettingsError(f"model '{entry.name}' runs on the CPU only, not on '{device}'")
        return
    check_files(entry)
    match entry.form:
        case None:
            folders.form_of(entry.folder)
        case Form.TRANSDUCER:
            from voxfleet.engines.transducer.layout import Layout

            Layout.read(entry.folder)
        case Form.WHISPER:
            from voxfleet.engines.whisper.layout import Layout as WhisperLayout

            WhisperLayout.read(entry.folder)


def build(worker: WorkerSettings) -> Engine:
    """The engine a worker is configured for, loaded. Raises SettingsError for a name or options nobody knows."""
    options = _options(worker)
    if worker.model.startswith(PYTHON_PREFIX):
        return engines.from_path(worker.model, worker.places, options)
    check(worker)
    return engines.made(entry_of(worker.model), worker.places, options)


def check_device(device: str) -> None:
    """Raises SettingsError for what can't name a device; whether it is there, the engine finds out."""
    if not _DEVICE.fullmatch(device):
        raise SettingsError(f"'{device}' is no device: say cpu, cuda:0, cuda:1 and so on")


def _form_told(model: str, folder: Path) -> Form | None:
    """The form of a folder by prefix and files; None where nobody can tell, which `check` says."""
    told = next((form for prefix, form in PREFIXES.items() if model.startswith(prefix)), None)
    try:
        found = folders.form_of(folder)
    except SettingsError:
        return told
    return found if told is None or (told, found) == (Form.WHISPER, Form.CTRANSLATE2) else told


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
