"""`voxfleet bench engine`: the benchmark of one engine, as a document for programs and a table for people."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxfleet.cli import exits
from voxfleet.cli.measure import need
from voxfleet.cli.terminal import console, print_json


@dataclass(frozen=True, slots=True)
class Talking:
    """How people talk to a Whisper; see engines/whisper/bench.Asked."""

    cadence_ms: int
    speech: float
    tokens_per_second: float
    contexts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BenchOrder:
    """What the user asked for; see engines/transducer/bench.Asked."""

    model: str
    device: str
    precision: str
    chunks: tuple[int, ...]
    streams: int
    seconds: float
    threads: int
    quick: bool
    file: Path | None
    talking: Talking | None = None
    """Of a Whisper; None = a transducer."""


def bench(order: BenchOrder) -> int:
    """Carry out an order; the exit code: FAILED where a chunk size holds not one stream."""
    need("voxfleet bench engine", "torch", "safetensors", extra="gpu")
    screen = console(error=True)
    report, held = _measured(order, lambda sentence: screen.print(f"[dim]{sentence}[/]", soft_wrap=True))
    if order.file is not None:
        order.file.parent.mkdir(parents=True, exist_ok=True)
        order.file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print_json(report)
    return exits.OK if held else exits.FAILED


def _measured(order: BenchOrder, told: Callable[[str], None]) -> tuple[dict[str, Any], bool]:
    """The report, shown; and whether each part of it held at least one stream."""
    if order.talking is not None:
        report = _whisper(order, order.talking, told)
        show_whisper(report)
        return report, all(context["streams"] for context in report["contexts"])
    from voxfleet.engines.transducer.bench import Asked, measure

    asked = Asked(
        model=order.model,
        device=order.device,
        precision=order.precision,
        chunks=order.chunks,
        streams=order.streams,
        seconds=order.seconds,
        threads=order.threads,
        quick=order.quick,
    )
    report = measure(asked, told)
    show(report)
    return report, all(chunk["streams"] for chunk in report["chunks"])


def _whisper(order: BenchOrder, talking: Talking, told: Callable[[str], None]) -> dict[str, Any]:
    from voxfleet.engines.whisper.bench import Asked, measure

    asked = Asked(
        shape=order.model.removeprefix("random:"),
        device=order.device,
        precision=order.precision,
        contexts=talking.contexts,
        cadence_ms=talking.cadence_ms,
        speech=talking.speech,
        tokens_per_second=talking.tokens_per_second,
        streams=order.streams,
        seconds=order.seconds,
        threads=order.threads,
        quick=order.quick,
    )
    return measure(asked, told)


def show(report: dict[str, Any]) -> None:
    """A line per chunk size, on standard error."""
    from rich.table import Table

    screen = console(error=True)
    device = report["device"]
    where = device["name"] if isinstance(device, dict) else f"cpu, {report['threads']} threads"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("ms", "streams", "p50", "p95", "p99", "lag", "busy", "TFLOP/s", "ceiling", "host µs"):
        table.add_column(heading, justify="right")
    for chunk in report["chunks"]:
        table.add_row(*row(chunk))
    screen.print(f"[bold]{report['model']}[/], {report['precision']}, {where}")
    screen.print(table)
    screen.print(
        "[dim]ms: chunk; p50 p95 p99: of a step, ms; lag: p95 from chunk due to words out, ms; ceiling: share of it[/]",
        soft_wrap=True,
    )
    place = report["kb_per_place"]
    screen.print(
        f"[dim]{place['arena'] + place['audio']:,.0f} kB per place; matrix products here reach "
        f"{report['matrix_product_ceiling_tflops']:g} TFLOP/s; {report['criterion']}[/]",
        soft_wrap=True,
    )


def row(chunk: dict[str, Any]) -> list[str]:
    """The cells of one chunk size."""
    held = chunk["held"]
    streams = f"{'≥ ' if chunk['places_ended_before_speed'] else ''}{chunk['streams']}"
    if held is None:
        return [str(chunk["chunk_ms"]), streams, *["–"] * 8]
    step, lag = held["step_ms"], held["lag_ms"]
    return [
        str(chunk["chunk_ms"]),
        streams,
        *(f"{step[share]:.1f}" for share in ("p50", "p95", "p99")),
        f"{lag['p95']:.1f}",
        f"{held['device_busy_share']:.0%}",
        f"{held['tflops']:.3g}",
        f"{held['share_of_ceiling']:.1%}",
        f"{held['host_us_per_stream_step']:.0f}",
    ]


def show_whisper(report: dict[str, Any]) -> None:
    """A line per encoder context, on standard error."""
    from rich.table import Table

    screen = console(error=True)
    device = report["device"]
    where = device["name"] if isinstance(device, dict) else f"cpu, {report['threads']} threads"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("context")
    for heading in ("streams", "emission p50", "p95", "final p50", "p95", "encoder", "decoder", "of ceiling", "saved"):
        table.add_column(heading, justify="right")
    for context in report["contexts"]:
        table.add_row(*_context_row(context))
    screen.print(f"[bold]{report['shape']}[/], {report['precision']}, {where}, {report['speech']:.0%} speech")
    screen.print(table)
    screen.print(
        "[dim]emission, final: ms; encoder, decoder: share of the time the device works; of ceiling: the encoder's "
        "arithmetic against a bare matrix product's; saved: tokens that drafts made free[/]",
        soft_wrap=True,
    )
    screen.print(
        f"[dim]{report['mb_per_place']:g} MB per place, {report['mb_per_window_in_decoding']:g} MB per window in decoding; "
        f"{report['criterion']}[/]",
        soft_wrap=True,
    )


def _context_row(context: dict[str, Any]) -> list[str]:
    held = context["held"]
    if held is None:
        return [context["encoder_context"], "0", *["–"] * 8]
    emission, final, share = held["emission_ms"], held["final_ms"], held["share_of_time"]
    return [
        context["encoder_context"],
        f"{'≥ ' if context['places_ended_before_speed'] else ''}{context['streams']}",
        *(f"{part[name]:.0f}" for part in (emission, final) for name in ("p50", "p95")),
        f"{share['encoder']:.0%}",
        f"{share['decoder']:.0%}",
        f"{held['encoder_share_of_ceiling']:.1%}",
        f"{held['decoded_tokens_saved_by_drafts']:.0%}",
    ]
