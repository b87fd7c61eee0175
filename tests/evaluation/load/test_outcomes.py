"""What becomes of callers, whatever the server does: everybody is counted and named, and the run ends by itself."""

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.cli.scripted_server import Caller as ScriptedCaller
from tests.cli.scripted_server import scripted_server
from tests.evaluation.load.planted import Quiet, called
from tests.server import FAKE, serving
from voxfleet.evaluation.load import caller as caller_module
from voxfleet.evaluation.load import pacer as pacer_module
from voxfleet.evaluation.load.account import Account, health, latencies, problems, streams
from voxfleet.evaluation.load.run import Course
from voxfleet.evaluation.sound.calls import script_of_clip
from voxfleet.evaluation.sound.pool import Pool
from voxfleet.wire import native

LOUD = memoryview(b"\x00\x40" * 1_600)


def adds_up(found: Account) -> None:
    counts = streams(found.course)
    outcomes = Counter(record.outcome for record in found.course.records)
    before_admission = sum(r.outcome == "failed" and r.admitted is None for r in found.course.records)
    assert counts.offered == counts.admitted + counts.refused + before_admission == sum(outcomes.values())
    assert len(problems(found)) == counts.refused + counts.failed
    assert all(problem.code and problem.message for problem in problems(found))


# ---- a real server ----------------------------------------------------------------------------------------------


async def test_callers_beyond_the_places_are_refused_and_the_others_served(tmp_path: Path) -> None:
    with serving(tmp_path, vad={"model": "level"}, workers=[{"model": FAKE, "name": "fake", "places": 3}]) as server:
        found = await called(server.url, [Quiet(15, payload=LOUD) for _ in range(5)])
        server.at_rest()
    counts = streams(found.course)
    assert (counts.offered, counts.admitted, counts.refused, counts.failed, counts.finished) == (5, 3, 2, 0, 3)
    assert (counts.reasons, counts.most_at_once) == ({"at_capacity": 2}, 3)
    assert {problem.where for problem in problems(found)} == {"caller 3", "caller 4"}
    adds_up(found)
    assert all(record.frames_sent == 15 for record in found.course.records[:3])
    assert [reading.text for _, reading in found.readings[:3]] == ["w0 w1 w2"] * 3


async def test_a_server_that_dies_fails_everybody_on_the_line_by_name(tmp_path: Path) -> None:
    killed = False

    def kill(course: Course, now: float) -> None:
        nonlocal killed
        if now > 1.0 and not killed:
            killed = True
            for pid in server.pids("voxfleet.cli.gateway_process"):
                os.kill(pid, signal.SIGKILL)

    workers = [{"model": FAKE, "name": "fake", "places": 9}]
    with serving(tmp_path, vad={"model": "level"}, workers=workers) as server:
        found = await called(server.url, [Quiet(6), *(Quiet(60, payload=LOUD) for _ in range(3)), Quiet(5)], 0.01, kill)
    counts = streams(found.course)
    assert (counts.finished, counts.failed, counts.refused) == (2, 3, 0)
    assert counts.reasons == {"connection_lost": 3}
    assert not found.course.partial
    adds_up(found)
    assert len(latencies(found)) >= 2, "what came before counts"


async def test_one_stalled_stream_is_that_streams_stall_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacer_module, "GOODBYE_SECONDS", 3.0)
    pool = Pool.synthetic(16_000)
    first, second = (pool.by_length[k] for k in (3, 20))
    scripts = [TwoClips(pool, first, second, 1.0 + k / 7) for k in range(4)]
    options = {"stalled_place": 2, "stalled_from_turn": 1}
    workers = [{"model": FAKE, "name": "fake", "places": 4, "options": options}]
    with serving(
        tmp_path,
        gateway={"drain_seconds": 0.0, "silence_seconds": 60.0},
        turn={"endpointing_ms": 800},
        vad={"model": "level"},
        workers=workers,
    ) as server:
        found = await called(server.url, list(scripts), 0.4)
    (stall,) = found.stalls
    stalled = found.course.records[stall.stream]
    assert stall.stream == 2
    assert stall.begin == pytest.approx(stalled.started + scripts[2].second_begins, abs=1e-6)
    assert stall.seconds == pytest.approx(stalled.ended - stall.begin, abs=1e-6)
    assert [record.outcome for record in found.course.records] == ["finished", "finished", "failed", "finished"]
    assert streams(found.course).reasons == {"no_goodbye": 1}
    assert [len(reading.finals) for _, reading in found.readings] == [2, 2, 1, 2]
    adds_up(found)


