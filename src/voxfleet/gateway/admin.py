"""The operator's interface: what the fleet is made of, and telling a worker to leave.

Looking is open to whoever reaches the gateway, as /v1/status is. Draining takes the cluster's secret as a bearer token.
Where the operator has named none, it is open to programs on the gateway's own machine, and to nobody else: not to what
a proxy on this machine forwards, and not to pages of other sites in a browser on this machine.
"""

import hmac
import ipaddress
import time
from urllib.parse import urlsplit

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from voxfleet.clock import Clock, SystemClock
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster.journal import Happening
from voxfleet.cluster.link import Link
from voxfleet.cluster.pool import Pool
from voxfleet.errors import BadRequest, MessageTooBig, Unauthorized
from voxfleet.settings import ClusterSettings
from voxfleet.telemetry.metrics import GatewayMetrics
from voxfleet.wire.fleet import (
    FLEET_PATH,
    DrainAsked,
    DrainOrder,
    Event,
    Fleet,
    GatewayRow,
    Recovery,
    Totals,
    WorkerRow,
)

log = structlog.get_logger()

LARGEST_ORDER = 4_096
"""Bytes of the body of an order."""
COMINGS_AND_GOINGS = frozenset({Happening.JOINED, Happening.LEFT, Happening.LOST})
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers by which a proxy says that it speaks for somebody else."""


class Admin:
    """The routes of one gateway's operators. `name` is this gateway's."""

    def __init__(
        self,
        pool: Pool,
        cluster: ClusterSettings,
        metrics: GatewayMetrics,
        name: str,
        *,
        open_to_loopback: bool,
        clock: Clock | None = None,
    ) -> None:
        """`open_to_loopback`: the operator has named no secret (one made anew for this start does not count)."""
        self._pool = pool
        self._secret = cluster.secret.encode()
        self._metrics = metrics
        self._name = name
        self._open_to_loopback = open_to_loopback
        self._clock = clock or SystemClock()

    @property
    def routes(self) -> list[BaseRoute]:
        """To be served by an application that answers VoxfleetErrors as the rest of the gateway does."""
        return [
            Route(FLEET_PATH, self._show),
            Route("/v1/workers/{name}/drain", self._drain, methods=["POST"]),
        ]

    def fleet(self) -> Fleet:
        """The document of GET /v1/fleet."""
        gateways = [_gateway(hello) for hello in self._pool.gateways()]
        links = list(self._pool.links.values())
        away = {entry.worker: entry.kind for entry in self._pool.journal.entries if entry.kind in COMINGS_AND_GOINGS}
        recovery = self._metrics.recovery.recent.percentiles(self._clock.now())
        return Fleet(
            gateway=self._name,
            gateways=gateways,
            workers=[_worker(link, away.get(link.name)) for link in links],
            events=[
                Event(round(entry.at, 3), entry.kind.value, entry.worker, entry.text, entry.count)
                for entry in self._pool.journal.entries
            ],
            recovery=Recovery(_rounded(recovery.p50), _rounded(recovery.p95), recovery.count),
            totals=Totals(
                streams=sum(row.streams for row in gateways),
                places=sum(link.info.places for link in links if link.info),
                capacity=sum(link.capacity for link in links if link.state == "ready"),
            ),
        )

    async def _show(self, _request: Request) -> Response:
        return _json(self.fleet())

    async def _drain(self, request: Request) -> Response:
        """202 once the worker is told. Raises Unauthorized, WorkerNotFound, BadRequest, MessageTooBig."""
        self._check(request)
        name = request.path_params["name"]
        link = self._pool.worker(name)
        order = await _order(request)
        if link.info is None:
            raise BadRequest(f"the worker '{name}' can't be told to leave: it is not linked to this gateway now")
        link.drain(order.seconds, replace=order.replace)
        log.info("drain_asked", worker=name, seconds=order.seconds, replace=order.replace)
        return _json(DrainAsked(name, order.seconds, order.replace, round(time.time(), 3)), 202)

    def _check(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        shown = token.strip().encode() if scheme.lower() == "bearer" else b""
        if self._secret and hmac.compare_digest(shown, self._secret):
            return
        if not (self._open_to_loopback and is_local(request)):
            raise Unauthorized("draining a worker")


def is_local(request: Request) -> bool:
    """Whether a program on this machine asks, for itself and not for a web site that its user happens to look at."""
    if request.client is None or not _loopback(request.client.host):
        return False
    if any(header in request.headers for header in FORWARDED):
        return False
    host = request.headers.get("host", "")
    if not _loopback(urlsplit(f"//{host}").hostname or ""):
        return False  # a name of somebody else's that was made to point here
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == host


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


async def _order(request: Request) -> DrainOrder:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_ORDER:
            raise MessageTooBig(LARGEST_ORDER)
    if not body:
        return DrainOrder()
    try:
        return msgspec.json.decode(body, type=DrainOrder)
    except msgspec.DecodeError as error:
        raise BadRequest(f'the body is no drain order, such as {{"seconds": 25, "replace": false}}: {error}') from None


def _gateway(hello: pb.Hello) -> GatewayRow:
    return GatewayRow(
        name=hello.gateway,
        pid=hello.pid,
        host=hello.host,
        address=hello.address,
        state=hello.state,
        streams=hello.streams,
        opened=hello.opened,
        refused=hello.refused,
        failed=hello.failed,
        moves=hello.moves,
        replays=hello.replays,
        uptime=round(hello.uptime, 1),
    )


def _worker(link: Link, last: Happening | None) -> WorkerRow:
    """`last`: whether it came, left or was lost last."""
    info, load = link.info, link.load
    row = WorkerRow(name=link.name, state=link.state, address=link.address, labels=dict(link.labels))
    if info is None:
        if last in (Happening.LEFT, Happening.LOST):
            row.state = last.value
        return row
    row.pid, row.host, row.model, row.device = link.pid, link.host, info.name, info.device
    row.places, row.taken, row.capacity = info.places, link.taken, link.capacity
    row.chunk_ms = load.chunk_ms or None
    row.recorded_paused = load.recorded_paused
    row.uptime = round(load.uptime, 1)
    if load.steps:
        row.utilisation, row.step_p95 = round(load.utilisation, 3), round(load.step_p95, 4)
    if load.draining:
        row.drain_left = round(load.drain_left, 1)
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _json(document: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, {"Cache-Control": "no-store"}, media_type="application/json")
