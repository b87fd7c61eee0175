"""The commands, their options and the help that teaches them. What a command does is in the module of its name."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxfleet import __version__
from voxfleet.cli import benching, catalogue, exits, measurements, operation, terminal
from voxfleet.cli.options import AS_IT_IS, AsJson, Config, Devices, Endpointing, Language, Model, Url, examples

if TYPE_CHECKING:
    from voxfleet.wire.phrases import Phrase

EXIT_CODES = f"{AS_IT_IS}[bold]Exit codes[/]\n" + "\n".join(
    f"[cyan]{code:<3}[/] {meaning}" for code, meaning in exits.MEANINGS.items()
)

app = typer.Typer(
    name="voxfleet",
    help="Live speech recognition on your own hardware: many live streams, partials while people speak.\n\n"
    "New here? [cyan]voxfleet doctor[/], then [cyan]voxfleet demo[/], then [cyan]voxfleet serve[/].",
    epilog=EXIT_CODES,
    rich_markup_mode="rich",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class TranscriptFormat(StrEnum):
    """What transcribe writes."""

    text = "text"
    json = "json"
    srt = "srt"
    vtt = "vtt"


@app.callback(invoke_without_command=True)
def voxfleet(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"voxfleet {__version__}")
        raise typer.Exit(exits.OK)


@app.command(
    epilog=examples(
        "voxfleet serve",
        "voxfleet serve --host 0.0.0.0 --port 9000 --places 8",
        "voxfleet serve --workers 3 --gateways 2",
        "voxfleet serve --model nemotron-3.5 --device cuda:0,cuda:1,cuda:2",
        "voxfleet serve --model whisper-turbo",
        "voxfleet serve --model ./my-finetuned-model --device cuda:0 --places 500",
        "voxfleet settings --toml > voxfleet.toml && voxfleet serve --config voxfleet.toml",
    )
)
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets everybody in.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="TCP port; 0 takes any free one.")
    ] = None,
    model: Model = None,
    device: Devices = None,
    places: Annotated[
        int | None,
        typer.Option("--places", min=1, metavar="N", help="Streams each worker (so, each device) takes at once."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, metavar="N", help="So many workers of the model.")
    ] = None,
    gateways: Annotated[
        int | None,
        typer.Option("--gateways", min=1, max=64, metavar="N", help="So many gateways, one per core, on one port."),
    ] = None,
) -> None:
    """Serve live streams until Ctrl-C (or SIGTERM, which lets live calls finish).

    SIGHUP replaces every process, one after another, without ending a call.
    """

    def work() -> int:
        from dataclasses import replace

        from voxfleet.cli.devices import spread
        from voxfleet.cli.serve import serve as serve_until_stopped
        from voxfleet.serving.catalog import canonical

        settings = terminal.load_settings(config)
        gateway = settings.gateway
        gateway = replace(
            gateway, host=gateway.host if host is None else host, port=gateway.port if port is None else port
        )
        served = settings.workers
        if model is not None:
            wanted = canonical(model)
            named = tuple(worker for worker in served if canonical(worker.model) == wanted)
            served = named or (replace(served[0], model=model, options={}, device=""),)
        if places is not None:
            served = tuple(replace(worker, places=places) for worker in served)
        settings = replace(settings, gateway=gateway, workers=served)
        if gateways is not None:
            settings = replace(settings, supervisor=replace(settings.supervisor, gateways=gateways))
        return serve_until_stopped(spread(settings, device, workers))

    raise typer.Exit(terminal.run(work))


for command, lines in operation.COMMANDS:
    app.command(epilog=lines)(command)


@app.command(epilog=examples("voxfleet demo", "voxfleet demo --no-partials", "voxfleet demo --json > report.json"))
def demo(
    as_json: AsJson = False,
    partials: Annotated[bool, typer.Option(help="Show what is being said before it is final.")] = True,
) -> None:
    """Hear a 40-second support call live: the bundled recording in real time through a server of its own."""

    def work() -> "terminal.Work":
        from voxfleet.cli.demo import demo as hold_demo

        return hold_demo(as_json=as_json, partials=partials)

    raise typer.Exit(terminal.run(work))


@app.command(
    epilog=examples(
        "voxfleet transcribe call.wav",
        "voxfleet transcribe call.mp3 --live",
        "voxfleet transcribe *.flac --format srt --output subtitles/",
        "voxfleet transcribe pin.wav --grammar digits --json",
        "voxfleet transcribe call.wav --phrase Voxfleet:4 --phrase 'Ana Popescu'",
        "voxfleet transcribe interview.mp3 --model whisper-small --language ro --translate",
        "voxfleet transcribe call.wav --url http://asr.example:8765",
    )
)
def transcribe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="wav, flac, mp3, ogg, opus, m4a or webm.")],
    live: Annotated[bool, typer.Option("--live", help="At the pace of a live call, with partials on screen.")] = False,
    url: Url = None,
    style: Annotated[
        TranscriptFormat, typer.Option("--format", help="How transcripts are written.")
    ] = TranscriptFormat.text,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="A folder for one transcript per file; - = print.")
    ] = "-",
    as_json: AsJson = False,
    language: Language = "en",
    model: Model = None,
    grammar: Annotated[
        str | None, typer.Option("--grammar", help="A closed vocabulary: digits, a JSGF file, or JSGF itself.")
    ] = None,
    phrase: Annotated[
        list[str] | None,
        typer.Option(
            "--phrase", metavar="WORDS[:WEIGHT]", help="A name to expect; may be given again (weight 0 to 10)."
        ),
    ] = None,
    translate: Annotated[
        bool, typer.Option("--translate", help="English text of what is said in another language (Whisper models).")
    ] = False,
    endpointing_ms: Endpointing = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=64, metavar="N", help="Files at a time.")] = 2,
    config: Config = None,
) -> None:
    """Transcribe recorded files, as fast as the server goes or live. Each channel is heard by itself."""
    folder = _folder(files, style, output, as_json=as_json)

    def work() -> "terminal.Work":
        from voxfleet.cli import transcribe as command
        from voxfleet.settings import Settings

        order = command.Order(
            files=tuple(files),
            style="json" if as_json else style.value,
            output=folder,
            live=live,
            jobs=jobs,
            language=language,
            model=model,
            grammar=_grammar(grammar),
            phrases=_phrases(phrase),
            translate=translate,
            endpointing_ms=endpointing_ms,
        )
        settings = Settings() if url else terminal.load_settings(config)
        return command.transcribe(order, url, settings)

    raise typer.Exit(terminal.run(work))


app.command(epilog=measurements.LOAD_EXAMPLES)(measurements.load)
app.add_typer(measurements.evaluate_app)
app.add_typer(benching.bench_app)
app.add_typer(catalogue.models_app)


@app.command(epilog=examples("voxfleet doctor", "voxfleet doctor --full", "voxfleet doctor --json"))
def doctor(
    full: Annotated[bool, typer.Option("--full", help="Also start a server and let it recognise a sentence.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Check this machine: what is there, what is missing, what to do."""

    def work() -> int:
        from voxfleet.cli.doctor import show_checks

        return show_checks(terminal.load_settings(config), full=full, as_json=as_json)

    raise typer.Exit(terminal.run(work))


