"""One live call as seen by its caller: connect, send audio, read messages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from voxfleet.errors import CapacityError, VoxfleetError, by_code
from voxfleet.wire import native
from voxfleet.wire.options import StreamOptions

STREAM_PATH = "/v1/stream"
CLOSE_SECONDS = 1.0
"""How long the close frame after an error is waited for."""


class RemoteError(VoxfleetError):
    """The server refused the stream or ended it with an `error` message, whose fields it carries."""

    def __init__(self, message: native.ErrorMessage, close_code: int | None = None) -> None:
        super().__init__(message.message)
        self.remote_code = message.code
        self.remote_retryable = message.retryable
        self.remote_close_code = close_code
        self.retry_after = message.retry_after

    @property
    def wants_place(self) -> bool:
        """Whether nothing is wrong but that there was no place: the same request may be welcome later."""
        kind = by_code(self.remote_code)
        return kind is not None and issubclass(kind, CapacityError)


class ConnectionFailed(VoxfleetError):
    """There is no server at this address, or the connection broke without a word."""

    code = "connection_failed"
    retryable = True


class Stream:
    """One connected call. Sending and reading may run in two tasks; each side belongs to one task at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._finished = False
        self.ready: native.ReadyMessage
        """What the server granted; set once the context is entered."""

    async def send(self, audio: bytes | bytearray | memoryview) -> None:
        """Send audio in the declared encoding, any number of bytes. Waits while the network is slower than the caller.

        Raises ConnectionFailed when the server has closed; the reason is what reading the messages raises.
        """
        await self._send(bytes(audio))

    async def flush(self) -> None:
        """Ask that everything sent so far becomes final; the server answers with `flushed`."""
        await self._send(native.encode(native.FlushMessage()))

    async def configure(self, *, endpointing_ms: int | None = None, interim: bool | None = None) -> None:
        """Change the silence that ends a turn, or whether partials are sent, from now on."""
        message = native.ConfigureMessage()
        if endpointing_ms is not None:
            message.endpointing_ms = endpointing_ms
        if interim is not None:
            message.interim = interim
        await self._send(native.encode(message))

    async def ping(self, id: str | None = None) -> None:  # noqa: A002 - the word of the protocol
        """Keep a silent call open; the server answers with `pong`."""
        await self._send(native.encode(native.PingMessage(id)))

    async def finish(self) -> None:
        """No more audio; the remaining finals and `done` follow. Calling it twice does nothing."""
        if not self._finished:
            self._finished = True
            await self._send(native.encode(native.FinishMessage()))

    async def __aiter__(self) -> AsyncIterator[native.ServerMessage]:
        """Messages up to `done`. Raises RemoteError for the server's error, ConnectionFailed for a break."""
        while True:
            message = await self.receive()
            yield message
            if isinstance(message, native.DoneMessage):
                return

    async def receive(self) -> native.ServerMessage:
        """The next message. Raises as iteration does."""
        try:
            frame = await self._socket.recv()
        except ConnectionClosed as closed:
            raise _broken(closed) from None
        message = native.decode_server(frame)
        if isinstance(message, native.ErrorMessage):
            raise RemoteError(message, await self._close_code())
        return message

    async def close(self) -> None:
        """Leave at once; what is not final yet is lost."""
        await self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, frame: bytes | str) -> None:
        try:
            await self._socket.send(frame)
        except ConnectionClosed as closed:
            raise _broken(closed) from None

    async def _close_code(self) -> int | None:
        """How the server closed after its error; None if it takes its time about it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.wait_closed()
        return self._socket.close_code


@asynccontextmanager
async def connect(
    url: str, options: StreamOptions | None = None, *, api_key: str | None = None, open_timeout: float = 10.0
) -> AsyncIterator[Stream]:
    """A call on the server at `url` (http, https, ws or wss; a path is kept, else /v1/stream), ready for audio.

    `open_timeout` bounds the connection and the wait for a place, seconds.
    Raises ConnectionFailed where nobody answers and RemoteError where the server refuses.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else None
    try:
        socket = await open_socket(
            stream_url(url, options or StreamOptions()),
            additional_headers=headers,
            compression=None,
            max_size=16 * 2**20,
            open_timeout=open_timeout,
            ping_interval=None,
        )
    except InvalidStatus as refusal:
        raise ConnectionFailed(f"{url} answered HTTP {refusal.response.status_code} instead of a stream") from None
    except (OSError, WebSocketException, TimeoutError) as error:
        raise ConnectionFailed(f"no server answers at {url}: {error or type(error).__name__}") from None
    async with Stream(socket) as stream:
        first = await stream.receive()
        if not isinstance(first, native.ReadyMessage):
            raise ConnectionFailed(f"{url} does not speak this protocol: it began with {type(first).__name__}")
        stream.ready = first
        yield stream


def stream_url(url: str, options: StreamOptions) -> str:
    """The WebSocket address of a stream with these options."""
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    query = {
        "language": options.language,
        "encoding": options.encoding.value,
        "sample_rate": options.sample_rate,
        "channels": options.channels,
        "endpointing_ms": options.endpointing_ms,
        "interim": str(options.interim).lower(),
        "model": options.model,
        "words": str(options.words).lower(),
        "grammar": options.grammar,
    }
    encoded = urlencode({name: value for name, value in query.items() if value is not None})
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") or STREAM_PATH, encoded, ""))


def _broken(closed: ConnectionClosed) -> ConnectionFailed:
    code = closed.rcvd.code if closed.rcvd else None
    return ConnectionFailed(f"the server closed the connection (code {code or 'none, the network broke'})")
