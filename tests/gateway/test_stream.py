"""The native protocol against a real server: what callers are promised, and what bad input gets."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from urllib.parse import urlsplit

import jsonschema
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as raw_connect
from websockets.exceptions import ConnectionClosed

from tests.gateway.conftest import PLACES
from tests.server import Server
from tests.speech_audio import padded, spoken
from voxfleet.client import Encoding, RemoteError, StreamOptions, connect
from voxfleet.wire import native

HELLO = "the quick brown fox jumps over the lazy dog"


def speech(seconds_after: float = 1.0) -> bytes:
    return padded(spoken(HELLO), after=seconds_after).tobytes()


@asynccontextmanager
async def raw(server: Server, query: str = "") -> AsyncIterator[ClientConnection]:
    url = server.url.replace("http", "ws") + "/v1/stream" + query
    async with raw_connect(url, compression=None, max_size=None) as socket:
        yield socket


async def ending(socket: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """All messages until the server closes, and its close code."""
    messages = []
    try:
        async with asyncio.timeout(20):
            while True:
                messages.append(json.loads(await socket.recv()))
    except ConnectionClosed as closed:
        return messages, closed.rcvd.code if closed.rcvd else -1


async def refused(server: Server, query: str) -> tuple[dict[str, Any], int]:
    async with raw(server, query) as socket:
        messages, code = await ending(socket)
        assert [m["type"] for m in messages] == ["error"]
        return messages[0], code


async def heard(server: Server, data: bytes, options: StreamOptions = StreamOptions(), step: int = 3200) -> list[Any]:  # noqa: B008
    async with connect(server.url, options) as stream:
        for start in range(0, len(data), step):
            await stream.send(data[start : start + step])
        await stream.finish()
        return [message async for message in stream]


def texts(messages: list[Any], kind: type[Any] = native.FinalMessage) -> list[str]:
    return [m.text for m in messages if isinstance(m, kind)]


async def test_a_call_from_ready_to_done(server: Server) -> None:
    async with connect(server.url) as stream:
        assert stream.ready.model == "fake"
        assert stream.ready.limits.max_frame_bytes == 200_000
        data = speech() * 2
        sending = asyncio.create_task(_in_real_time(stream, data))
        messages = []
        async for message in stream:
            messages.append(message)
            if len([m for m in messages if isinstance(m, native.FinalMessage)]) == 1 and not sending.done():
                pass
        await sending
    kinds = [type(m) for m in messages]
    assert kinds.count(native.FinalMessage) == 2
    assert kinds.count(native.SpeechStartedMessage) == 2
    assert native.PartialMessage in kinds
    assert isinstance(messages[-1], native.DoneMessage)
    assert messages[-1].finals == 2
    assert messages[-1].audio == pytest.approx(len(data) / 32_000, abs=0.05)
    finals = [m for m in messages if isinstance(m, native.FinalMessage)]
    assert finals[0].end <= finals[1].start
    assert all(final.words for final in finals)
    assert finals[0].words is not None
    assert finals[0].words[-1].end <= finals[0].end
    acks = [m.settled for m in messages if isinstance(m, native.AckMessage)]
    assert acks == sorted(acks)
    assert acks[-1] == pytest.approx(len(data) / 32_000, abs=0.05)


async def _in_real_time(stream, data: bytes) -> None:
    for start in range(0, len(data), 3200):
        await stream.send(data[start : start + 3200])
        await asyncio.sleep(0.1)
    await stream.finish()


async def test_every_message_is_in_the_published_schema(server: Server) -> None:
    schema = await asyncio.to_thread(server.get, "/v1/schema")
    validator = jsonschema.Draft202012Validator(schema)
    async with raw(server, "?channels=2") as socket:
        stereo = np.repeat(np.frombuffer(speech(), np.int16), 2).tobytes()
        await socket.send(stereo[:150_000])
        for sent in ('{"type":"ping","id":"x"}', '{"type":"flush"}', '{"type":"configure","endpointing_ms":300}'):
            validator.validate(json.loads(sent))
            await socket.send(sent)
        await socket.send('{"type":"finish"}')
        messages, code = await ending(socket)
    assert code == 1000
    assert {"ready", "speech_started", "final", "flushed", "ack", "pong", "done"} <= {m["type"] for m in messages}
    for message in messages:
        validator.validate(message)
    assert messages[0]["type"] == "ready"
    assert not list(validator.iter_errors(messages[0])), "and the schema is not just permissive:"
    assert list(validator.iter_errors({"type": "final", "text": 5}))


async def test_two_channels_are_two_streams_told_in_order(server: Server) -> None:
    left = padded(spoken(HELLO), before=0.3, after=4.0)
    right = padded(spoken("yes please", "rms"), before=0.8, after=6.0)
    stereo = np.zeros((max(left.size, right.size), 2), np.int16)
    stereo[: left.size, 0] = left
    stereo[: right.size, 1] = right
    messages = await heard(server, stereo.tobytes(), StreamOptions(channels=2), step=6400)
    finals = [m for m in messages if isinstance(m, native.FinalMessage)]
    assert {final.channel for final in finals} == {0, 1}
    assert [final.end for final in finals] == sorted(final.end for final in finals)
    short = next(final for final in finals if final.channel == 1)
    assert finals[0] is short, "the shorter turn ended first, though it began later"
    assert messages[-1].turns == len(finals)


@pytest.mark.parametrize("encoding", ["pcm16", "float32", "mulaw", "alaw", "container"])
async def test_encodings_find_the_same_turn(server: Server, encoding: str) -> None:
    samples = padded(spoken(HELLO))
    rate = 16_000
    match encoding:
        case "pcm16":
            data = samples.tobytes()
        case "float32":
            data = (samples / np.float32(32768)).astype(np.float32).tobytes()
        case "mulaw" | "alaw":
            rate, data = 8_000, _g711(samples, encoding)
        case _:
            data = _flac(samples)
    options = StreamOptions(encoding=Encoding(encoding), sample_rate=rate)
    messages = await heard(server, data, options, step=1001)  # frames need not end with a sample
    (final,) = [m for m in messages if isinstance(m, native.FinalMessage)]
    reference = (await heard(server, samples.tobytes()))[-1]
    assert messages[-1].audio == pytest.approx(reference.audio, abs=0.05)
    assert final.start < 0.5
    assert final.end == pytest.approx(samples.size / 16_000 - 0.3, abs=0.5)


def _g711(samples, law: str) -> bytes:
    from io import BytesIO

    import av

    buffer = BytesIO()
    with av.open(buffer, "w", format=law) as container:
        stream = cast("Any", container.add_stream("pcm_" + law, rate=8_000, layout="mono"))
        frame = av.AudioFrame.from_ndarray(samples[::2].reshape(1, -1).copy(), format="s16", layout="mono")
        frame.sample_rate = 8_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _flac(samples) -> bytes:
    from io import BytesIO

    import av

    buffer = BytesIO()
    with av.open(buffer, "w", format="flac") as container:
        stream = cast("Any", container.add_stream("flac", rate=16_000, layout="mono"))
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1).copy(), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


async def test_flush_ends_the_turn_now(server: Server) -> None:
    async with connect(server.url) as stream:
        await stream.send(speech(0.0))
        await stream.flush()
        kinds = []
        while "FlushedMessage" not in kinds:
            kinds.append(type(await stream.receive()).__name__)
        assert "FinalMessage" in kinds
        await stream.flush()
        assert await _next(stream, native.FlushedMessage) == native.FlushedMessage(2)
        await stream.finish()
        assert [type(m) async for m in stream][-1] is native.DoneMessage


async def _next(stream, kind: type):
    while not isinstance(message := await stream.receive(), kind):
        pass
    return message


async def test_interim_can_be_off_and_words_left_out(server: Server) -> None:
    messages = await heard(server, speech(), StreamOptions(interim=False, words=False))
    assert not [m for m in messages if isinstance(m, native.PartialMessage)]
    (final,) = [m for m in messages if isinstance(m, native.FinalMessage)]
    assert final.text
    assert final.words is None


async def test_silence_for_long_is_silence(server: Server) -> None:
    messages = await heard(server, bytes(32_000 * 180), step=32_000)
    assert {type(m) for m in messages} == {native.AckMessage, native.DoneMessage}
    assert messages[-1].audio == pytest.approx(180.0, abs=0.1)


async def test_no_audio_at_all_is_done_at_once(server: Server) -> None:
    messages = await heard(server, b"")
    assert messages[-1] == native.DoneMessage(0.0, 0, 0, 0, 0)


async def test_one_stream_too_many_is_refused_and_disturbs_nobody(server: Server) -> None:
    async with asyncio.TaskGroup() as group:
        started = asyncio.Barrier(PLACES + 1)

        async def caller() -> list[Any]:
            async with connect(server.url) as stream:
                await started.wait()
                await asyncio.sleep(0.5)
                await stream.send(speech())
                await stream.finish()
                return [message async for message in stream]

        callers = [group.create_task(caller()) for _ in range(PLACES)]
        await started.wait()
        error, code = await refused(server, "")
        assert (error["code"], error["retryable"], code) == ("at_capacity", True, 1013)
        assert error["retry_after"] > 0
    expected = texts(callers[0].result())
    assert expected
    assert all(texts(task.result()) == expected for task in callers)


async def test_two_channels_need_two_places_or_none(server: Server) -> None:
    async with raw(server, f"?channels={PLACES - 1}") as socket:
        assert json.loads(await socket.recv())["type"] == "ready"
        error, code = await refused(server, "?channels=2")
        assert (error["code"], code) == ("at_capacity", 1013)
        async with raw(server) as single:
            assert json.loads(await single.recv())["type"] == "ready", "the one place left was not leaked"


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("?langage=en", "unknown_parameter", "did you mean 'language'"),
        ("?encoding=mp7", "bad_value", "encoding"),
        ("?sample_rate=7999", "bad_value", "8000 to 48000"),
        ("?sample_rate=fast", "bad_value", "whole number"),
        ("?channels=9", "bad_value", "1 to 8"),
        ("?channels=0", "bad_value", "1 to 8"),
        ("?endpointing_ms=99", "bad_value", "100 to 3000"),
        ("?interim=maybe", "bad_value", "true or false"),
        ("?language=english!", "bad_value", "BCP-47"),
        ("?language=ro", "language_not_supported", "'ro'"),
        ("?model=whisper-large", "model_not_found", "fake"),
        ("?grammar=digits", "bad_grammar", "grammar"),
        ("?grammar=" + "x" * 5000, "bad_value", "4096"),
        ("?phrases=Ana:11", "bad_value", "Ana:11"),
        ("?phrases=Ana:1&phrases=Bo:12", "bad_value", "Bo:12"),
        ("?phrases=Ana:12&phrases=Bo:1", "bad_value", "Ana:12"),
        ("?phrase=Ana", "unknown_parameter", "did you mean 'phrases'"),
        ("?phrases=Ana", "bad_request", "'fake' can't be told which phrases to expect"),
    ],
)
async def test_a_wrong_query_is_refused_by_name(server: Server, query: str, code: str, says: str) -> None:
    error, close = await refused(server, query)
    assert error["code"] == code
    assert says in error["message"]
    assert error["retryable"] is False
    assert close == 1008


@pytest.mark.parametrize(
    ("frame", "code", "close"),
    [
        ("hello", "bad_message", 1007),
        ('{"type":"sing"}', "bad_message", 1007),
        ('{"type":"configure","endpointing_ms":5}', "bad_message", 1007),
        ('{"type":"configure","speed":5}', "bad_message", 1007),
        ("[]", "bad_message", 1007),
        (b"\0" * 250_000, "message_too_big", 1009),
        (b"\0" * 100_000_000, "message_too_big", 1009),
    ],
    ids=["prose", "unknown type", "bad value", "unknown field", "list", "250 kB", "100 MB"],
)
async def test_a_wrong_frame_ends_the_stream_by_name(server: Server, frame: str | bytes, code: str, close: int) -> None:
    async with raw(server) as socket:
        with suppress(ConnectionClosed):  # refused while it was still being sent
            await socket.send(frame)
        messages, closed = await ending(socket)
    assert messages[-1]["type"] == "error"
    assert messages[-1]["code"] == code
    assert closed == close


async def test_audio_that_ends_in_mid_sample_says_so(server: Server) -> None:
    async with raw(server) as socket:
        await socket.send(speech(0.0) + b"\0")
        await socket.send('{"type":"finish"}')
        messages, code = await ending(socket)
    assert messages[-1]["code"] == "bad_audio"
    assert code == 1007


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("?encoding=container", b"this is no audio file at all, whatever its name may be" * 40),
        ("?encoding=float32", struct.pack("<f", float("nan")) * 800),
    ],
    ids=["rubbish container", "NaN"],
)
async def test_undecodable_audio_says_so(server: Server, query: str, data: bytes) -> None:
    async with raw(server, query) as socket:
        with suppress(ConnectionClosed):
            await socket.send(data)
            await socket.send('{"type":"finish"}')
        messages, code = await ending(socket)
    assert messages[-1]["code"] == "bad_audio"
    assert code == 1007


async def test_a_truncated_file_gives_what_it_held(server: Server) -> None:
    data = _flac(padded(spoken(HELLO), after=2.0))
    messages = await heard(server, data[: int(len(data) * 0.95)], StreamOptions(encoding=Encoding.CONTAINER))
    assert texts(messages)


async def test_audio_after_finish_is_refused(server: Server) -> None:
    async with raw(server) as socket:
        await socket.send(speech(0.0)[:64_000])
        await socket.send('{"type":"finish"}')
        await socket.send(b"\0\0")
        messages, code = await ending(socket)
    assert (messages[-1]["type"], code) in (("error", 1003), ("done", 1000)), "refused, unless it was done before"


async def test_a_caller_that_says_nothing_is_let_go_and_a_ping_keeps_it(server: Server) -> None:
    async with raw(server) as socket:
        await asyncio.sleep(1.2)
        await socket.send('{"type":"ping"}')
        await asyncio.sleep(1.2)
        await socket.send('{"type":"ping","id":"7"}')
        messages, code = await ending(socket)
    assert [m["type"] for m in messages] == ["ready", "pong", "ack", "pong", "ack", "error"]
    assert messages[3]["id"] == "7"
    assert messages[2]["token"], "a call that only pings can be resumed, too"
    assert (messages[-1]["code"], code) == ("no_audio", 1008)


@pytest.mark.parametrize("first", [b"", b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_that_never_asks_for_anything_is_let_go(server: Server, first: bytes) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(first)
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_caller_that_vanishes_gives_its_place_back(server: Server) -> None:
    parts = urlsplit(server.url)
    for _ in range(PLACES * 2):
        plain = socket.create_connection((parts.hostname, parts.port))
        plain.sendall(
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, no goodbye
        await asyncio.to_thread(plain.recv, 100)
        plain.close()
        await asyncio.sleep(0.05)
    assert texts(await heard(server, speech()))


async def test_a_caller_that_never_reads_is_cut_and_disturbs_nobody(server: Server) -> None:
    parts = urlsplit(server.url)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.connect((parts.hostname, parts.port))
    deaf.sendall(
        b"GET /v1/stream?endpointing_ms=100 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    flood = _masked(padded(spoken("yes", "rms"), before=0.1, after=0.4).tobytes())
    neighbour = asyncio.create_task(_slowly(server))

    def send() -> None:
        try:
            while True:
                deaf.sendall(flood)
        except OSError:
            pass

    try:
        deaf.settimeout(15)
        await asyncio.wait_for(asyncio.to_thread(send), 60)
    finally:
        deaf.close()
    assert texts(await neighbour)
    assert "slow_reader" in server.text("/metrics")


async def _slowly(server: Server) -> list[Any]:
    async with connect(server.url) as stream:
        await _in_real_time(stream, speech())
        return [message async for message in stream]


def _masked(payload: bytes) -> bytes:
    """A binary frame as a client sends it, with a mask of zeros."""
    return (
        b"\x82\xfe" + struct.pack("!H", len(payload)) + bytes(4) + payload
        if len(payload) < 65_536
        else (b"\x82\xff" + struct.pack("!Q", len(payload)) + bytes(4) + payload)
    )


async def test_a_file_sent_at_once_is_slowed_down_not_refused(server: Server) -> None:
    data = speech(0.6) * 30
    messages = await heard(server, data, step=160_000)
    assert messages[-1].audio == pytest.approx(len(data) / 32_000, abs=0.1)
    assert len(texts(messages)) == 30


async def test_a_wrong_address_is_a_clear_client_error(server: Server) -> None:
    with pytest.raises(RemoteError) as refusal:
        async with connect(server.url, StreamOptions(language="ro")):
            pass
    assert refusal.value.remote_code == "language_not_supported"
    assert refusal.value.remote_close_code == 1008
    from voxfleet.client import ConnectionFailed

    with pytest.raises(ConnectionFailed, match="no server answers"):
        async with connect("http://127.0.0.1:9"):
            pass
    with pytest.raises(ConnectionFailed, match="HTTP 4"):
        async with connect(server.url + "/nowhere"):
            pass


def test_health_metrics_and_models(server: Server) -> None:
    assert server.text("/healthz") == "ok\n"
    assert server.text("/readyz") == "ready\n"
    metrics = server.text("/metrics")
    for name in (
        "voxfleet_streams_active",
        "voxfleet_final_latency_seconds_bucket",
        "voxfleet_errors_total",
        "voxfleet_stage_seconds",
    ):
        assert name in metrics
    assert server.get("/v1/models")["data"][0]["id"] == "fake"
