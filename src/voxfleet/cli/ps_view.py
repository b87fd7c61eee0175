"""How a fleet looks on a terminal: its gateways, its workers, and what happened to them lately."""

import time
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from voxfleet.cli.columns import Column, table
from voxfleet.wire.fleet import Event, Fleet, GatewayRow, WorkerRow

BAR_CELLS = 8
NONE = "–"
STATES = {"ready": "green", "starting": "yellow", "draining": "yellow", "lost": "bold red"}
KINDS = {"lost": "bold red", "silent": "red", "draining": "yellow", "replayed": "cyan", "moved": "cyan"}
SAID = {
    "moved": "moved to another worker at the end of a turn",
    "replayed": "replayed to another worker",
    "silent": "given up: speech was sent and nothing came back",
}
"""Events that are about streams; the others say what the worker did, in one word."""
BUDGET = 1.0
"""Seconds within which a stream shall be heard again after its worker was lost."""


def picture(fleet: Fleet, width: int, *, events: int = 10, trouble: str = "") -> RenderableType:
    """The whole fleet; at most so many of its newest events. `trouble`: why this is not the newest state."""
    parts: list[RenderableType] = [_summary(fleet)]
    if trouble:
        parts.append(Text(trouble, style="bold red"))
    parts += [Text(), _gateways(fleet.gateways, width), Text(), _workers(fleet.workers, width)]
    if not fleet.workers:
        parts.append(Text("no worker is known; streams are refused until one joins", style="yellow"))
    parts += [Text(note, style="yellow") for row in fleet.workers if (note := _note(row))]
    shown = fleet.events[-events:] if events > 0 else []
    if shown:
        parts += [Text(), _events(shown, fleet)]
    return Group(*parts)


def count(number: int, noun: str) -> str:
    """1 stream, 2 streams."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def span(seconds: float | None) -> str:
    """A stretch of time in its two largest units: 3 s, 4 min 12 s, 2 d 3 h."""
    if seconds is None:
        return NONE
    whole = max(0, int(seconds))
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((at for at, (amount, _) in enumerate(parts) if amount), len(parts) - 1)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2])


def bar(taken: int, places: int) -> Text:
    """Places taken, as a small bar and in figures."""
    if not places:
        return Text(NONE)
    share = min(taken / places, 1.0)
    full = round(share * BAR_CELLS) or (1 if taken else 0)
    colour = "red" if share >= 1 else "yellow" if share >= 0.85 else "green"
    return Text.assemble(("━" * full, colour), ("─" * (BAR_CELLS - full), "bright_black"), f" {taken:,}/{places:,}")


def told(event: Event) -> str:
    """What an event says: '12 streams moved to another worker at the end of a turn'."""
    sentence = SAID.get(event.kind)
    if sentence is not None:
        sentence = f"{count(event.count, 'stream')} {sentence}"
    else:
        sentence = event.kind if event.count == 1 else f"{event.kind}, {event.count} times"
    return f"{sentence} ({event.text})" if event.text else sentence


def _summary(fleet: Fleet) -> Text:
    totals, recovery = fleet.totals, fleet.recovery
    places = f"{totals.places:,}" if totals.capacity == totals.places else f"{totals.capacity:,} of {totals.places:,}"
    text = Text.assemble((f"{count(totals.streams, 'stream')} live", "bold"), f", {places} places offered")
    if recovery.p50 is not None and recovery.p95 is not None:
        text.append(
            f", {count(recovery.count, 'stream')} recovered in the last minute: "
            f"p50 {recovery.p50:.2f} s, p95 {recovery.p95:.2f} s",
            "red" if recovery.p95 > BUDGET else "",
        )
    return text


def _gateways(rows: Sequence[GatewayRow], width: int) -> Table:
    def numbers(heading: str, of: Callable[[GatewayRow], int], spare: int = 0) -> Column:
        return Column(heading, [f"{of(row):,}" for row in rows], right=True, spare=spare)

    columns = (
        Column("gateway", [row.name for row in rows]),
        Column("pid", [str(row.pid or NONE) for row in rows], right=True),
        Column("address", [row.address or NONE for row in rows], elastic=True),
        Column("state", [_state(row.state) for row in rows]),
        numbers("streams", lambda row: row.streams),
        numbers("opened", lambda row: row.opened, spare=2),
        numbers("refused", lambda row: row.refused),
        numbers("failed", lambda row: row.failed, spare=1),
        numbers("moved", lambda row: row.moves),
        numbers("replayed", lambda row: row.replays),
        Column("up", [span(row.uptime) for row in rows], right=True, spare=3),
    )
    return table(columns, width)


def _workers(rows: Sequence[WorkerRow], width: int) -> Table:
    columns = [
        Column("worker", [row.name for row in rows]),
        Column("pid", [str(row.pid or NONE) for row in rows], right=True),
        Column("address", [row.address for row in rows], elastic=True),
        Column("model", [_short(row.model) for row in rows], elastic=True),
        Column("places", [bar(row.taken, row.places) for row in rows]),
        Column("state", [_state(row.state, row.drain_left) for row in rows]),
        Column("load", [_load(row) for row in rows], right=True),
        Column("step p95", [_step(row) for row in rows], right=True, spare=1),
        Column("up", [span(row.uptime) for row in rows], right=True, spare=2),
    ]
    if any(row.labels for row in rows):
        columns.append(Column("labels", [_labels(row) for row in rows], elastic=True, spare=3))
    return table(columns, width)


def _short(model: str | None) -> str:
    """A model of one's own is named by where its code is; the last part says which it is."""
    return NONE if model is None else model.rpartition(":")[2]


def _labels(row: WorkerRow) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(row.labels.items()))


def _state(state: str, left: float | None = None) -> Text:
    return Text(state if left is None else f"{state} {left:.0f} s", STATES.get(state, ""))


def _load(row: WorkerRow) -> Text:
    if row.utilisation is None:
        return Text(NONE)
    return Text(f"{row.utilisation:.0%}", "red" if row.utilisation >= 0.9 else "")


def _step(row: WorkerRow) -> str:
    return NONE if row.step_p95 is None else f"{row.step_p95 * 1000:.0f} ms"


def _note(row: WorkerRow) -> str:
    """What a worker does because it has too much to do; empty while all is well."""
    notes = []
    if row.state == "ready" and row.capacity < row.places:
        notes.append(f"takes {count(row.capacity, 'stream')}, not {row.places:,}: its steps would not sustain more")
    if row.recorded_paused:
        notes.append("recorded files wait for live streams")
    return f"{row.name} {'; '.join(notes)}" if notes else ""


def _events(rows: Sequence[Event], fleet: Fleet) -> Table:
    seen_by = f" (as {fleet.gateway} saw it)" if len(fleet.gateways) > 1 else ""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    made.add_column("time", no_wrap=True)
    made.add_column("worker", no_wrap=True)
    made.add_column(f"what happened{seen_by}")
    for event in reversed(rows):
        moment = time.strftime("%H:%M:%S", time.localtime(event.at))
        made.add_row(moment, Text(event.worker), Text(told(event), KINDS.get(event.kind, "")))
    return made
