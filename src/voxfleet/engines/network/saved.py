"""A JSON file of a model folder, read into a struct or refused by name."""

from pathlib import Path
from typing import TypeVar

from msgspec import DecodeError, ValidationError, json

from voxfleet.errors import SettingsError

_T = TypeVar("_T")


def decode(path: Path, kind: type[_T]) -> _T:
    """Raises SettingsError naming the file, and the key if one is at fault."""
    try:
        return json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing: this is no model folder in the Hugging Face layout") from None
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except (DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is broken: {error}") from None
