"""What a Whisper is computed with and where: PyTorch on a GPU, CTranslate2 on a CPU, or what the settings ask for; and why.

The supervisor says it at the start, the worker acts on it; both ask here, and get the same answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voxfleet.errors import SettingsError, nearest
from voxfleet.serving import cards, entry
from voxfleet.serving.entry import Form, Runtime

BACKEND = "backend"
"""The option that forces one."""
CONTEXT = "encoder_context"
PADDED = "padded"
"""The context networks were trained with; every other is cheaper, and what it does to the words has to be measured."""
GATES = "wer,insertions,runaway"
"""What a cheaper context must not be worse in; `voxfleet evaluate compare` judges them."""
CUDA = "cuda:0"
INT8 = "int8"
"""What CTranslate2 computes in on a CPU unless told otherwise."""


class Backend(StrEnum):
    """A library that computes Whisper."""

    PYTORCH = "pytorch"
    CTRANSLATE2 = "ctranslate2"


_NAMES = {Backend.PYTORCH: "PyTorch", Backend.CTRANSLATE2: "CTranslate2"}
RUNTIMES: Mapping[Backend, Runtime] = {
    Backend.PYTORCH: entry.PYTORCH,
    Backend.CTRANSLATE2: entry.CTRANSLATE2,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """How one model is computed."""

    backend: Backend
    device: str
    why: str
    """The end of a sentence that begins with 'because'."""
    precision: str = ""
    """As far as it is known before anything is loaded."""

    @property
    def sentence(self) -> str:
        """CTranslate2 int8 on the CPU, because no CUDA device is there."""
        precision = f" {self.precision}" if self.precision else ""
        where = "the CPU" if self.device == "cpu" else self.device
        return f"{_NAMES[self.backend]}{precision} on {where}, because {self.why}"


def choose(form: Form, options: Mapping[str, Any]) -> Choice:
    """How a Whisper in this form is computed, from an engine's options `backend` and `device`, and from what is here.

    Raises SettingsError for an unknown backend, and for one that can't load the form.
    """
    asked, device = str(options.get(BACKEND, "")), str(options.get("device", ""))
    if asked and asked not in list(Backend):
        raise SettingsError(f"{BACKEND} '{asked}' is unknown{nearest(asked, Backend)}; known: {', '.join(Backend)}")
    if form is Form.CTRANSLATE2:
        if asked == Backend.PYTORCH:
            raise SettingsError(
                f"{BACKEND} 'pytorch' needs the model in safetensors; this folder holds it converted to CTranslate2"
            )
        return _with(Backend.CTRANSLATE2, device or "cpu", "its folder holds CTranslate2's form", options)
    if asked:
        chosen = Backend(asked)
        where = device or (CUDA if chosen is Backend.PYTORCH and not cards.no_cuda() else "cpu")
        return _with(chosen, where, f"the option {BACKEND} says so", options)
    if device:
        return _on(device, f"the device is set to {device}", options)
    problem = cards.no_cuda()
    return _on("cpu", problem, options) if problem else _on(CUDA, "a CUDA device is there", options)


def check_runtime(name: str, choice: Choice) -> None:
    """Raises SettingsError with the command that installs what the choice needs and is not there."""
    runtime = RUNTIMES[choice.backend]
    if missing := runtime.missing:
        instead = f" ({choice.why})" if cards.UNUSED in choice.why else ""
        raise SettingsError(
            f"model '{name}' on {choice.device} needs packages that are not installed ({', '.join(missing)}): "
            f"{runtime.install}{instead}"
        )


def _on(device: str, why: str, options: Mapping[str, Any]) -> Choice:
    """The library that suits a device; on a CPU the one that is installed, where the other is not."""
    if device != "cpu":
        return _with(Backend.PYTORCH, device, why, options)
    missing = entry.CTRANSLATE2.missing
    if missing and not entry.PYTORCH.missing:
        lacking = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: {entry.CPU_INSTALL}"
        return _with(Backend.PYTORCH, device, lacking, options)
    return _with(Backend.CTRANSLATE2, device, why, options)


def _with(backend: Backend, device: str, why: str, options: Mapping[str, Any]) -> Choice:
    if backend is Backend.PYTORCH:
        return Choice(backend, device, why, str(options.get("precision", "")))
    usual = INT8 if device == "cpu" else ""
    return Choice(backend, device, why, str(options.get("compute_type") or usual))


def caution(name: str, options: Mapping[str, Any], url: str) -> str:
    """What a person who serves this model with these options should know and check; '' = nothing.

    `url` is where it is served.
    """
    context = str(options.get(CONTEXT, PADDED))
    if context == PADDED:
        return ""
    measure = f"voxfleet evaluate --url {url} --audio MANIFEST --live --non-speech"
    return (
        f'{name}: {CONTEXT} = "{context}" is off by default, because what it does to the words depends on the weights; on '
        f"your own audio, run `{measure} --report reports/{context}` now, the same with --report reports/{PADDED} while "
        f'{CONTEXT} = "{PADDED}" is served, then `voxfleet evaluate compare reports/{PADDED}/evaluation.json '
        f"reports/{context}/evaluation.json --gate {GATES}`; keep it only where that passes"
    )
