"""`voxfleet drain` as a user runs it, on a real fleet with people talking."""

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.server import FAKE, Server, serving
from tests.speech_audio import padded, spoken
from voxfleet.cli import exits
from voxfleet.client import Stream, connect
from voxfleet.wire import native

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

HELLO = "the quick brown fox jumps over the lazy dog"
WORKERS = "voxfleet.cli.worker_process"
SECRET = "correct horse"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    workers = [{"model": FAKE, "name": name, "places": 8} for name in ("left", "right")]
    with serving(tmp_path, workers=workers) as running:
        yield running


def pids(server: Server) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in server.get("/v1/fleet")["workers"]}


def test_an_idle_worker_leaves_and_stays_away(voxfleet: Run, server: Server) -> None:
    done = voxfleet("drain", "right", "--url", server.url)
    assert done.returncode == exits.OK, done.stderr
    assert re.search(r"✓ right has left in \d+\.\d s: no stream was on it", done.stdout)
    assert [row["name"] for row in server.get("/v1/fleet")["workers"] if row["state"] == "ready"] == ["left"]
    again = voxfleet("drain", "right", "--url", server.url)
    assert again.returncode == exits.REFUSED
    assert "not linked" in again.stderr


def test_an_unknown_name_is_refused_with_the_nearest(voxfleet: Run, server: Server) -> None:
    done = voxfleet("drain", "rihgt", "--url", server.url)
    assert done.returncode == exits.REFUSED
    assert "did you mean 'right'?" in done.stderr
    assert done.stdout == ""


def test_without_waiting_it_only_tells(voxfleet: Run, server: Server) -> None:
    done = voxfleet("drain", "right", "--no-wait", "--replace", "--url", server.url)
    assert done.returncode == exits.OK
    assert done.stdout == "right was told to leave\n"


def test_all_are_replaced_one_after_another(voxfleet: Run, server: Server) -> None:
    before = pids(server)
    with ThreadPoolExecutor(1) as beside:
        draining = beside.submit(voxfleet, "drain", "--all", "--replace", "--url", server.url)
        seen = []
        while not draining.done():
            seen.append([row["state"] == "ready" for row in server.get("/v1/fleet")["workers"]])
            time.sleep(0.02)
        done = draining.result()
    assert done.returncode == exits.OK, done.stderr
    after = pids(server)
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert re.findall(r"✓ (\w+) was replaced .* back as pid (\d+)", done.stdout) == [
        (name, str(after[name])) for name in before
    ]
    assert [False, True] in seen
    assert [True, False] in seen
    assert [False, False] not in seen, "two were away at a time"


def test_streams_leave_first_and_are_counted(voxfleet: Run, server: Server) -> None:
    asyncio.run(_with_callers(voxfleet, server))


async def _with_callers(voxfleet: Run, server: Server) -> None:
    callers, audio = 6, padded(spoken(HELLO))
    async with connect(server.url) as stream:
        hearing_one = asyncio.create_task(_finals(stream))
        await _talk(stream, audio.tobytes())
        undisturbed = await hearing_one
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(connect(server.url)) for _ in range(callers)]
        talking = [asyncio.create_task(_talk(stream, audio.tobytes())) for stream in streams]
        hearing = [asyncio.create_task(_finals(stream)) for stream in streams]
        await asyncio.sleep(0.5)
        on_it = next(row["taken"] for row in server.get("/v1/fleet")["workers"] if row["name"] == "left")
        assert on_it > 0, "routing spreads callers over workers"
        done = await asyncio.to_thread(voxfleet, "drain", "left", "--replace", "--url", server.url)
        await asyncio.gather(*talking)
        texts = await asyncio.gather(*hearing)
    assert done.returncode == exits.OK, done.stderr
    counted = {what: int(number) for number, what in re.findall(r"(\d+) streams? (moved|replayed)", done.stdout)}
    assert sum(counted.values()) == on_it, done.stdout
    assert re.search(r"back as pid \d+", done.stdout)
    assert len(undisturbed) == 2
    assert texts == [undisturbed] * callers
    gateway = server.get("/v1/fleet")["gateways"][0]
    assert gateway["moves"] >= counted.get("moved", 0), "some are moved back to the new worker, to even the load"
    assert gateway["replays"] == counted.get("replayed", 0)


async def _talk(stream: Stream, audio: bytes) -> None:
    """The sentence twice, at the pace of a call."""
    for start in range(0, 2 * len(audio), 3_200):
        await stream.send((audio + audio)[start : start + 3_200])
        await asyncio.sleep(0.1)
    await stream.finish()


async def _finals(stream: Stream) -> list[str]:
    return [message.text async for message in stream if isinstance(message, native.FinalMessage)]


def test_a_named_secret_is_needed_and_taken_from_the_settings(voxfleet: Run, tmp_path: Path) -> None:
    workers = [{"model": FAKE, "name": name, "places": 2} for name in ("left", "right")]
    with serving(tmp_path, cluster={"secret": SECRET}, workers=workers) as server:
        refused = voxfleet("drain", "right", "--url", server.url)
        assert refused.returncode == exits.REFUSED
        assert "needs the cluster's secret" in refused.stderr
        wrong = voxfleet("drain", "right", "--url", server.url, VOXFLEET_CLUSTER_SECRET="battery staple")
        assert wrong.returncode == exits.REFUSED
        done = voxfleet("drain", "right", "--url", server.url, VOXFLEET_CLUSTER_SECRET=SECRET)
        assert done.returncode == exits.OK, done.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("left", "--all", "--replace"), ("--all",), ("left", "--seconds", "0"), ("left", "right")]
)
def test_wrong_usage(voxfleet: Run, arguments: tuple[str, ...]) -> None:
    done = voxfleet("drain", *arguments)
    assert done.returncode == exits.USAGE
    assert done.stdout == ""


def test_no_server_is_named(voxfleet: Run) -> None:
    done = voxfleet("drain", "left", "--url", "http://127.0.0.1:1")
    assert done.returncode == exits.NO_SERVER
    assert "no server answers at http://127.0.0.1:1" in done.stderr