@app.command(
    epilog=examples(
        "voxfleet settings",
        "voxfleet settings --toml > voxfleet.toml",
        "VOXFLEET_GATEWAY_PORT=9000 voxfleet settings --json",
    )
)
def settings(
    as_json: AsJson = False,
    as_toml: Annotated[bool, typer.Option("--toml", help="A commented settings file to start from.")] = False,
    config: Config = None,
) -> None:
    """Show every setting: its key, unit, value and the reason for its default."""
    if as_json and as_toml:
        raise typer.BadParameter("choose --json or --toml", param_hint="--toml")

    def work() -> int:
        from voxfleet.cli.settings_page import show_settings

        return show_settings(terminal.load_settings(config), as_json=as_json, as_toml=as_toml)

    raise typer.Exit(terminal.run(work))


def _folder(files: list[Path], style: TranscriptFormat, output: str, *, as_json: bool) -> Path | None:
    """The folder of the transcripts, None for standard output. Raises BadParameter where two would be one."""
    if output == "-":
        if len(files) > 1 and style in (TranscriptFormat.srt, TranscriptFormat.vtt) and not as_json:
            raise typer.BadParameter("subtitles of several files need a folder: --output DIR", param_hint="--format")
        return None
    if as_json:
        raise typer.BadParameter("--json prints; for JSON files use --format json --output DIR", param_hint="--json")
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise typer.BadParameter(
                f"{stems[file.stem]} and {file} would both be written to {file.stem}.*", param_hint="FILE…"
            )
        stems[file.stem] = file
    return Path(output)


def _phrases(written: list[str] | None) -> "tuple[Phrase, ...]":
    """Of all options --phrase. Raises BadParameter naming the one at fault."""
    from voxfleet.errors import BadValue
    from voxfleet.wire.phrases import parse

    try:
        return parse(",".join(written or ()))
    except BadValue as error:
        raise typer.BadParameter(str(error), param_hint="--phrase") from None


def _grammar(text: str | None) -> str | None:
    """The text of a grammar: that of the file where one is named."""
    if text is None or "\n" in text or len(text) > 255 or not Path(text).is_file():
        return text
    return Path(text).read_text(encoding="utf-8")


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
