"""What the gateway serves, and the life of what it shares: the pool, the speech detector, the metrics."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import monotonic

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from voxfleet.audio.detector import Verdict, VoiceDetector
from voxfleet.audio.level import LevelListener
from voxfleet.clock import SystemClock
from voxfleet.cluster import credentials
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster.journal import Happening
from voxfleet.cluster.pool import Pool
from voxfleet.errors import EngineFailed, SettingsError, VoxfleetError
from voxfleet.gateway.admin import Admin
from voxfleet.gateway.live import LiveCalls
from voxfleet.gateway.rest import Transcriptions
from voxfleet.gateway.websocket import Streams
from voxfleet.serving.catalog import note_of
from voxfleet.serving.channel import Channel
from voxfleet.serving.conversation import House
from voxfleet.settings import Settings, VadSettings
from voxfleet.telemetry.metrics import GatewayMetrics
from voxfleet.telemetry.tracing import Tracing
from voxfleet.wire import native
from voxfleet.wire.resume import Signer

log = structlog.get_logger()


class Gateway:
    """A gateway before it has a socket: `app` is the ASGI application, `live` its calls."""

    def __init__(
        self,
        settings: Settings,
        workers: Mapping[str, str],
        tracing: Tracing,
        pages: Sequence[BaseRoute] = (),
        *,
        name: str = "gateway",
        address: str = "",
        open_to_loopback: bool = True,
    ) -> None:
        """`workers` by name and address; `pages` are served beside the interfaces (the console).

        `name` and `address` (host:port, as callers reach it) are shown to operators, whose orders are taken from this
        machine without the cluster's secret where `open_to_loopback`.
        """
        clock = SystemClock()
        self.name = name
        self.address = address
        self.metrics = GatewayMetrics()
        self.live = LiveCalls(self.metrics, clock)
        self._loop: asyncio.AbstractEventLoop
        self.detector = _detector(settings.vad, self._deliver)
        gateway, cluster = settings.gateway, settings.cluster
        credentials.check(cluster)
        self.pool = Pool(workers, settings.link, gateway.default_model, cluster, self._hello)
        secret = cluster.secret or secrets.token_hex(32)
        signer = Signer(secret.encode(), gateway.resume_seconds)
        self.house = House(settings, self.pool, self.detector, self.metrics, clock, signer)
        admin = Admin(self.pool, cluster, self.metrics, name, open_to_loopback=open_to_loopback)
        streams = Streams(self.house, self.live, tracing)
        transcriptions = Transcriptions(self.house, self.live, tracing)
        self.app = Starlette(
            routes=[
                WebSocketRoute("/v1/stream", streams.serve),
                Route("/v1/audio/transcriptions", transcriptions.serve, methods=["POST"]),
                Route("/v1/audio/translations", transcriptions.serve_translation, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/v1/schema", _schema),
                Route("/v1/status", self._status),
                Route("/healthz", _healthy),
                Route("/readyz", self._ready),
                Route("/metrics", self._metrics_text),
                *admin.routes,
                *pages,
            ],
            lifespan=self._life,
            exception_handlers={VoxfleetError: _refusal},
        )

    @asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self.detector.start()
        sweeper = asyncio.create_task(self._sweep())
        try:
            async with self.pool:
                yield
        finally:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
            self.detector.close()

    async def _sweep(self) -> None:
        """One clock for all idle callers and silent tracks: a timer per frame would cost more than the frame."""
        idle = self.house.settings.gateway.idle_timeout
        while True:
            await asyncio.sleep(min(idle / 8, 1.0))
            self.live.expire(idle)
            self.live.watch(monotonic())

    def others(self) -> bool:
        """Whether another gateway of this fleet takes callers."""
        return any(hello.state == "ready" for hello in self.pool.gateways()[1:])

    def _hello(self) -> pb.Hello:
        totals = self.pool.journal.totals
        live = self.live
        return pb.Hello(
            gateway=self.name,
            pid=os.getpid(),
            address=self.address,
            host=socket.gethostname(),
            state="draining" if live.draining else "ready",
            streams=live.streams,
            opened=live.opened,
            refused=live.refused,
            failed=live.failed,
            moves=totals[Happening.MOVED],
            replays=totals[Happening.REPLAYED] + totals[Happening.SILENT],
            uptime=live.uptime,
        )

    def _deliver(self, verdicts: list[Verdict]) -> None:  # on the detector's thread
        self._loop.call_soon_threadsafe(_spread, verdicts)

    async def _models(self, _request: Request) -> Response:
        """Served models in OpenAI's list form, with what we know beyond it."""
        return JSONResponse(
            {
                "object": "list",
                "data": [
                    {
                        "id": name,
                        "object": "model",
                        "owned_by": "voxfleet",
                        "languages": languages,
                        "note": note_of(name),
                    }
                    for name, languages in self.pool.models.items()
                ],
            }
        )

    async def _status(self, _request: Request) -> Response:
        return JSONResponse(self.live.status(self.pool), headers={"Cache-Control": "no-store"})

    async def _ready(self, _request: Request) -> Response:
        """200 while new streams are welcome: linked to every worker and not draining."""
        if self.live.draining:
            return PlainTextResponse("draining\n", 503)
        if not self.pool.ready:
            return PlainTextResponse("waiting for workers\n", 503)
        return PlainTextResponse("ready\n")

    async def _metrics_text(self, _request: Request) -> Response:
        self.live.publish(self.pool, self.house.traffic, self.detector.cpu_seconds)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _detector(settings: VadSettings, deliver: Callable[[list[Verdict]], None]) -> VoiceDetector:
    if settings.model not in ("silero", "level"):
        raise SettingsError(f"'vad.model' must be silero or level, not '{settings.model}'")
    return VoiceDetector(
        deliver,
        tick=settings.tick_ms / 1000,
        capacity=settings.capacity,
        gate=settings.gate,
        listener=LevelListener() if settings.model == "level" else None,
        core=None if settings.core < 0 else settings.core,
        on_failure=lambda error: log.error("speech_detection_failed", error=repr(error)),
    )


def _spread(verdicts: list[Verdict]) -> None:
    """Verdicts to the channels they are about; what goes wrong with one ends that call alone."""
    for verdict in verdicts:
        channel = verdict.stream.owner
        if isinstance(channel, Channel) and not verdict.stream.closed:
            try:
                channel.voiced(verdict.probabilities, finished=verdict.last)
            except Exception as error:
                log.exception("call_broke")
                channel.broke(EngineFailed(f"internal error ({type(error).__name__})"))


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _schema(_request: Request) -> Response:
    return Response(msgspec.json.encode(native.schema()), media_type="application/schema+json")


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, VoxfleetError)
    headers = {"Retry-After": str(max(round(error.retry_after), 1))} if error.retry_after else {}
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": {"code": error.code, "message": str(error)}}, error.http_status, headers)
