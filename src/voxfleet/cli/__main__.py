"""The commands, their options and the help that teaches them. What a command does is in the module of its name."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from voxfleet import __version__
from voxfleet.cli import exits, terminal

AS_IT_IS = "\b\n"
"""At the start of a paragraph of help: keep its line ends."""
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

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; else the file VOXFLEET_CONFIG names.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, all else on standard error.")
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="One that [cyan]voxfleet models[/] lists.")]

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="VOXFLEET_URL", help="A running server; without it a private one is started."),
]
Language = Annotated[str, typer.Option("--language", metavar="TAG", help="BCP-47, e.g. en or en-US.")]
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


class TranscriptFormat(StrEnum):
    """What transcribe writes."""

    text = "text"
    json = "json"
    srt = "srt"
    vtt = "vtt"


def _examples(*lines: str) -> str:
    return f"{AS_IT_IS}[bold]Examples[/]\n" + "\n".join(f"[dim]$[/] {line}" for line in lines)


@app.callback(invoke_without_command=True)
def voxfleet(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"voxfleet {__version__}")
        raise typer.Exit(exits.OK)


@app.command(
    epilog=_examples(
        "voxfleet serve",
        "voxfleet serve --host 0.0.0.0 --port 9000 --places 8",
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
    places: Annotated[
        int | None, typer.Option("--places", min=1, metavar="N", help="Streams each worker takes at once.")
    ] = None,
) -> None:
    """Serve live streams until Ctrl-C (or SIGTERM, which lets live calls finish)."""

    def work() -> int:
        from dataclasses import replace

        from voxfleet.cli.serve import serve as serve_until_stopped

        settings = terminal.load_settings(config)
        gateway = settings.gateway
        gateway = replace(
            gateway, host=gateway.host if host is None else host, port=gateway.port if port is None else port
        )
        workers = settings.workers
        if model is not None:
            workers = (replace(workers[0], model=model, options={}),)
        if places is not None:
            workers = tuple(replace(worker, places=places) for worker in workers)
        return serve_until_stopped(replace(settings, gateway=gateway, workers=workers))

    raise typer.Exit(terminal.run(work))


@app.command(epilog=_examples("voxfleet demo", "voxfleet demo --no-partials", "voxfleet demo --json > report.json"))
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
    epilog=_examples(
        "voxfleet transcribe call.wav",
        "voxfleet transcribe call.mp3 --live",
        "voxfleet transcribe *.flac --format srt --output subtitles/",
        "voxfleet transcribe pin.wav --grammar digits --json",
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
            endpointing_ms=endpointing_ms,
        )
        settings = Settings() if url else terminal.load_settings(config)
        return command.transcribe(order, url, settings)

    raise typer.Exit(terminal.run(work))


@app.command(
    epilog=_examples(
        "voxfleet load --streams 8 --seconds 60",
        "voxfleet load --url http://asr.example:8765 --streams 200 --seconds 600 --audio calls.tsv",
        "voxfleet load --arrivals poisson --call-seconds lognormal:180:0.8 --telephony alaw,loss=1% --noise babble:10",
        "voxfleet load --find-capacity --max-streams 64",
    )
)
def load(
    url: Url = None,
    streams: Annotated[
        int, typer.Option("--streams", "-n", min=1, max=100_000, metavar="N", help="Callers offered at once.")
    ] = 10,
    seconds: Annotated[float, typer.Option("--seconds", "-s", min=5, help="Measured, after the warm-up.")] = 60.0,
    warm_up: Annotated[
        float | None, typer.Option("--warm-up", min=0, help="Seconds for callers to come; default 5 and 1 per 100.")
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option("--audio", metavar="MANIFEST", help="TSV, JSONL, Kaldi…; or synthetic. Default: the sample call."),
    ] = None,
    match: Match = "",
    arrivals: Annotated[
        str,
        typer.Option(
            "--arrivals", metavar="PATTERN", help="hold, poisson, constant, ramp, step:N, burst:N, trace:FILE."
        ),
    ] = "hold",
    call_seconds: Annotated[
        str | None,
        typer.Option("--call-seconds", metavar="LENGTH", help="fixed:60, lognormal:180:0.8; default: to the end."),
    ] = None,
    speech_share: Annotated[float, typer.Option("--speech-share", min=0, max=1, help="Of each call.")] = 0.45,
    telephony: Telephony = None,
    noise: Noise = None,
    sample_rate: Annotated[
        int | None, typer.Option("--sample-rate", help="8000 or 16000; a telephone line has 8000.")
    ] = None,
    find_capacity: Annotated[
        bool, typer.Option("--find-capacity", help="Search the most streams that meet the objective.")
    ] = False,
    most: Annotated[
        int, typer.Option("--max-streams", min=1, metavar="N", help="Where the search for capacity ends.")
    ] = 4_096,
    slo_emission: Annotated[
        float, typer.Option("--slo-emission", min=0.05, help="Objective: p95 until a word is shown, s.")
    ] = 2.0,
    slo_final: Annotated[float, typer.Option("--slo-final", min=0.05, help="Objective: p95 of finals, s.")] = 2.0,
    dialect: Annotated[str, typer.Option("--dialect", help="The server's protocol: native.")] = "native",
    language: Language = "en",
    model: Model = None,
    endpointing_ms: Endpointing = None,
    api_key: ApiKey = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same callers.")] = 1,
    report: ReportFolder = Path("reports"),
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Put many live callers on a server at once, and tell what they were given: latency, stability, errors, capacity."""

    def work() -> int:
        from voxfleet.cli.load import LoadOrder
        from voxfleet.cli.load import load as put_load
        from voxfleet.evaluation.load.arrivals import Arrivals, CallLength
        from voxfleet.evaluation.load.capacity import Objective
        from voxfleet.evaluation.load.dialect import dialect as named
        from voxfleet.evaluation.sound.line import Line
        from voxfleet.settings import Settings

        order = LoadOrder(
            url=url,
            streams=streams,
            seconds=seconds,
            warm_up=warm_up,
            audio=audio,
            match=match,
            arrivals=Arrivals.parse(arrivals),
            length=CallLength.parse(call_seconds) if call_seconds else None,
            speech_share=speech_share,
            line=Line.parse(telephony, noise),
            sample_rate=sample_rate or (8_000 if telephony else 16_000),
            dialect=named(dialect),
            language=language,
            model=model,
            endpointing_ms=endpointing_ms,
            api_key=api_key,
            seed=seed,
            find_capacity=find_capacity,
            objective=Objective(slo_emission, slo_final),
            most=most,
            report=None if str(report) == "-" else report,
            as_json=as_json,
        )
        return put_load(order, Settings() if url else terminal.load_settings(config))

    raise typer.Exit(terminal.run(work))


@app.command(epilog=_examples("voxfleet models", "voxfleet models --json"))
def models(as_json: AsJson = False) -> None:
    """List the models that can be served, and what each is good for."""

    def work() -> int:
        from voxfleet.cli.models import show_models

        return show_models(as_json=as_json)

    raise typer.Exit(terminal.run(work))


@app.command(epilog=_examples("voxfleet doctor", "voxfleet doctor --full", "voxfleet doctor --json"))
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
    epilog=_examples(
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
