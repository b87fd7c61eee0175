"""How two gateways on one port scale: the same load per gateway, on one and on two of them.

    python -m benchmarks.gateways [--streams 150] [--seconds 20] [--repeat 3] [--keep]

With two cores there is no core left for the worker and the callers, so the throughput of two full gateways cannot be shown
directly. What is measured instead is what decides it: processor seconds of the gateways for each second of a stream, with
`--streams` on one gateway (on core 0), and with twice as many on two (one on each core), callers and worker sharing both
cores in both cases. If nothing is shared but the port, a second of a stream costs the same and two gateways carry twice as
many at the same utilisation: factor = 2 x cost with one / cost with two. Contention for caches, memory and the kernel's
socket tables is in the figure; contention for a processor the callers need is in the latency beside it.
The kernel spreads connections by hash, not evenly: the shares are told.
Prints JSON, the middle of the repeats by factor. Exit code 1 below 1.8.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from tests.faults.fleet import GATEWAY, WORKER, fake_workers, named, sections, started

from benchmarks.gateway import Rung, _connected, _percentiles, _send, call_frames
from benchmarks.processes import cpu_seconds, heading, many_sockets, pin, publish

BAR = 1.8
WARM_SECONDS = 6.0
RATE = 16_000


async def rung(gateways: int, streams: int, seconds: float) -> dict[str, Any]:
    """So many gateways with so many streams altogether, in fresh processes."""
    settings = sections(
        workers=fake_workers(1, streams, words_per_second=2.5),
        supervisor={"gateways": gateways},
        gateway={"drain_seconds": 0.0},
        turn={"partial_interval_ms": 0},
        telemetry={"log_level": "error"},
    )
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as directory:
        async with started(Path(directory), settings) as server:
            pids = sorted((await asyncio.to_thread(named, server, GATEWAY)).items())
            (worker,) = (await asyncio.to_thread(named, server, WORKER)).values()
            assert len(pids) == gateways
            for core, (_, pid) in enumerate(pids):
                pin(pid, core % (os.cpu_count() or 1))
            found = Rung()
            callers = await _connected(server.url, streams, RATE, found)
            sending = asyncio.create_task(_send(callers, call_frames(RATE), found))
            try:
                await asyncio.sleep(WARM_SECONDS)
                found.measuring = True
                began, before = time.monotonic(), [cpu_seconds(pid) for _, pid in pids]
                others = cpu_seconds(worker), time.process_time()
                await asyncio.sleep(seconds)
                span = time.monotonic() - began
                used = [(cpu_seconds(pid) - b) / span for (_, pid), b in zip(pids, before, strict=True)]
                shares = (cpu_seconds(worker) - others[0]) / span, (time.process_time() - others[1]) / span
                found.measuring = False
                lost = sum(caller.closed for caller in callers)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                for caller in callers:
                    caller.transport.abort()
    return {
        "gateways": gateways,
        "streams": streams,
        "core_share": {name: round(share, 3) for (name, _), share in zip(pids, used, strict=True)},
        "core_share_worker_and_callers": [round(share, 3) for share in shares],
        "cpu_ms_per_stream_second": round(sum(used) / streams * 1_000, 3),
        "added_latency_ms": {"partials": _percentiles(found.late), "finals": _percentiles(found.finals_late)},
        "caller_lag_ms": _percentiles(found.send_lag),
        "lost_connections": lost,
        "errors": sorted({error for caller in callers for error in caller.errors}),
    }


async def pair(streams: int, seconds: float) -> dict[str, Any]:
    """One gateway, then two, right after each other: the machine's other work is about the same for both."""
    one = await rung(1, streams, seconds)
    two = await rung(2, streams * 2, seconds)
    factor = 2 * one["cpu_ms_per_stream_second"] / two["cpu_ms_per_stream_second"]
    return {"factor": round(factor, 2), "one": one, "two": two}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=150, help="for each gateway")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep the report among the results")
    asked = parser.parse_args()
    many_sockets()
    head = heading("gateways")
    pairs = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(asked.repeat):
            pairs.append(runner.run(pair(asked.streams, asked.seconds)))
            print(json.dumps(pairs[-1]), file=sys.stderr, flush=True)
    pairs.sort(key=lambda pair: pair["factor"])
    middle = pairs[len(pairs) // 2]
    how = "2 x processor seconds per stream-second of one gateway / the same of two at twice the load; see the module"
    report = head | {
        "scaling_factor": middle["factor"],
        "factors_of_all_repeats": [pair["factor"] for pair in pairs],
        "how": how,
        "bar": BAR,
    }
    publish(report | {"one": middle["one"], "two": middle["two"]}, "gateways", keep=asked.keep)
    return 0 if middle["factor"] >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
