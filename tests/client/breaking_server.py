"""A server that hears every sample, resumes streams from real tokens, and breaks exactly where a test says.

Its recogniser writes down the value of every block of 100 ms it hears, so a transcript shows any audio that was lost, heard
twice or out of order. A turn ends after a second, or at a flush.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from voxfleet.errors import ResumeRefused, by_code
from voxfleet.speech import SAMPLE_RATE
from voxfleet.wire import native
from voxfleet.wire.resume import Checkpoint, Mark, Signer

BLOCK = 3_200
"""Bytes: 100 ms of 16 kHz PCM16."""
TURN = 10 * BLOCK
SIGNER = Signer(b"of the tests", 60.0)


def counted(seconds: float) -> bytes:
    """Audio whose blocks say which they are."""
    return np.arange(round(seconds * 10), dtype=np.int16).repeat(BLOCK // 2).tobytes()


@dataclass(slots=True)
class Break:
    """What goes wrong with one connection, and when."""

    on: str
    """connect, ready, final, flush, flushed, finish, done: instead of that message; silence, reconnect: after `after`"""
    after: float = 0.0
    """Not before so many seconds of audio came on this connection."""
    how: str = "abort"
    """abort, a close code, or the code of an error"""
    retry_after: float | None = None
    for_ever: bool = False
    """The connections after this one break as well."""


class Broken(Exception):
    """The connection is done for."""


class Server:
    """Serves each connection with the next of its breaks; without any when there are none left."""

    def __init__(self, *breaks: Break, tokens: bool = True, max_turn: float = 30.0, acks: bool = True) -> None:
        self.breaks = list(breaks)
        self.tokens = tokens
        self.acks = acks
        self.limits = native.LimitsMessage(1_048_576, 10.0, 60.0, max_turn)
        self.queries: list[dict[str, str]] = []
        self.calls: list[Call] = []
        self.came: list[float] = []
        self.asked_to_leave = asyncio.Event()
        self.over = asyncio.Event()

    async def play(self, socket: ServerConnection) -> None:
        request = socket.request
        assert request is not None
        self.queries.append({name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()})
        self.came.append(time.monotonic())
        fault = self.breaks[0] if self.breaks else Break("never")
        if self.breaks and not fault.for_ever:
            self.breaks.pop(0)
        call = Call(self, socket, fault, self.queries[-1].get("resume"))
        self.calls.append(call)
        try:
            await call.hear()
        except Broken:
            return


@dataclass(slots=True)
class Call:
    """One connection."""

    server: Server
    socket: ServerConnection
    fault: Break
    token: str | None
    checkpoint: Checkpoint = field(init=False)
    audio: bytes = b""
    start: int = 0
    """Byte of the stream with which `audio` begins."""
    turn_start: int = 0
    turn: int = 0
    flushes: int = 0
    settled: int = 0
    started: int = -1
    """Newest turn whose start was told."""
    told: int = 0
    """Byte up to which a partial was sent."""

    async def hear(self) -> None:
        await self._break("connect")
        self.checkpoint = Checkpoint("s", time.time(), (Mark(0, 0),))
        try:
            if self.token is not None:
                self.checkpoint = SIGNER.read(self.token, time.time())
        except ResumeRefused as error:
            await self._end(native.error_message(error), error.close_code)
        (mark,) = self.checkpoint.marks
        self.start = self.checkpoint.resume_sample * 2
        self.turn_start = self.settled = self.told = mark.settled * 2
        self.turn, self.flushes = mark.turn, self.checkpoint.flushes
        resumed_from = None if self.token is None else self.checkpoint.resume_from
        await self.say(
            "ready",
            native.ReadyMessage(
                "s",
                "counting",
                "en",
                1,
                SAMPLE_RATE,
                "pcm16",
                100,
                500,
                self.server.limits,
                self._token(),
                resumed_from,
            ),
        )
        async for frame in self.socket:
            await self._frame(frame)

    async def _frame(self, frame: bytes | str) -> None:
        if isinstance(frame, bytes):
            self.audio += frame
            await self._heard()
            return
        if "flush" in frame:
            await self._break("flush")
            await self._end_turn(self._end_of_audio)
            self.flushes += 1
            await self.say("flushed", native.FlushedMessage(self.flushes))
        elif "ping" in frame:
            await self._break("ping")
            await self.say("pong", native.PongMessage(native.decode(frame).id))  # type: ignore[union-attr]
        elif "finish" in frame:
            await self._break("finish")
            await self._end_turn(self._end_of_audio)
            await self.say("done", native.DoneMessage(self._end_of_audio / 32_000, self.turn, 0, 0, self.turn))
            await self.socket.close(1000)
            raise Broken

    async def _heard(self) -> None:
        if self.started < self.turn and self._end_of_audio > self.turn_start:
            self.started = self.turn
            await self.say("started", native.SpeechStartedMessage(0, self.turn, self.turn_start / 32_000))
        if self._end_of_audio - self.turn_start >= TURN:
            await self._end_turn(self.turn_start + TURN)
            await self._heard()
            return
        if self._end_of_audio - self.told >= TURN // 4:
            self.told = self._end_of_audio
            text = self._text(self.turn_start, self.told)
            await self.say(
                "partial",
                native.PartialMessage(0, self.turn, self.turn_start / 32_000, self.told / 32_000, text, ""),
            )
        if self.fault.on == "reconnect" and self._due and not self.server.asked_to_leave.is_set():
            self.server.asked_to_leave.set()
            await self.say("leave", native.ReconnectMessage(self._token() or "", self._resume_from, "leaving"))
        if self.fault.on == "silence" and self._due:
            self.socket.transport.pause_reading()
            await self.server.over.wait()
            self.socket.transport.abort()
            raise Broken
        await self._break("audio")

    @property
    def _end_of_audio(self) -> int:
        return self.start + len(self.audio)

    async def _end_turn(self, end: int) -> None:
        if end <= self.turn_start:
            return
        text = self._text(self.turn_start, end)
        start, self.turn_start, self.told = self.turn_start, end, end
        await self.say("final", native.FinalMessage(0, self.turn, start / 32_000, end / 32_000, text))
        self.turn += 1
        self.settled = end
        if self.server.acks:
            ack = native.AckMessage(0, end / 32_000, end / 32_000, self._token(), self._resume_from)
            await self.say("ack", ack)

    def _text(self, start: int, end: int) -> str:
        samples = np.frombuffer(self.audio[: len(self.audio) // 2 * 2], np.int16)
        blocks = range(start + -start % BLOCK, end, BLOCK)
        return " ".join(str(samples[(block - self.start) // 2]) for block in blocks)

    def _mark(self) -> Checkpoint:
        return Checkpoint("s", time.time(), (Mark(self.settled // 2, self.turn),), self.flushes)

    def _token(self) -> str | None:
        return SIGNER.sign(self._mark()) if self.server.tokens else None

    @property
    def _resume_from(self) -> float:
        return self._mark().resume_from

    # ---- faults -----------------------------------------------------------------------------------------------

    @property
    def _due(self) -> bool:
        return len(self.audio) >= self.fault.after * 32_000

    async def say(self, kind: str, message: native.ServerMessage) -> None:
        await self._break(kind)
        await self.socket.send(native.encode(message))

    async def _break(self, kind: str) -> None:
        fault = self.fault
        if kind != fault.on or not self._due:
            return
        if fault.how == "abort":
            self.socket.transport.abort()
            raise Broken
        if fault.how.isdigit():
            await self.socket.close(int(fault.how))
            raise Broken
        error = by_code(fault.how)
        assert error is not None
        message = native.ErrorMessage(fault.how, f"told {fault.how}", error.retryable, fault.retry_after)
        await self._end(message, error.close_code)

    async def _end(self, error: native.ErrorMessage, code: int) -> None:
        await self.socket.send(native.encode(error))
        await self.socket.close(code)
        raise Broken


@asynccontextmanager
async def breaking(server: Server, port: int = 0) -> AsyncIterator[str]:
    """The server at work; gives its URL."""
    async with serve(server.play, "127.0.0.1", port, max_queue=None, ping_interval=None) as sockets:
        yield f"http://127.0.0.1:{next(iter(sockets.sockets)).getsockname()[1]}"
        server.over.set()
