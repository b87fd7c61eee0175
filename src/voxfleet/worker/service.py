"""The worker's end of the links: gateways join, take places, and are told what was heard. Holds no truth of its own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable

import grpc
import numpy as np
import structlog

from voxfleet.clock import SystemClock
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster import link_pb2_grpc, messages
from voxfleet.cluster.link import channel_options
from voxfleet.engines.port import Engine, EngineInfo, Heard
from voxfleet.errors import Draining, EngineError, EngineFailed, VoxfleetError
from voxfleet.scheduling.places import Place
from voxfleet.settings import LinkSettings
from voxfleet.worker.device import Device, Free, Hear, Take

log = structlog.get_logger()


MOST_WAITING = 2_000
"""Answers a gateway may leave unread (minutes of steps) before it counts as gone."""


class GatewayEnd:
    """One joined gateway: the places it holds and what it has not been told yet.

    `put` drops nothing; a gateway that does not read loses its link when `MOST_WAITING` answers wait for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: set[Place] = set()
        self._answers: list[pb.Answer] = []
        self._some = asyncio.Event()
        self.stalled = asyncio.Event()

    def put(self, answer: pb.Answer) -> None:
        self._answers.append(answer)
        self._some.set()
        if len(self._answers) > MOST_WAITING:
            self.stalled.set()

    async def taken(self) -> list[pb.Answer]:
        await self._some.wait()
        self._some.clear()
        answers, self._answers = self._answers, []
        return answers


class Service(link_pb2_grpc.LinkServicer):
    """Joins gateways to the device. Everything here runs on the event loop; the device has its own thread."""

    def __init__(self, worker: str, settings: LinkSettings) -> None:
        self.worker = worker
        self.draining = False
        self._settings = settings
        self._gateways: set[GatewayEnd] = set()
        self._owner: dict[Place, GatewayEnd] = {}
        self._loop = asyncio.get_running_loop()
        self._device: Device
        self._info: EngineInfo

    def load(self, build: Callable[[], Engine]) -> EngineInfo:
        """Load the engine on its own thread (call from an executor: it may take seconds)."""
        self._device = Device(build, self._heard, SystemClock(), self._settings.stream_bound)
        self._info = self._device.start()
        return self._info

    async def Join(  # noqa: N802 - the name in the .proto
        self,
        request_iterator: AsyncIterator[pb.Tick],
        context: "grpc.aio.ServicerContext[pb.Tick, pb.Answer]",
    ) -> None:
        """One gateway, until it leaves; its places are freed then."""
        gateway = GatewayEnd(context.peer())
        self._gateways.add(gateway)
        log.info("gateway_joined", worker=self.worker)
        gateway.put(pb.Answer(welcome=messages.welcome_of(self.worker, self._info), load=self._load()))
        reader = asyncio.create_task(self._read(gateway, request_iterator))
        writer = asyncio.create_task(self._write(gateway, context))
        stalled = asyncio.create_task(gateway.stalled.wait())
        try:
            await asyncio.wait({reader, writer, stalled}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and (broken := reader.exception()) is not None:
                log.warning("gateway_broke_protocol", worker=self.worker, error=str(broken))
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(broken))
        finally:
            for task in (reader, writer, stalled):
                task.cancel()
            await asyncio.gather(reader, writer, stalled, return_exceptions=True)
            self._gateways.discard(gateway)
            self._give_back(gateway)
            log.info("gateway_left", worker=self.worker)

    async def report(self) -> None:
        """Tell every gateway how loaded this worker is, until cancelled; ends with the error if the engine ends."""
        while True:
            await asyncio.sleep(self._settings.report_ms / 1000)
            if not self._device.alive:
                raise EngineFailed(str(self._device.failure or "the engine thread ended"))
            for gateway in self._gateways:
                gateway.put(pb.Answer(load=self._load()))

    def close(self) -> None:
        self._device.stop()

    @property
    def taken(self) -> int:
        return len(self._owner)

    # ---- from gateways ----------------------------------------------------------------------------------------

    async def _read(self, gateway: GatewayEnd, ticks: AsyncIterator[pb.Tick]) -> None:
        async for tick in ticks:
            if tick.closes:
                places = tuple(place for place in map(Place.of, tick.closes) if self._owner.get(place) is gateway)
                for place in places:
                    del self._owner[place]
                gateway.places.difference_update(places)
                self._device.submit(Free(places))
            for opening in tick.opens:
                self._open(gateway, opening)
            if (rows := messages.increments_of(tick)) is not None:
                self._device.submit(Hear(*rows))

    def _open(self, gateway: GatewayEnd, opening: pb.Open) -> None:
        if self.draining:
            gateway.put(pb.Answer(refused=[messages.refused_of(opening.request, Draining())]))
            return

        def answer(outcome: Place | VoxfleetError) -> None:  # on the engine thread
            self._loop.call_soon_threadsafe(self._opened, gateway, opening.request, outcome)

        self._device.submit(Take(messages.options_of(opening), answer))

    def _opened(self, gateway: GatewayEnd, request: int, outcome: Place | VoxfleetError) -> None:
        if isinstance(outcome, VoxfleetError):
            gateway.put(pb.Answer(refused=[messages.refused_of(request, outcome)]))
        elif gateway not in self._gateways:
            self._device.submit(Free((outcome,)))
        else:
            gateway.places.add(outcome)
            self._owner[outcome] = gateway
            gateway.put(pb.Answer(opened=[pb.Opened(request=request, place=outcome.key)]))

    def _give_back(self, gateway: GatewayEnd) -> None:
        for place in gateway.places:
            self._owner.pop(place, None)
        self._device.submit(Free(tuple(gateway.places)))
        gateway.places.clear()

    # ---- to gateways ------------------------------------------------------------------------------------------

    def _heard(self, outcomes: Iterable[Heard]) -> None:  # on the engine thread
        self._loop.call_soon_threadsafe(self._spread, list(outcomes))

    def _spread(self, outcomes: list[Heard]) -> None:
        answers: dict[GatewayEnd, pb.Answer] = {}
        for outcome in outcomes:
            gateway = self._owner.get(outcome.place)
            if gateway is None:
                continue
            answer = answers.setdefault(gateway, pb.Answer())
            if outcome.error is None:
                answer.heard.append(messages.heard_of(outcome.place, outcome.hypothesis))
            else:
                answer.failed.append(messages.failed_of(outcome.place, _engine_error(outcome.error)))
                del self._owner[outcome.place]
                gateway.places.discard(outcome.place)
        for gateway, answer in answers.items():
            gateway.put(answer)

    async def _write(self, gateway: GatewayEnd, context: "grpc.aio.ServicerContext[pb.Tick, pb.Answer]") -> None:
        while True:
            for answer in await gateway.taken():
                await context.write(answer)

    def _load(self) -> pb.Load:
        steps = self._device.log
        return pb.Load(
            places=self._info.places,
            taken=self._device.taken,
            chunk_ms=self._device.chunk_ms,
            draining=self.draining,
            step_p50=_percentile(steps.seconds, 50),
            step_p95=_percentile(steps.seconds, 95),
            batch_mean=float(np.mean(list(steps.batch))) if steps.batch else 0.0,
            queue_p95=_percentile(steps.queued, 95),
            steps=steps.steps,
            checks=steps.checks,
        )