class TwoClips:
    """Two clips with enough silence between them to be two turns, and enough after them for a stall to show."""

    def __init__(self, pool: Pool, first: int, second: int, lead: float) -> None:
        self._parts = [script_of_clip(pool, first, lead, 1.5), script_of_clip(pool, second, 0.5, 6.0)]
        self._turning = self._parts[0].frames
        self.frames = sum(part.frames for part in self._parts)
        offset = self._turning * pool.frame
        self.speech_spans = [
            *self._parts[0].speech_spans,
            *((offset + start, offset + end) for start, end in self._parts[1].speech_spans),
        ]
        self.second_begins = offset + self._parts[1].speech_spans[0][0]
        self.reference = None

    def frame(self, number: int) -> memoryview:
        late = number >= self._turning
        return self._parts[late].frame(number - self._turning * late)


# ---- servers that are none --------------------------------------------------------------------------------------


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that says this to everybody, or nothing for ever; its address."""
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await gone.wait()
        else:
            await reader.read(100)
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        gone.set()
        server.close()
        await asyncio.sleep(0.05)


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        pytest.param(NOT_FOUND, "refused", "http_404", id="http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "refused", "http_200", id="no upgrade"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "refused", "no_websocket", id="garbage"),
        pytest.param(b"", "failed", "no_connection", id="hangs up"),
        pytest.param(None, "failed", "no_answer", id="silent"),
    ],
)
async def test_what_is_no_server_is_named(
    answer: bytes | None, outcome: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_module, "OPEN_SECONDS", 0.5)
    async with answering(answer) as url:
        found = await called(url, [Quiet(5), Quiet(5)])
    assert [(record.outcome, record.reason) for record in found.course.records] == [(outcome, code)] * 2
    assert latencies(found) == []
    adds_up(found)


async def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        found = await called(f"http://127.0.0.1:{held.getsockname()[1]}", [Quiet(5)])
    (problem,) = problems(found)
    assert (problem.where, problem.code) == ("caller 0", "no_connection")
    assert "127.0.0.1" in problem.message


async def test_a_server_without_tls_refuses_wss() -> None:
    async with answering(NOT_FOUND) as url:
        found = await called(url.replace("http", "https"), [Quiet(5)])
    assert [record.reason for record in found.course.records] == ["no_connection"]
    adds_up(found)


# ---- servers that misbehave -------------------------------------------------------------------------------------


async def test_a_server_that_accepts_and_never_admits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_module, "OPEN_SECONDS", 0.5)

    async def mute(caller: ScriptedCaller) -> None:
        await caller.listen()

    async with scripted_server(mute) as url:
        found = await called(url, [Quiet(5)])
    assert [(r.outcome, r.reason) for r in found.course.records] == [("failed", "no_answer")]


@pytest.mark.parametrize(
    ("then", "outcome", "code"),
    [
        (lambda caller: caller.refuse(native.ErrorMessage("at_capacity", "full", True), 1013), "failed", "at_capacity"),
        (lambda caller: caller.refuse(native.WarningMessage("odd", "odd"), 4000), "failed", "closed_4000"),
        (lambda caller: caller.say(native.DoneMessage(0.1, 0, 0, 0, 0)), "finished", ""),
    ],
)
async def test_the_last_word_of_a_server_after_admission(
    then: Callable[[Any], Coroutine[Any, Any, None]], outcome: str, code: str
) -> None:
    async def script(caller: ScriptedCaller) -> None:
        await caller.ready()
        await caller.listen()
        await then(caller)
        await asyncio.sleep(0.2)

    async with scripted_server(script) as url:
        found = await called(url, [Quiet(20)])
    (record,) = found.course.records
    assert (record.outcome, record.reason) == (outcome, code)
    assert record.frames_sent < 20
    adds_up(found)


async def test_a_refusal_before_admission_is_no_failure() -> None:
    async def script(caller: ScriptedCaller) -> None:
        await caller.refuse(native.ErrorMessage("language_not_supported", "no", False), 4400)

    async with scripted_server(script) as url:
        found = await called(url, [Quiet(5)])
    counts = streams(found.course)
    assert (counts.admitted, counts.refused, counts.failed) == (0, 1, 0)
    assert counts.reasons == {"language_not_supported": 1}


async def test_a_server_that_never_says_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacer_module, "GOODBYE_SECONDS", 0.4)

    async def script(caller: ScriptedCaller) -> None:
        await caller.ready()
        while True:
            await caller.listen()

    async with scripted_server(script) as url:
        found = await called(url, [Quiet(5)])
    (record,) = found.course.records
    assert (record.outcome, record.reason, record.frames_sent) == ("failed", "no_goodbye", 5)


async def test_a_server_that_stops_reading_fails_the_caller_and_not_the_generator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacer_module, "UNREAD_SECONDS", 1.0)

    async def deaf(connection: ServerConnection) -> None:
        limits = native.LimitsMessage(2**20, 10.0, 60.0, 30.0)
        ready = native.ReadyMessage("s", "deaf", "en", 1, 16_000, "pcm16", 100, 500, limits)
        await connection.send(native.encode(ready))
        await connection.wait_closed()

    async with serve(deaf, "127.0.0.1", 0, max_queue=1, max_size=None) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        big = memoryview(bytes(2**20))
        found = await called(url, [Quiet(200, payload=big)])
        for connection in server.connections:
            connection.transport.abort()
    (record,) = found.course.records
    assert (record.outcome, record.reason) == ("failed", "audio_not_taken")
    assert record.frames_sent < 200
    assert health(found.course.wakes).lag_max < 0.9, "that was not the generator's fault"


async def test_a_server_that_reads_late_gets_everything_and_the_generator_is_not_blamed() -> None:
    release = asyncio.Event()

    async def late(connection: ServerConnection) -> None:
        limits = native.LimitsMessage(2**20, 10.0, 60.0, 30.0)
        ready = native.ReadyMessage("s", "late", "en", 1, 16_000, "pcm16", 100, 500, limits)
        await connection.send(native.encode(ready))
        await release.wait()
        async for message in connection:
            if isinstance(message, str):
                await connection.send(native.encode(native.DoneMessage(3.0, 0, 0, 0, 0)))

    def watch(course: Course, now: float) -> None:
        if now > 2.5:
            release.set()

    async with serve(late, "127.0.0.1", 0, max_queue=1, max_size=None) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        found = await called(url, [Quiet(30, payload=memoryview(bytes(2**20)))], watch=watch)
    (record,) = found.course.records
    assert (record.outcome, record.frames_sent, record.bytes_sent) == ("finished", 30, 30 * 2**20)
    assert health(found.course.wakes).lag_max < 0.9


async def test_messages_in_pieces_are_put_together() -> None:
    async def script(connection: ServerConnection) -> None:
        limits = native.LimitsMessage(2**20, 10.0, 60.0, 30.0)
        ready = native.encode(native.ReadyMessage("s", "parts", "en", 1, 16_000, "pcm16", 100, 500, limits))
        await connection.send([ready[:10], ready[10:40], ready[40:]])
        done = native.encode(native.DoneMessage(3.0, 0, 0, 0, 0))
        await connection.send([done[:1], done[1:]])
        await connection.wait_closed()

    async with serve(script, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        found = await called(url, [Quiet(5)])
    assert [record.outcome for record in found.course.records] == ["finished"]
