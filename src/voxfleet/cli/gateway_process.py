"""A gateway as a process of its own: `python -m voxfleet.cli.gateway_process`, started by the supervisor.

Reads its settings and its workers' addresses from VOXFLEET_RESOLVED (JSON), prints the port it listens on as one line
of JSON on standard output, and serves until SIGTERM or until its parent is gone.
"""

import asyncio
import gc
import json
import os
import resource
import sys

import uvloop

from voxfleet import lifeline
from voxfleet import settings as settings_module
from voxfleet.console.routes import routes
from voxfleet.gateway.app import Gateway
from voxfleet.gateway.server import listen, server
from voxfleet.telemetry import logs, tracing


def main() -> int:
    resolved = json.loads(os.environ["VOXFLEET_RESOLVED"])
    settings = settings_module.from_dict(resolved["settings"])
    logs.configure(settings.telemetry, "gateway")
    lifeline.end_with_parent()
    try:
        listener = listen(settings.gateway)
    except OSError as error:
        address = f"{settings.gateway.host}:{settings.gateway.port}"
        print(json.dumps({"error": f"can't listen on {address}: {error.strerror}"}), flush=True)  # noqa: T201
        return 1
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201 - the supervisor reads it
    gateway = Gateway(settings, resolved["workers"], tracing.configured(settings.telemetry), routes())
    allow_many_sockets()
    sys.setswitchinterval(0.001)  # the detection thread waits for the interpreter after every call of the model
    gc.set_threshold(50_000, 20, 50)  # thousands of calls make many objects and hardly any cycles
    gc.freeze()  # what was loaded so far lives as long as the process: no collection needs to look at it again
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server(gateway.app, gateway.live, settings.gateway).serve(sockets=[listener]))
    return 0


def allow_many_sockets() -> None:
    """As many open sockets as the system lets us have: shells often start programs with only 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
