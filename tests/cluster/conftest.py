"""A real worker on a real socket, in this process's event loop, with the scripted engine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tests.fakes.fake_engine import FakeEngine
from voxfleet.cluster import link_pb2_grpc
from voxfleet.cluster.link import channel_options
from voxfleet.settings import LinkSettings
from voxfleet.worker.service import Service

WorkerMaker = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def worker(tmp_path: Path) -> WorkerMaker:
    """`async with worker("name", FakeEngine(...)) as service:`; its address is unix:{tmp_path}/name.sock."""

    @asynccontextmanager
    async def start(name: str, engine: FakeEngine, settings: LinkSettings | None = None) -> AsyncIterator[Service]:
        settings = settings or LinkSettings(report_ms=50)
        service = Service(name, settings)
        await asyncio.get_running_loop().run_in_executor(None, service.load, lambda: engine)
        server = grpc.aio.server(options=channel_options(settings))
        link_pb2_grpc.add_LinkServicer_to_server(service, server)
        server.add_insecure_port(f"unix:{tmp_path}/{name}.sock")
        await server.start()
        reporter = asyncio.create_task(service.report())
        try:
            yield service
        finally:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
            await server.stop(0)
            service.close()

    return start
