"""`voxfleet bench engine`: the benchmark of one engine, as a document for programs and a table for people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxfleet.cli import exits
from voxfleet.cli.measure import need
from voxfleet.cli.terminal import console, print_json


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


def bench(order: BenchOrder) -> int:
    """Carry out an order; the exit code: FAILED where a chunk size holds not one stream."""
    need("voxfleet bench engine", "torch", "safetensors", extra="gpu")
    from voxfleet.engines.transducer.bench import Asked, measure

    screen = console(error=True)
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
    report = measure(asked, lambda sentence: screen.print(f"[dim]{sentence}[/]", soft_wrap=True))
    show(report)
    if order.file is not None:
        order.file.parent.mkdir(parents=True, exist_ok=True)
        order.file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print_json(report)
    return exits.OK if all(chunk["streams"] for chunk in report["chunks"]) else exits.FAILED


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
