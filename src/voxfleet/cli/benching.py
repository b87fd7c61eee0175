"""The commands that benchmark a part of the house by itself: `bench engine`, its options and the help that teaches them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from voxfleet.cli import terminal
from voxfleet.cli.options import examples

bench_app = typer.Typer(
    name="bench",
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Measure one part by itself, without sockets or callers. For a whole server there is [cyan]voxfleet load[/].",
)


class BenchEngine(StrEnum):
    """Engines that can be benchmarked."""

    transducer = "transducer"
    whisper = "whisper"


@bench_app.callback()
def bench() -> None:
    pass


@bench_app.command(
    epilog=examples(
        "voxfleet bench engine --shape tiny --random-weights --quick",
        "voxfleet bench engine --shape nemotron-3.5-0.6b --random-weights --device cuda:0 --json capacity.json",
        "voxfleet bench engine --model ./nemotron-3.5 --device cuda:0 --chunks 320,560",
        "voxfleet bench engine --engine whisper --shape large-v3-turbo --random-weights --device cuda:0 --speech 0.5",
    )
)
def engine(
    kind: Annotated[BenchEngine, typer.Option("--engine", help="Which one.")] = BenchEngine.transducer,
    shape: Annotated[
        str | None,
        typer.Option("--shape", metavar="NAME", help="A known network: nemotron-3.5-0.6b, large-v3-turbo, tiny."),
    ] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="With --shape: no files; times are real, text is not.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FOLDER", help="A model folder, instead of --shape.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")] = "cpu",
    precision: Annotated[
        str, typer.Option("--precision", help="float32, bfloat16, float16, int8; default as served.")
    ] = "",
    chunks: Annotated[
        str, typer.Option("--chunks", metavar="MS,MS…", help="Default: those the model is served with.")
    ] = "",
    cadence: Annotated[
        int, typer.Option("--cadence", min=100, metavar="MS", help="Whisper: between two decodes; divides 2000.")
    ] = 1000,
    speech: Annotated[
        float, typer.Option("--speech", min=0.05, max=1, help="Whisper: share of the time that everybody speaks.")
    ] = 0.5,
    tokens: Annotated[
        float, typer.Option("--decode-tokens-per-second", min=0, max=12, help="Whisper: said of a second of speech.")
    ] = 3.3,
    contexts: Annotated[
        str, typer.Option("--encoder-context", metavar="NAME,…", help="Whisper: padded, silence_tail.")
    ] = "padded,silence_tail",
    streams: Annotated[
        int, typer.Option("--streams", "-n", min=0, metavar="N", help="Search no further; 0 = what the memory holds.")
    ] = 0,
    seconds: Annotated[float, typer.Option("--seconds", "-s", min=1, help="How long the number found must hold.")] = 20,
    threads: Annotated[int, typer.Option("--threads", min=0, metavar="N", help="Of a CPU; 0 = all.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Short trials: a look, not a figure.")] = False,
    file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the document here too.")] = None,
) -> None:
    """The most live streams one engine holds on one device, and what each costs, for each chunk size.

    Prints one JSON document on standard output and a table on standard error.
    """
    if (shape is None) == (model is None):
        raise typer.BadParameter("name either a --shape or the folder of a --model", param_hint="--shape")
    if shape is not None and not random_weights:
        raise typer.BadParameter(
            "a shape has no weights: add --random-weights, or name a --model", param_hint="--shape"
        )
    try:
        sizes = tuple(int(part) for part in chunks.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"'{chunks}' is no list of milliseconds", param_hint="--chunks") from None
    if kind is BenchEngine.whisper and (shape is None or sizes):
        what = "a --shape" if shape is None else "--cadence, not --chunks"
        raise typer.BadParameter(f"Whisper is measured with random weights and {what}", param_hint="--engine")

    def work() -> int:
        from voxfleet.cli.bench import BenchOrder, Talking
        from voxfleet.cli.bench import bench as carry_out

        named = tuple(part.strip() for part in contexts.split(",") if part.strip())
        return carry_out(
            BenchOrder(
                model=str(model) if model is not None else f"random:{shape}",
                device=device,
                precision=precision,
                chunks=sizes,
                streams=streams,
                seconds=seconds,
                threads=threads,
                quick=quick,
                file=file,
                talking=Talking(cadence, speech, tokens, named) if kind is BenchEngine.whisper else None,
            )
        )

    raise typer.Exit(terminal.run(work))
