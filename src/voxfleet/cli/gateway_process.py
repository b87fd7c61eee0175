"""A gateway as a process: of a supervisor, `python -m voxfleet.cli.gateway_process`, or alone, `voxfleet gateway`.

Supervised it reads its settings and its workers' addresses from VOXFLEET_RESOLVED (JSON), tells on standard output, in
lines of JSON, its port, when it serves, which workers it reaches, and a beat each second; and it serves until SIGTERM
or until its parent is gone.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from types import FrameType

import uvloop

from voxfleet import lifeline
from voxfleet import settings as settings_module
from voxfleet.cli.cores import stay_on
from voxfleet.console.routes import routes
from voxfleet.errors import SettingsError, VoxfleetError
from voxfleet.gateway.app import Gateway
from voxfleet.gateway.server import DrainingServer, listen, server
from voxfleet.settings import GatewaySettings, Settings
from voxfleet.telemetry import logs, tracing

BEAT_SECONDS = 1.0
LOOK_SECONDS = 0.05
"""How often we look whether something has changed that the supervisor waits for."""


def main() -> int:
    resolved = json.loads(os.environ["VOXFLEET_RESOLVED"])
    settings = settings_module.from_dict(resolved["settings"])
    name = resolved.get("name", "gateway")
    logs.configure(settings.telemetry, name)
    lifeline.end_with_parent()
    try:
        if cores := settings.gateway.cores:
            stay_on([cores[resolved.get("number", 0) % len(cores)]])
        shared = resolved.get("shared", False)
        listener = _listener(settings.gateway, shared=shared)
        lifeline.say({"port": listener.getsockname()[1]})
        gateway = _gateway(
            settings,
            listener,
            name,
            resolved["workers"],
            open_to_loopback=resolved.get("open_to_loopback", True),
        )
    except VoxfleetError as error:
        lifeline.say({"error": str(error), "code": error.code})
        return 1
    _run(gateway, listener, settings.gateway, shared=shared, supervised=True)
    return 0


def serve_alone(settings: Settings, name: str = "") -> int:
    """A gateway without a supervisor, for the workers `settings.cluster` names, until SIGTERM or Ctrl-C.

    Raises SettingsError where it can't listen or can't be what the settings say.
    """
    stay_on(settings.gateway.cores[:1])
    listener = _listener(settings.gateway, shared=False)
    name = name or settings.gateway.name or f"{socket.gethostname()}:{listener.getsockname()[1]}"
    logs.configure(settings.telemetry, name)
    gateway = _gateway(settings, listener, name, {}, open_to_loopback=not settings.cluster.secret)
    print(f"Voxfleet gateway '{name}' listens on http://{gateway.address}", file=sys.stderr, flush=True)  # noqa: T201
    _run(gateway, listener, settings.gateway, shared=False, supervised=False)
    return 0


def _gateway(
    settings: Settings, listener: socket.socket, name: str, workers: Mapping[str, str], *, open_to_loopback: bool
) -> Gateway:
    return Gateway(
        settings,
        workers,
        tracing.configured(settings.telemetry),
        routes(),
        name=name,
        address=_address(settings.gateway, listener),
        open_to_loopback=open_to_loopback,
    )


def _run(
    gateway: Gateway, listener: socket.socket, settings: GatewaySettings, *, shared: bool, supervised: bool
) -> None:
    allow_many_sockets()
    sys.setswitchinterval(0.001)  # the detection thread waits for the interpreter after every call of the model
    gc.set_threshold(50_000, 5, 4)  # calls are freed without it; at most a million objects of odd ends are left behind
    gc.freeze()  # what was loaded so far lives as long as the process: no collection needs to look at it again
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    running = server(gateway.app, gateway.live, settings, gateway.others, shared=shared)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(running, listener, gateway, supervised=supervised))


async def _serve(running: DrainingServer, listener: socket.socket, gateway: Gateway, *, supervised: bool) -> None:
    beating = asyncio.create_task(_beat(running, gateway)) if supervised else None
    try:
        await running.serve(sockets=[listener])
    finally:
        if beating is not None:
            beating.cancel()


async def _beat(running: DrainingServer, gateway: Gateway) -> None:
    """Tell that we serve, which workers we reach whenever that changes, and each second that the event loop turns."""
    loop = asyncio.get_running_loop()
    beats, next_beat = 0, loop.time()
    linked: dict[str, int] | None = None
    while True:
        now = {name: link.pid for name, link in gateway.pool.links.items() if link.state == "ready"}
        if running.started and now != linked:
            linked = now
            lifeline.say({"ready": True, "linked": linked})
        if loop.time() >= next_beat:
            beats += 1
            next_beat = loop.time() + BEAT_SECONDS
            lifeline.say({"beat": beats})
        await asyncio.sleep(LOOK_SECONDS)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Before the server listens to signals, and when it sends us the one that ended it."""
    raise SystemExit(0)


def _listener(settings: GatewaySettings, *, shared: bool) -> socket.socket:
    try:
        return listen(settings, shared=shared)
    except OSError as error:
        raise SettingsError(f"can't listen on {settings.host}:{settings.port}: {error.strerror}") from None


def _address(settings: GatewaySettings, listener: socket.socket) -> str:
    """Shown to operators: where we listen; the machine's name where that is everywhere."""
    host = socket.gethostname() if settings.host in ("0.0.0.0", "::") else settings.host
    return f"[{host}]:{listener.getsockname()[1]}" if ":" in host else f"{host}:{listener.getsockname()[1]}"


def allow_many_sockets() -> None:
    """As many open sockets as the system lets us have: shells often start programs with only 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
