"""Who watches the processes of one machine: starts one gateway and its workers, restarts what dies, ends them in order.

A process that dies before everything was ready is a failed start, with its own words; later it is started again, each
time after a longer wait. Leaving: the gateway drains first, then the workers go.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from voxfleet import settings as settings_module
from voxfleet.errors import EngineFailed, SettingsError
from voxfleet.settings import GatewaySettings, Settings, SupervisorSettings

log = structlog.get_logger()

STEADY_SECONDS = 30.0
"""A process that lived so long was healthy: the next wait is the first one again."""
KILL_SECONDS = 5.0
"""How long a process may take to leave beyond its own deadline."""


class Child:
    """One process that shall be running. `resolved` is what it is told through VOXFLEET_RESOLVED."""

    def __init__(self, name: str, module: str, resolved: dict[str, Any], patience: SupervisorSettings) -> None:
        self.name = name
        self.resolved = resolved
        self.first_words: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        """The first line of JSON it prints: the gateway's port, or the reason why it can't start."""
        self._module = module
        self._patience = patience
        self._process: asyncio.subprocess.Process | None = None
        self._leaving = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Keep it running until `leave`."""
        wait = self._patience.restart_first
        while not self._leaving.is_set():
            started = asyncio.get_running_loop().time()
            code = await self._live()
            if self._leaving.is_set():
                return
            if asyncio.get_running_loop().time() - started > STEADY_SECONDS:
                wait = self._patience.restart_first
            log.warning("process_died", name=self.name, exit_code=code, restart_in=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._patience.restart_most)

    async def _live(self) -> int:
        environment = {k: v for k, v in os.environ.items() if k not in settings_module.OTHER_VARIABLES}
        environment["VOXFLEET_RESOLVED"] = json.dumps(self.resolved)
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,  # its lifeline: held open as long as we live
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches us alone; we decide who leaves when
        )
        assert process.stdout is not None
        async for line in process.stdout:
            if not self.first_words.done() and line.startswith(b"{"):
                self.first_words.set_result(json.loads(line))
        code = await process.wait()
        if not self.first_words.done():
            self.first_words.set_result({"error": f"{self.name} ended with exit code {code} before it was ready"})
        return code

    async def leave(self, within: float) -> None:
        """SIGTERM, and SIGKILL if it is still there after `within` seconds."""
        self._leaving.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await process.wait()
        except TimeoutError:
            log.warning("process_killed", name=self.name)
            process.kill()
            await process.wait()


class Fleet:
    """The processes of one machine while they run."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        names = worker_names(settings)
        addresses = {name: f"unix:{directory / name}.sock" for name in names}
        told = json.loads(settings_module.to_json(settings))
        self.workers = [
            Child(
                name,
                "voxfleet.cli.worker_process",
                {"settings": told, "name": name, "address": addresses[name], "number": number},
                settings.supervisor,
            )
            for number, name in enumerate(names)
        ]
        self.gateway = Child(
            "gateway", "voxfleet.cli.gateway_process", {"settings": told, "workers": addresses}, settings.supervisor
        )
        self.url = ""

    async def ready(self) -> None:
        """Wait until streams are welcome. Raises SettingsError or EngineFailed in the words of who failed."""
        words = await self.gateway.first_words
        if "error" in words:
            raise SettingsError(words["error"])
        gateway = self.settings.gateway
        self.gateway.resolved["settings"]["gateway"]["port"] = words["port"]  # a restarted one listens there again
        self.url = url_of(gateway, words["port"])
        answering = asyncio.create_task(_answers(gateway, words["port"]))
        failing = [asyncio.create_task(_failure(worker)) for worker in self.workers]
        try:
            async with asyncio.timeout(self.settings.supervisor.ready_seconds):
                done, _ = await asyncio.wait([answering, *failing], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            seconds = self.settings.supervisor.ready_seconds
            raise EngineFailed(f"not ready within {seconds:g} s (supervisor.ready_seconds)") from None
        finally:
            for task in (answering, *failing):
                task.cancel()
            await asyncio.gather(answering, *failing, return_exceptions=True)
        for task in done:
            task.result()

    async def leave(self) -> None:
        """Drain the gateway, then end the workers."""
        await self.gateway.leave(self.settings.gateway.drain_seconds + KILL_SECONDS)
        await asyncio.gather(*(worker.leave(KILL_SECONDS) for worker in self.workers))


@asynccontextmanager
async def fleet(settings: Settings) -> AsyncIterator[Fleet]:
    """The processes of `settings`, ready for streams within the block. Raises SettingsError or EngineFailed."""
    directory = Path(tempfile.mkdtemp(prefix="voxfleet-"))
    try:
        processes = Fleet(settings, directory)
        running = [asyncio.create_task(child.run()) for child in (*processes.workers, processes.gateway)]
        try:
            await processes.ready()
            yield processes
        finally:
            await processes.leave()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def private_server(settings: Settings) -> AsyncIterator[str]:
    """A server for this process alone, on a free port of this machine; gives its base URL."""
    gateway = replace(settings.gateway, host="127.0.0.1", port=0, drain_seconds=0.0)
    telemetry = replace(settings.telemetry, log_level="error")
    async with fleet(replace(settings, gateway=gateway, telemetry=telemetry)) as processes:
        yield processes.url


def with_model(settings: Settings, model: str | None, places: int = 0) -> Settings:
    """The settings, with a worker of that model where none serves it, and with so many places where none are set."""
    workers = settings.workers
    if model is not None and all(worker.model != model for worker in workers):
        workers = (replace(workers[0], model=model, options={}),)
    return replace(settings, workers=tuple(replace(worker, places=worker.places or places) for worker in workers))


@asynccontextmanager
async def server_at(url: str | None, settings: Settings, note: Callable[[str], None]) -> AsyncIterator[str]:
    """The server at `url`, or where there is none a private one that lives as long as the context.

    `note` is told what takes time. Raises SettingsError or EngineError where the private server does not come up.
    """
    if url:
        yield url
        return
    note("starting a private server")
    async with private_server(settings) as address:
        note("")
        yield address


def worker_names(settings: Settings) -> list[str]:
    """A distinct name for each worker: its own, or its model and a number. Raises SettingsError for doubles."""
    names = [
        worker.name or f"{worker.model.rpartition(':')[2].rpartition('/')[2]}-{number}"
        for number, worker in enumerate(settings.workers)
    ]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"two workers are called '{name}'")
        if not all(c.isalnum() or c in "-_." for c in name) or len(name) > 40:
            raise SettingsError(f"'{name}' is no name for a worker: letters, digits, '-', '_', '.', 40 at most")
    return names


def url_of(settings: GatewaySettings, port: int) -> str:
    """How a browser on this machine reaches the gateway."""
    host = _near(settings.host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _near(host: str) -> str:
    """The address on this machine of a gateway that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


async def _failure(worker: Child) -> None:
    words = await worker.first_words
    if words.get("code") == SettingsError.code:
        raise SettingsError(words["error"])
    raise EngineFailed(words.get("error", "the worker ended"))


async def _answers(settings: GatewaySettings, port: int) -> None:
    """Return once GET /readyz is answered with 200."""
    host = _near(settings.host)
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: voxfleet\r\nConnection: close\r\n\r\n")
            status = await reader.readline()
            writer.close()
            await writer.wait_closed()
            if b" 200 " in status:
                return
        except OSError:
            pass
        await asyncio.sleep(0.05)