def _engine_error(error: VoxfleetError) -> EngineError:
    return error if isinstance(error, EngineError) else EngineFailed(str(error))


def _percentile(values: Iterable[float], percent: float) -> float:
    listed = list(values)
    return float(np.percentile(listed, percent)) if listed else 0.0


async def serve(name: str, address: str, settings: LinkSettings, build: Callable[[], Engine]) -> None:
    """Serve one engine at `address` (`unix:/path` or `host:port`) until SIGTERM; raises EngineFailed when it breaks.

    On SIGTERM the worker refuses new streams, says so on its links, and ends when the last stream has left.
    """
    service = Service(name, settings)
    loop = asyncio.get_running_loop()
    info = await loop.run_in_executor(None, service.load, build)
    server = grpc.aio.server(options=channel_options(settings))
    link_pb2_grpc.add_LinkServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    server.add_insecure_port(address)
    await server.start()
    log.info("worker_ready", worker=name, model=info.name, places=info.places, device=info.device, pid=os.getpid())
    leaving = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, leaving.set)
    reporter = asyncio.create_task(service.report())
    try:
        await _drained(service, leaving, reporter)
    finally:
        reporter.cancel()
        await server.stop(0.5)
        await loop.run_in_executor(None, service.close)


async def _drained(service: Service, leaving: asyncio.Event, reporter: "asyncio.Task[None]") -> None:
    asked = asyncio.create_task(leaving.wait())
    await asyncio.wait({asked, reporter}, return_when=asyncio.FIRST_COMPLETED)
    if reporter.done():
        asked.cancel()
        reporter.result()
    service.draining = True
    while service.taken and not reporter.done():  # noqa: ASYNC110 - a poll of one integer, once
        await asyncio.sleep(0.05)
