"""`voxfleet serve`: the processes of this machine until Ctrl-C or SIGTERM; SIGHUP replaces them one after another."""

import asyncio
import os
import signal
import sys

from voxfleet.cli.supervisor import Fleet, fleet
from voxfleet.serving import catalog
from voxfleet.settings import Settings
from voxfleet.telemetry import logs


def serve(settings: Settings) -> int:
    """Run until asked to leave; live calls finish first. Raises SettingsError or EngineFailed if it can't start."""
    for worker in settings.workers:
        catalog.check(worker)
    logs.configure(settings.telemetry, "supervisor")
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leaving.set)
    async with fleet(settings) as processes:
        hangups = Hangups(processes, leaving)
        loop.add_signal_handler(signal.SIGHUP, hangups.heard)
        print(f"Voxfleet listens on {processes.url}  (console: {processes.url}/, Ctrl-C to stop)", flush=True)  # noqa: T201
        for line in choices(settings):
            print(line, flush=True)  # noqa: T201
        for line in cautions(settings, processes.url):
            print(line, file=sys.stderr, flush=True)  # noqa: T201
        try:
            await leaving.wait()
        finally:
            await hangups.close()


def choices(settings: Settings) -> list[str]:
    """What models are computed with that could be computed in several ways, and why; a line each. Raises SettingsError."""
    chosen = [catalog.computes_with(worker) for worker in settings.workers]
    return list(dict.fromkeys(f"{one[0]}: {one[1].sentence}" for one in chosen if one is not None))


def cautions(settings: Settings, url: str) -> list[str]:
    """What whoever serves these settings should know and check; a line each. Raises SettingsError."""
    return list(dict.fromkeys(filter(None, (catalog.caution(worker, url) for worker in settings.workers))))


class Hangups:
    """What SIGHUP means: replace everything; or, when our terminal has just gone away, leave (nohup: stay)."""

    def __init__(self, processes: Fleet, leaving: asyncio.Event) -> None:
        self._processes = processes
        self._leaving = leaving
        self._stays = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._terminal = _has_terminal()
        self._replacing: set[asyncio.Task[bool]] = set()

    def heard(self) -> None:
        if self._terminal and not _has_terminal():
            self._terminal = False
            if not self._stays:
                self._leaving.set()
            return
        task = asyncio.create_task(self._processes.replace_all())
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def close(self) -> None:
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
