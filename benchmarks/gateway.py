"""Streams per core of a gateway: real sockets, a real worker process with the scripted engine, 100 ms PCM frames.

    python -m benchmarks.gateway [--rungs 250,500,…] [--seconds 20] [--detection level|silero] [--rate 16000]

The gateway is pinned to core 0, the worker and the callers to core 1; with --detection silero the detection thread is on
core 1 too, which is then the one that is full first. Each rung runs a fresh server.
Added latency of a partial or final: its arrival minus the moment the frame with the last audio it covers was due; so it
holds everything from socket to engine and back, and the ticks on the way. A rung whose callers themselves fell behind
(their loop late by more than 20 ms at p99) is marked invalid.
Prints JSON; CPU figures are the operating system's.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvloop

from benchmarks.raw_caller import FRAME_SECONDS, Heard, RawCaller, frame_of
from voxfleet.cli.supervisor import Fleet
from voxfleet.settings import from_dict

FAKE = "python:tests.fakes.fake_engine:FakeEngine"
SPEECH_SHARE = 0.45
WARM_SECONDS = 6.0
BUDGET_MS = 100.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Rung:
    """What one number of streams showed."""

    late: list[float] = field(default_factory=list)
    finals_late: list[float] = field(default_factory=list)
    send_lag: list[float] = field(default_factory=list)
    measuring: bool = False

    def text(self, caller: RawCaller, message: Heard, now: float) -> None:
        if self.measuring:
            late = now - caller.covers(message.end)
            (self.finals_late if message.type == "final" else self.late).append(late * 1000)


def call_frames(rate: int, seconds: float = 60.0) -> list[bytes]:
    """One minute of talk and silence (45 % talk in turns of 1 to 5 s) as prepared 100 ms frames."""
    dice = random.Random(7)
    samples = np.random.default_rng(7).normal(0, 8, round(seconds * rate))
    voice = np.random.default_rng(8).normal(0, 3_000, round(seconds * rate))
    position = 0.0
    while position < seconds:
        talk = dice.uniform(1.0, 5.0)
        begin, end = round(position * rate), round(min(position + talk, seconds) * rate)
        samples[begin:end] += voice[begin:end]
        position += talk / SPEECH_SHARE
    pcm = np.clip(samples, -32_768, 32_767).astype("<i2")
    step = round(FRAME_SECONDS * rate)
    return [frame_of(pcm[start : start + step].tobytes()) for start in range(0, pcm.size - step + 1, step)]


async def rung(
    streams: int, seconds: float, detection: str, rate: int, profile: Path | None = None, floor: bool = False
) -> dict[str, Any]:
    """One server, so many streams, for so long; with `profile` under the sampler, which costs something itself; with
    `floor` a server of the same kind with nothing behind its sockets."""
    settings = from_dict(
        {
            "gateway": {"port": 0, "drain_seconds": 0.0},
            "turn": {"partial_interval_ms": 0},
            "vad": {"model": detection, "core": 1 if detection == "silero" else -1},
            "workers": [{"model": FAKE, "name": "fake", "places": streams}],
            "telemetry": {"log_level": "error"},
        }
    )
    os.sched_setaffinity(0, {0})  # what is started now stays on core 0; the detection thread moves itself if told so
    with tempfile.TemporaryDirectory(prefix="voxfleet-bench-") as directory:
        fleet = Fleet(settings, Path(directory))
        if floor:
            fleet.gateways[0].module = "benchmarks.echo_gateway"
        if profile is not None:
            os.environ["VOXFLEET_BENCH_PROFILE"] = str(profile)
            fleet.gateways[0].module = "benchmarks.profiled_gateway"
        running = [asyncio.create_task(child.run()) for child in fleet.children]
        try:
            await fleet.ready()
            return await _measure(fleet, streams, seconds, rate)
        finally:
            await fleet.leave()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _measure(fleet: Fleet, streams: int, seconds: float, rate: int) -> dict[str, Any]:
    gateway, worker = fleet.gateways[0].pid, fleet.workers[0].pid
    assert gateway is not None
    assert worker is not None
    _pin(worker, 1)
    os.sched_setaffinity(0, {1})
    resting = _rss_kb(gateway)
    found = Rung()
    callers = await _connected(fleet.url, streams, rate, found)
    frames = call_frames(rate)
    sending = asyncio.create_task(_send(callers, frames, found))
    try:
        await asyncio.sleep(WARM_SECONDS)
        found.measuring = True
        before = _cpu(gateway), _cpu(worker), time.process_time(), time.monotonic(), _vad(fleet.url)
        await asyncio.sleep(seconds)
        after = _cpu(gateway), _cpu(worker), time.process_time(), time.monotonic(), _vad(fleet.url)
        found.measuring = False
        loaded = _rss_kb(gateway)
        lost = sum(caller.closed for caller in callers)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        for caller in callers:
            caller.transport.abort()
    span = after[3] - before[3]
    used = [(b - a) / span for a, b in zip(before[:3], after[:3], strict=True)]
    detection = (await after[4] - await before[4]) / span
    errors = sorted({error for caller in callers for error in caller.errors})
    lag = _percentiles(found.send_lag)
    loop_share = used[0] - detection
    return {
        "streams": streams,
        "valid": lag["p99"] < 20.0,
        "added_latency_ms": {"partials": _percentiles(found.late), "finals": _percentiles(found.finals_late)},
        "within_budget": not errors and _percentiles(found.late + found.finals_late)["p99"] <= BUDGET_MS,
        "errors": errors,
        "lost_connections": lost,
        "core_share": {
            "gateway without detection": round(loop_share, 3),
            "detection": round(detection, 3),
            "worker": round(used[1], 3),
            "callers": round(used[2], 3),
        },
        "us_per_frame": round(loop_share / (streams / FRAME_SECONDS) * 1e6, 1),
        "kb_per_stream": round((loaded - resting) / streams, 1),
        "texts_per_second": round((len(found.late) + len(found.finals_late)) / span, 1),
        "caller_lag_ms": lag,
    }


async def _connected(url: str, streams: int, rate: int, found: Rung) -> list[RawCaller]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(streams):
        path = f"/v1/stream?sample_rate={rate}&words=false"
        _, caller = await loop.create_connection(partial(RawCaller, path, found.text), host, port)
        callers.append(caller)
        if len(callers) % 50 == 0:
            await asyncio.gather(*(caller.ready for caller in callers[-50:]))
    await asyncio.gather(*(caller.ready for caller in callers))
    return callers


async def _send(callers: list[RawCaller], frames: list[bytes], found: Rung) -> None:
    """Every caller sends a frame each 100 ms, at a phase of its own, from a place of its own in the call."""
    loop = asyncio.get_running_loop()
    dice = random.Random(3)
    slots = 50
    phases = [dice.randrange(slots) for _ in callers]
    offsets = [dice.randrange(len(frames)) for _ in callers]
    by_slot: list[list[int]] = [[] for _ in range(slots)]
    for number, phase in enumerate(phases):
        by_slot[phase].append(number)
    start = loop.time() + 0.1
    for number, caller in enumerate(callers):
        caller.first_due = start + phases[number] * FRAME_SECONDS / slots
    tick = 0
    while True:
        due = start + tick * FRAME_SECONDS / slots
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        if found.measuring:
            found.send_lag.append((loop.time() - due) * 1000)
        turn, slot = divmod(tick, slots)
        for number in by_slot[slot]:
            if not callers[number].closed:
                callers[number].transport.write(frames[(offsets[number] + turn) % len(frames)])
        tick += 1


def _pin(pid: int, core: int) -> None:
    """Every thread of a process to one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def _vad(url: str) -> "asyncio.Future[float]":
    """CPU seconds of the detection thread so far, as the gateway exports them."""
    import urllib.request

    def ask() -> float:
        with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("voxfleet_vad_cpu_seconds ")))

    return asyncio.get_running_loop().run_in_executor(None, ask)


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {"p50": float("nan"), "p95": float("nan"), "p99": float("nan"), "count": 0}
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "p99": round(float(p99), 1), "count": len(values)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rungs", default="250,500,750,1000,1250,1500")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--detection", choices=["level", "silero"], default="level")
    parser.add_argument("--rate", type=int, choices=[8_000, 16_000], default=16_000)
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    rungs: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, tempfile.TemporaryDirectory() as directory:
        for streams in map(int, asked.rungs.split(",")):
            outcome = runner.run(rung(streams, asked.seconds, asked.detection, asked.rate))
            rungs.append(outcome)
            print(json.dumps(outcome), file=sys.stderr, flush=True)
            if outcome["errors"] or outcome["lost_connections"]:
                break
        best = max((r["streams"] for r in rungs if r["within_budget"] and r["valid"]), default=0)
        floor = runner.run(rung(best or rungs[0]["streams"], asked.seconds, asked.detection, asked.rate, floor=True))
        profile = Path(directory) / "profile.json"
        runner.run(rung(best or rungs[0]["streams"], asked.seconds, asked.detection, asked.rate, profile))
        stages = json.loads(profile.read_text())
    per_frame = next((r["us_per_frame"] for r in rungs if r["streams"] == best), rungs[0]["us_per_frame"])
    report = {
        "benchmark": "gateway",
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": sys.version.split()[0],
        },
        "date": time.strftime("%Y-%m-%d"),
        "detection": asked.detection,
        "sample_rate": asked.rate,
        "streams_per_core_at_p99_100_ms": best,
        "us_per_frame_of_a_bare_echo": floor["us_per_frame"],
        "times_the_cost_of_a_bare_echo": round(per_frame / floor["us_per_frame"], 2),
        "us_per_frame_by_stage": {k: round(v * per_frame, 1) for k, v in stages["stages"].items()},
        "hottest_functions": stages["functions"],
        "rungs": rungs,
    }
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
