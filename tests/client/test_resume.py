"""A stream that loses its server goes on with another, and its caller is told what it would have been told anyway."""

import asyncio
import random
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from tests.client.breaking_server import Break, Server, breaking, counted
from voxfleet.client import ConnectionFailed, RemoteError, Stream, StreamOptions, connect, connection, quiet
from voxfleet.wire import native

SECONDS = 4.5
FLUSHES = (2.3, 3.7)


async def speak(stream: Stream, pause: float = 0.001, step: int = 3_333) -> None:
    """A call in frames that end in the middle of samples, with two flushes in it."""
    data = counted(SECONDS)
    edges = [0, *(round(at * 32_000) for at in FLUSHES), len(data)]
    for start, end in pairwise(edges):
        for at in range(start, end, step):
            await stream.send(data[at : min(at + step, end)])
            await asyncio.sleep(pause)
        if end < len(data):
            await stream.flush()
    await stream.finish()


async def call(stream: Stream, **how: float) -> list[native.ServerMessage]:
    """Speak in one task, read in another; everything that was told."""
    speaking = asyncio.create_task(speak(stream, **how))  # type: ignore[arg-type]
    try:
        messages = [message async for message in stream]
        await speaking
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
    return messages


async def read_turns(stream: Stream, turns: list[int]) -> None:
    async for message in stream:
        turns += [message.turn] if isinstance(message, native.FinalMessage) else []


def lasting(messages: list[native.ServerMessage]) -> list[native.ServerMessage]:
    """What may not be lost, repeated or changed."""
    kinds = (native.FinalMessage, native.FlushedMessage, native.SpeechStartedMessage, native.DoneMessage)
    return [message for message in messages if isinstance(message, kinds)]


def _final(turn: int, first: int, last: int) -> list[native.ServerMessage]:
    text = " ".join(map(str, range(first, last)))
    return [
        native.SpeechStartedMessage(0, turn, first / 10),
        native.FinalMessage(0, turn, first / 10, last / 10, text),
    ]


UNDISTURBED = [
    *_final(0, 0, 10),
    *_final(1, 10, 20),
    *_final(2, 20, 23),
    native.FlushedMessage(1),
    *_final(3, 23, 33),
    *_final(4, 33, 37),
    native.FlushedMessage(2),
    *_final(5, 37, 45),
    native.DoneMessage(SECONDS, 6, 0, 0, 6),
]


async def told(server: Server, **how: float) -> tuple[list[native.ServerMessage], Stream]:
    async with breaking(server) as url, connect(url) as stream:
        messages = await call(stream, **how)
    return lasting(messages), stream


async def test_undisturbed() -> None:
    messages, stream = await told(Server())
    assert messages == UNDISTURBED
    assert stream.resumes == 0
    assert stream.gaps == []


@pytest.mark.parametrize("how", ["abort", "1001", "1012", "engine_lost", "engine_failed", "draining"])
@pytest.mark.parametrize(
    ("on", "after"),
    [
        ("audio", 0.0),
        ("audio", 0.5),
        ("audio", 2.7),
        ("partial", 3.0),
        ("final", 0.0),
        ("final", 2.5),
        ("ack", 0.0),
        ("ack", 3.0),
        ("flush", 0.0),
        ("flushed", 0.0),
        ("finish", 0.0),
        ("final", 4.4),
        ("done", 0.0),
    ],
)
async def test_whenever_the_connection_breaks(on: str, after: float, how: str) -> None:
    messages, stream = await told(Server(Break(on, after, how)))
    assert messages == UNDISTURBED
    assert stream.resumes == 1
    assert len(stream.gaps) == 1


@pytest.mark.parametrize("seed", range(12))
async def test_however_often_it_breaks(seed: int) -> None:
    dice = random.Random(seed)
    kinds = ["connect", "ready", "audio", "partial", "final", "ack", "flush", "flushed", "finish", "done", "started"]
    breaks = [Break(dice.choice(kinds), dice.choice([0.0, 0.0, 1.1, 1.7]), "abort") for _ in range(8)]
    messages, _ = await told(Server(Break("audio", 0.3), *breaks), step=dice.choice([555, 3_200, 20_000]))
    assert messages == UNDISTURBED


async def test_partials_of_a_resumed_turn_never_fall_back() -> None:
    async with breaking(Server(Break("audio", 1.8))) as url, connect(url) as stream:
        messages = await call(stream)
    reached = [(m.turn, m.end) for m in messages if isinstance(m, native.PartialMessage)]
    assert reached == sorted(reached)
    acks = [m.settled for m in messages if isinstance(m, native.AckMessage)]
    assert acks == sorted(set(acks))


