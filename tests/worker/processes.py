"""Worker processes for tests: as the supervisor starts them, and alone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server import FAKE, REPOSITORY

ALONE = """
import sys
from voxfleet import settings
from voxfleet.cli.worker_process import serve_alone
sys.exit(serve_alone(settings.from_dict({!r}), 0, "w", {!r}))
"""


class Worker:
    """A running worker process, and the lines of JSON it has printed."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self.lines: list[dict[str, Any]] = []
        self._log = log
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def printed(self, key: str, count: int = 1) -> dict[str, Any]:
        """The newest line with this key, once there are so many."""
        end = time.monotonic() + 20
        while True:
            found = [line for line in self.lines if key in line]
            if len(found) >= count:
                return found[-1]
            assert time.monotonic() < end, f"no {key!r} in {self.lines}: {self.log}"
            assert self._reader.is_alive() or key in str(self.lines), f"it ended: {self.lines} {self.log}"
            time.sleep(0.01)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(20)

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def worker(
    directory: Path,
    *,
    alone: bool = False,
    report_ms: int = 60_000,
    secret: str = "",
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Worker]:
    """A worker of the scripted engine; `settings` are those of `workers[]`.

    It reports once a minute, unless told otherwise: what has to be told at once must not wait for a report.
    """
    address = f"unix:{directory}/w.sock"
    told = {
        "workers": [{"model": FAKE, "options": options or {}, **settings}],
        "link": {"report_ms": report_ms},
        "cluster": {"secret": secret},
        "telemetry": {"log_format": "json"},
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXFLEET_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    command = ["-c", ALONE.format(told, address)] if alone else ["-m", "voxfleet.cli.worker_process"]
    if not alone:
        resolved = {"settings": told, "number": 0, "name": "w", "address": address}
        environment["VOXFLEET_RESOLVED"] = json.dumps(resolved)
    log = directory / "w.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )
    started = Worker(process, address, log)
    try:
        yield started
    finally:
        process.kill()
        process.wait(20)
        started._reader.join(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
