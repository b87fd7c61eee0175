"""The fleets that faults are tried on: `voxfleet serve` with several workers, or gateways and workers started one by one."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.faults.account import Fault
from tests.faults.callers import undisturbed
from tests.faults.calls import Call
from tests.server import FAKE, REPOSITORY, Server, serving
from voxfleet import settings as settings_module
from voxfleet.wire.native import FinalMessage

WORKER, GATEWAY = "voxfleet.cli.worker_process", "voxfleet.cli.gateway_process"
TALKATIVE = {"words_per_second": 10.0, "digest": True}
"""A word each 100 ms, so that partials follow the audio closely, and a checksum of every turn's samples in its final."""


def fake_workers(count: int, places: int, **options: Any) -> list[dict[str, Any]]:
    """Workers w0, w1, … with the scripted engine."""
    return [{"model": FAKE, "name": f"w{n}", "places": places, "options": TALKATIVE | options} for n in range(count)]


def sections(**more: Any) -> dict[str, Any]:
    """Settings for tests of faults: any sound is speech, partials are frequent, a dead process is back at once."""
    base: dict[str, Any] = {
        "vad": {"model": "level"},
        "turn": {"partial_interval_ms": 100},
        "supervisor": {"restart_first": 0.1, "restart_most": 0.5},
        "telemetry": {"log_level": "info", "log_format": "json"},
    }
    for name, section in more.items():
        base[name] = base.get(name, {}) | section if isinstance(section, Mapping) else section
    return base


def named(server: Server, module: str) -> dict[str, int]:
    """Processes of this server that run `module`: pid by name."""
    pids = set(server.pids(module))
    return {name: pid for name, pid in server.named().items() if pid in pids}


def hit(server: Server, worker: str) -> frozenset[str] | None:
    """Sessions that have a place at this worker now, or None where the status does not tell."""
    live = server.status()["live"]
    if any("workers" not in call for call in live):
        return None
    return frozenset(call["session"] for call in live if worker in call["workers"])


async def struck(server: Server, worker: str, kind: signal.Signals) -> Fault:
    """Send the worker this signal, and say who sat there."""
    pid = (await asyncio.to_thread(named, server, WORKER))[worker]
    sessions = await asyncio.to_thread(hit, server, worker)
    os.kill(pid, kind)
    return Fault(f"{kind.name} {worker}", time.monotonic(), sessions)


async def until(server: Server, condition: Callable[[Any], bool], seconds: float = 30.0) -> Any:
    """The first status that meets the condition, without holding up the callers of this process."""
    return await asyncio.to_thread(server.wait, condition, seconds)


async def all_ready(server: Server, workers: int) -> Any:
    return await until(server, lambda s: sum(w["state"] == "ready" for w in s["workers"]) == workers)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(directory: Path, module: str, resolved: dict[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """One process as a supervisor would start it; killed at the end if it is still there."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXFLEET_")}
    environment |= {"PYTHONPATH": str(REPOSITORY), "VOXFLEET_RESOLVED": json.dumps(resolved)}
    with (directory / f"{resolved['name']}.log").open("a") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()
        for pipe in (started.stdin, started.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def worker(
    directory: Path, name: str, port: int, places: int, module: str = WORKER
) -> Iterator["subprocess.Popen[str]"]:
    """A worker alone, at a TCP port of this machine."""
    told = _told(workers=[fake_workers(1, places)[0] | {"name": name}])
    resolved = {"settings": told, "name": name, "address": f"127.0.0.1:{port}", "number": 0}
    with process(directory, module, resolved) as started:
        yield started


@asynccontextmanager
async def gateway(
    directory: Path, name: str, workers: Mapping[str, str], module: str = GATEWAY, **more: Any
) -> AsyncIterator[Server]:
    """A gateway alone, that knows the workers by name and address; ready for streams."""
    told = _told(gateway={"port": 0, "drain_seconds": 5.0} | more.pop("gateway", {}), **more)
    resolved = {"settings": told, "workers": dict(workers), "name": name, "shared": False}
    with process(directory, module, resolved) as started:
        pipe = started.stdout
        assert pipe is not None
        while not (line := await asyncio.to_thread(pipe.readline)).startswith('{"port"'):
            assert line, f"the gateway did not start: {(directory / f'{name}.log').read_text()[-2_000:]}"
        server = Server(f"http://127.0.0.1:{json.loads(line)['port']}", started)
        await _answering(server)
        await all_ready(server, len(workers))
        yield server


async def reference(calls: Sequence[Call]) -> dict[Call, tuple[FinalMessage, ...]]:
    """What these calls say on a fleet that nothing happens to."""
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as directory:
        plain = sections(workers=fake_workers(2, 40))
        async with started(Path(directory), plain) as server:
            return await undisturbed(server.url, calls)


@asynccontextmanager
async def started(directory: Path, settings: Mapping[str, Any]) -> AsyncIterator[Server]:
    """`voxfleet serve` with all its processes, started and stopped without holding up this loop."""
    running = serving(directory, **settings)
    server = await asyncio.to_thread(running.__enter__)
    try:
        yield server
    except BaseException as error:
        await asyncio.to_thread(running.__exit__, type(error), error, error.__traceback__)
        raise
    else:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def _answering(server: Server) -> None:
    """The port is chosen a moment before anybody answers there."""
    for _ in range(100):
        with suppress(URLError):
            await asyncio.to_thread(server.status)
            return
        await asyncio.sleep(0.1)


def _told(**more: Any) -> dict[str, Any]:
    return dict(json.loads(settings_module.to_json(settings_module.from_dict(sections(**more)))))
