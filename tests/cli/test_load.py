"""`voxfleet load` as a user runs it: a process, its report, its exit code, whatever becomes of the server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.server import FAKE, Server, serving
from voxfleet.audio.pcm import wav
from voxfleet.cli import exits

PLACES = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(
        tmp_path_factory.mktemp("server"),
        gateway={"drain_seconds": 0.0},
        vad={"model": "level"},
        workers=[{"model": FAKE, "name": "fake", "places": PLACES}],
    ) as running:
        yield running


@contextmanager
def loading(directory: Path, *arguments: object) -> "Iterator[subprocess.Popen[str]]":
    """The command while it runs; killed if it is still there at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VOXFLEET_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "voxfleet.cli", "load", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
        env=clean | {"COLUMNS": "120", "NO_COLOR": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def order(url: str, streams: int, seconds: float, *more: object) -> list[object]:
    return [
        *("--url", url, "--streams", streams, "--seconds", seconds, "--warm-up", 1),
        *("--audio", "synthetic", "--report", "-", *more),
    ]


def document(said: str) -> dict[str, Any]:
    """The JSON of a report that adds up."""
    report: dict[str, Any] = json.loads(said)
    counts = report["streams"]
    assert counts["offered"] >= counts["admitted"] + counts["refused"]
    return report


def told(returncode: int, report: dict[str, Any], expected: int) -> None:
    """The exit code follows the outcome; on a machine too busy for the generator itself it must be the one that says so."""
    assert returncode == (expected if report["health"]["valid"] else exits.INVALID)


def well(voxfleet: Run, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A run whose generator kept time. A machine with other work can delay it, which it then says itself: once more."""
    for _ in range(5):
        ran = voxfleet(*arguments)
        if ran.returncode != exits.INVALID:
            return ran
    pytest.skip("this machine is too busy for the load generator, five times in a row")


def test_everybody_served_is_exit_code_0_and_twenty_lines(server: Server, voxfleet: Run) -> None:
    ran = well(voxfleet, "load", *order(server.url, 3, 8))
    assert (ran.returncode, ran.stderr) == (exits.OK, ""), ran.stdout
    lines = ran.stdout.strip().splitlines()
    assert lines[0] == f"3 callers at once for 8 s on {server.url}"
    assert lines[1].startswith("callers     3 offered, 3 admitted, 0 refused, 0 failed, 3 at once")
    for told in ("word shown", "final", "first partial", "stalls      0 of more than 5 s", "generator   sent "):
        assert told in ran.stdout
    assert len(lines) < 20
    assert max(map(len, lines)) <= 120
    server.at_rest()


def test_the_report_says_what_was_run_and_how_to_run_it_again(server: Server, voxfleet: Run) -> None:
    ran = voxfleet("load", *order(server.url, 2, 6, "--json", "--seed", 9, "--api-key", "secret"))
    report = document(ran.stdout)
    told(ran.returncode, report, exits.OK)
    assert report["about"]["command"].startswith("voxfleet load --url ")
    assert "secret" not in ran.stdout
    assert (report["about"]["seed"], report["about"]["partial"], report["about"]["target"]["model"]) == (
        9,
        False,
        "fake",
    )
    assert report["stability"]["committed_revisions"] == 0
    assert {kind["name"] for kind in report["latencies"]} >= {"emission", "final", "admission"}
    assert report["bytes_sent"] == pytest.approx(report["audio_seconds"] * 32_000)


def test_refused_callers_are_exit_code_1_and_named(server: Server, voxfleet: Run) -> None:
    ran = voxfleet("load", *order(server.url, PLACES + 2, 6, "--json"))
    report = document(ran.stdout)
    told(ran.returncode, report, exits.FAILED)
    assert (report["streams"]["admitted"], report["streams"]["refused"]) == (PLACES, 2)
    assert report["streams"]["reasons"] == {"at_capacity": 2}
    assert len(report["problems"]) == 2
    server.at_rest()


def test_ctrl_c_writes_what_there_is_and_says_that_it_is_partial(server: Server, tmp_path: Path) -> None:
    with loading(tmp_path, *order(server.url, 3, 60, "--json")) as process:
        server.wait(lambda status: status["streams"]["live"] == 3, 30)
        time.sleep(4.0)
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=20)
    assert process.returncode == exits.INTERRUPTED, complaints
    report = document(said)
    assert report["about"]["partial"] is True
    assert 1.0 < report["seconds"] < 30.0
    assert report["streams"]["admitted"] == 3
    assert report["latencies"]
    assert "PARTIAL" in complaints
    assert "Traceback" not in complaints
    server.at_rest()


def test_ctrl_c_in_a_search_keeps_the_rungs(server: Server, tmp_path: Path) -> None:
    with loading(tmp_path, *order(server.url, 1, 8, "--json", "--find-capacity", "--max-streams", 2)) as process:
        server.wait(lambda status: status["streams"]["live"] == 1, 30)
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=20)
    assert process.returncode == exits.INTERRUPTED, complaints
    report = document(said)
    assert report["capacity"]["streams"] is None
    assert report["capacity"]["beyond"] == "not seen: the search was stopped"
    assert [rung["why_not"] for rung in report["capacity"]["rungs"]] == [["stopped before its time"]]


def test_a_server_that_dies_in_between_is_exit_code_1_with_everybody_named(tmp_path: Path) -> None:
    with (
        serving(
            tmp_path,
            gateway={"drain_seconds": 0.0},
            vad={"model": "level"},
            workers=[{"model": FAKE, "name": "fake", "places": PLACES}],
        ) as dying,
        loading(tmp_path, *order(dying.url, 3, 10, "--json")) as process,
    ):
        dying.wait(lambda status: status["streams"]["live"] == 3, 30)
        time.sleep(3.0)
        for pid in dying.pids("voxfleet.cli.gateway_process"):
            os.kill(pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=60)
    report = document(said)
    told(process.returncode, report, exits.FAILED)
    assert report["about"]["partial"] is False
    assert report["streams"]["failed"] == 3
    assert {problem["where"] for problem in report["problems"]} == {"caller 0", "caller 1", "caller 2"}
    assert {problem["code"] for problem in report["problems"]} == {"connection_lost"}
    assert report["latencies"], "what came before counts"


def test_a_generator_that_stood_still_is_exit_code_6_and_its_figures_are_nobodys(
    server: Server, tmp_path: Path
) -> None:
    with loading(tmp_path, *order(server.url, 2, 8)) as process:
        server.wait(lambda status: status["streams"]["live"] == 2, 30)
        time.sleep(3.0)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.6)
        process.send_signal(signal.SIGCONT)
        said, complaints = process.communicate(timeout=60)
    assert process.returncode == exits.INVALID, said + complaints
    assert said.strip().startswith("INVALID the load generator fell behind, so these are not the server's figures: it ")
    server.at_rest()


def test_nobody_there_is_said_once_with_an_exit_code_of_its_own(voxfleet: Run) -> None:
    ran = voxfleet("load", *order("http://127.0.0.1:1", 3, 5, "--json"))
    assert ran.returncode in (exits.FAILED, exits.NO_SERVER)
    report = document(ran.stdout)
    assert (report["streams"]["offered"], report["streams"]["failed"], report["streams"]["admitted"]) == (3, 3, 0)
    assert {problem["code"] for problem in report["problems"]} == {"no_connection"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--arrivals", "closed"], "--arrivals must be hold, poisson"),
        (["--arrivals", "poisson"], "--call-seconds must be given with poisson arrivals"),
        (["--arrivals", "trace:nowhere.csv"], "nowhere.csv"),
        (["--call-seconds", "60"], "--call-seconds must be fixed:SECONDS"),
        (["--telephony", "carrier-pigeon"], "--telephony"),
        (["--noise", "babble"], "--noise"),
        (["--sample-rate", "44100"], "--sample-rate"),
        (["--dialect", "morse"], "--dialect must be one of native"),
        (["--audio", "nowhere.tsv"], "nowhere.tsv"),
        (["--match", "nothing-like-it"], "part of the name of a recording"),
    ],
)
def test_bad_options_are_named_before_anything_is_called(options: list[str], sentence: str, voxfleet: Run) -> None:
    ran = voxfleet("load", "--url", "http://127.0.0.1:1", "--report", "-", "--audio", "synthetic", *options)
    assert ran.returncode not in (exits.OK, exits.NO_SERVER, exits.INTERRUPTED)
    assert sentence in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


@pytest.mark.slow
def test_without_a_url_a_private_server_is_started_and_gone_afterwards(voxfleet: Run, tmp_path: Path) -> None:
    ran = voxfleet("load", "--streams", 2, "--seconds", 8, "--warm-up", 1, "--report", "-", "--json")
    report = document(ran.stdout)
    assert ran.returncode in (exits.OK, exits.FAILED, exits.INVALID), ran.stderr
    assert report["about"]["target"]["private"] is True
    assert report["streams"]["finished"] == 2
    assert report["accuracy"]["calls"] == 2


def test_only_the_recordings_asked_for_are_said(server: Server, tmp_path: Path, voxfleet: Run) -> None:
    """What is not said can't be in the way: here an unreadable recording, and one without a reference."""
    rows = ["file\ttranscript"]
    for name, transcript in (("calls/a.wav", "amber"), ("calls/b.wav", "birch"), ("other/c.wav", "")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(wav(np.random.default_rng(1).normal(0, 0.2, 32_000).astype(np.float32), 16_000))
        rows.append(f"{name}\t{transcript}")
    (tmp_path / "other/c.wav").write_bytes(b"no audio")
    (tmp_path / "m.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    options = ["--audio", tmp_path / "m.tsv", "--match", "calls/", "--json", "--report", "-"]
    done = voxfleet("load", "--url", server.url, "--streams", 2, "--seconds", 8, "--warm-up", 1, *options)
    report = document(done.stdout)
    told(done.returncode, report, exits.OK)
    assert report["accuracy"]["calls"] == 2
    assert "those with 'calls/' in their name: 2 clips" in report["about"]["audio"]
