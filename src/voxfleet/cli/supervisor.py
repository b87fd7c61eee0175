"""Who watches the processes of one machine: starts its gateways and workers, kills what hangs, replaces them in turn.

A process that dies before everything was ready is a failed start, with its own words; later it is started again as
`cli/child` rules. Leaving: the gateways drain first, all together, then the workers go.
"""

import asyncio
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from voxfleet import settings as settings_module
from voxfleet.cli.child import Child
from voxfleet.errors import EngineFailed, SettingsError
from voxfleet.serving import catalog
from voxfleet.settings import GatewaySettings, Settings

log = structlog.get_logger()

KILL_SECONDS = 5.0
"""How long a process may take to leave beyond its own deadline."""
WATCH_SECONDS = 0.25
"""How often silence is counted. Time in which we were stopped ourselves, by more than this, counts for nothing."""


class Fleet:
    """The processes of one machine while they run.

    Gateways are called gateway-0, gateway-1 and so on, and share the port; with a single one it is theirs alone.
    """

    def __init__(self, settings: Settings, directory: Path) -> None:
        """Raises SettingsError for workers without distinct names."""
        self.settings = settings
        self.url = ""
        self._news = asyncio.Condition()
        self._replacing = False
        names = worker_names(settings)
        addresses = {name: f"unix:{directory / name}.sock" for name in names}
        self._told: dict[str, Any] = json.loads(settings_module.to_json(_trusting(_shared_out(settings))))
        self.workers = [
            self._child(name, "worker", {"address": addresses[name], "number": number})
            for number, name in enumerate(names)
        ]
        count = settings.supervisor.gateways
        self.gateways = [
            self._child(
                name,
                "gateway",
                {
                    "workers": addresses,
                    "number": number,
                    "shared": count > 1,
                    "open_to_loopback": not settings.cluster.secret,  # nobody can name a secret we made
                },
            )
            for number, name in enumerate(gateway_names(settings))
        ]

    def _child(self, name: str, kind: str, told: dict[str, Any]) -> Child:
        return Child(
            name,
            f"voxfleet.cli.{kind}_process",
            {"settings": self._told, "name": name, **told},
            self.settings.supervisor,
            self._news,
            may_be_drained=kind == "worker",
        )

    @property
    def children(self) -> list[Child]:
        return [*self.workers, *self.gateways]

    def listen_at(self, port: int) -> None:
        """Every gateway started from now on listens on this port."""
        self._told["gateway"]["port"] = port

    async def ready(self) -> None:
        """Wait until streams are welcome. Raises SettingsError or EngineFailed in the words of who failed."""
        seconds = self.settings.supervisor.ready_seconds
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: self._failed() or self._whole())
        except TimeoutError:
            raise EngineFailed(f"not ready within {seconds:g} s (supervisor.ready_seconds)") from None
        if failed := self._failed():
            words = failed.failure or {}
            if words.get("code") == SettingsError.code:
                raise SettingsError(words["error"])
            raise EngineFailed(words["error"])
        port = self.gateways[0].said["port"]
        self.listen_at(port)  # a restarted one listens there again
        self.url = url_of(self.settings.gateway, port)

    async def watch(self) -> None:
        """Kill what hangs, until cancelled."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = loop.time()
            for child in self.children:
                child.watched(min(now - before, 2 * WATCH_SECONDS))
            before = now

    async def replace_all(self) -> bool:
        """Replace every process, one at a time, workers first; one that was drained is started again.

        The next one goes only when all are there and know each other; where that does not come to pass the rest stay
        as they are. A single gateway stays: nobody could take its callers. Whether all were replaced; False also while
        this is going on already.
        """
        if self._replacing:
            log.warning("replacement_refused", reason="one is going on")
            return False
        self._replacing = True
        try:
            turns = [(child, self.settings.workers[i].drain_seconds) for i, child in enumerate(self.workers)]
            if len(self.gateways) > 1:
                turns += [(child, self.settings.gateway.drain_seconds) for child in self.gateways]
            log.info("replacement", processes=len(turns))
            for child, drain_seconds in turns:
                lives = child.lives
                await child.replace(drain_seconds + KILL_SECONDS)
                if not await self._back(child, lives):
                    log.warning("replacement_stopped", name=child.name, reason="the new process is not ready")
                    return False
            log.info("replacement_done")
            return True
        finally:
            self._replacing = False

    async def leave(self) -> None:
        """Drain the gateways, then end the workers."""
        within = self.settings.gateway.drain_seconds + KILL_SECONDS
        await asyncio.gather(*(gateway.leave(within) for gateway in self.gateways))
        await asyncio.gather(*(worker.leave(KILL_SECONDS) for worker in self.workers))

    async def _back(self, child: Child, lives: int) -> bool:
        """Whether it came back, after its life number `lives`, into a whole fleet in good time."""
        try:
            async with asyncio.timeout(self.settings.supervisor.ready_seconds), self._news:
                await self._news.wait_for(lambda: child.lives > lives and self._whole())
        except TimeoutError:
            return False
        return True

    def _failed(self) -> Child | None:
        return next((child for child in self.children if child.failure is not None), None)

    def _whole(self) -> bool:
        """Every process that nobody drained is ready, and every gateway reaches each of these workers, or does not say."""
        up = [worker for worker in self.workers if worker.state != "drained"]
        if any(child.state != "ready" for child in (*up, *self.gateways)):
            return False
        pids = {worker.name: worker.pid for worker in up}
        return all(pids.items() <= gateway.said.get("linked", pids).items() for gateway in self.gateways)


@asynccontextmanager
async def fleet(settings: Settings) -> AsyncIterator[Fleet]:
    """The processes of `settings`, ready for streams within the block. Raises SettingsError or EngineFailed."""
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="voxfleet-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        processes = Fleet(settings, directory)
        if len(processes.gateways) > 1:
            processes.listen_at(_reserved_port(settings.gateway, stack))
        running = [asyncio.create_task(child.run(), name=child.name) for child in processes.children]
        running.append(asyncio.create_task(processes.watch(), name="watch"))
        try:
            await processes.ready()
            yield processes
        finally:
            await processes.leave()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


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
        workers = (replace(workers[0], model=model, device="", options={}),)
    return replace(settings, workers=tuple(replace(worker, places=worker.places or places) for worker in workers))


def with_workers(settings: Settings, count: int) -> Settings:
    """The settings with so many workers like their only one. Raises SettingsError where they list several."""
    if len(settings.workers) > 1:
        raise SettingsError(
            f"--workers {count} multiplies a single worker, but the settings list {len(settings.workers)}: "
            "list all of them there, or only one"
        )
    (worker,) = settings.workers
    if worker.name and count > 1:
        workers = tuple(replace(worker, name=f"{worker.name}-{number}") for number in range(count))
    else:
        workers = (worker,) * count
    return replace(settings, workers=workers)


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
        worker.name or f"{catalog.short_name(worker.model)}-{number}" for number, worker in enumerate(settings.workers)
    ]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"two workers are called '{name}'")
        if not all(c.isalnum() or c in "-_." for c in name) or len(name) > 40:
            raise SettingsError(f"'{name}' is no name for a worker: letters, digits, '-', '_', '.', 40 at most")
    return names


def gateway_names(settings: Settings) -> list[str]:
    """A name for each gateway: that of the settings, numbered where there are several, or gateway-0 and so on."""
    name, count = settings.gateway.name, settings.supervisor.gateways
    return [name] if name and count == 1 else [f"{name or 'gateway'}-{number}" for number in range(count)]


def url_of(settings: GatewaySettings, port: int) -> str:
    """How a browser on this machine reaches the gateway."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _shared_out(settings: Settings) -> Settings:
    """The embedded engine takes a whole machine for its own: several workers of it get their part each."""
    embedded = [worker for worker in settings.workers if worker.model == "embedded"]
    if len(embedded) < 2:
        return settings
    from voxfleet.serving.catalog import part_of_machine

    places, options = part_of_machine(len(embedded), sum(worker.places for worker in embedded))
    return replace(
        settings,
        workers=tuple(
            replace(worker, places=worker.places or places, options=options | worker.options)
            if worker.model == "embedded"
            else worker
            for worker in settings.workers
        ),
    )


def _trusting(settings: Settings) -> Settings:
    """With a secret, made where none is set: a gateway that was started again honours the tokens of the dead one."""
    secret = settings.cluster.secret or secrets.token_hex(32)
    return replace(settings, cluster=replace(settings.cluster, secret=secret))


def _reserved_port(settings: GatewaySettings, stack: ExitStack) -> int:
    """The port for several gateways, kept for them as long as `stack` by a socket that never listens.

    Asked for alone first: otherwise a second fleet would quietly share the port of the first. Raises SettingsError.
    """
    from voxfleet.gateway.server import listen

    try:
        with listen(settings) as alone:
            port = int(alone.getsockname()[1])
        stack.enter_context(listen(replace(settings, port=port), shared=True))
    except OSError as error:
        raise SettingsError(f"can't listen on {settings.host}:{settings.port}: {error.strerror}") from None
    return port
