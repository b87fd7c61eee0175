"""What the operating system knows of measured processes, and what every report of a fleet's benchmark begins with."""

import asyncio
import gc
import json
import os
import platform
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from voxfleet.telemetry.metrics import at_share

TICKS = os.sysconf("SC_CLK_TCK")
RESULTS = Path(__file__).parent / "results"


def heading(benchmark: str) -> dict[str, Any]:
    """Where, when and how a report was made."""
    return {
        "benchmark": benchmark,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def publish(report: dict[str, Any], name: str, *, keep: bool) -> None:
    """Print a report, and keep it among the results where it shall be kept."""
    text = json.dumps(report, indent=2)
    print(text)
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}-{report['date']}.json").write_text(text + "\n")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def kept_waiting(pid: int) -> float:
    """Seconds in which the main thread of a process wanted a processor and somebody else had it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def resident_mb(pid: int) -> float:
    """Memory of a process that is in use now, MB; 0 where the process is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 1e6


def pin(pid: int, core: int) -> None:
    """Every thread of a process to one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def many_sockets() -> None:
    """As many open sockets as the system lets us have."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


@contextmanager
def without_collections() -> Iterator[None]:
    """No collection of garbage holds up the callers of this process."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Punctual:
    """How late this process' loop is: callers can be no more punctual than it, and their figures hold no less."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def watch(self) -> None:
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            self.late.append(time.monotonic() - due)

    def json(self) -> dict[str, float]:
        ordered = sorted(self.late)
        if not ordered:
            return {}
        return {
            name: round(at_share(ordered, share) * 1000, 1) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))
        }


@asynccontextmanager
async def punctual() -> AsyncIterator[Punctual]:
    """Measures this loop's lateness within the block."""
    measured = Punctual()
    task = asyncio.create_task(measured.watch())
    try:
        yield measured
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
