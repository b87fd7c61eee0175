"""A fleet under faults: callers in real time, workers killed, drained or overrun, and every transcript compared.

    python -m benchmarks.fleet [--streams 100] [--workers 3] [--kill-every 10] [--seconds 120] [--engine fake|embedded]
    python -m benchmarks.fleet --drain [--streams 100]          one worker with all the streams is told to leave
    python -m benchmarks.fleet --overload [--streams 100]       three times as many callers as there are places

Callers, gateway and workers share the machine. The undisturbed run is the same calls on the same fleet before anything
happens to it. Recovery is what the caller sees: from the kill to the first partial or final that covers audio spoken after
the kill, on streams that sat at the killed worker while somebody talked on them; an undisturbed stream of this engine has
0.1 to 0.4 s there, because the audio must be spoken, sent and worked on.
Prints JSON and keeps it in benchmarks/results. Exit code 1 where a bar is missed.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from tests.faults.account import Fault, Seconds, account, final_latencies
from tests.faults.callers import crowd, undisturbed
from tests.faults.calls import Call, Talk, reading, talk
from tests.faults.fleet import GATEWAY, WORKER, all_ready, fake_workers, named, sections, started, struck, until
from tests.server import Server

from benchmarks.processes import (
    cpu_seconds,
    heading,
    kept_waiting,
    many_sockets,
    publish,
    punctual,
    without_collections,
)
from voxfleet.telemetry.metrics import at_share

WORDS_PER_SECOND = 4.0
"""A fast talker: partials follow the audio within a quarter of a second, and half-minute turns are not absurdly long."""
RECOVERY_BAR = 1.0
REFUSAL_BAR = 0.1
LATENCY_BAR = 2.0


def spoken(streams: int, seconds: float, engine: str) -> list[Call]:
    """Calls with so many channels altogether."""
    if engine == "embedded":
        return [reading(number, seconds) for number in range(streams)]
    calls: list[Call] = []
    while (left := streams - sum(call.channels for call in calls)) > 0:
        call = talk(len(calls), seconds)
        calls.append(call if call.channels <= left else Talk(call.seed, seconds))
    return calls


def fleet_of(workers: int, places: int, engine: str) -> dict[str, Any]:
    """Settings of the fleet; the embedded engine, decoding quickly, has the real speech detection before it."""
    if engine == "embedded":
        worker = {"model": "embedded", "places": places, "options": {"quick": True}}
        settings = sections(workers=[worker | {"name": f"w{n}"} for n in range(workers)])
        return {name: section for name, section in settings.items() if name not in ("vad", "turn")}
    return sections(workers=fake_workers(workers, places, words_per_second=WORDS_PER_SECOND))


async def kills(asked: argparse.Namespace) -> dict[str, Any]:
    """One worker after another is killed with -9; the others have places enough for all."""
    calls = spoken(asked.streams, asked.seconds, asked.engine)
    places = -(-asked.streams // (asked.workers - 1))
    places += places // 5 if asked.engine == "fake" else 0
    settings = fleet_of(asked.workers, places, asked.engine)
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as directory:
        async with started(Path(directory), settings) as server:
            expected = await undisturbed(server.url, calls)
            faults: list[Fault] = []
            (gateway,) = (await asyncio.to_thread(named, server, GATEWAY)).values()
            busy, waiting = cpu_seconds(gateway), kept_waiting(gateway)
            with without_collections():
                async with crowd(server.url, calls, within=2.0) as callers, punctual() as loop:
                    await asyncio.sleep(5.0)
                    while (len(faults) + 1) * asked.kill_every < asked.seconds:
                        name = f"w{len(faults) % asked.workers}"
                        await until(server, partial(_is_ready, name))
                        faults.append(await struck(server, name, signal.SIGKILL))
                        print(f"{faults[-1].kind}: {_hit(faults[-1])} calls", file=sys.stderr, flush=True)
                        await asyncio.sleep(asked.kill_every)
                    told = await callers.hung_up()
            found = account(told, expected, faults)
            busy, waiting = cpu_seconds(gateway) - busy, kept_waiting(gateway) - waiting
            report = {
                "streams": asked.streams,
                "workers": asked.workers,
                "places_each": places,
                "kill_every_s": asked.kill_every,
                "seconds": asked.seconds,
                "engine": asked.engine,
                "found": found.json(),
                "final_latency_s": _spread(final_latencies(told)),
                "gateway_core_share": round(busy / asked.seconds, 3),
                "gateway_kept_waiting_share": round(waiting / asked.seconds, 3),
                "server": await asyncio.to_thread(_server_says, server),
                "callers_loop_late_ms": loop.json(),
            }
            await all_ready(server, asked.workers)
            await asyncio.to_thread(server.at_rest)
    bar = asked.engine != "fake" or (found.recovery.p95 is not None and found.recovery.p95 <= RECOVERY_BAR)
    return report | {"bars_met": found.identical and bar}


async def drain(asked: argparse.Namespace) -> dict[str, Any]:
    """All streams sit at w0, because w1 is away while they come; then w0 is told to leave while everybody talks."""
    calls = spoken(asked.streams, 60.0, "fake")
    deadline = 25.0
    workers = [
        worker | {"drain_seconds": deadline}
        for worker in fake_workers(2, asked.streams, words_per_second=WORDS_PER_SECOND)
    ]
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as directory:
        async with started(Path(directory), sections(workers=workers, supervisor={"beat_seconds": 60.0})) as server:
            expected = await undisturbed(server.url, calls)
            pids = await asyncio.to_thread(named, server, WORKER)
            os.kill(pids["w1"], signal.SIGSTOP)
            await until(server, lambda s: _state(s, "w1") != "ready")
            with without_collections():
                async with crowd(server.url, calls, within=2.0) as callers, punctual() as loop:
                    await callers.admitted()
                    os.kill(pids["w1"], signal.SIGCONT)
                    await until(server, lambda s: _state(s, "w1") == "ready")
                    before = await asyncio.to_thread(server.status)
                    await asyncio.sleep(5.0)
                    fault = await struck(server, "w0", signal.SIGTERM)
                    left = await _gone(pids["w0"], fault.at, deadline + 10)
                    told = await callers.hung_up()
            found = account(told, expected, [fault])
            said = await asyncio.to_thread(_server_says, server)
    at_w0 = next(w["taken"] for w in before["workers"] if w["name"] == "w0")
    return {
        "streams": asked.streams,
        "streams_at_the_worker": at_w0,
        "deadline_s": deadline,
        "worker_ended_after_s": left,
        "found": found.json(),
        "final_latency_s": _spread(final_latencies(told)),
        "server": said,
        "callers_loop_late_ms": loop.json(),
        "bars_met": found.identical and left is not None and left <= deadline and at_w0 == asked.streams,
    }


async def overload(asked: argparse.Namespace) -> dict[str, Any]:
    """As many callers as places come and stay; twice as many again come while they talk."""
    streams = asked.streams // asked.workers * asked.workers
    calls: list[Call] = [Talk(number, 30.0) for number in range(streams)]
    settings = fleet_of(asked.workers, streams // asked.workers, "fake")
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as directory:
        async with started(Path(directory), settings) as server:
            expected = await undisturbed(server.url, calls)
            with without_collections():
                async with crowd(server.url, calls, within=3.0) as admitted, punctual() as loop:
                    await admitted.admitted()
                    async with crowd(server.url, calls * 2, within=15.0) as others:
                        turned_away = await others.hung_up()
                    told = await admitted.hung_up()
            await asyncio.to_thread(server.at_rest)
    found = account(told, expected)
    refused = [one for one in turned_away if one.refused]
    waits = sorted(one.answered - one.asked for one in refused)
    latency = final_latencies(told)
    hints = sorted(hint for one in refused if (hint := getattr(one.error, "retry_after", None)) is not None)
    met = (
        found.identical
        and len(refused) == len(turned_away) == len(hints)
        and at_share(waits, 0.95) <= REFUSAL_BAR
        and at_share(sorted(latency), 0.95) <= LATENCY_BAR
    )
    return {
        "places": streams,
        "callers": streams * 3,
        "admitted": found.json(),
        "admitted_final_latency_s": _spread(latency),
        "refused": len(refused),
        "refused_with_retry_after": len(hints),
        "retry_after_s": [hints[0], hints[-1]] if hints else None,
        "refusal_s": _spread(waits),
        "neither": sorted({one.code for one in turned_away if not one.refused}),
        "callers_loop_late_ms": loop.json(),
        "bars_met": met,
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    spread = Seconds.of(values)
    return {"count": spread.count, "p50": spread.p50, "p95": spread.p95, "max": spread.max}


def _state(status: Any, name: str) -> str:
    return next((str(w["state"]) for w in status["workers"] if w["name"] == name), "absent")


def _is_ready(name: str, status: Any) -> bool:
    return _state(status, name) == "ready"


def _hit(fault: Fault) -> str:
    return "unknown" if fault.sessions is None else str(len(fault.sessions))


async def _gone(pid: int, since: float, seconds: float) -> float | None:
    """Seconds from `since` until the process has ended, or None where it has not within so long."""
    loop = asyncio.get_running_loop()
    while Path(f"/proc/{pid}").exists():
        if loop.time() - since > seconds:
            return None
        await asyncio.sleep(0.05)
    return round(loop.time() - since, 2)


def _server_says(server: Server) -> dict[str, Any]:
    """Recovery and events as the gateway itself counts them."""
    wanted = ("voxfleet_recovery", "voxfleet_streams_moved", "voxfleet_streams_replayed")
    lines = [line for line in server.text("/metrics").splitlines() if line.startswith(wanted)]
    return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines) if "_created" not in key}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--engine", choices=["fake", "embedded"], default="fake")
    parser.add_argument("--drain", action="store_true")
    parser.add_argument("--overload", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the report among the results")
    asked = parser.parse_args()
    many_sockets()
    name, run = ("drain", drain) if asked.drain else ("overload", overload) if asked.overload else ("kills", kills)
    head = heading(f"fleet, {name}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = head | runner.run(run(asked))
    publish(report, f"fleet-{name}" + ("-embedded" if asked.engine == "embedded" else ""), keep=asked.keep)
    return 0 if report["bars_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
