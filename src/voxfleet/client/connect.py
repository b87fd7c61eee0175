"""One live call as seen by its caller: connect, send audio, read messages. A lost connection is made anew, unnoticed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from voxfleet.client.connection import Connection
from voxfleet.client.dial import ConnectionFailed, Dial, RemoteError, stream_url
from voxfleet.wire import native
from voxfleet.wire.options import StreamOptions

__all__ = ["ConnectionFailed", "RemoteError", "Stream", "connect", "stream_url"]


class Stream:
    """One connected call. Sending and reading may run in two tasks; each side belongs to one task at a time.

    Where the server gives tokens, a lost connection is resumed on any server at the same address: what was not settled is
    sent again, and what was told is not told again. A caller that paces itself is merely late afterwards.
    """

    def __init__(self, connection: Connection, ready: native.ReadyMessage) -> None:
        self.ready = ready
        """What the server granted; of a resumed stream, what the first one did."""
        self._connection = connection
        self._finished = False

    @property
    def resumes(self) -> int:
        """How often this stream has gone on with another connection."""
        return len(self._connection.gaps)

    @property
    def gaps(self) -> list[float]:
        """For each time, seconds from the break to the new server's `ready`; 0 where the new one came before the end."""
        return list(self._connection.gaps)

    async def send(self, audio: bytes | bytearray | memoryview) -> None:
        """Send audio in the declared encoding, any number of bytes. Waits while the network is slower than the caller, and
        while a lost connection is made anew.

        Raises ConnectionFailed when the server has closed; the reason is what reading the messages raises.
        """
        await self._connection.say(bytes(audio))

    async def flush(self) -> None:
        """Ask that everything sent so far becomes final; the server answers with `flushed`."""
        await self._connection.say(native.FlushMessage())

    async def configure(self, *, endpointing_ms: int | None = None, interim: bool | None = None) -> None:
        """Change the silence that ends a turn, or whether partials are sent, from now on."""
        message = native.ConfigureMessage()
        if endpointing_ms is not None:
            message.endpointing_ms = endpointing_ms
        if interim is not None:
            message.interim = interim
        await self._connection.say(message)

    async def ping(self, id: str | None = None) -> None:  # noqa: A002 - the word of the protocol
        """Keep a silent call open; the server answers with `pong`."""
        await self._connection.say(native.PingMessage(id))

    async def finish(self) -> None:
        """No more audio; the remaining finals and `done` follow. Calling it twice does nothing."""
        if not self._finished:
            self._finished = True
            await self._connection.say(native.FinishMessage())

    async def __aiter__(self) -> AsyncIterator[native.ServerMessage]:
        """Messages up to `done`. Raises RemoteError for the server's error, ConnectionFailed for a break."""
        while True:
            message = await self.receive()
            yield message
            if isinstance(message, native.DoneMessage):
                return

    async def receive(self) -> native.ServerMessage:
        """The next message. Raises as iteration does."""
        return await self._connection.receive()

    async def close(self) -> None:
        """Leave at once; what is not final yet is lost."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@asynccontextmanager
async def connect(
    url: str,
    options: StreamOptions | None = None,
    *,
    api_key: str | None = None,
    open_timeout: float = 10.0,
    resume: bool = True,
    patience: float = 20.0,
) -> AsyncIterator[Stream]:
    """A call on the server at `url` (http, https, ws or wss; a path is kept, else /v1/stream), ready for audio.

    `open_timeout` bounds the connection and the wait for a place, seconds. With `resume`, a stream that loses its connection
    looks for another for `patience` seconds, waiting out refusals for want of a place; then its error is raised to whoever
    sends or reads. For that the client keeps what was sent and is not settled: at most the server's longest turn and a
    minute; a stream that would need more goes on, but is not resumed.
    Raises ConnectionFailed where nobody answers and RemoteError where the server refuses.
    """
    options = options or StreamOptions()
    dial = Dial(url, api_key, open_timeout)
    opened = await dial.open(options)
    async with Stream(Connection(dial, options, opened, patience if resume else None), opened[1]) as stream:
        yield stream
