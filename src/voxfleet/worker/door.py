"""The HTTP door of a worker of its own: is it alive, does it take streams, how does it fare, and: leave, please.

It opens before the engine is loaded, so that start-up probes find somebody, and closes last. It serves nothing else.
"""

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from voxfleet.errors import BadRequest, MessageTooBig, SettingsError, Unauthorized, VoxfleetError
from voxfleet.settings import WorkerSettings
from voxfleet.telemetry.metrics import WorkerMetrics
from voxfleet.worker.service import Service

MOST_BYTES = 4_096
"""Of the body of a request; a drain needs forty."""


class DrainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /drain; may be left out."""

    seconds: float | None = None
    """At most so long; None = the worker's own setting."""
    replace: bool = False
    """Whoever watches the process shall start it anew."""


class Door:
    """The routes. `secret` is what a drain needs as a bearer token; without one only this machine may ask."""

    def __init__(self, service: Service, settings: WorkerSettings, secret: str) -> None:
        self._service = service
        self._settings = settings
        self._secret = secret
        self._metrics = WorkerMetrics()
        self.app = Starlette(
            routes=[
                Route("/healthz", self._healthy),
                Route("/readyz", self._ready),
                Route("/metrics", self._metrics_text),
                Route("/drain", self._drain, methods=["POST"]),
            ],
            exception_handlers={VoxfleetError: _refusal},
        )

    async def _healthy(self, _request: Request) -> Response:
        """200 while the engine works or loads: killing this process would help nobody."""
        state = self._service.state
        return PlainTextResponse(f"{state}\n", 503 if state in ("stuck", "failed") else 200)

    async def _ready(self, _request: Request) -> Response:
        """200 while new streams are welcome."""
        state = self._service.state
        return PlainTextResponse(f"{state}\n", 200 if state == "ready" else 503)

    async def _metrics_text(self, _request: Request) -> Response:
        service, metrics = self._service, self._metrics
        metrics.ready.set(service.state == "ready")
        if service.info is not None:
            load = service.report_of()
            metrics.places.set(load.places)
            metrics.taken.set(load.taken)
            metrics.capacity.set(load.capacity)
            metrics.utilisation.set(load.utilisation)
            metrics.draining.set(load.draining)
            metrics.recorded_paused.set(load.recorded_paused)
            metrics.count(load.steps, service.decisions)
            metrics.step_seconds.labels("0.5").set(load.step_p50)
            metrics.step_seconds.labels("0.95").set(load.step_p95)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _drain(self, request: Request) -> Response:
        if not self._allowed(request):
            raise Unauthorized("draining a worker")
        asked = _parsed(await _body(request))
        seconds = self._settings.drain_seconds if asked.seconds is None else asked.seconds
        self._service.drain(seconds, replace=asked.replace, why="asked at the door")
        leaving = self._service.leaving
        return JSONResponse({"state": "draining", "drain_left": leaving.left, "tracks": self._service.taken}, 202)

    def _allowed(self, request: Request) -> bool:
        if self._secret:
            given = request.headers.get("authorization", "").encode("latin-1")
            return hmac.compare_digest(given, f"Bearer {self._secret}".encode())
        from_a_page = "origin" in request.headers  # any web page could make a browser on this machine ask
        return request.client is not None and not from_a_page and _is_here(request.client.host)


@asynccontextmanager
async def standing_open(address: str, door: Door) -> AsyncIterator[None]:
    """Serve the door at `address` (host:port) within the block. Raises SettingsError where it can't listen there."""
    listener = _listen(address)
    config = uvicorn.Config(
        door.app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=64,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Signals are for the worker, not for its door."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise SettingsError(f"'http' of a worker must be host:port, not '{address}'")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        raise SettingsError(f"can't listen on {address} (http of a worker): {error.strerror or error}") from None
    return listener


def _is_here(host: str) -> bool:
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise MessageTooBig(MOST_BYTES)
    return body


def _parsed(body: bytes) -> DrainRequest:
    try:
        asked = msgspec.json.decode(body, type=DrainRequest) if body.strip() else DrainRequest()
    except msgspec.DecodeError as error:
        raise BadRequest(f'the body of a drain is JSON like {{"seconds": 25, "replace": false}}: {error}') from None
    if asked.seconds is not None and not 0 <= asked.seconds < float("inf"):
        raise BadRequest("'seconds' of a drain must be a number that is not negative")
    return asked


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, VoxfleetError)
    return JSONResponse({"error": {"code": error.code, "message": str(error)}}, error.http_status)
