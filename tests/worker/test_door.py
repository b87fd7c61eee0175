"""The HTTP door of a real worker process: probes, metrics, and who may make it leave."""

import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.worker.processes import worker
from tests.worker.raw_gateway import joined


def free_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def ask(address: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://{address}{path}", data=body, headers=headers)
    end = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < end, "the door does not open"
            time.sleep(0.02)


def code_of(answer: tuple[int, str]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["error"]["code"]


def test_the_door_is_open_before_the_engine_is_loaded(tmp_path: Path) -> None:
    address = free_address()
    with worker(tmp_path, model="python:tests.worker.slow_engine:SlowToLoad", http=address) as process:
        assert ask(address, "/healthz") == (200, "loading\n")
        assert ask(address, "/readyz") == (503, "loading\n")
        status, text = ask(address, "/metrics")
        assert status == 200
        assert "voxfleet_engine_ready 0.0" in text
        assert process.process.poll() is None
        assert ask(address, "/drain", b"")[0] == 202
        assert process.ended() == 0


async def test_probes_and_metrics_follow_the_worker(tmp_path: Path) -> None:
    address = free_address()
    with worker(tmp_path, http=address, drain_seconds=600.0, options={"places": 6}) as process:
        async with joined(process.address) as gateway:
            assert ask(address, "/readyz") == (200, "ready\n")
            place = await gateway.open()
            await gateway.speak(place)
            await gateway.heard(lambda a: any(h.final for h in a.heard))
            ask(address, "/metrics")
            values = metrics(ask(address, "/metrics")[1])
            assert values["voxfleet_engine_places"] == 6
            assert values["voxfleet_engine_places_taken"] == 1
            assert values["voxfleet_engine_capacity"] == 6
            assert values["voxfleet_engine_ready"] == 1
            assert values["voxfleet_engine_draining"] == 0
            assert values["voxfleet_engine_steps_total"] >= 1, "asked for twice it is not counted twice"
            assert values["voxfleet_engine_steps_total"] <= 3
            assert values["voxfleet_engine_admission_decisions_total"] == 0
            status, body = ask(address, "/drain", b'{"seconds": 50, "replace": true}')
            assert status == 202
            assert 40 < json.loads(body)["drain_left"] <= 50
            assert json.loads(body)["tracks"] == 1
            await gateway.heard(lambda a: a.HasField("load") and a.load.draining)
            assert ask(address, "/readyz") == (503, "draining\n")
            assert ask(address, "/healthz") == (200, "draining\n")
            assert metrics(ask(address, "/metrics")[1])["voxfleet_engine_draining"] == 1
            await gateway.say(closes=[place])
        assert process.ended() == 75


def test_what_is_no_drain_is_refused_by_name(tmp_path: Path) -> None:
    address = free_address()
    with worker(tmp_path, http=address) as process:
        process.printed("ready")
        for body in (b"{", b'{"second": 1}', b'{"seconds": -1}', b'{"seconds": "now"}', b'{"seconds": 1e999}', b"[]"):
            assert code_of(ask(address, "/drain", body)) == (400, "bad_request")
        assert code_of(ask(address, "/drain", b" " * 5_000)) == (413, "message_too_big")
        assert ask(address, "/drain")[0] == 405
        assert code_of(ask(address, "/drain", b"", Origin="http://evil.example")) == (401, "unauthorized")
        assert ask(address, "/readyz") == (200, "ready\n")


def test_with_a_secret_a_drain_needs_it(tmp_path: Path) -> None:
    address = free_address()
    with worker(tmp_path, http=address, secret="open sesame") as process:
        process.printed("ready")
        for given in ({}, {"Authorization": "Bearer open"}, {"Authorization": "open sesame"}):
            assert code_of(ask(address, "/drain", b"", **given)) == (401, "unauthorized")
        assert ask(address, "/readyz")[0] == 200, "probes need none"
        assert ask(address, "/drain", b"", Authorization="Bearer open sesame")[0] == 202
        assert process.ended() == 0


async def test_a_stuck_engine_shows_before_the_process_ends(tmp_path: Path) -> None:
    address = free_address()
    with worker(tmp_path, http=address, stuck_seconds=1.0, options={"step_seconds": 600.0}) as process:
        async with joined(process.address) as gateway:
            await gateway.speak(await gateway.open())
            assert ask(address, "/healthz") == (200, "ready\n")
            await gateway.ended.wait()
        assert process.ended() == 70


def test_an_address_that_is_taken_is_an_error_in_words(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with worker(tmp_path, http=address) as process:
            assert process.printed("error")["error"].startswith(f"can't listen on {address}")
            assert process.ended() == 1


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:", ":80x", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(tmp_path: Path, address: str) -> None:
    with worker(tmp_path, http=address) as process:
        assert "must be host:port" in process.printed("error")["error"]


def metrics(text: str) -> dict[str, float]:
    return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}
