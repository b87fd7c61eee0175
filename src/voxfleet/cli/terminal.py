"""What goes where: results to standard output, everything for a person's eyes to standard error when a program reads."""

import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from voxfleet.cli import exits
from voxfleet.errors import SettingsError, VoxfleetError

if TYPE_CHECKING:
    from rich.console import Console

    from voxfleet.settings import Settings


def console(*, error: bool = False) -> "Console":
    """A rich console on standard output, or on standard error. It writes plain lines where that is no terminal."""
    from rich.console import Console

    return Console(stderr=error, highlight=False, soft_wrap=False)


def print_json(document: Any) -> None:
    """The one JSON document of a command."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")
    sys.stdout.flush()


Work: TypeAlias = int | Coroutine[Any, Any, int]
"""What a command does: done already, giving its exit code, or still to be awaited."""


def run(work: Callable[[], Work]) -> int:
    """The exit code of a command; errors become one sentence on standard error.

    Coroutines run in an event loop of their own; Ctrl-C cancels them, so that servers they started are stopped.
    """
    try:
        result = work()
        if isinstance(result, int):
            return result
        import asyncio

        return asyncio.run(result)
    except KeyboardInterrupt:
        print_error("stopped")
        return exits.INTERRUPTED
    except VoxfleetError as error:
        print_error(str(error))
        return exits.code_of(error)
    except BrokenPipeError:
        _silence_stdout()
        return exits.FAILED


def print_error(sentence: str, subject: str = "voxfleet") -> None:
    """One sentence about what went wrong, on standard error."""
    from rich.markup import escape

    console(error=True).print(f"[bold red]{escape(subject)}:[/] {escape(sentence)}", soft_wrap=True)


def load_settings(config: Path | None) -> "Settings":
    """The settings of this machine: the file given, or the one VOXFLEET_CONFIG names, and the environment."""
    import os

    from voxfleet import settings

    named = os.environ.get("VOXFLEET_CONFIG")
    path = config or (Path(named) if named else None)
    if path is not None and not path.is_file():
        raise SettingsError(f"there is no settings file {path}")
    return settings.load(path)


def clock_time(seconds: float, *, tenths: bool = False) -> str:
    """Stream time for reading: 1:02:03, 2:03 or 2:03.4."""
    tenth = int(max(seconds, 0) * 10 + (0 if tenths else 5 if seconds % 1 >= 0.5 else 0))
    whole = tenth // 10
    hours, minutes = divmod(whole // 60, 60)
    text = f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
    return f"{text}.{tenth % 10}" if tenths else text


def _silence_stdout() -> None:
    """Whoever read our output left; nothing may be written there any more, not even at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
