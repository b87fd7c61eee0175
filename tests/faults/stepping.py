"""A process of the fleet whose wall clock is set forward or back an hour while it runs: `python -m tests.faults.stepping`.

SIGUSR1 sets it forward, SIGUSR2 back. What Python code can see of a step is all here; the monotonic clock goes on, as it
does when the system's clock is set. VOXFLEET_RESOLVED decides which process it is: one with `workers` is a gateway.
"""

import json
import os
import signal
import sys
import time

from voxfleet.cli import gateway_process, worker_process

HOUR = 3_600.0
_true = time.time
_off = 0.0


def _now() -> float:
    return _true() + _off


def _set(number: int, _frame: object) -> None:
    global _off
    _off += HOUR if number == signal.SIGUSR1 else -HOUR


def main() -> int:
    time.time = _now
    time.time_ns = lambda: round(_now() * 1e9)
    signal.signal(signal.SIGUSR1, _set)
    signal.signal(signal.SIGUSR2, _set)
    if "workers" in json.loads(os.environ["VOXFLEET_RESOLVED"]):
        return gateway_process.main()
    return worker_process.main()


if __name__ == "__main__":
    sys.exit(main())
