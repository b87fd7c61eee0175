"""What kind of model a folder holds, told by its files alone."""

from pathlib import Path

import msgspec

from voxfleet.engines.transducer import saved
from voxfleet.errors import SettingsError
from voxfleet.serving.entry import Form

TRANSDUCERS = (saved.Config.kind, saved.PromptedConfig.kind)
WHISPER = "whisper"
"""The `model_type` of every Whisper, distilled and fine-tuned ones too."""
CONVERTED = "model.bin"
"""The weights CTranslate2's converters write; their config.json has no `model_type`."""


class _Kind(msgspec.Struct):
    model_type: str = ""


def form_of(folder: Path) -> Form:
    """How the files of a folder are laid out. Raises SettingsError for what no engine of this version loads."""
    if not folder.is_dir():
        raise SettingsError(f"there is no model folder {folder}")
    config = folder / "config.json"
    try:
        kind = msgspec.json.decode(config.read_bytes(), type=_Kind).model_type
    except FileNotFoundError:
        raise SettingsError(f"{config} is missing: {folder} is no model folder; {_known()}") from None
    except OSError as error:
        raise SettingsError(f"{config} can't be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config} is broken: {error}") from None
    if kind == WHISPER:
        return Form.WHISPER
    if kind in TRANSDUCERS:
        return Form.TRANSDUCER
    if kind:
        raise SettingsError(f"{config}: model_type '{kind}' is no model this version serves; {_known()}")
    if (folder / CONVERTED).is_file() and (folder / "tokenizer.json").is_file():
        return Form.CTRANSLATE2
    absent = (
        "model_type" if not (folder / CONVERTED).is_file() else f"model_type, and beside {CONVERTED} no tokenizer.json"
    )
    raise SettingsError(f"{config} has no {absent}: what the folder holds is unknown; {_known()}")


def _known() -> str:
    return (
        f"known are the model_types {', '.join((*TRANSDUCERS, WHISPER))}, and Whisper converted to CTranslate2 "
        f"({CONVERTED}, config.json, tokenizer.json)"
    )
