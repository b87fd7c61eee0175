"""A worker as a process of its own: `python -m voxfleet.cli.worker_process`, started by the supervisor.

Reads what it shall be from VOXFLEET_RESOLVED (JSON: settings, name, address, number of the worker), prints one line of
JSON on standard output if it can't be that, and serves until SIGTERM or until its parent is gone.
"""

import asyncio
import json
import os
import signal
import sys

from voxfleet import lifeline
from voxfleet import settings as settings_module
from voxfleet.errors import VoxfleetError
from voxfleet.serving import catalog
from voxfleet.telemetry import logs
from voxfleet.worker import service


def main() -> int:
    resolved = json.loads(os.environ["VOXFLEET_RESOLVED"])
    settings = settings_module.from_dict(resolved["settings"])
    worker = settings.workers[resolved["number"]]
    logs.configure(settings.telemetry, resolved["name"])
    lifeline.end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to handle
    serving = service.serve(resolved["name"], resolved["address"], settings.link, lambda: catalog.build(worker))
    try:
        asyncio.run(serving)
    except VoxfleetError as error:
        print(json.dumps({"error": str(error), "code": error.code}), flush=True)  # noqa: T201 - the supervisor reads it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
