"""Options that several commands take, each told once, and how help shows examples."""

from pathlib import Path
from typing import Annotated

import typer

AS_IT_IS = "\b\n"
"""At the start of a paragraph of help: keep its line ends."""

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; else the file VOXFLEET_CONFIG names.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, all else on standard error.")
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="One that [cyan]voxfleet models[/] lists, or a model folder: ./mine."),
]
Devices = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="LIST",
        help="One worker on each: cuda:0,cuda:1 or cpu. Default: as the settings say, else as suits the model.",
    ),
]

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="VOXFLEET_URL", help="A running server; without it a private one is started."),
]
Language = Annotated[
    str, typer.Option("--language", metavar="TAG", help="BCP-47, e.g. en or en-US; auto where the model finds it out.")
]
Endpointing = Annotated[
    int | None, typer.Option("--endpointing-ms", min=100, max=3_000, metavar="N", help="Silence that ends a turn.")
]
ApiKey = Annotated[str | None, typer.Option("--api-key", envvar="VOXFLEET_API_KEY", help="Sent as a bearer token.")]
Match = Annotated[str, typer.Option("--match", metavar="TEXT", help="Only recordings with it in their name.")]
Telephony = Annotated[
    str | None, typer.Option("--telephony", metavar="LINE", help="Simulate: mulaw, alaw, or alaw,loss=2%,burst=3.")
]
Noise = Annotated[str | None, typer.Option("--noise", metavar="KIND:DB", help="Add babble, white or pink: babble:10.")]
ReportFolder = Annotated[
    Path, typer.Option("--report", metavar="DIR", help="Where the report is written, HTML and JSON; - = nowhere.")
]


def examples(*lines: str) -> str:
    """The epilog of a command: lines to type."""
    return f"{AS_IT_IS}[bold]Examples[/]\n" + "\n".join(f"[dim]$[/] {line}" for line in lines)
