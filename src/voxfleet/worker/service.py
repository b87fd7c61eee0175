"""The worker's end of the links: gateways join, take places, and are told what was heard. Holds no truth of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

import grpc
import numpy as np
import structlog

from voxfleet.clock import SystemClock
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster import link_pb2_grpc, messages
from voxfleet.engines.port import Engine, EngineInfo, Heard
from voxfleet.errors import Draining, EngineError, EngineFailed, VoxfleetError
from voxfleet.scheduling.places import Place
from voxfleet.settings import LinkSettings, WorkerSettings
from voxfleet.worker.device import Device, Free, Hear, StepLog, Take
from voxfleet.worker.joined import GatewayEnd
from voxfleet.worker.leaving import Leaving

log = structlog.get_logger()

HELLO_REPORTS = 4
"""Every so many load reports carry the words of all gateways about themselves."""
TOLD_SECONDS = 1.0
"""How long a leaving worker waits for gateways to take its last words."""


class Service(link_pb2_grpc.LinkServicer):
    """Joins gateways to the device. Everything here runs on the event loop; the device has its own thread."""

    def __init__(self, worker: str, link: LinkSettings, settings: WorkerSettings | None = None) -> None:
        self.worker = worker
        self._clock = SystemClock()
        self.leaving = Leaving(self._clock)
        self.info: EngineInfo | None = None
        """What the engine offers; None until it is loaded."""
        self._settings = settings or WorkerSettings()
        self._link = link
        self._began = self._clock.now()
        self._gateways: set[GatewayEnd] = set()
        self._owner: dict[Place, GatewayEnd] = {}
        self._opening = 0
        self._closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._device: Device

    def load(self, build: Callable[[], Engine]) -> EngineInfo:
        """Load the engine on its own thread (call from another thread: it may take seconds)."""
        self._device = Device(
            build, self._heard, SystemClock(), self._link.stream_bound, utilisation=self._settings.utilisation
        )
        self.info = self._device.start()
        return self.info

    async def Join(  # noqa: N802 - the name in the .proto
        self,
        request_iterator: AsyncIterator[pb.Tick],
        context: "grpc.aio.ServicerContext[pb.Tick, pb.Answer]",
    ) -> None:
        """One gateway, until it leaves or this worker does; its places are freed then."""
        assert self.info is not None, "served before it was loaded"
        gateway = GatewayEnd()
        self._gateways.add(gateway)
        log.info("gateway_joined", worker=self.worker)
        welcome = messages.welcome_of(self.worker, self.info, self._settings.labels)
        gateway.put(pb.Answer(welcome=welcome, load=self.report_of(gateways=True)))
        reader = asyncio.create_task(self._read(gateway, request_iterator))
        writer = asyncio.create_task(self._write(gateway, context))
        ends = [asyncio.create_task(event.wait()) for event in (gateway.stalled, self._closed)]
        try:
            await asyncio.wait({reader, writer, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and (broken := reader.exception()) is not None:
                log.warning("gateway_broke_protocol", worker=self.worker, error=str(broken))
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(broken))
        finally:
            for task in (reader, writer, *ends):
                task.cancel()
            self._leave(gateway)  # before anything is awaited: gRPC may cancel us here, once more
            await asyncio.gather(reader, writer, *ends, return_exceptions=True)

    async def report(self) -> None:
        """Tell every gateway how loaded this worker is, until cancelled; ends with the error if the engine ends."""
        reports = decided = 0
        while True:
            await asyncio.sleep(self._link.report_ms / 1000)
            if not self._device.alive:
                raise EngineFailed(str(self._device.failure or "the engine thread ended"))
            reports += 1
            if self.decisions != decided:
                decided = self.decisions
                log.info("admission_changed", worker=self.worker, decision=self._device.decision)
            self._tell(gateways=reports % HELLO_REPORTS == 0)

    def drain(self, seconds: float, *, replace: bool, why: str) -> None:
        """Take no new streams and leave within `seconds`; gateways hear of it at once and move their streams."""
        if self.leaving.ask(seconds, replace=replace):
            log.info(
                "worker_draining", worker=self.worker, why=why, tracks=self.taken, deadline_seconds=self.leaving.left
            )
            if self.info is not None:
                self._tell()

    async def drained(self) -> int:
        """Once asked to drain: when the last track has left, or at the deadline, with the tracks that are still here.

        Gateways have then been told everything there was to tell.
        """
        await self.leaving.asked.wait()
        while self.taken and not self.leaving.over:  # noqa: ASYNC110 - a poll of one integer, once
            await asyncio.sleep(0.02)
        with suppress(TimeoutError):
            async with asyncio.timeout(TOLD_SECONDS):
                while not all(gateway.told for gateway in self._gateways):  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.005)
        return self.taken

    def part(self) -> None:
        """End every link in good order: what was written is still delivered."""
        self._closed.set()

    def close(self, wait_seconds: float = 10.0) -> None:
        """Release the engine; waits so long for the step that runs."""
        self._device.stop(wait_seconds)

    @property
    def taken(self) -> int:
        """Places held by gateways, and those that are being taken."""
        return len(self._owner) + self._opening

    @property
    def draining(self) -> bool:
        return self.leaving.asked.is_set()

    @property
    def steps(self) -> StepLog:
        """What recent steps cost; only of a loaded worker."""
        return self._device.log

    @property
    def decisions(self) -> int:
        """How often the number of streams it takes has changed; only of a loaded worker."""
        return self._device.decisions

    @property
    def stuck(self) -> bool:
        """The present step has lasted longer than any step may."""
        device = self._device if self.info is not None else None
        return device is not None and device.alive and device.stuck_for() > self._settings.stuck_seconds

    @property
    def state(self) -> str:
        """loading, ready, draining, stuck or failed."""
        if self.info is None:
            return "loading"
        if not self._device.alive:
            return "failed"
        if self.stuck:
            return "stuck"
        return "draining" if self.draining else "ready"

    # ---- from gateways ----------------------------------------------------------------------------------------

    async def _read(self, gateway: GatewayEnd, ticks: AsyncIterator[pb.Tick]) -> None:
        async for tick in ticks:
            if tick.HasField("hello"):
                self._meet(gateway, tick.hello)
            if tick.HasField("drain"):
                seconds = tick.drain.seconds or self._settings.drain_seconds
                self.drain(seconds, replace=tick.drain.replace, why="a gateway asked")
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

    def _meet(self, gateway: GatewayEnd, hello: pb.Hello) -> None:
        new = gateway.hello is None
        gateway.hello = hello
        if new:
            self._tell(gateways=True)

    def _open(self, gateway: GatewayEnd, opening: pb.Open) -> None:
        if self.draining:
            gateway.put(pb.Answer(refused=[messages.refused_of(opening.request, Draining())]))
            return

        def answer(outcome: Place | VoxfleetError) -> None:  # on the engine thread
            self._loop.call_soon_threadsafe(self._opened, gateway, opening.request, outcome)

        self._opening += 1
        self._device.submit(Take(messages.options_of(opening), answer))

    def _opened(self, gateway: GatewayEnd, request: int, outcome: Place | VoxfleetError) -> None:
        self._opening -= 1
        if isinstance(outcome, VoxfleetError):
            gateway.put(pb.Answer(refused=[messages.refused_of(request, outcome)]))
        elif gateway not in self._gateways:
            self._device.submit(Free((outcome,)))
        else:
            gateway.places.add(outcome)
            self._owner[outcome] = gateway
            gateway.put(pb.Answer(opened=[pb.Opened(request=request, place=outcome.key)]))

    def _leave(self, gateway: GatewayEnd) -> None:
        self._gateways.discard(gateway)
        for place in gateway.places:
            self._owner.pop(place, None)
        self._device.submit(Free(tuple(gateway.places)))
        gateway.places.clear()
        if gateway.hello is not None:
            self._tell(gateways=True)
        log.info("gateway_left", worker=self.worker)

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
            gateway.sent()

    def _tell(self, *, gateways: bool = False) -> None:
        if self._gateways:
            answer = pb.Answer(load=self.report_of(gateways=gateways))
            for gateway in self._gateways:
                gateway.put(answer)

    def report_of(self, *, gateways: bool = False) -> pb.Load:
        """How this worker fares now, on request with all gateways joined to it; only of a loaded worker."""
        assert self.info is not None
        device, steps = self._device, self._device.log
        return pb.Load(
            places=self.info.places,
            taken=device.taken,
            capacity=device.capacity,
            utilisation=device.utilisation,
            recorded_paused=device.recorded_paused,
            chunk_ms=device.chunk_ms,
            draining=self.draining,
            drain_left=self.leaving.left,
            uptime=self._clock.now() - self._began,
            step_p50=_percentile(steps.seconds, 50),
            step_p95=_percentile(steps.seconds, 95),
            batch_mean=float(np.mean(list(steps.batch))) if steps.batch else 0.0,
            queue_p95=_percentile(steps.queued, 95),
            steps=steps.steps,
            checks=steps.checks,
            gateways=[gateway.hello for gateway in self._gateways if gateway.hello is not None] if gateways else (),
        )


def _engine_error(error: VoxfleetError) -> EngineError:
    return error if isinstance(error, EngineError) else EngineFailed(str(error))


def _percentile(values: Iterable[float], percent: float) -> float:
    listed = list(values)
    return float(np.percentile(listed, percent)) if listed else 0.0
