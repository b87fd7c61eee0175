"""A caller for load: one connection, prepared frames in, messages out, as little work per frame as can be.

The measured program is the gateway; a caller that costs as much as it would measure itself. Frames are serialised once
(masked with zeros, which RFC 6455 allows) and shared; server frames are parsed by hand because they are never fragmented.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import cast

import msgspec

FRAME_SECONDS = 0.1


class Heard(msgspec.Struct):
    """What a measurement needs of a message."""

    type: str
    end: float = 0.0
    turn: int = 0
    code: str = ""


class RawCaller(asyncio.Protocol):
    """One live stream. `on_text` is told of every partial and final: stream time covered, and arrival on the loop's clock."""

    decoder = msgspec.json.Decoder(Heard)

    def __init__(self, path: str, on_text: Callable[["RawCaller", Heard, float], None]) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first_due = 0.0
        """When the first audio frame was due; the audio of frame k was due k x 0.1 s later."""
        self.errors: list[str] = []
        self.finals = 0
        self.partials = 0
        self.closed = False
        self._path = path
        self._on_text = on_text
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._buffer[: end + 4]
            self._upgraded = True
        now = self._loop.time()
        while (payload := self._next_frame()) is not None:
            if payload:
                self._message(self.decoder.decode(payload), now)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("closed before it was ready"))

    def covers(self, end: float) -> float:
        """When the frame that holds the audio just before stream time `end` was due."""
        return self.first_due + int((end - 1e-6) / FRAME_SECONDS) * FRAME_SECONDS

    def _next_frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1], 2
        if length == 126:
            if len(buffer) < 4:
                return None
            length, start = struct.unpack_from("!H", buffer, 2)[0], 4
        if len(buffer) < start + length:
            return None
        is_text = buffer[0] & 0x0F == 1
        payload = bytes(buffer[start : start + length])
        del buffer[: start + length]
        return payload if is_text else b""

    def _message(self, message: Heard, now: float) -> None:
        match message.type:
            case "ready":
                self.ready.set_result(None)
            case "partial":
                self.partials += 1
                self._on_text(self, message, now)
            case "final":
                self.finals += 1
                self._on_text(self, message, now)
            case "error":
                self.errors.append(message.code)
                if not self.ready.done():
                    self.ready.set_exception(ConnectionError(message.code))


def frame_of(audio: bytes) -> bytes:
    """Audio as the bytes of one masked binary frame."""
    header = b"\x82" + (
        struct.pack("!BH", 0xFE, len(audio)) if len(audio) > 125 else struct.pack("!B", 0x80 | len(audio))
    )
    return header + bytes(4) + audio
