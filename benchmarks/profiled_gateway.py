"""The gateway's process with a sampler: where its event loop thread spends its CPU, by stage of one chunk's way.

Every 5 ms of CPU time of the process the stack of the main thread is looked at; the innermost frame that belongs to a
stage is counted. Written as JSON to the file named by VOXFLEET_BENCH_PROFILE when the process ends.
"""

import atexit
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from voxfleet.cli import gateway_process

STAGES = (
    ("voxfleet/audio/", "audio: decode, resample, hand to detection"),
    ("voxfleet/streams/", "session"),
    ("voxfleet/serving/lateness", "latency bookkeeping"),
    ("voxfleet/serving/", "conversation"),
    ("voxfleet/cluster/", "link"),
    ("voxfleet/wire/", "codec"),
    ("voxfleet/telemetry/", "metrics"),
    ("prometheus_client/", "metrics"),
    ("voxfleet/gateway/websocket", "socket loop"),
    ("starlette/", "starlette"),
    ("uvicorn/", "uvicorn and websockets"),
    ("websockets/", "uvicorn and websockets"),
    ("grpc/", "link: grpc"),
    ("google/protobuf", "link: grpc"),
    ("voxfleet/", "other voxfleet"),
)
OUTSIDE = "event loop and system calls"


class Sampler:
    """Counts samples by stage, and by innermost function for the curious."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()

    def sample(self, _signal: int, frame: FrameType | None) -> None:
        first = True
        while frame is not None:
            name = frame.f_code.co_filename
            if first:
                self.functions[f"{Path(name).name}:{frame.f_code.co_name}"] += 1
                first = False
            for part, stage in STAGES:
                if part in name and "gateway_process" not in name:
                    self.stages[stage] += 1
                    return
            frame = frame.f_back
        self.stages[OUTSIDE] += 1

    def write(self, path: str) -> None:
        total = sum(self.stages.values()) or 1
        shares = {stage: round(count / total, 4) for stage, count in self.stages.most_common()}
        functions = {name: round(count / total, 4) for name, count in self.functions.most_common(25)}
        Path(path).write_text(json.dumps({"samples": total, "stages": shares, "functions": functions}))


def main() -> int:
    sampler = Sampler()
    atexit.register(sampler.write, os.environ["VOXFLEET_BENCH_PROFILE"])
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.setitimer(signal.ITIMER_PROF, 0.005, 0.005)
    return gateway_process.main()


if __name__ == "__main__":
    sys.exit(main())
