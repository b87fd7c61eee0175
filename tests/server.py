"""A real server for tests: `voxfleet serve` as a process, on a free port, with the engine a test needs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

REPOSITORY = Path(__file__).parents[1]
T = TypeVar("T")
FAKE = "python:tests.fakes.fake_engine:FakeEngine"


@dataclass
class Server:
    """A running server as its callers see it."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path = Path(os.devnull)
    """What all its processes write to standard error, an event a line."""
    noted: int = 0
    """How much of the log belongs to the past: `events` leaves it out."""

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return str(answer.read().decode())

    def status(self) -> Any:
        return self.get("/v1/status")

    def wait(self, condition: Any, seconds: float = 15.0) -> Any:
        """The first status that meets the condition."""
        return until(self.status, condition, seconds)

    def at_rest(self) -> None:
        """Every place is free again, and every engine has since found its own bookkeeping right."""
        status = self.wait(lambda s: s["streams"]["live"] == 0 and all(w["taken"] == 0 for w in s["workers"]))
        before = [worker["checks"] for worker in status["workers"]]
        self.wait(lambda s: all(w["checks"] > n for w, n in zip(s["workers"], before, strict=True)))

    def pids(self, module: str) -> list[int]:
        """Processes of this server that run `module`."""
        return [pid for pid, command in self._children() if module.encode() in command]

    def named(self) -> dict[str, int]:
        """The gateways and workers that run now: pids by name."""
        found = {}
        for pid, _ in self._children():
            if (resolved := told(pid)) is not None:
                found[str(resolved["name"])] = pid
        return found

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """What was logged of these kinds since `noted`, in order; processes that log at once may share a line."""
        found, lines = [], self.log.read_text()[self.noted :]
        for start in re.finditer(r"\{\"", lines):
            with suppress(ValueError):
                found.append(json.JSONDecoder().raw_decode(lines, start.start())[0])
        return [event for event in found if event.get("event") in kinds]

    def _children(self) -> Iterator[tuple[int, list[bytes]]]:
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == self.process.pid:
                yield int(entry.name), command


def told(pid: int) -> dict[str, Any] | None:
    """What a process was told by its supervisor; None of others, and of those that are no more."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    value = next((v for v in variables if v.startswith(b"VOXFLEET_RESOLVED=")), None)
    return None if value is None else dict(json.loads(value.partition(b"=")[2]))


def until(look: Callable[[], T], condition: Callable[[T], Any], seconds: float = 15.0) -> T:
    """The first thing seen that meets the condition."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if condition(seen):
            return seen
        assert time.monotonic() < end, f"still not so after {seconds} s: {seen}"
        time.sleep(0.05)


@contextmanager
def serving(directory: Path, exit_code: int = 0, arguments: Sequence[str] = (), **settings: Any) -> Iterator[Server]:
    """A server with these settings (sections of the TOML file as mappings); stopped, and its exit checked, at the end.

    `arguments` are added to `voxfleet serve`.
    """
    config = directory / "voxfleet.json.toml"
    config.write_text(_toml(settings))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXFLEET_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    path = directory / "server.log"
    with path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "voxfleet.cli", "serve", "--config", str(config), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"the server did not start: {line!r} {(directory / 'server.log').read_text()[-2000:]}"
        yield Server(found.group(), process, path)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
    assert code == exit_code, path.read_text()[-3000:]


def _toml(settings: dict[str, Any]) -> str:
    lines = []
    for section, values in settings.items():
        tables = values if isinstance(values, list) else [values]
        for table in tables:
            lines.append(f"[[{section}]]" if isinstance(values, list) else f"[{section}]")
            nested = {k: v for k, v in table.items() if isinstance(v, dict)}
            lines += [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, dict)]
            for name, inner in nested.items():
                lines.append(f"[{section}.{name}]")
                lines += [f"{k} = {json.dumps(v)}" for k, v in inner.items()]
    return "\n".join(lines) + "\n"
