"""The processes of one machine: killed, stopped, drained and replaced for real, under a real `voxfleet serve`."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Run
from tests.server import FAKE, REPOSITORY, Server, serving, told, until
from voxfleet.cli import exits, supervisor
from voxfleet.errors import SettingsError
from voxfleet.serving.catalog import advised_places
from voxfleet.settings import GatewaySettings, Settings, SupervisorSettings, WorkerSettings

WORKERS = ("fake-0", "fake-1", "fake-2")
GATEWAYS = ("gateway-0", "gateway-1")
QUICK = {"beat_seconds": 2.0, "restart_first": 0.2}
ENGINE = {"model": FAKE, "name": "fake", "places": 3}


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    arguments = ("--workers", "3", "--gateways", "2")
    directory = tmp_path_factory.mktemp("fleet")
    with serving(directory, arguments=arguments, workers=[ENGINE], supervisor=QUICK) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    """Three workers and two gateways, whole; what other tests did to them is forgotten."""
    whole(shared_server)
    shared_server.noted = len(shared_server.log.read_text())
    return shared_server


def whole(server: Server, without: int = 0) -> dict[str, int]:
    """The names and pids once all run and are linked, and none of them is the process `without`."""

    def complete(pids: dict[str, int]) -> bool:
        return sorted(pids) == sorted((*WORKERS, *GATEWAYS)) and without not in pids.values()

    pids = until(server.named, complete, 30)
    server.wait(lambda status: all(worker["state"] == "ready" for worker in status["workers"]), 30)
    return pids


def kill(server: Server, name: str, number: int = signal.SIGKILL) -> int:
    pid = server.named()[name]
    os.kill(pid, number)
    return pid


def test_workers_of_one_model_are_numbered(server: Server) -> None:
    assert set(whole(server)) == {*WORKERS, *GATEWAYS}
    assert [worker["name"] for worker in server.status()["workers"]] == list(WORKERS)
    assert [worker["places"] for worker in server.status()["workers"]] == [3, 3, 3]


def test_both_gateways_take_connections_of_one_port(server: Server) -> None:
    pids = whole(server)
    address = urlsplit(server.url)
    before = {name: sockets(pids[name]) for name in GATEWAYS}
    connections = [socket.create_connection((address.hostname, address.port)) for _ in range(32)]
    try:
        taken = until(
            lambda: [sockets(pids[name]) - before[name] for name in GATEWAYS],
            lambda taken: sum(taken) >= 0.8 * len(connections),  # others than these may have come and gone
        )
    finally:
        for connection in connections:
            connection.close()
    assert min(taken) >= 1, (
        "the system spreads them by chance: 32 on one side are a chance of one in two thousand million"
    )


def sockets(pid: int) -> int:
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def test_gateways_share_one_secret_that_outlives_them_and_is_never_logged(server: Server) -> None:
    def secrets() -> dict[str, str]:
        return {name: (told(pid) or {})["settings"]["cluster"]["secret"] for name, pid in server.named().items()}

    (secret,) = set(secrets().values())
    assert len(secret) == 64
    whole(server, kill(server, "gateway-0"))
    assert set(secrets().values()) == {secret}
    assert secret not in server.log.read_text()


def test_a_killed_gateway_comes_back_while_the_other_answers(server: Server) -> None:
    before = whole(server)
    killed = kill(server, "gateway-0")
    until(lambda: Path(f"/proc/{killed}").exists(), lambda there: not there)
    for _ in range(20):
        assert server.status()
    after = whole(server, killed)
    assert {name for name in before if before[name] != after[name]} == {"gateway-0"}


def test_a_killed_worker_comes_back_and_the_others_stay(server: Server) -> None:
    before = whole(server)
    after = whole(server, kill(server, "fake-1"))
    assert {name for name in before if before[name] != after[name]} == {"fake-1"}
    (death,) = server.events("process_died")
    assert (death["name"], death["exit_code"], death["restart_in"]) == ("fake-1", -9, 0.2)


@pytest.mark.parametrize("name", ["fake-2", "gateway-1"])
def test_a_stopped_process_is_killed_and_started_again(server: Server, name: str) -> None:
    before = whole(server)
    after = whole(server, kill(server, name, signal.SIGSTOP))
    assert {name for name in before if before[name] != after[name]} == {name}
    (hung,) = server.events("process_hung")
    assert hung["name"] == name
    assert hung["silent"] >= QUICK["beat_seconds"]


def test_a_supervisor_that_was_stopped_itself_kills_nobody(server: Server) -> None:
    before = whole(server)
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(2 * QUICK["beat_seconds"])
    server.process.send_signal(signal.SIGCONT)
    time.sleep(QUICK["beat_seconds"])
    assert whole(server) == before
    assert not server.events("process_hung", "process_died")


def test_a_drained_worker_stays_down_and_a_replacement_brings_it_back(server: Server) -> None:
    drained = kill(server, "fake-0", signal.SIGTERM)
    until(lambda: server.events("process_drained"), len)
    time.sleep(1.0)
    assert set(server.named()) == {*WORKERS, *GATEWAYS} - {"fake-0"}
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.events("replacement_done"), len, 60)
    whole(server, drained)


def test_a_replacement_replaces_every_process_once_and_never_two_at_a_time(server: Server) -> None:
    before = whole(server)
    server.process.send_signal(signal.SIGHUP)
    server.process.send_signal(signal.SIGHUP)  # the same, or refused: not a second round
    fewest = len(before)
    while not server.events("replacement_done"):
        fewest = min(fewest, len(server.named()))
        assert time.time() < server.log.stat().st_mtime + 20, "the replacement has come to a halt"
    after = whole(server)
    assert not set(before.values()) & set(after.values())
    assert fewest >= len(before) - 1
    order = [
        (event["event"], event["worker"])
        for event in server.events("worker_draining", "worker_ready")
        if event["process"] == event["worker"]  # gateways tell it too
    ]
    assert order == [step for name in WORKERS for step in (("worker_draining", name), ("worker_ready", name))]
    assert [event["name"] for event in server.events("process_replaced")] == [*WORKERS, *GATEWAYS]
    assert not server.events("process_died", "process_hung", "process_killed")


def test_a_single_gateway_is_not_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, workers=[ENGINE]) as server:
        before = server.named()
        assert set(before) == {"fake", "gateway-0"}
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.events("replacement_done"), len, 30)
        after = server.named()
        assert after["gateway-0"] == before["gateway-0"]
        assert after["fake"] != before["fake"]


def test_asked_to_leave_in_the_middle_of_a_replacement_it_leaves(tmp_path: Path) -> None:
    arguments = ("--workers", "2", "--gateways", "2")
    with serving(tmp_path, arguments=arguments, workers=[ENGINE]) as server:
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.events("process_replaced"), len)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0
        assert server.named() == {}


def test_a_second_fleet_does_not_quietly_share_the_port(server: Server, voxfleet: Run) -> None:
    port = str(urlsplit(server.url).port)
    done = voxfleet("serve", "--gateways", "2", "--port", port)
    assert done.returncode == exits.SETTINGS
    assert f"can't listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert server.status()


def test_a_gateway_that_cannot_be_what_the_settings_say_is_a_failed_start(voxfleet: Run) -> None:
    done = voxfleet("serve", "--port", "0", VOXFLEET_VAD_MODEL="golden")
    assert done.returncode == exits.SETTINGS
    assert "'vad.model' must be silero or level, not 'golden'" in done.stderr


def test_many_workers_are_made_of_one(tmp_path: Path, voxfleet: Run) -> None:
    (tmp_path / "two.toml").write_text('[[workers]]\nname = "a"\n[[workers]]\nname = "b"\n')
    done = voxfleet("serve", "--config", "two.toml", "--workers", "3")
    assert done.returncode == exits.SETTINGS
    assert "the settings list 2" in done.stderr
    three = supervisor.with_workers(Settings(), 3)
    assert supervisor.worker_names(three) == ["embedded-0", "embedded-1", "embedded-2"]
    named = Settings(workers=(WorkerSettings(name="desk", places=7),))
    assert supervisor.worker_names(supervisor.with_workers(named, 2)) == ["desk-0", "desk-1"]
    assert supervisor.with_workers(named, 1) == named
    with pytest.raises(SettingsError, match="two workers are called"):
        supervisor.worker_names(Settings(workers=(WorkerSettings(name="a"), WorkerSettings(name="a"))))


async def test_workers_of_the_embedded_engine_share_what_it_advises_for_the_machine(tmp_path: Path) -> None:
    def places(settings: Settings) -> list[int]:
        children = supervisor.Fleet(settings, tmp_path).workers
        return [child.resolved["settings"]["workers"][child.resolved["number"]]["places"] for child in children]

    assert places(Settings()) == [0]
    shared = places(supervisor.with_workers(Settings(), 3))
    assert len(set(shared)) == 1
    assert advised_places() <= sum(shared) < advised_places() + 3
    chosen = Settings(workers=(WorkerSettings(name="a", places=4), WorkerSettings(name="b")))
    assert places(chosen) == [4, -(-advised_places() // 2)]
    other = Settings(workers=(WorkerSettings(model=FAKE), WorkerSettings(model=FAKE)))
    assert places(other) == [0, 0]


def test_gateways_are_called_as_the_settings_say() -> None:
    one = Settings(gateway=GatewaySettings(name="north"))
    assert supervisor.gateway_names(one) == ["north"]
    assert supervisor.gateway_names(replace(one, supervisor=SupervisorSettings(gateways=2))) == ["north-0", "north-1"]
    assert supervisor.gateway_names(Settings()) == ["gateway-0"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_gateway_alone_serves_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "voxfleet.cli", "gateway", "--port", "0", "--worker", f"unix:{tmp_path}/none.sock"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VOXFLEET_")}
    ignoring = signal.signal(number, signal.SIG_DFL)  # a shell's background jobs ignore Ctrl-C, and so would theirs
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean)
    signal.signal(number, ignoring)
    assert process.stderr is not None
    with process, process.stderr:
        found = re.search(r"http://[\d.]+:(\d+)", process.stderr.readline())
        assert found

        def alive() -> bool:
            try:
                with urllib.request.urlopen(f"{found[0]}/healthz", timeout=10) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        until(alive, bool)
        process.send_signal(number)
        assert process.wait(10) == 0


@pytest.mark.parametrize("nohup", [False, True])
def test_it_leaves_with_its_terminal_unless_nohup(tmp_path: Path, nohup: bool) -> None:
    config = tmp_path / "voxfleet.toml"
    config.write_text(f'[[workers]]\nmodel = "{FAKE}"\n[telemetry]\nlog_level = "error"\n')
    command = [sys.executable, "-m", "voxfleet.cli", "serve", "--config", str(config), "--port", "0"]
    shell = ("trap '' HUP; " if nohup else "") + "exec " + subprocess.list2cmdline(command)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(REPOSITORY)
        os.execv("/bin/sh", ["sh", "-c", shell])
    text = b""
    while not text.endswith(b"Ctrl-C to stop)\r\n"):
        text += os.read(terminal, 4096)
    found = re.search(rb"http://[\d.]+:(\d+)", text)
    assert found
    os.close(terminal)
    if nohup:
        time.sleep(1.0)
        with socket.create_connection(("127.0.0.1", int(found[1]))):
            pass
        os.kill(pid, signal.SIGTERM)
    ended, status = until(lambda: os.waitpid(pid, os.WNOHANG), lambda result: result[0] != 0, 60.0)
    assert (ended, os.waitstatus_to_exitcode(status)) == (pid, 0)
