"""`voxfleet settings`: every knob as a page, as JSON, or as a TOML file to start from."""

import json
from typing import Any

from voxfleet.cli import exits
from voxfleet.cli.terminal import console, print_json
from voxfleet.settings import Knob, Settings, knobs


def show_settings(settings: Settings, *, as_json: bool, as_toml: bool) -> int:
    """Print the settings as they are now; the exit code."""
    if as_toml:
        import sys

        sys.stdout.write(toml(settings))
    elif as_json:
        print_json(
            [
                {
                    "key": knob.key,
                    "environment": knob.environment,
                    "unit": knob.unit,
                    "default": knob.default,
                    "value": _shown(knob),
                    "why": knob.why,
                }
                for knob in knobs(settings)
            ]
        )
    else:
        _page(settings)
    return exits.OK


def toml(settings: Settings) -> str:
    """A settings file that loads back to the same settings: changed knobs are set, defaults are comments to edit."""
    blocks = [
        "# Voxfleet settings. Lines that begin with # show the default; remove the # to change one.",
        "# Environment variables win over this file. Use it with: voxfleet serve --config FILE",
    ]
    section = ""
    for knob in knobs(settings):
        where, name = knob.key.rsplit(".", 1)
        if where != section:
            section = where
            blocks.append(f"\n[[{where.split('[')[0]}]]" if "[" in where else f"\n[{where}]")
        unit = f" ({knob.unit})" if knob.unit else ""
        blocks.append(f"# {knob.why}{unit}")
        blocks.append(f"{'' if _changed(knob) else '#'}{name} = {_value(knob.value)}")
    return "\n".join(blocks) + "\n"


def _changed(knob: Knob) -> bool:
    return bool(knob.value != knob.default)


def _shown(knob: Knob) -> Any:
    """The value as it may stand on a screen; only the file, which is for the machine itself, holds secrets."""
    return "(set)" if knob.key.endswith(".secret") and knob.value else knob.value


def _value(value: Any) -> str:
    """A value in TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case dict():
            return "{" + ", ".join(f"{json.dumps(str(k))} = {_value(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(str(value)).replace("\x7f", "\\u007f")


def _page(settings: Settings) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    section = ""
    table = Table.grid()
    for knob in knobs(settings):
        where, name = knob.key.rsplit(".", 1)
        if where != section:
            if section:
                screen.print(table)
            section = where
            screen.print(f"\n[bold cyan]{where.replace('[', chr(92) + '[')}[/]  [dim]{_variables(knob)}[/]")
            table = Table.grid(padding=(0, 2, 0, 0))
            table.add_column(width=22, no_wrap=True)
            table.add_column(width=16, overflow="fold")
            table.add_column(width=11, style="dim")
            table.add_column(style="dim")
        shown = _value(_shown(knob))
        was = f" (default {_value(knob.default)})" if _changed(knob) else ""
        value = Text(shown, "bold yellow" if _changed(knob) else "")
        table.add_row(f"  {name}", value, knob.unit, Text(knob.why + was))
    screen.print(table)
    screen.print("\n[dim]A file to start from: voxfleet settings --toml > voxfleet.toml[/]\n")


def _variables(knob: Knob) -> str:
    section, name = knob.key.rsplit(".", 1)
    if "[" in section:
        return knob.environment
    return knob.environment.removesuffix(name.upper()) + "…"
