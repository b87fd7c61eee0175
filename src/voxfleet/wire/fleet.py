"""What operators and programs are told of a fleet: the document of GET /v1/fleet, and what asks a worker to leave.

Seconds everywhere; `at` is seconds since the epoch on the clock of the gateway that answers. A document of a newer
server may hold more than is declared here, one of an older server less.
"""

from typing import Annotated, Any

import msgspec

FLEET_PATH = "/v1/fleet"
LONGEST_DRAIN = 86_400.0
"""Seconds; a longer notice is a typing error."""


class GatewayRow(msgspec.Struct):
    """One gateway; the counts are since it started."""

    name: str
    pid: int = 0
    host: str = ""
    """The machine's name."""
    address: str = ""
    """Where callers reach it: host:port."""
    state: str = ""
    """ready or draining."""
    streams: int = 0
    opened: int = 0
    refused: int = 0
    failed: int = 0
    moves: int = 0
    """Streams moved to another worker at the end of a turn."""
    replays: int = 0
    """Streams replayed to another worker."""
    uptime: float = 0.0


class WorkerRow(msgspec.Struct):
    """One worker as the answering gateway sees it; what only a linked worker can tell is None until it is linked."""

    name: str
    state: str
    """starting, ready or draining; left or lost once it is gone and until it is back."""
    address: str = ""
    pid: int = 0
    host: str = ""
    model: str | None = None
    device: str | None = None
    labels: dict[str, str] = {}
    places: int = 0
    capacity: int = 0
    """Streams it takes now: its places, or fewer where its steps would not sustain them."""
    taken: int = 0
    utilisation: float | None = None
    """Share of the time its steps take."""
    chunk_ms: int | None = None
    step_p95: float | None = None
    recorded_paused: bool = False
    drain_left: float | None = None
    """Until a draining worker ends."""
    uptime: float | None = None


class Event(msgspec.Struct):
    """Something that happened to a worker, as the answering gateway saw it."""

    at: float
    kind: str
    """joined, lost, draining, left, moved, replayed or silent."""
    worker: str
    text: str = ""
    count: int = 1
    """Streams, for moved, replayed and silent."""


class Recovery(msgspec.Struct):
    """From the loss of a stream's worker to the first hypothesis after it; the last minute of the answering gateway."""

    p50: float | None = None
    p95: float | None = None
    count: int = 0


class Totals(msgspec.Struct):
    """Of the whole fleet."""

    streams: int = 0
    """Live on all gateways."""
    places: int = 0
    """Of all linked workers."""
    capacity: int = 0
    """Of those that take new streams."""


class Fleet(msgspec.Struct):
    """Everything that is known of the gateways and workers of one fleet."""

    gateway: str
    """Who answers."""
    gateways: list[GatewayRow] = []
    workers: list[WorkerRow] = []
    events: list[Event] = []
    """Oldest first."""
    recovery: Recovery = msgspec.field(default_factory=Recovery)
    totals: Totals = msgspec.field(default_factory=Totals)


class DrainOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/workers/{name}/drain; no body means these defaults."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_DRAIN)] = 0.0
    """Within which it ends; 0 = the worker's own setting."""
    replace: bool = False
    """Whoever watches its process starts it anew."""


class DrainAsked(msgspec.Struct):
    """The answer to it: what was asked, of whom, when."""

    worker: str
    seconds: float
    replace: bool
    at: float
    """On the clock of the events."""


def drain_path(worker: str) -> str:
    """Where a worker is asked to leave."""
    from urllib.parse import quote

    return f"/v1/workers/{quote(worker, safe='')}/drain"


def plain(fleet: Fleet) -> dict[str, Any]:
    """The document as JSON types."""
    document = msgspec.to_builtins(fleet)
    assert isinstance(document, dict)
    return document
