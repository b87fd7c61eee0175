"""What the catalogue says of one model: what it is, what it needs, where its files lie, and whether they are whole."""

import importlib.util
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from voxfleet.errors import SettingsError
from voxfleet.serving import snapshot

GPU_INSTALL = "pip install 'voxfleet[gpu]'"
CPU_INSTALL = "pip install 'voxfleet[whisper-cpu]'"


class Form(StrEnum):
    """How a model's files are laid out, and so which engines can load them."""

    TRANSDUCER = "transducer"
    """A FastConformer transducer as `transformers` saves it."""
    WHISPER = "whisper"
    """A Whisper as `transformers` saves it, in safetensors."""
    CTRANSLATE2 = "ctranslate2"
    """A Whisper converted to CTranslate2 (model.bin)."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What must be installed to compute a model in one way."""

    packages: tuple[str, ...]
    """Modules whose presence means that it is installed."""
    install: str
    """The command that installs them."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)


SPHINX = Runtime(("pocketsphinx",), "pip install pocketsphinx")
PYTORCH = Runtime(("torch", "safetensors", "tokenizers"), GPU_INSTALL)
CTRANSLATE2 = Runtime(("ctranslate2", "safetensors", "tokenizers"), CPU_INSTALL)
RUNTIMES = {
    Form.TRANSDUCER: (PYTORCH,),
    Form.WHISPER: (CTRANSLATE2, PYTORCH),
    Form.CTRANSLATE2: (CTRANSLATE2,),
}
"""Ways to compute what is saved in a form; one of them is enough."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One servable model as shown to a person."""

    name: str
    summary: str
    languages: tuple[str, ...]
    note: str
    """What an honest colleague would say before you use it."""
    licence: str
    runtimes: tuple[Runtime, ...]
    """Ways to compute it; one of them is enough. Empty = it has no form that is known."""
    spellings: tuple[str, ...] = ()
    """Other names it answers to."""
    form: Form | None = None
    """None = it has no files of its own, or they are of no form that is known."""
    size: int = 0
    """Bytes of its files, about; 0 = it has none of its own."""
    repository: str = ""
    """Where its files are fetched from; empty = they come with a package."""
    revision: str | None = None
    """The commit that is fetched; None = what the repository's main branch is when it is fetched, and recorded then."""
    shape: str = ""
    """Its name among the `SHAPES` of its engine's layout; empty where only its files tell."""
    folder: Path | None = None
    """Where its files are or will be; None = it has none of its own."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed, of the way to compute it that misses fewest; empty = it can be computed."""
        return self._runtime.missing if self.runtimes else ()

    @property
    def install(self) -> str:
        """The command that installs what is missing."""
        return self._runtime.install if self.runtimes else ""

    @property
    def _runtime(self) -> Runtime:
        return min(self.runtimes, key=lambda runtime: len(runtime.missing))

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
    if entry.form is Form.CTRANSLATE2:
        snapshot.check_present(entry.folder, ("model.bin", "config.json", "tokenizer.json"))
    elif entry.form is not None:
        snapshot.check_weights(entry.folder)
