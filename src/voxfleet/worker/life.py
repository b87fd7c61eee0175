"""A worker from start to end: door, engine, links, watch; and what makes it leave.

It leaves when a signal, a gateway, its door or a notice of preemption asks it to, and says by its ending whether it
shall be started again. A step that never ends can't be interrupted: the process ends itself then, its gateways replay.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import structlog

from voxfleet.cluster import credentials, link_pb2_grpc
from voxfleet.cluster.link import channel_options
from voxfleet.engines.port import Engine, EngineInfo
from voxfleet.errors import EngineFailed
from voxfleet.settings import ClusterSettings, LinkSettings, WorkerSettings
from voxfleet.worker import notice
from voxfleet.worker.door import Door, standing_open
from voxfleet.worker.leaving import Ending
from voxfleet.worker.service import Service

log = structlog.get_logger()

T = TypeVar("T")
Say = Callable[[Mapping[str, Any]], None]
BEAT_SECONDS = 1.0
WATCH_SECONDS = 0.25
CLOSE_SECONDS = 2.0
"""How long the engine may take to finish its step when everybody has left."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a worker is and where it serves: `address` is `unix:/path` or `host:port`."""

    name: str
    address: str
    worker: WorkerSettings
    link: LinkSettings
    cluster: ClusterSettings


async def serve(who: Identity, build: Callable[[], Engine], say: Say | None = None) -> Ending:
    """Serve one engine until it was asked to leave and has left.

    `say` is told {"ready": true, ...} once streams are welcome, then {"beat": steps} each second. SIGTERM (and SIGINT,
    unless it is ignored) asks to leave, the second time at once. Raises SettingsError where something can't be as set,
    EngineFailed when the engine breaks, and what `build` raises. Ends the process where a step is stuck.
    """
    source = notice.source_of(who.worker.preemption) if who.worker.preemption else None
    service = Service(who.name, who.link, who.worker)
    door = Door(service, who.worker, who.cluster.secret)
    with suppress(ValueError, RuntimeError):  # not in the main thread: whoever runs us there handles signals
        _obey_signals(service, who.worker.drain_seconds)
    async with standing_open(who.worker.http, door) if who.worker.http else nullcontext():
        info = await _loaded(service, build)
        if info is None:
            return service.leaving.ending
        async with _linked(service, who) as address:
            facts = {"worker": who.name, "model": info.name, "places": info.places, "address": address}
            log.info("worker_ready", device=info.device, pid=os.getpid(), **facts)
            watches = [asyncio.create_task(_watch_steps(service, who.worker.stuck_seconds))]
            if say is not None:
                say({"ready": True, "pid": os.getpid(), **facts})
                watches.append(asyncio.create_task(_beat(service, say)))
            if source is not None:
                watches.append(asyncio.create_task(_heed(service, source, who.worker.drain_seconds)))
            try:
                return await _until_left(service)
            finally:
                await _cancelled(*watches)


async def _until_left(service: Service) -> Ending:
    """Serve until everybody has left or the engine breaks."""
    reporting = asyncio.create_task(service.report())
    draining = asyncio.create_task(service.drained())
    try:
        await asyncio.wait({reporting, draining}, return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            try:
                reporting.result()
            except EngineFailed as error:
                if not service.draining:
                    raise
                log.error("engine_failed_while_leaving", worker=service.worker, error=str(error))
        elif cut := draining.result():
            log.warning("drain_deadline", worker=service.worker, tracks_cut=cut)
        else:
            log.info("worker_drained", worker=service.worker)
        return service.leaving.ending
    finally:
        await _cancelled(reporting, draining)


@asynccontextmanager
async def _linked(service: Service, who: Identity) -> AsyncIterator[str]:
    """Gateways can join within the block, at the address it gives; at its end their links end in good order and the
    engine is released."""
    guard = credentials.secret_guard(who.cluster)
    server = grpc.aio.server(interceptors=guard, options=channel_options(who.link))
    link_pb2_grpc.add_LinkServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    try:
        port = credentials.add_port(server, who.address, who.cluster)
        await server.start()
        yield who.address if who.address.startswith("unix:") else f"{who.address.rpartition(':')[0]}:{port}"
    finally:
        service.part()
        await server.stop(0.5)
        await _in_thread(lambda: service.close(CLOSE_SECONDS))


async def _loaded(service: Service, build: Callable[[], Engine]) -> EngineInfo | None:
    """What the engine offers, or None where the worker was asked to leave while it loaded: nothing waits for that."""
    loading = _in_thread(lambda: service.load(build))
    leaving = asyncio.create_task(service.leaving.asked.wait())
    either: set[asyncio.Future[Any]] = {loading, leaving}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return loading.result() if loading.done() else None
    finally:
        await _cancelled(leaving)


# ---- what makes it leave --------------------------------------------------------------------------------------------


def _obey_signals(service: Service, drain_seconds: float) -> None:
    heard: list[int] = []

    def leave(number: int) -> None:
        heard.append(number)
        seconds = drain_seconds if len(heard) == 1 else 0.0
        service.drain(seconds, replace=False, why=signal.Signals(number).name)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, leave, number)


async def _heed(service: Service, source: notice.Source, drain_seconds: float) -> None:
    """Leave once this machine is to be taken away: within what is left, or sooner."""
    found = await notice.wait_for(source)
    log.warning("preemption_notice", worker=service.worker, source=found.source, seconds=found.seconds)
    seconds = drain_seconds if found.seconds is None else min(drain_seconds, found.seconds)
    service.drain(seconds, replace=False, why="notice of preemption")


# ---- watch ----------------------------------------------------------------------------------------------------------


async def _beat(service: Service, say: Say) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        say({"beat": service.steps.steps})


async def _watch_steps(service: Service, stuck_seconds: float) -> None:
    """End the process where a step does not end. Time in which the process itself was stopped does not count."""
    loop = asyncio.get_running_loop()
    suspected = 0
    while True:
        before = loop.time()
        await asyncio.sleep(WATCH_SECONDS)
        stopped = loop.time() - before > 4 * WATCH_SECONDS
        suspected = suspected + 1 if service.stuck and not stopped else 0
        if suspected >= 2:
            log.error("worker_stuck", worker=service.worker, steps=service.steps.steps, stuck_seconds=stuck_seconds)
            sys.stderr.flush()
            os._exit(Ending.STUCK)


async def _cancelled(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _in_thread(work: Callable[[], T]) -> "asyncio.Future[T]":
    """The outcome of work on a daemon thread: unlike an executor's, nobody has to wait for it to end the process."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(result)  # type: ignore[arg-type]  # T may well be None
        else:
            outcome.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as failure:  # noqa: BLE001 - the thread ends here; who awaits the outcome raises it
            error = failure
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="worker-work", daemon=True).start()
    return outcome
