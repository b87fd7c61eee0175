"""Callers that one core can be: the load generator of `voxfleet load` against a server that does next to nothing.

    python -m benchmarks.generator [--rungs 500,1000,1500,2000,2500] [--seconds 30] [--repeat 1] [--gateway]

The server (benchmarks.bare_server) is pinned to core 0, the generator to core 1; every rung has fresh processes. A rung is
valid by the generator's own rule (evaluation.load.account.health): the figures `voxfleet load` itself would have refused
are refused here. The bar is 2,000 valid callers. With --gateway a real server takes the place of the bare one: past its
capacity, the generator has to stay valid and to say what became of the callers.
Prints JSON; CPU figures are the operating system's. Exit code 1 where the bar is missed.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from voxfleet.cli.supervisor import fleet
from voxfleet.evaluation.load.account import Account, account, health, latencies, streams
from voxfleet.evaluation.load.arrivals import Arrivals
from voxfleet.evaluation.load.dialect import Ask, Native
from voxfleet.evaluation.load.run import Plan, Run, scripted
from voxfleet.evaluation.sound.calls import compose
from voxfleet.evaluation.sound.pool import Pool
from voxfleet.settings import from_dict

BAR = 2_000
RATE = 16_000
TICKS = os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def bare_server(places: int) -> AsyncIterator[tuple[str, list[int]]]:
    """Its URL and process, on core 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bare_server", "--places", str(places), stdout=subprocess.PIPE
    )
    try:
        os.sched_setaffinity(process.pid, {0})
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}", [process.pid]
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def real_server(places: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A gateway and a worker with the scripted engine, both on core 0."""
    settings = from_dict(
        {
            "gateway": {"port": 0, "drain_seconds": 0.0},
            "vad": {"model": "level"},
            "workers": [{"model": "python:tests.fakes.fake_engine:FakeEngine", "name": "fake", "places": places}],
            "telemetry": {"log_level": "error"},
        }
    )
    os.sched_setaffinity(0, {0})  # inherited by what is started
    async with fleet(settings) as processes:
        yield processes.url, [child.pid for child in processes.children if child.pid]


async def rung(streams_asked: int, seconds: float, seed: int, *, gateway: bool) -> dict[str, Any]:
    """So many callers for so long, and what they cost."""
    async with real_server(streams_asked) if gateway else bare_server(streams_asked) as (url, processes):
        os.sched_setaffinity(0, {1})
        warm_up = 5.0 + streams_asked / 100
        pool = Pool.synthetic(RATE)
        arrivals = Arrivals.parse("hold").plan(streams_asked, warm_up, seconds, None, random.Random(seed))
        calls = scripted(arrivals, warm_up + seconds, lambda length, dice: compose(pool, length, dice), seed)
        plan = Plan(Ask(url, RATE), Native(), tuple(calls), warm_up, seconds, seed)
        meter = Meter(processes, warm_up, warm_up + seconds)
        gc.collect()
        course = await Run(plan, lambda _course, now: meter.look(now)).run()
        load = os.getloadavg()[0]
        began = time.perf_counter()
        found = account(course)
        return _said(found, streams_asked, meter, load) | {"reading_seconds": round(time.perf_counter() - began, 2)}


class Meter:
    """CPU of the server while all callers are there."""

    def __init__(self, processes: list[int], begin: float, end: float) -> None:
        self._processes = processes
        self._window = begin, end
        self._first: tuple[float, float, float] | None = None
        self.share = 0.0
        self.kept_waiting = 0.0
        """Share of the time in which the generator wanted its core and somebody else had it."""

    def look(self, now: float) -> None:
        if self._window[0] <= now <= self._window[1]:
            at = now, sum(map(_cpu, self._processes)), _kept_waiting()
            self._first = self._first or at
            if (wall := at[0] - self._first[0]) > 0:
                self.share = (at[1] - self._first[1]) / wall
                self.kept_waiting = (at[2] - self._first[2]) / wall


def _said(found: Account, streams_asked: int, meter: Meter, load: float) -> dict[str, Any]:
    own, counts = health(found.course.wakes), streams(found.course)
    return {
        "streams": streams_asked,
        "valid": own.valid,
        "because": own.because,
        "all_finished": counts.finished == streams_asked,
        "send_lag_ms": {
            name: round(lag * 1000, 2)
            for name, lag in (("p50", own.lag_p50), ("p99", own.lag_p99), ("max", own.lag_max))
        },
        "core_share": {"generator": own.cpu_share, "server": round(meter.share, 3)},
        "kept_waiting": round(meter.kept_waiting, 3),
        "us_per_frame": round(found.course.wakes.cpu_seconds / max(own.frames_sent, 1) * 1e6, 1),
        "frames_sent": own.frames_sent,
        "messages_heard": sum(len(record.heard) for record, _ in found.readings),
        "outcomes": {
            "offered": counts.offered,
            "admitted": counts.admitted,
            "refused": counts.refused,
            "failed": counts.failed,
            "finished": counts.finished,
            "reasons": counts.reasons,
        },
        "latency_ms": {
            kind.name: {
                name: round(figure.value * 1000, 1)
                for name, figure in (("p50", kind.p50), ("p95", kind.p95), ("p99", kind.p99))
                if figure is not None
            }
            for kind in latencies(found)
        },
        "load_average": round(load, 2),
    }


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _kept_waiting() -> float:
    """Seconds this thread was ready to run and did not (the machine's other work; a virtual machine's own is not seen)."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def _one(asked: argparse.Namespace) -> int:
    """One rung, in this process."""
    from voxfleet.cli.measure import run_loop

    found = run_loop(rung(asked.one, asked.seconds, asked.seed, gateway=asked.gateway))
    print(json.dumps(found))
    return 0


def _ladder(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Every rung in a process of its own: none inherits memory, garbage or a warm cache from the last."""
    found: list[dict[str, Any]] = []
    for number in range(asked.repeat):
        for wanted in map(int, asked.rungs.split(",")):
            command = [sys.executable, "-m", "benchmarks.generator", "--one", str(wanted)]
            command += ["--seconds", str(asked.seconds), "--seed", str(asked.seed + number)]
            said = subprocess.run(
                command + ["--gateway"] * asked.gateway, stdout=subprocess.PIPE, text=True, check=True
            ).stdout
            found.append(json.loads(said))
            print(said.strip(), file=sys.stderr, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rungs", default="500,1000,1500,2000,2500")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--repeat", type=int, default=1, help="times the whole ladder is climbed, each with its own seed"
    )
    parser.add_argument("--gateway", action="store_true", help="a real server in place of the bare one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if asked.one:
        return _one(asked)
    if (os.cpu_count() or 1) < 2:
        print("this benchmark needs two cores: one for the server, one for the generator", file=sys.stderr)
        return 2
    rungs = _ladder(asked)
    held = [r for r in rungs if r["valid"] and (asked.gateway or r["all_finished"])]
    best = max((r["streams"] for r in held), default=0)
    report = {
        "benchmark": "generator",
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "server": "voxfleet serve" if asked.gateway else "bare",
        "seconds": asked.seconds,
        "valid_callers_on_one_core": best,
        "bar": BAR,
        "rungs": rungs,
    }
    print(json.dumps(report, indent=2))
    return 0 if best >= min(BAR, max(map(int, asked.rungs.split(",")))) else 1


if __name__ == "__main__":
    sys.exit(main())
