"""A server that speaks the native protocol and does exactly what a test says: for refusals and silences of real ones."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve

from voxfleet.wire import native

Script = Callable[["Caller"], Awaitable[None]]


class Caller:
    """The scripted side of one call."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        request = socket.request
        assert request is not None
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        self.received = 0
        """Bytes of audio."""

    async def say(self, *messages: native.ServerMessage) -> None:
        for message in messages:
            await self._socket.send(native.encode(message))

    async def ready(self, max_ahead: float = 10.0) -> None:
        limits = native.LimitsMessage(1_048_576, max_ahead, 60.0, 30.0)
        rate, channels = int(self.query["sample_rate"]), int(self.query["channels"])
        await self.say(native.ReadyMessage("s", "scripted", "en", channels, rate, "pcm16", 100, 500, limits))

    async def listen(self) -> bool:
        """Receive one frame; false when the caller has finished."""
        frame = await self._socket.recv()
        if isinstance(frame, bytes):
            self.received += len(frame)
            return True
        return "finish" not in frame

    @property
    def seconds(self) -> float:
        """Stream time received."""
        return self.received / 2 / int(self.query["sample_rate"]) / int(self.query["channels"])

    async def refuse(self, error: native.ErrorMessage, code: int) -> None:
        await self.say(error)
        await self._socket.close(code)


@asynccontextmanager
async def scripted_server(script: Script) -> AsyncIterator[str]:
    """A server that plays the script to every caller; gives its URL."""

    async def play(socket: ServerConnection) -> None:
        await script(Caller(socket))

    async with serve(play, "127.0.0.1", 0, max_queue=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"
