"""`voxfleet ps` as a user runs it, on a real fleet; and how tables fit terminals."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Run
from tests.server import FAKE, Server, serving
from voxfleet.cli import exits
from voxfleet.cli.ps_view import bar, picture, span, told
from voxfleet.wire.fleet import Event, Fleet, GatewayRow, Recovery, Totals, WorkerRow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    workers = [
        {"model": FAKE, "name": "left", "places": 3, "labels": {"region": "eu-west"}},
        {"model": FAKE, "name": "right", "places": 2},
    ]
    with serving(tmp_path_factory.mktemp("server"), workers=workers) as running:
        yield running


def test_gateways_workers_and_what_happened_are_shown(voxfleet: Run, server: Server) -> None:
    done = voxfleet("ps", "--url", server.url, COLUMNS="160")
    assert done.returncode == exits.OK
    assert done.stderr == ""
    (gateway,) = server.pids("voxfleet.cli.gateway_process")
    assert re.search(rf"gateway-0 +{gateway} +127.0.0.1:\d+ +ready", done.stdout)
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if re.match(r"(left|right) +\d+ +unix:", line)}
    assert {int(row.split()[1]) for row in rows.values()} == set(server.pids("voxfleet.cli.worker_process"))
    assert re.search(r"fake +─+ 0/3 +ready .* region=eu-west", rows["left"])
    assert re.search(r"fake +─+ 0/2 +ready", rows["right"])
    assert re.search(r"\d\d:\d\d:\d\d +left +joined", done.stdout)


def test_json_is_the_document_of_the_server(voxfleet: Run, server: Server) -> None:
    done = voxfleet("ps", "--json", VOXFLEET_URL=server.url)
    assert done.returncode == exits.OK
    shown, there = json.loads(done.stdout), server.get("/v1/fleet")
    for document in (shown, there):
        for row in (*document["workers"], *document["gateways"]):
            row.pop("uptime")
    assert shown == there


def test_no_server_is_named(voxfleet: Run) -> None:
    for url in ("http://127.0.0.1:1", "http://127.0.0.1:no"):
        done = voxfleet("ps", "--url", url)
        assert done.returncode == exits.NO_SERVER
        assert url in done.stderr
        assert done.stdout == ""


def test_a_server_of_another_kind_is_named(voxfleet: Run, server: Server) -> None:
    done = voxfleet("ps", "--url", f"{server.url}/static")
    assert done.returncode == exits.FAILED
    assert "HTTP 404" in done.stderr


@contextmanager
def watching(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VOXFLEET_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "voxfleet.cli", "ps", "--watch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
        # a shell's background jobs ignore Ctrl-C, and so would theirs
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_watching_as_json_is_a_line_each_second_until_ctrl_c(server: Server) -> None:
    with watching("--json", "--url", server.url) as process:
        assert process.stdout is not None
        documents = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == exits.OK
    assert errors == ""
    ages = [document["gateways"][0]["uptime"] for document in documents]
    assert ages == sorted(set(ages)), "each line is a new look"


def test_watching_on_a_terminal_follows_the_fleet_and_leaves_it_clean(tmp_path: Path) -> None:
    with serving(tmp_path, workers=[{"model": FAKE, "name": "only", "places": 2}]) as server:
        child, terminal = pty.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            environment = {k: v for k, v in os.environ.items() if not k.startswith("VOXFLEET_")}
            environment |= {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
            arguments = [sys.executable, "-m", "voxfleet.cli", "ps", "--watch", "--url", server.url]
            os.execvpe(sys.executable, arguments, environment)
        shown = _read_until(terminal, lambda text: "only" in text and "ready" in text)
        assert "\x1b[?1049h" in shown, "it has a screen of its own"
        (worker,) = server.pids("voxfleet.cli.worker_process")
        os.kill(worker, signal.SIGKILL)
        _read_until(terminal, lambda text: "lost" in text)
        os.write(terminal, b"\x03")
        end = _read_until(terminal, lambda text: "\x1b[?1049l" in text)
        assert "\x1b[?25h" in end, "the cursor is back"
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        assert os.waitstatus_to_exitcode(status) == exits.OK


def _read_until(terminal: int, condition: "object") -> str:
    assert callable(condition)
    text, end = "", time.monotonic() + 30
    while not condition(text):
        assert time.monotonic() < end, text[-3000:]
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65_536).decode(errors="replace")
    return text


# ---- the picture ------------------------------------------------------------------------------------------------


def fleet(**changed: object) -> Fleet:
    worker = WorkerRow(
        name="gpu-0", state="ready", address="10.20.30.40:8766", pid=4_194_304, host="asr-1",
        model="nemotron-speech-en-0.6b", labels={"gpu": "h100", "region": "eu-west"}, places=256, capacity=256,
        taken=128, utilisation=0.41, step_p95=0.1127, uptime=9_133.0,
    )  # fmt: skip
    leaving = WorkerRow(
        name="gpu-1", state="draining", address="10.20.30.41:8766", pid=77, model="nemotron-speech-en-0.6b", places=48,
        capacity=40, taken=48, utilisation=0.93, step_p95=0.4, drain_left=13.2, uptime=61.0, recorded_paused=True,
    )  # fmt: skip
    made = Fleet(
        gateway="gateway-0",
        gateways=[GatewayRow("gateway-0", 4120, "asr-1", "asr-1:8765", "ready", 119, 12_300, 5, 0, 31, 4, 93_784.2)],
        workers=[worker, leaving],
        events=[Event(1_000.0, "draining", "gpu-1"), Event(1_001.0, "moved", "gpu-1", "", 37)],
        recovery=Recovery(0.31, 0.62, 6),
        totals=Totals(176, 304, 256),
    )
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def painted(width: int, shown: Fleet, **how: object) -> str:
    screen = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    screen.print(picture(shown, screen.width, **how))  # type: ignore[arg-type]
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_names_places_and_states_are_whole_at_every_width(width: int) -> None:
    text = painted(width, fleet())
    assert all(len(line) <= width for line in text.splitlines())
    for whole in (
        "gateway-0",
        "4120",
        "gpu-0",
        "4194304",
        "128/256",
        "ready",
        "draining 13 s",
        "41%",
        "37 streams moved",
    ):
        assert whole in text
    assert ("region=eu-west" in text) == (width >= 200)
    assert "p50 0.31 s, p95 0.62 s" in " ".join(text.split())
    assert "gpu-1 recorded files wait" in text


def test_an_empty_fleet_says_what_that_means() -> None:
    text = painted(80, Fleet("gateway-0", [GatewayRow("gateway-0")]))
    assert "no worker is known; streams are refused until one joins" in text
    assert "recovered" not in text


def test_names_are_shown_as_they_are_whatever_they_look_like() -> None:
    odd = "[bold]x[/] :smile:"
    text = painted(200, fleet(workers=[WorkerRow(odd, "ready")], events=[Event(1.0, "lost", odd)]))
    assert text.count(odd) == 2


def test_only_the_newest_events_are_shown() -> None:
    many = [Event(float(n), "joined", f"worker-{n}") for n in range(30)]
    text = painted(100, fleet(events=many), events=3)
    assert [n for n in range(30) if f"worker-{n} " in text] == [27, 28, 29]
    assert "what happened" not in painted(100, fleet(events=many), events=-4)


def test_a_full_worker_and_an_almost_empty_one_look_like_it() -> None:
    assert bar(0, 8).plain == "──────── 0/8"
    assert bar(1, 256).plain == "━─────── 1/256"
    assert bar(4, 8).plain == "━━━━──── 4/8"
    assert bar(8, 8).plain == "━━━━━━━━ 8/8"
    assert bar(0, 0).plain == "–"


def test_events_are_sentences() -> None:
    assert told(Event(0, "moved", "w", "", 1)) == "1 stream moved to another worker at the end of a turn"
    assert told(Event(0, "replayed", "w", "", 1_200)) == "1,200 streams replayed to another worker"
    assert told(Event(0, "draining", "w", "within 25 s")) == "draining (within 25 s)"
    assert told(Event(0, "of_a_newer_server", "w", "", 2)) == "of_a_newer_server, 2 times"


def test_stretches_of_time_have_two_units_at_most() -> None:
    stretches = [0.0, 59.9, 61.0, 3_600.0, 93_784.0]
    assert [span(s) for s in stretches] == ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "1 d 2 h"]
    assert span(None) == "–"
