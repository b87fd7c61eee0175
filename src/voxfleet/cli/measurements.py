"""The commands that measure: `load` and `evaluate`, their options and the help that teaches them."""

from pathlib import Path
from typing import Annotated

import typer

from voxfleet.cli import terminal
from voxfleet.cli.options import (
    ApiKey,
    AsJson,
    Config,
    Endpointing,
    Language,
    Match,
    Model,
    Noise,
    ReportFolder,
    Telephony,
    Url,
    examples,
)

LOAD_EXAMPLES = examples(
    "voxfleet load --streams 8 --seconds 60",
    "voxfleet load --url http://asr.example:8765 --streams 200 --seconds 600 --audio calls.tsv",
    "voxfleet load --arrivals poisson --call-seconds lognormal:180:0.8 --telephony alaw,loss=1% --noise babble:10",
    "voxfleet load --find-capacity --max-streams 64",
)
EVALUATE_EXAMPLES = examples(
    "voxfleet evaluate",
    "voxfleet evaluate --url http://asr.example:8765 --audio calls.tsv --unit speaker",
    "voxfleet evaluate --audio calls.jsonl --endpointing-ms 300,500,1000 --telephony mulaw --non-speech",
    "voxfleet evaluate --audio calls.tsv --hypotheses other-system.tsv",
    "voxfleet evaluate compare before/evaluation.json after/evaluation.json",
)

evaluate_app = typer.Typer(
    name="evaluate", invoke_without_command=True, rich_markup_mode="rich", epilog=EVALUATE_EXAMPLES
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


@evaluate_app.callback()
def evaluate(
    context: typer.Context,
    url: Url = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            "--audio",
            metavar="MANIFEST",
            help="TSV, CSV, JSONL, STM, SegLST or a Kaldi folder; default: the sample call.",
        ),
    ] = None,
    audio_root: Annotated[
        Path | None,
        typer.Option("--audio-root", metavar="DIR", help="Where its relative paths begin; default: beside it."),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(
            "--references", metavar="FILE", help="STM, CTM, RTTM or SegLST: who said what when, for cpWER and DER."
        ),
    ] = None,
    hypotheses: Annotated[
        list[Path] | None,
        typer.Option("--hypotheses", metavar="FILE", help="Another system's texts, scored alike; may be given again."),
    ] = None,
    live: Annotated[bool | None, typer.Option("--live/--no-live", help="At the pace of a call.")] = None,
    offline: Annotated[bool | None, typer.Option("--offline/--no-offline", help="Whole files, over HTTP.")] = None,
    endpointing_ms: Annotated[
        str | None,
        typer.Option("--endpointing-ms", metavar="N,N…", help="Live once with each: what a quicker final costs."),
    ] = None,
    match: Match = "",
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="So many recordings, evenly chosen; 0 = all.")
    ] = 0,
    at_once: Annotated[
        int, typer.Option("--streams", "-n", min=1, max=256, metavar="N", help="Recordings at a time.")
    ] = 4,
    non_speech: Annotated[
        bool, typer.Option("--non-speech", help="Also thirteen sounds without speech: silence, tones, music, noise.")
    ] = False,
    telephony: Telephony = None,
    noise: Noise = None,
    language: Language = "en",
    model: Model = None,
    api_key: ApiKey = None,
    normaliser: Annotated[
        str | None,
        typer.Option("--normaliser", help="raw, english, basic, romanian, romanian-stripped; default: by language."),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            "--unit",
            metavar="COLUMN",
            help="What intervals resample; or /REGEX(GROUP)/ of the name. Default: call, speaker.",
        ),
    ] = None,
    slices: Annotated[
        str | None, typer.Option("--slices", metavar="COLUMN,…", help="Default: every column with few values.")
    ] = None,
    terms: Annotated[
        Path | None,
        typer.Option("--terms", metavar="FILE", help="Names and words that count as entities, a line each."),
    ] = None,
    clips: Annotated[
        int,
        typer.Option(
            "--clips", min=0, metavar="N", help="Recordings to hear in the report, the worst first; 0 = none."
        ),
    ] = 25,
    title: Annotated[str | None, typer.Option("--title", help="Of the report.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn.")] = 1,
    report: ReportFolder = Path("reports"),
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Is the text right: word errors offline and live, by slice, with intervals; facts, inventions, speakers."""
    if context.invoked_subcommand is not None:
        return

    def work() -> int:
        from voxfleet.cli.evaluate import EvaluateOrder, modes_of, terms_of
        from voxfleet.cli.evaluate import evaluate as carry_out
        from voxfleet.evaluation.sound.line import Line
        from voxfleet.evaluation.text.normalise import normaliser as named
        from voxfleet.settings import Settings

        order = EvaluateOrder(
            url=url,
            audio=audio,
            audio_root=audio_root,
            references=references,
            hypotheses=tuple(hypotheses or ()),
            modes=modes_of(live, offline, endpointing_ms, only_scored=bool(hypotheses)),
            match=match,
            limit=limit,
            at_once=at_once,
            non_speech=non_speech,
            line=Line.parse(telephony, noise),
            language=language,
            model=model,
            api_key=api_key,
            normaliser=named(normaliser) if normaliser else None,
            unit=unit,
            slices=tuple(slices.split(",")) if slices else None,
            terms=terms_of(terms),
            clips=clips,
            seed=seed,
            title=title,
            report=None if str(report) == "-" else report,
            as_json=as_json,
        )
        return carry_out(order, Settings() if url else terminal.load_settings(config))

    raise typer.Exit(terminal.run(work))


@evaluate_app.command(
    epilog=examples(
        "voxfleet evaluate compare a.json b.json --margin 0.2 --report reports",
        "voxfleet evaluate compare a.json b.json --gate wer,insertions,runaway,non-speech",
    )
)
def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="The report that stands.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="The report that shall replace it.")],
    margin: Annotated[
        float, typer.Option("--margin", min=0, max=100, metavar="POINTS", help="How much worse B may be, points.")
    ] = 0.2,
    gate: Annotated[
        str | None,
        typer.Option(
            "--gate",
            metavar="NAME,…",
            help="What B must pass, or exit 1: wer, insertions, runaway, non-speech. Default: wer.",
        ),
    ] = None,
    mode_a: Annotated[str | None, typer.Option("--mode-a", help="Of A, where it has several.")] = None,
    mode_b: Annotated[str | None, typer.Option("--mode-b", help="Of B, where it has several.")] = None,
    report: ReportFolder = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Is B worse than A: two reports on the same recordings (paired), or two load reports side by side."""

    def work() -> int:
        from voxfleet.cli.compare import compare_files

        return compare_files(
            a, b, margin / 100, mode_a, mode_b, None if str(report) == "-" else report, gate, as_json=as_json
        )

    raise typer.Exit(terminal.run(work))
