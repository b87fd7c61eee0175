"""How the gateway meets the network: its listening socket, its limits, and leaving without cutting anyone off.

Stock uvicorn closes live WebSockets within half a second of SIGTERM. Here the first signal only stops admission; the
server ends when the last call has ended, or at the deadline, or at the second signal.
"""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from voxfleet.errors import MessageTooBig
from voxfleet.gateway.live import LiveCalls
from voxfleet.settings import GatewaySettings
from voxfleet.wire import native

log = structlog.get_logger()

NOT_TEXT = "\ufffd"
"""Stands for a text frame that is not UTF-8: not a message of any dialect."""
TOO_BIG = 1009
WRITE_BUFFER = 16_384
"""Bytes kept in the process for a caller that reads slowly; beyond them its sender waits and its outbox counts."""
HAND_OVER_AFTER = 2.5
"""Seconds after the first signal at which callers are handed over."""
HALF_OPEN_MS = 20_000
"""Unacknowledged bytes for so long mean that the peer is gone, whatever TCP hopes."""


class StreamProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with what a gateway of live streams needs beyond ASGI.

    A frame refused for its size is refused by name before the close frame. A caller that does not read can be cut. And
    frames can go straight to a sink, in the call of the event loop that received them: ASGI's queue, wake-up and task
    switch would cost half as much again as everything else that happens to a frame.
    """

    sink: Callable[[bytes | str], None] | None = None

    def handle_connect(self, event: object) -> None:
        super().handle_connect(event)  # type: ignore[arg-type]
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"]["voxfleet.socket"] = self

    def listen(self, sink: Callable[[bytes | str], None]) -> None:
        """From now on every message goes to `sink`, those first that are waiting already; ASGI only sees the end."""
        waiting = [self.queue.get_nowait() for _ in range(self.queue.qsize())]
        for message in waiting:
            if message["type"] == "websocket.receive":
                frame = message.get("bytes")
                sink(message.get("text") or "" if frame is None else frame)
            else:
                self.queue.put_nowait(message)
        self.sink = sink
        self.resume()

    def pause(self) -> None:
        """Read nothing more for now: the network makes the caller wait."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection: what was not sent yet never will be."""
        self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        if self.sink is None or self.close_sent:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        try:
            self.sink(bytes(data) if self.curr_msg_data_type == "bytes" else data.decode())
        except UnicodeDecodeError:
            self.sink(NOT_TEXT)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of everything that leads back here: a call must be freed when it ends, not when cycles are looked for,
        which in a process with thousands of live objects is almost never."""
        super().connection_lost(exc)
        self.sink = None
        self.conn.parser.close()
        if (scope := getattr(self, "scope", None)) is not None:
            scope["extensions"].pop("voxfleet.socket", None)

    def handle_parser_exception(self) -> None:
        close = self.conn.close_sent
        if close is None:  # the handshake itself can't be read: a request line of more than 8 KB
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
            self.transport.close()
            return
        if close is not None and close.code == TOO_BIG and not self.transport.is_closing():
            message = native.encode(native.error_message(MessageTooBig(self.config.ws_max_size)))
            self.transport.write(Frame(Opcode.TEXT, message.encode()).serialize(mask=False))
        super().handle_parser_exception()


class RequestProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, for callers who connect and never finish a request: they are hung up on, too."""

    patience: float
    """Seconds until the first request must be complete; set by `server`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unasked = self.loop.call_later(self.patience, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unasked.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._unasked.cancel()  # the connection is another protocol's from here on
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it holds us as we hold it

    def _hang_up(self) -> None:
        asked: object = self.cycle  # None until there is a request, whatever uvicorn declares
        if asked is None:
            self.transport.close()


class DrainingServer(uvicorn.Server):
    """A server that leaves politely: it lets calls finish, and hands over those that can go on at another gateway."""

    def __init__(
        self, config: uvicorn.Config, live: LiveCalls, drain_seconds: float, others: Callable[[], bool], *, shared: bool
    ) -> None:
        """`others` says whether another gateway takes callers; on a `shared` port new ones come to that by themselves."""
        super().__init__(config)
        self._live = live
        self._drain_seconds = drain_seconds
        self._others = others
        self._shared = shared
        self._handed_over = False
        self._deadline: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain. Second: leave at once."""
        if self._deadline is not None or not self._live.count:
            super().handle_exit(sig, frame)
            return
        self._live.draining = True
        self._deadline = asyncio.get_event_loop().time() + self._drain_seconds
        log.info("draining", calls=self._live.count, deadline_seconds=self._drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        if self._may_hand_over() and self._others():
            self._handed_over = True
            if self._shared:
                for server in self.servers:
                    server.close()
            self._live.hand_over()
        if self._deadline is not None and (not self._live.count or asyncio.get_running_loop().time() >= self._deadline):
            if self._live.count:
                log.warning("drain_deadline", calls_cut=self._live.count)
            self.should_exit = True
        return await super().on_tick(counter)

    def _may_hand_over(self) -> bool:
        """Once, when it has been seen whether the others are leaving, too: they say so within a second or two."""
        if self._deadline is None or self._handed_over:
            return False
        since = asyncio.get_running_loop().time() - (self._deadline - self._drain_seconds)
        return since >= min(HAND_OVER_AFTER, self._drain_seconds / 4)


def listen(settings: GatewaySettings, *, shared: bool = False) -> socket.socket:
    """The bound listening socket; accepted sockets inherit its options. Raises OSError as the system names it.

    A `shared` port is listened on by several gateways of this machine, and the system spreads callers over them.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, HALF_OPEN_MS)
        listener.bind((settings.host, settings.port))
    except OSError:
        listener.close()
        raise
    return listener


def server(
    app: Starlette,
    live: LiveCalls,
    settings: GatewaySettings,
    others: Callable[[], bool] = lambda: False,
    *,
    shared: bool = False,
) -> DrainingServer:
    """The server for `app`, to be run with `serve(sockets=[listen(settings)])`; `others`, `shared` as in DrainingServer."""
    config = uvicorn.Config(
        app,
        http=type("Requests", (RequestProtocol,), {"patience": settings.idle_timeout}),
        ws=StreamProtocol,
        ws_max_size=settings.max_frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        timeout_graceful_shutdown=2,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    return DrainingServer(config, live, settings.drain_seconds, others, shared=shared)
