"""`voxfleet models`: what can be served here, what each model is good for, and what an honest colleague would say of it."""

from voxfleet.cli import exits
from voxfleet.cli.terminal import console, print_json
from voxfleet.serving import catalog
from voxfleet.serving.catalog import ModelEntry
from voxfleet.serving.snapshot import size_text
from voxfleet.speech import AUTO

SHOWN_LANGUAGES = 6
"""Longer lists are counted on the screen; --json has all."""


def show_models(*, as_json: bool) -> int:
    """Print the catalogue; the exit code."""
    entries = catalog.models()
    if as_json:
        print_json([_facts(entry) for entry in entries])
        return exits.OK
    from rich.padding import Padding
    from rich.text import Text

    screen = console()
    for entry in entries:
        state = Text("installed", "green") if entry.installed else Text("not installed", "yellow")
        screen.print()
        screen.print(Text.assemble((entry.name, "bold"), "  ", state, "  ", (_languages(entry), "dim")))
        size = f"about {size_text(entry.size)}, " if entry.size else ""
        screen.print(Padding(Text.assemble(entry.summary, f" ({size}licence: {entry.licence})"), (0, 0, 0, 2)))
        screen.print(Padding(Text(entry.note, "dim"), (0, 0, 0, 2)))
        for sentence in entry.needs:
            screen.print(Padding(Text(sentence, "yellow"), (0, 0, 0, 2)))
    screen.print()
    screen.print(Text.assemble(("serve one: ", "dim"), "voxfleet serve --model NAME"))
    screen.print(
        Text.assemble(("your own:  ", "dim"), "voxfleet serve --model ./FOLDER", ("  a Whisper or a transducer", "dim"))
    )
    screen.print(Text.assemble(("           ", "dim"), "voxfleet serve --model python:package.module:Class"))
    screen.print()
    return exits.OK


def _facts(entry: ModelEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "spellings": list(entry.spellings),
        "summary": entry.summary,
        "languages": list(entry.languages),
        "installed": entry.installed,
        "install": entry.install,
        "note": entry.note,
        "licence": entry.licence,
        "missing_packages": list(entry.missing),
        "downloaded": entry.downloaded,
        "pull": f"voxfleet models pull {entry.name}" if entry.repository else "",
        "repository": entry.repository,
        "revision": entry.revision,
        "size_bytes": entry.size,
        "folder": None if entry.folder is None else str(entry.folder),
    }


def _languages(entry: ModelEntry) -> str:
    known = [tag for tag in entry.languages if tag != AUTO]
    auto = ", automatic" if AUTO in entry.languages else ""
    if len(known) <= SHOWN_LANGUAGES:
        return ", ".join(known) + auto
    return f"{len(known)} locales ({', '.join(known[:SHOWN_LANGUAGES])}…){auto}"
