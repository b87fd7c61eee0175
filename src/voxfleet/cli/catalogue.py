"""The commands about models: `models`, `models pull` and `models verify`, their options and the help that teaches them."""

from pathlib import Path
from typing import Annotated

import typer

from voxfleet.cli import terminal
from voxfleet.cli.options import AsJson, examples

models_app = typer.Typer(
    name="models",
    invoke_without_command=True,
    rich_markup_mode="rich",
    epilog=examples(
        "voxfleet models",
        "voxfleet models --json",
        "voxfleet models pull nemotron-3.5",
        "voxfleet models pull whisper-turbo",
        "voxfleet models verify nemotron-3.5",
    ),
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="One that [cyan]voxfleet models[/] lists, or OWNER/REPOSITORY.")
]


@models_app.callback()
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models that can be served, and what each is good for; fetch and verify them."""
    if context.invoked_subcommand is not None:
        return

    def work() -> int:
        from voxfleet.cli.models import show_models

        return show_models(as_json=as_json)

    raise typer.Exit(terminal.run(work))


@models_app.command(
    epilog=examples(
        "voxfleet models pull nemotron-3.5",
        "voxfleet models pull nemotron-3.5 --to /data/models/nemotron-3.5",
        "HF_TOKEN=… voxfleet models pull my-company/our-finetuned-nemotron --revision 4f2c9e1",
    )
)
def pull(
    name: Name,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Default: its name in VOXFLEET_MODELS.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="REV", help="A commit, branch or tag; default: the pinned one.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no network: is it here?")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a model: safetensors, JSON and tokenizer files, nothing that is run. Goes on where it was interrupted."""

    def work() -> int:
        from voxfleet.cli.pull import pull_model

        return pull_model(name, to, revision, offline=offline, as_json=as_json)

    raise typer.Exit(terminal.run(work))


@models_app.command(
    epilog=examples("voxfleet models verify nemotron-3.5", "voxfleet models verify /data/models/nemotron-3.5")
)
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A fetched model, or the folder it was fetched to.")],
    as_json: AsJson = False,
) -> None:
    """Compare every byte of a fetched model with the SHA-256 it had when it was fetched."""

    def work() -> int:
        from voxfleet.cli.pull import verify_model

        return verify_model(name, as_json=as_json)

    raise typer.Exit(terminal.run(work))
