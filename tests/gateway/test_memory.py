"""A call is freed when it ends, however it ends: nothing of it waits for a search for cycles, which hardly ever comes."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import uvloop

from tests.cluster.conftest import WorkerMaker, worker
from tests.fakes.fake_engine import FakeEngine
from voxfleet.client import RemoteError, StreamOptions, connect
from voxfleet.gateway.app import Gateway
from voxfleet.gateway.server import listen, server
from voxfleet.settings import from_dict
from voxfleet.telemetry import tracing

__all__ = ["worker"]

ROOMS = ("voxfleet.gateway", "voxfleet.serving", "voxfleet.streams", "voxfleet.cluster", "voxfleet.audio", "uvicorn")
PCM = np.random.default_rng(1).normal(0, 3_000, 8_000).astype("<i2").tobytes() + bytes(32_000)


@asynccontextmanager
async def gateway_at(tmp_path: Path, worker: WorkerMaker) -> AsyncIterator[str]:
    """A gateway in this process, where its objects can be counted."""
    settings = from_dict({"gateway": {"port": 0, "drain_seconds": 0.0}, "vad": {"model": "level"}})
    listener = listen(settings.gateway)
    gateway = Gateway(settings, {"w": f"unix:{tmp_path}/w.sock"}, tracing.configured(settings.telemetry))
    running = server(gateway.app, gateway.live, settings.gateway)
    async with worker("w", FakeEngine(places=2)):
        serving = asyncio.create_task(running.serve(sockets=[listener]))
        async with asyncio.timeout(20):
            while not gateway.pool.ready:
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.should_exit = True
        await serving


async def finishes(url: str) -> None:
    async with connect(url, resume=False) as stream:
        await stream.send(PCM)
        await stream.finish()
        assert [message async for message in stream][-1]


async def leaves(url: str) -> None:
    async with connect(url, resume=False) as stream:
        await stream.send(PCM)


async def fails(url: str) -> None:
    async with connect(url, resume=False) as stream:
        await stream._connection._socket.send("nonsense")
        with suppress(RemoteError):
            await stream.receive()


async def is_refused(url: str) -> None:
    with suppress(RemoteError):
        async with connect(url, StreamOptions(channels=3), resume=False):
            pass


@pytest.mark.parametrize("call", [finishes, leaves, fails, is_refused])
def test_nothing_is_left_of_a_call(tmp_path: Path, worker: WorkerMaker, call: Callable[[str], Awaitable[None]]) -> None:
    async def calls() -> Counter[str]:
        async with gateway_at(tmp_path, worker) as url:
            for _ in range(2):  # what is loaded and remembered once
                await call(url)
            await asyncio.sleep(0.3)
            gc.collect()
            gc.disable()
            try:
                for _ in range(5):
                    await call(url)
                await asyncio.sleep(0.3)
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                return Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.garbage)
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the loop a gateway runs on
        found = runner.run(calls())
    left = {name: count for name, count in found.items() if name.startswith(ROOMS)}
    assert not left, left
