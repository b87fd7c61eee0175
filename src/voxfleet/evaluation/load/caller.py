"""One caller of a load run: a WebSocket, a script of audio, and a record of when what came back.

Nothing is decided or decoded here that can wait: a frame costs its due time, a slice of the pool and one send; a message
costs a glance and its place in the record. The WebSocket is picows, which does this at a third of the cost of other clients.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from voxfleet.evaluation.load.dialect import Ask, Dialect, Glance
from voxfleet.wire.native import ErrorMessage

FRAME = 0.1
"""Seconds of audio in each frame."""
OPEN_SECONDS = 10.0
"""How long a caller waits to be admitted or refused."""
GOODBYE_SECONDS = 15.0
"""How long a caller waits for the rest of its text after its last frame."""
UNREAD_SECONDS = 10.0
"""A server that takes no audio from a caller for so long has failed it."""


class Script(Protocol):
    """What a caller says."""

    @property
    def frames(self) -> int: ...
    def frame(self, number: int) -> memoryview: ...
    @property
    def reference(self) -> str | None: ...
    @property
    def speech_spans(self) -> Sequence[tuple[float, float]]: ...


@dataclass(slots=True)
class Record:
    """What is known of one call when it is over. Times are seconds of the run, on one monotonic clock."""

    number: int
    came: float
    """When it was due to come."""
    script: Script
    admitted: float | None = None
    started: float = 0.0
    """Stream time zero: frame k is due `started` + (k + 1) frames."""
    ended: float = 0.0
    outcome: str = "cut short"
    """finished, refused, failed, cut short"""
    reason: str = ""
    """The code of a refusal or failure."""
    why: str = ""
    """And its sentence."""
    frames_sent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    heard: list[tuple[float, bytes]] = field(default_factory=list)
    """(arrival, text frame), in order."""


class Caller(WSListener):
    """Sends when the pacer says so. `over` is called once, when the call has ended in whatever way."""

    def __init__(
        self, record: Record, dialect: Dialect, clock: Callable[[], float], over: Callable[["Caller"], None]
    ) -> None:
        super().__init__()
        self.record = record
        self.paused = False
        """The connection takes no more: the server, or the way to it, is behind."""
        self.behind = False
        """The pacer's mark: the connection was full, and what could not be said then has not all been said since."""
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._dialect = dialect
        self._clock = clock
        self._over = over
        self._transport: WSTransport | None = None
        self._parts = b""
        self._is_over = False

    # ---- what the pacer does --------------------------------------------------------------------------------

    def speak(self) -> None:
        """Send the next frame of audio."""
        assert self._transport is not None
        payload = self._dialect.audio(self.record.script.frame(self.record.frames_sent))
        if isinstance(payload, str):
            self._transport.send(WSMsgType.TEXT, payload.encode())
        else:
            self._transport.send(WSMsgType.BINARY, payload)
        self.record.frames_sent += 1
        self.record.bytes_sent += len(payload)

    def finish(self) -> None:
        """Say that no more audio comes."""
        assert self._transport is not None
        for message in self._dialect.finish():
            kind = WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY
            self._transport.send(kind, message.encode() if isinstance(message, str) else message)

    def end(self, outcome: str, reason: str = "", why: str = "") -> None:
        """The call is over; what is told first stands."""
        if self._is_over:
            return
        self._is_over = True
        self.record.outcome, self.record.reason, self.record.why = outcome, reason, why
        self.record.ended = self._clock()
        if not self.admitted.done():
            self.admitted.set_result(None)
        if self._transport is not None:
            if outcome == "finished":
                self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(outcome == "finished")
        self._over(self)

    @property
    def connected(self) -> bool:
        """The WebSocket was open at some time."""
        return self._transport is not None

    @property
    def is_over(self) -> bool:
        return self._is_over

    # ---- what picows calls ----------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self._is_over:
            transport.disconnect(False)
        elif not self._dialect.admits_by_word:
            self._admit()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        match frame.msg_type:
            case WSMsgType.TEXT | WSMsgType.BINARY | WSMsgType.CONTINUATION:
                self._parts += frame.get_payload_as_bytes()
                if frame.fin:
                    payload, self._parts = self._parts, b""
                    self._hear(payload)
            case WSMsgType.CLOSE:
                code: object = frame.get_close_code()  # a WSCloseCode, or the number where it is none of them
                self._closed(code.value if isinstance(code, WSCloseCode) else code, frame.get_close_reason())

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self.end("failed", "connection_lost", "the connection broke without a word")

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def _hear(self, payload: bytes) -> None:
        if self._is_over:
            return
        self.record.bytes_received += len(payload)
        self.record.heard.append((self._clock(), payload))
        match self._dialect.glance(payload):
            case Glance.READY:
                self._admit()
            case Glance.DONE:
                self.end("finished")
            case Glance.REFUSED:
                code, sentence = error_of(self._dialect, payload)
                self.end("refused" if self.record.admitted is None else "failed", code, sentence)

    def _admit(self) -> None:
        if self.record.admitted is None:
            self.record.admitted = self._clock()
            if not self.admitted.done():
                self.admitted.set_result(None)

    def _closed(self, code: object, reason: str) -> None:
        outcome = "failed" if self.record.admitted is not None else "refused"
        self.end(outcome, f"closed_{code}", reason or f"the server closed the connection with code {code}")


def error_of(dialect: Dialect, payload: bytes) -> tuple[str, str]:
    """Code and sentence of the server's error."""
    for message in dialect.read(payload):
        if isinstance(message, ErrorMessage):
            return message.code, message.message
    return "error", payload[:200].decode(errors="replace")


async def dial(caller: Caller, dialect: Dialect, ask: Ask) -> None:
    """Connect and wait to be admitted, refused, or given up. Never raises for what a server does."""
    from picows import WSError, WSHandshakeError, ws_connect

    try:
        async with asyncio.timeout(OPEN_SECONDS):
            await ws_connect(
                lambda: caller,
                dialect.address(ask),
                extra_headers=dict(dialect.headers(ask)),
                websocket_handshake_timeout=OPEN_SECONDS,
                max_frame_size=16 * 2**20,
            )
            if not caller.connected:  # picows returns as if all were well
                caller.end("failed", "no_connection", "the server hung up before the WebSocket was open")
            await caller.admitted
    except TimeoutError:
        caller.end("failed", "no_answer", f"neither admitted nor refused within {OPEN_SECONDS:g} s")
    except WSHandshakeError as refusal:
        status = getattr(getattr(refusal, "response", None), "status", None)
        number = int(getattr(status, "value", status) or 0)
        caller.end("refused", f"http_{number}" if number else "no_websocket", str(refusal).partition("\n")[0][:200])
    except (OSError, WSError) as error:
        caller.end("failed", "no_connection", f"{error or type(error).__name__}"[:200])
