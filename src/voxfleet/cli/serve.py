"""`voxfleet serve`: the processes of this machine until Ctrl-C or SIGTERM."""

import asyncio
import signal

from voxfleet.cli.supervisor import fleet
from voxfleet.settings import Settings
from voxfleet.telemetry import logs


def serve(settings: Settings) -> int:
    """Run until asked to leave; live calls finish first. Raises SettingsError or EngineFailed if it can't start."""
    logs.configure(settings.telemetry, "supervisor")
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leaving.set)
    async with fleet(settings) as processes:
        print(f"Voxfleet listens on {processes.url}  (console: {processes.url}/, Ctrl-C to stop)", flush=True)  # noqa: T201
        await leaving.wait()
