"""One server with the scripted engine for all gateway tests of a module; every test must leave it at rest."""

from collections.abc import Iterator

import pytest

from tests.server import FAKE, Server, serving

PLACES = 6


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(
        tmp_path_factory.mktemp("server"),
        gateway={
            "idle_timeout": 2.0,
            "max_frame_bytes": 200_000,
            "max_ahead": 5.0,
            "finals_waiting": 16,
            "receive_buffer": 16_384,
            "send_buffer": 8_192,
        },
        workers=[{"model": FAKE, "name": "fake", "places": PLACES}],
    ) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """The shared server; afterwards no place is taken, no call is live and no process has been restarted."""
    gateway, worker = (
        shared_server.pids("voxfleet.cli.gateway_process"),
        shared_server.pids("voxfleet.cli.worker_process"),
    )
    yield shared_server
    shared_server.at_rest()
    assert shared_server.pids("voxfleet.cli.gateway_process") == gateway
    assert shared_server.pids("voxfleet.cli.worker_process") == worker
