"""Hours of ordinary trouble in a short time: callers come and go, break off, do not read; workers are killed. Memory stays.

    python -m benchmarks.soak [--minutes 30] [--callers 40] [--kill-every 60] [--keep]

Three workers with the scripted engine, one of which is killed again and again; the others and the gateway live as long as
the run, and their resident memory, read every two seconds, is what is judged: the slope of its floor over the second half,
because garbage that waits to be collected makes a saw of it. Transcripts of callers who stay to the end are compared with
the undisturbed run. Afterwards every place must be free, every engine's own check passed, and no call counted as live.
Prints JSON and keeps it, with the curve as SVG, in benchmarks/results. Exit code 1 where a bar is missed.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from tests.faults.account import Account, Fault, account
from tests.faults.callers import Caller, Told, undisturbed
from tests.faults.calls import FRAME, Talk, talk
from tests.faults.fleet import GATEWAY, WORKER, all_ready, fake_workers, named, sections, started, struck
from tests.server import Server

from benchmarks.processes import RESULTS, heading, many_sockets, publish, resident_mb
from voxfleet.client import StreamOptions, connect
from voxfleet.errors import VoxfleetError

POOL = 60
"""Different calls; each is said many times."""
SAMPLE_SECONDS = 2.0
FIFTHS = 5
"""Parts of the second half; the least memory of each is the floor."""
KILLED = "w2"
SLOPE_BAR = 12.0
"""MB an hour, of a gateway or worker that lives through the run: the noise of an allocator over a quarter of an hour."""
JUDGED_FROM = 10.0
"""Minutes. The slope of a shorter run is told and not judged: memory is still warming up."""
HABITS = (("stays", 70), ("leaves", 15), ("reads nothing", 10), ("says nothing", 5))


@dataclass
class Soak:
    """What a run has seen so far."""

    began: float
    seconds: float
    habits: Counter[str] = field(default_factory=Counter)
    told: Account = field(default_factory=Account)
    faults: list[Fault] = field(default_factory=list)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """(seconds of the run, MB) by process."""
    live: list[tuple[float, int]] = field(default_factory=list)

    @property
    def now(self) -> float:
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        return self.now >= self.seconds

    def add(self, one: Account) -> None:
        """The account of one more caller."""
        for name in ("calls", "streams", "finals", "affected", "resumes", "refused", "finals_lost", "finals_repeated"):
            setattr(self.told, name, getattr(self.told, name) + getattr(one, name))
        for name in ("finals_different", "finals_invented", "out_of_order", "stable_withdrawn"):
            setattr(self.told, name, getattr(self.told, name) + getattr(one, name))
        for code, count in one.failed.items():
            self.told.failed[code] = self.told.failed.get(code, 0) + count
        self.told.examples = (self.told.examples + one.examples)[:8]


async def caller(url: str, number: int, soak: Soak, expected: dict[Any, Any], calls: list[Talk]) -> None:
    """One after another, until the run is over."""
    dice = random.Random(number)
    await asyncio.sleep(dice.uniform(0, 5))
    while not soak.over:
        call = dice.choice(calls)
        (habit,) = dice.choices([name for name, _ in HABITS], [weight for _, weight in HABITS])
        soak.habits[habit] += 1
        match habit:
            case "stays":
                told: Told = await Caller(number, call, url).run()
                soak.add(account([told], expected, soak.faults))
            case "leaves":
                with suppress(TimeoutError):
                    async with asyncio.timeout(dice.uniform(0.05, call.seconds)):
                        await Caller(number, call, url).run()
            case _:
                await _odd(url, call, dice.uniform(2, 20), speaks=habit == "reads nothing")
        await asyncio.sleep(dice.uniform(0, 1))


async def _odd(url: str, call: Talk, seconds: float, *, speaks: bool) -> None:
    """Somebody who does not read, or does not speak, for so long."""
    with suppress(VoxfleetError):
        async with connect(url, StreamOptions(channels=call.channels)) as stream:
            began = time.monotonic()
            for number in range(min(call.frames, round(seconds / FRAME))):
                await asyncio.sleep(max(began + number * FRAME - time.monotonic(), 0))
                if speaks:
                    await stream.send(call.frame(number))


async def watch(server: Server, soak: Soak) -> None:
    """Memory of every process by name, and the calls that are live."""
    while True:
        pids = await asyncio.to_thread(lambda: named(server, GATEWAY) | named(server, WORKER))
        for name, pid in pids.items():
            soak.memory.setdefault(name, []).append((round(soak.now, 1), round(resident_mb(pid), 2)))
        status = await asyncio.to_thread(server.status)
        soak.live.append((round(soak.now, 1), status["streams"]["live"]))
        await asyncio.sleep(SAMPLE_SECONDS)


async def kill(server: Server, soak: Soak, every: float) -> None:
    while soak.now + every < soak.seconds:
        await asyncio.sleep(every)
        await all_ready(server, 3)
        soak.faults.append(await struck(server, KILLED, signal.SIGKILL))


async def run(asked: argparse.Namespace) -> tuple[dict[str, Any], Soak]:
    calls = [Talk(t.seed, t.seconds, t.channels, t.restless) for t in (talk(n, 5.0 + n % 36) for n in range(POOL))]
    settings = sections(
        workers=fake_workers(3, asked.callers * 2),
        gateway={"idle_timeout": 10.0},
        telemetry={"log_level": "error"},
    )
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as directory:
        async with started(Path(directory), settings) as server:
            expected = await undisturbed(server.url, calls)
            soak = Soak(time.monotonic(), asked.minutes * 60)
            others = [asyncio.create_task(watch(server, soak))]
            if asked.kill_every:
                others.append(asyncio.create_task(kill(server, soak, asked.kill_every)))
            async with asyncio.TaskGroup() as group:
                for number in range(asked.callers):
                    group.create_task(caller(server.url, number, soak, expected, calls))
            await asyncio.to_thread(server.at_rest)
            await asyncio.sleep(5.0)
            for task in others:
                task.cancel()
            for outcome in await asyncio.gather(*others, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
            after = await asyncio.to_thread(server.status)
    lasting = [name for name in soak.memory if name != KILLED]
    found = {name: slopes(soak.memory[name], soak.seconds) for name in lasting}
    steepest = max(slope["floor"] for slope in found.values())
    return {
        "minutes": asked.minutes,
        "callers_at_a_time": asked.callers,
        "habits": dict(soak.habits),
        "kills": len(soak.faults),
        "found": soak.told.json(),
        "at_rest": {
            "live": after["streams"]["live"],
            "taken": {w["name"]: w["taken"] for w in after["workers"]},
            "checks": {w["name"]: w["checks"] for w in after["workers"]},
        },
        "opened": after["streams"]["opened"],
        "live_at_most": max(count for _, count in soak.live),
        "memory_mb": {
            name: {"first": samples[0][1], "middle": samples[len(samples) // 2][1], "last": samples[-1][1]}
            for name, samples in soak.memory.items()
        },
        "slope_mb_per_hour_of_the_second_half": found,
        "slope_judged": asked.minutes >= JUDGED_FROM,
        "bars_met": soak.told.identical and (asked.minutes < JUDGED_FROM or steepest <= SLOPE_BAR),
    }, soak


def slopes(samples: list[tuple[float, float]], seconds: float) -> dict[str, float]:
    """MB an hour over the second half of the run, by least squares: of all samples, and of the floor under them (the least of
    each fifth), which is what is left where the collector of garbage comes by only now and then."""
    late = [(at, size) for at, size in samples if seconds / 2 <= at <= seconds]
    if len(late) < 2 * FIFTHS:
        return {"all": 0.0, "floor": 0.0}
    parts = [late[n * len(late) // FIFTHS : (n + 1) * len(late) // FIFTHS] for n in range(FIFTHS)]
    floor = [min(part, key=lambda sample: sample[1]) for part in parts]
    return {"all": _fitted(late), "floor": _fitted(floor)}


def _fitted(samples: list[tuple[float, float]]) -> float:
    at, size = np.array(samples).T
    return round(float(np.polyfit(at, size, 1)[0]) * 3_600, 2)


def plot(soak: Soak, path: Path) -> None:
    """Memory of every process, and live calls, over the run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    memory, calls = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for name, samples in sorted(soak.memory.items()):
        at, size = zip(*samples, strict=True)
        memory.plot(
            [t / 60 for t in at], size, label=name + (" (killed again and again)" if name == KILLED else ""), lw=1
        )
    memory.set(ylabel="resident memory, MB", ylim=(0, None))
    memory.legend(fontsize=8, ncols=2)
    at, live = zip(*soak.live, strict=True)
    calls.plot([t / 60 for t in at], live, color="0.4", lw=1)
    calls.set(ylabel="live streams", xlabel="minutes", ylim=(0, None))
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--callers", type=int, default=40)
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds; 0 = never")
    parser.add_argument("--keep", action="store_true", help="keep the report and the curve among the results")
    asked = parser.parse_args()
    many_sockets()
    head = heading("soak")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, soak = runner.run(run(asked))
    report = head | found
    if asked.keep:
        RESULTS.mkdir(exist_ok=True)
        plot(soak, RESULTS / f"soak-{head['date']}.svg")
        report["plot"] = f"soak-{head['date']}.svg"
    publish(report, "soak", keep=asked.keep)
    return 0 if report["bars_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
