"""A worker as a process of its own: `python -m voxfleet.cli.worker_process`, started by the supervisor.

Reads what it shall be from VOXFLEET_RESOLVED (JSON: settings, name, address, number of the worker) and serves until it
is asked to leave or its parent is gone. On standard output it prints lines of JSON: first that it is ready or why it
can't be, then a beat each second; a worker that is silent does not live. `voxfleet worker` starts one alone.
"""

import asyncio
import json
import os
import signal
import sys

from voxfleet import lifeline
from voxfleet import settings as settings_module
from voxfleet.cli import terminal
from voxfleet.cli.cores import stay_on
from voxfleet.errors import EngineFailed, VoxfleetError
from voxfleet.serving import catalog
from voxfleet.settings import Settings
from voxfleet.telemetry import logs
from voxfleet.worker import life
from voxfleet.worker.leaving import Ending
from voxfleet.worker.life import Identity


def main() -> int:
    resolved = json.loads(os.environ["VOXFLEET_RESOLVED"])
    settings = settings_module.from_dict(resolved["settings"])
    logs.configure(settings.telemetry, resolved["name"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    who = _identity(settings, resolved["number"], resolved["name"], resolved["address"])
    try:
        stay_on(who.worker.cores)
        return asyncio.run(_supervised(who))
    except VoxfleetError as error:
        lifeline.say({"error": str(error), "code": error.code})
        return Ending.FAILED
    except Exception as error:  # of an engine's library: whoever waits for the start is told what it said
        told = (str(error).strip().splitlines() or [""])[0]
        lifeline.say({"error": f"{who.name}: {type(error).__name__}: {told[:300]}", "code": EngineFailed.code})
        raise


async def _supervised(who: Identity) -> int:
    serving = asyncio.create_task(life.serve(who, lambda: catalog.build(who.worker), lifeline.say))
    await asyncio.sleep(0)  # it listens to signals now, and so to the end of its parent
    lifeline.end_with_parent()
    return await serving


def serve_alone(settings: Settings, number: int, name: str, address: str) -> int:
    """Serve the worker of that number without anybody watching; the exit code.

    SIGTERM and Ctrl-C let its streams move to other workers, the second time they are cut off. Errors become one
    sentence on standard error, everything else goes to the log.
    """
    logs.configure(settings.telemetry, name)
    who = _identity(settings, number, name, address)

    async def serving() -> int:
        stay_on(who.worker.cores)
        return await life.serve(who, lambda: catalog.build(who.worker))

    return terminal.run(serving)


def _identity(settings: Settings, number: int, name: str, address: str) -> Identity:
    return Identity(name, address, settings.workers[number], settings.link, settings.cluster)


if __name__ == "__main__":
    sys.exit(main())
