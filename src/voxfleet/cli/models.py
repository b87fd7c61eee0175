"""`voxfleet models`: what can be served here, what each model is good for, and what an honest colleague would say of it."""

from voxfleet.cli import exits
from voxfleet.cli.terminal import console, print_json
from voxfleet.serving import catalog


def show_models(*, as_json: bool) -> int:
    """Print the catalogue; the exit code."""
    entries = catalog.models()
    if as_json:
        print_json(
            [
                {
                    "name": entry.name,
                    "summary": entry.summary,
                    "languages": list(entry.languages),
                    "installed": entry.installed,
                    "install": entry.install,
                    "note": entry.note,
                }
                for entry in entries
            ]
        )
        return exits.OK
    from rich.padding import Padding
    from rich.text import Text

    screen = console()
    for entry in entries:
        state = Text("installed", "green") if entry.installed else Text("not installed", "yellow")
        screen.print()
        screen.print(Text.assemble((entry.name, "bold"), "  ", state, "  ", (", ".join(entry.languages), "dim")))
        screen.print(Padding(Text(entry.summary), (0, 0, 0, 2)))
        screen.print(Padding(Text(entry.note, "dim"), (0, 0, 0, 2)))
        if not entry.installed:
            screen.print(Padding(Text.assemble(("install: ", "dim"), entry.install), (0, 0, 0, 2)))
    screen.print()
    screen.print(Text.assemble(("serve one: ", "dim"), "voxfleet serve --model NAME"))
    screen.print(Text.assemble(("your own:  ", "dim"), "voxfleet serve --model python:package.module:Class"))
    screen.print()
    return exits.OK