async def test_a_caller_that_reads_only_when_it_has_said_everything() -> None:
    async with breaking(Server(Break("audio", 1.5), Break("finish"))) as url, connect(url) as stream:
        await speak(stream)
        assert lasting([message async for message in stream]) == UNDISTURBED
    assert stream.resumes == 2


async def test_a_caller_that_does_not_read_is_resumed_too() -> None:
    async with breaking(Server(Break("audio", 30.0))) as url, connect(url) as stream:
        data = counted(60.0)
        for at in range(0, len(data), 8_000):
            await stream.send(data[at : at + 8_000])
        await stream.finish()
        finals = [message.turn async for message in stream if isinstance(message, native.FinalMessage)]
    assert finals == list(range(60))
    assert stream.resumes == 1


async def test_reading_in_small_sips_does_not_disturb_the_recovery() -> None:
    async with breaking(Server(Break("audio", 1.5), Break("connect"), Break("connect"))) as url, connect(url) as stream:
        speaking = asyncio.create_task(speak(stream))
        messages: list[native.ServerMessage] = []
        while not messages or not isinstance(messages[-1], native.DoneMessage):
            try:
                async with asyncio.timeout(0.005):
                    messages.append(await stream.receive())
            except TimeoutError:
                continue
        await speaking
    assert lasting(messages) == UNDISTURBED


async def test_a_pong_comes_although_the_connection_broke() -> None:
    async with breaking(Server(Break("pong"))) as url, connect(url) as stream:
        await stream.ping("here")
        while not isinstance(message := await stream.receive(), native.PongMessage):
            pass
        assert message.id == "here"
        assert stream.resumes == 1


async def test_what_was_configured_is_asked_for_again() -> None:
    server = Server(Break("audio", 3.0))
    async with breaking(server) as url, connect(url, StreamOptions(endpointing_ms=500)) as stream:
        await stream.configure(endpointing_ms=300, interim=False)
        await call(stream)
    first, second = server.queries
    assert (first["endpointing_ms"], first["interim"]) == ("500", "true")
    assert (second["endpointing_ms"], second["interim"]) == ("300", "false")
    assert {name: first[name] for name in first if name not in ("endpointing_ms", "interim")} == {
        name: second[name] for name in second if name not in ("endpointing_ms", "interim", "resume")
    }


# ---- the end of patience ----------------------------------------------------------------------------------------


async def test_a_refused_token_ends_the_stream_at_once() -> None:
    server = Server(Break("audio", 1.5), Break("connect", how="resume_refused"))
    async with breaking(server) as url, connect(url) as stream:
        sending = asyncio.create_task(speak(stream))
        with pytest.raises(RemoteError) as refused:
            async for _ in stream:
                pass
        with pytest.raises(ConnectionFailed, match="told resume_refused"):
            await sending
    assert refused.value.remote_code == "resume_refused"
    assert refused.value.remote_close_code == 1008
    assert len(server.queries) == 2


async def test_a_wait_for_a_place_lasts_as_long_as_was_asked_for() -> None:
    full = Break("connect", how="at_capacity", retry_after=0.4)
    server = Server(Break("audio", 1.5), full, full)
    messages, stream = await told(server)
    assert messages == UNDISTURBED
    assert stream.resumes == 1
    assert server.came[3] - server.came[1] >= 0.8
    assert stream.gaps[0] >= 0.8


async def test_no_place_within_the_patience_is_told_as_the_server_told_it() -> None:
    server = Server(Break("audio", 1.5), Break("connect", how="at_capacity", retry_after=0.1, for_ever=True))
    async with breaking(server) as url, connect(url, patience=0.5) as stream:
        sending = asyncio.create_task(speak(stream))
        with pytest.raises(RemoteError) as refused:
            async for _ in stream:
                pass
        assert refused.value.wants_place
        with pytest.raises(ConnectionFailed):
            await sending


async def test_no_server_within_the_patience() -> None:
    async with AsyncExitStack() as rest:
        async with breaking(Server()) as url:
            stream = await rest.enter_async_context(connect(url, patience=0.4))
        with pytest.raises(ConnectionFailed, match="no server answers"):
            async for _ in stream:
                pass
        with pytest.raises(ConnectionFailed, match="no server answers"):
            await stream.send(b"\0\0")
        with pytest.raises(ConnectionFailed, match="no server answers"):
            await stream.receive()


