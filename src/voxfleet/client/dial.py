"""How a stream is asked for: the address, the handshake, the server's first word, and what can go wrong with them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from voxfleet.errors import CapacityError, VoxfleetError, by_code
from voxfleet.wire import native, phrases
from voxfleet.wire.options import StreamOptions, Task

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


@dataclass(frozen=True, slots=True)
class Dial:
    """Where and how streams are asked for."""

    url: str
    api_key: str | None = None
    open_timeout: float = 10.0
    """Seconds for the connection and the wait for a place."""

    async def open(
        self, options: StreamOptions, token: str | None = None, within: float = float("inf")
    ) -> tuple[ClientConnection, native.ReadyMessage]:
        """One attempt, of at most `within` seconds: an open socket and what the server granted.

        Raises ConnectionFailed where nobody answers and RemoteError where the server refuses; nothing is left open then.
        """
        try:
            async with asyncio.timeout(min(self.open_timeout, within)):
                socket = await self._connect(stream_url(self.url, options, token))
                try:
                    return socket, await self._first_word(socket)
                except BaseException:
                    socket.transport.abort()
                    raise
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            raise ConnectionFailed(f"{self.url} answered HTTP {status} instead of a stream") from None
        except (OSError, WebSocketException) as error:  # a timeout is an OSError
            raise ConnectionFailed(f"no server answers at {self.url}: {str(error) or type(error).__name__}") from None

    async def _connect(self, address: str) -> ClientConnection:
        return await open_socket(
            address,
            additional_headers={"Authorization": f"Bearer {self.api_key}"} if self.api_key else None,
            compression=None,
            max_size=16 * 2**20,
            open_timeout=None,
            ping_interval=None,
        )

    async def _first_word(self, socket: ClientConnection) -> native.ReadyMessage:
        try:
            first = native.decode_server(await socket.recv())
        except ConnectionClosed as closed:
            raise broken(closed) from None
        if isinstance(first, native.ErrorMessage):
            raise RemoteError(first, await close_code(socket))
        if not isinstance(first, native.ReadyMessage):
            raise ConnectionFailed(f"{self.url} does not speak this protocol: it began with {type(first).__name__}")
        return first


def stream_url(url: str, options: StreamOptions, token: str | None = None) -> str:
    """The WebSocket address of a stream with these options; with a token, of one to be resumed."""
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
        "phrases": phrases.write(options.phrases) or None,
        "task": Task.TRANSLATE.value if options.translate else None,
        "resume": token,
    }
    encoded = urlencode({name: value for name, value in query.items() if value is not None})
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") or STREAM_PATH, encoded, ""))


async def close_code(socket: ClientConnection) -> int | None:
    """How the server closed after its error; None if it takes its time about it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.wait_closed()
    return socket.close_code


def broken(closed: ConnectionClosed) -> ConnectionFailed:
    """A connection that ended without a word, in words."""
    code = closed.rcvd.code if closed.rcvd else None
    return ConnectionFailed(f"the server closed the connection (code {code or 'none, the network broke'})")
