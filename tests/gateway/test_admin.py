"""The operator's interface: who may drain a worker, what the fleet's document says, what a drain does to the worker."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from tests.server import FAKE, Server, serving
from voxfleet.cluster.pool import Pool
from voxfleet.errors import VoxfleetError
from voxfleet.gateway.admin import LARGEST_ORDER, Admin
from voxfleet.settings import ClusterSettings, LinkSettings
from voxfleet.telemetry.metrics import GatewayMetrics
from voxfleet.wire.fleet import Fleet

SECRET = "correct horse"
BEARER = {"authorization": f"Bearer {SECRET}"}
LOCAL = "http://127.0.0.1:8765"
DOCUMENT = {"gateway", "gateways", "workers", "events", "recovery", "totals"}
GATEWAY = {
    *("name", "pid", "host", "address", "state", "streams", "opened", "refused", "failed", "moves", "replays", "uptime")
}
WORKER = {
    *("name", "pid", "host", "address", "model", "device", "labels", "state", "places", "capacity", "taken"),
    *("utilisation", "chunk_ms", "step_p95", "recorded_paused", "drain_left", "uptime"),
}


def asked(
    peer: str, headers: dict[str, str], *, named: bool, base: str = LOCAL, secret: str = SECRET
) -> tuple[int, str]:
    """Status and code of a drain of a worker that does not exist: 404 says that the caller was let in."""
    metrics = GatewayMetrics()
    admin = Admin(
        Pool({}, LinkSettings()),
        ClusterSettings(secret=secret),
        metrics,
        "gateway-0",
        open_to_loopback=not named,
    )

    async def refused(_request: object, error: Exception) -> JSONResponse:
        assert isinstance(error, VoxfleetError)
        return JSONResponse({"code": error.code}, error.http_status)

    app = Starlette(routes=admin.routes, exception_handlers={VoxfleetError: refused})
    client = TestClient(app, base_url=base, client=(peer, 50_000))
    answer = client.post("/v1/workers/nobody/drain", headers=headers)
    return answer.status_code, answer.json()["code"]


LET_IN = (404, "worker_not_found")
KEPT_OUT = (401, "unauthorized")


@pytest.mark.parametrize(
    ("peer", "headers", "named", "outcome"),
    [
        ("10.0.0.9", BEARER, True, LET_IN),
        ("10.0.0.9", {"authorization": f"bearer {SECRET}"}, True, LET_IN),
        ("10.0.0.9", {}, True, KEPT_OUT),
        ("10.0.0.9", {"authorization": "Bearer wrong"}, True, KEPT_OUT),
        ("10.0.0.9", {"authorization": "Bearer "}, True, KEPT_OUT),
        ("10.0.0.9", {"authorization": f"Basic {SECRET}"}, True, KEPT_OUT),
        ("127.0.0.1", {}, True, KEPT_OUT),
        ("127.0.0.1", {}, False, LET_IN),
        ("::1", {}, False, LET_IN),
        ("::ffff:127.0.0.1", {}, False, LET_IN),
        ("10.0.0.9", {}, False, KEPT_OUT),
        ("::ffff:10.0.0.9", {}, False, KEPT_OUT),
        ("testclient", {}, False, KEPT_OUT),
    ],
)
def test_draining_takes_the_secret_or_the_own_machine(
    peer: str, headers: dict[str, str], named: bool, outcome: tuple[int, str]
) -> None:
    assert asked(peer, headers, named=named) == outcome


@pytest.mark.parametrize(
    ("base", "headers", "outcome"),
    [
        (LOCAL, {"origin": LOCAL}, LET_IN),
        ("http://localhost:8765", {"origin": "http://localhost:8765"}, LET_IN),
        ("http://[::1]:8765", {}, LET_IN),
        (LOCAL, {"origin": "https://elsewhere.example"}, KEPT_OUT),
        (LOCAL, {"origin": "null"}, KEPT_OUT),
        (LOCAL, {"origin": "http://127.0.0.1:9999"}, KEPT_OUT),
        ("http://rebound.example:8765", {"origin": "http://rebound.example:8765"}, KEPT_OUT),
        (LOCAL, {"x-forwarded-for": "203.0.113.5"}, KEPT_OUT),
        (LOCAL, {"forwarded": "for=203.0.113.5"}, KEPT_OUT),
        (LOCAL, {"via": "1.1 proxy"}, KEPT_OUT),
    ],
)
def test_the_own_machine_is_not_what_comes_through_its_browser_or_its_proxy(
    base: str, headers: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert asked("127.0.0.1", headers, named=False, base=base) == outcome
    assert asked("127.0.0.1", headers | BEARER, named=False, base=base) == LET_IN, "the secret is enough everywhere"


def test_an_empty_secret_opens_nothing() -> None:
    for header in ("Bearer ", "Bearer", ""):
        assert asked("10.0.0.9", {"authorization": header}, named=True, secret="") == KEPT_OUT


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    workers = [
        {"model": FAKE, "name": "left", "places": 3, "labels": {"region": "eu-west", "gpu": "none"}},
        {"model": FAKE, "name": "right", "places": 2},
    ]
    with serving(tmp_path_factory.mktemp("server"), workers=workers) as running:
        yield running


def post(
    server: Server, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", path, body, headers or {})
        with connection.getresponse() as answer:
            return answer.status, json.load(answer)
    finally:
        connection.close()


def worker(server: Server, name: str) -> dict[str, Any]:
    return next(row for row in server.get("/v1/fleet")["workers"] if row["name"] == name)


def wait(server: Server, name: str, condition: Any, seconds: float = 15.0) -> dict[str, Any]:
    """The first row of this worker that meets the condition."""
    end = time.monotonic() + seconds
    while not condition(row := worker(server, name)):
        assert time.monotonic() < end, row
        time.sleep(0.05)
    return row


def test_the_fleet_is_told_with_every_field(server: Server) -> None:
    told = server.get("/v1/fleet")
    assert set(told) == DOCUMENT
    (gateway,) = told["gateways"]
    assert set(gateway) == GATEWAY
    assert gateway["name"] == told["gateway"]
    assert [gateway["pid"]] == server.pids("voxfleet.cli.gateway_process")
    assert gateway["address"] == urlsplit(server.url).netloc
    left, right = sorted(told["workers"], key=lambda row: row["name"])
    assert set(left) == WORKER
    assert left["labels"] == {"region": "eu-west", "gpu": "none"}
    assert (left["model"], left["state"], left["places"], left["taken"]) == ("fake", "ready", 3, 0)
    assert {left["pid"], right["pid"]} == set(server.pids("voxfleet.cli.worker_process"))
    assert told["totals"] == {"streams": 0, "places": 5, "capacity": 5}
    assert {(event["kind"], event["worker"]) for event in told["events"]} >= {("joined", "left"), ("joined", "right")}
    msgspec.convert(told, Fleet)  # what programs read is what is written


def test_a_worker_nobody_knows_is_named_with_its_neighbour(server: Server) -> None:
    status, told = post(server, "/v1/workers/rihgt/drain")
    assert (status, told["error"]["code"]) == (404, "worker_not_found")
    assert "did you mean 'right'?" in told["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "code", "named"),
    [
        (b"{", 400, "bad_request", "no drain order"),
        (b"[]", 400, "bad_request", "Expected `object`"),
        (b'{"seconds": "soon"}', 400, "bad_request", "$.seconds"),
        (b'{"seconds": -1}', 400, "bad_request", "$.seconds"),
        (b'{"seconds": 1e9}', 400, "bad_request", "$.seconds"),
        (b'{"replace": 1}', 400, "bad_request", "$.replace"),
        (b'{"second": 5}', 400, "bad_request", "second"),
        (b"\xff\xfe", 400, "bad_request", "no drain order"),
        (b" " * (LARGEST_ORDER + 1), 413, "message_too_big", str(LARGEST_ORDER)),
    ],
)
def test_a_bad_order_is_refused_by_name_and_drains_nobody(
    server: Server, body: bytes, status: int, code: str, named: str
) -> None:
    answered, told = post(server, "/v1/workers/right/drain", body)
    assert (answered, told["error"]["code"]) == (status, code)
    assert named in told["error"]["message"]
    assert worker(server, "right")["state"] == "ready"


def test_only_post_drains(server: Server) -> None:
    with pytest.raises(Exception, match="405"):
        server.get("/v1/workers/right/drain")


def test_a_page_of_another_site_drains_nobody(server: Server) -> None:
    status, told = post(server, "/v1/workers/right/drain", b"{}", {"Origin": "https://elsewhere.example"})
    assert (status, told["error"]["code"]) == (401, "unauthorized")
    assert worker(server, "right")["state"] == "ready"


def test_a_replaced_worker_leaves_and_comes_back_as_another_process(server: Server) -> None:
    before = worker(server, "right")
    asked_at = time.time()
    status, told = post(server, "/v1/workers/right/drain", b'{"seconds": 5, "replace": true}')
    assert status == 202
    assert {key: told[key] for key in ("worker", "seconds", "replace")} == {
        "worker": "right", "seconds": 5.0, "replace": True,
    }  # fmt: skip
    assert abs(told["at"] - asked_at) < 5
    after = wait(server, "right", lambda row: row["state"] == "ready" and row["pid"] != before["pid"])
    assert after["uptime"] < before["uptime"] + 15
    happened = Counter[str]()
    for event in server.get("/v1/fleet")["events"]:
        happened[event["kind"]] += event["count"] if event["worker"] == "right" else 0
    assert +happened == {"joined": 2, "draining": 1, "left": 1}


def test_a_drained_worker_stays_away_and_is_told_as_left(tmp_path: Path) -> None:
    workers = [{"model": FAKE, "name": "stays", "places": 2}, {"model": FAKE, "name": "goes", "places": 2}]
    with serving(tmp_path, cluster={"secret": SECRET}, workers=workers) as server:
        status, told = post(server, "/v1/workers/goes/drain")
        assert (status, told["error"]["code"]) == (401, "unauthorized"), "a named secret is asked of everybody"
        status, _ = post(server, "/v1/workers/goes/drain", None, {"Authorization": f"Bearer {SECRET}"})
        assert status == 202
        row = wait(server, "goes", lambda row: row["state"] == "left")
        assert (row["places"], row["pid"], row["model"]) == (0, 0, None)
        status, told = post(server, "/v1/workers/goes/drain", None, {"Authorization": f"Bearer {SECRET}"})
        assert (status, told["error"]["code"]) == (400, "bad_request")
        assert "not linked" in told["error"]["message"]
        assert server.get("/v1/fleet")["totals"] == {"streams": 0, "places": 2, "capacity": 2}