async def test_a_server_that_comes_back_in_time() -> None:
    async with AsyncExitStack() as rest:
        async with breaking(Server()) as url:
            stream = await rest.enter_async_context(connect(url))
            await stream.send(counted(0.5))
        sending = asyncio.create_task(stream.send(counted(SECONDS)[16_000:]))
        await asyncio.sleep(0.3)
        assert not sending.done()
        async with breaking(Server(), int(url.rpartition(":")[2])):
            await sending
            await stream.finish()
            finals = [message.text async for message in stream if isinstance(message, native.FinalMessage)]
            await stream.close()
    assert " ".join(finals).split() == [str(block) for block in range(45)]
    assert stream.gaps[0] >= 0.25


async def test_a_stream_that_breaks_every_server_ends() -> None:
    server = Server(Break("audio", 0.4, "engine_failed", for_ever=True))
    async with breaking(server) as url, connect(url, patience=1.0) as stream:
        with pytest.raises(RemoteError) as failed:
            await call(stream)
    assert failed.value.remote_code == "engine_failed"
    assert len(server.queries) < 12


async def test_errors_that_are_no_bodys_fault_but_the_callers_are_not_resumed() -> None:
    server = Server(Break("audio", 1.5, "internal"))
    async with breaking(server) as url, connect(url) as stream:
        with pytest.raises(RemoteError) as failed:
            await call(stream)
    assert failed.value.remote_code == "internal"
    assert failed.value.remote_close_code == 1011
    assert len(server.queries) == 1


@pytest.mark.parametrize(("tokens", "resume"), [(False, True), (True, False)])
async def test_without_tokens_a_break_is_a_break(tokens: bool, resume: bool) -> None:
    server = Server(Break("audio", 1.5), tokens=tokens)
    async with breaking(server) as url, connect(url, resume=resume) as stream:
        with pytest.raises(ConnectionFailed, match="closed the connection"):
            await call(stream)
    assert len(server.queries) == 1


async def test_a_server_that_settles_nothing_costs_the_resumption_not_the_stream_and_not_the_memory() -> None:
    server = Server(Break("finish"), acks=False, max_turn=1.0)
    turns: list[int] = []
    async with breaking(server) as url, connect(url) as stream:
        data = counted(70.0)
        for at in range(0, len(data), 32_000):
            await stream.send(data[at : at + 32_000])
        await stream.finish()
        with pytest.raises(ConnectionFailed, match="closed the connection"):
            await read_turns(stream, turns)
    assert turns == list(range(70))


# ---- leaving ----------------------------------------------------------------------------------------------------


async def test_asked_to_leave_it_goes_while_the_old_connection_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOVE_PAUSE", 0.1)
    refused = Break("connect", how="draining")
    server = Server(Break("reconnect", 1.2), refused)
    messages, stream = await told(server, pause=0.02)
    assert messages == UNDISTURBED
    assert stream.gaps == [0.0]
    old, refused_call, new = server.calls
    assert refused_call.audio == b""
    assert len(old.audio) > 1.3 * 32_000  # it was in use while the first attempt failed
    assert new.start + len(new.audio) == SECONDS * 32_000
    assert old.socket.close_code is not None


async def test_a_caller_that_does_not_want_to_be_resumed_is_told_to_reconnect() -> None:
    async with breaking(Server(Break("reconnect", 1.2))) as url, connect(url, resume=False) as stream:
        messages = await call(stream)
    assert lasting(messages) == UNDISTURBED
    (leave,) = [m for m in messages if isinstance(m, native.ReconnectMessage)]
    assert leave.resume_from == 0.0


async def test_closing_in_the_middle_of_an_outage_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    server = Server(Break("audio", 0.5), Break("connect", how="at_capacity", retry_after=30.0))
    async with breaking(server) as url, connect(url, patience=60.0) as stream:
        sending = asyncio.create_task(speak(stream))
        while len(server.queries) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    with pytest.raises(ConnectionFailed):
        await stream.send(b"\0\0")
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= before


async def test_a_server_that_is_silent_and_deaf_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "QUIET", 0.3)
    messages, stream = await told(Server(Break("silence", 1.5)))
    assert messages == UNDISTURBED
    assert stream.resumes == 1


async def test_a_server_that_is_silent_and_answers_pings_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "QUIET", 0.1)
    async with breaking(Server()) as url, connect(url) as stream:
        await asyncio.sleep(1.0)
        messages = await call(stream)
    assert lasting(messages) == UNDISTURBED
    assert stream.resumes == 0
