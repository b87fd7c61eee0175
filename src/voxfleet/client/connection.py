"""The connection of one stream: what becomes of it when it breaks, and when its server leaves.

One task reads the socket, decides what a break means and makes the next connection; a second one says again, on the new
connection, what the server has not settled; a third looks for another server while the present one is leaving. All are
owned by the connection. Saying something waits while they work, reading waits as it always does.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voxfleet.client.dial import ConnectionFailed, Dial, RemoteError, broken, close_code
from voxfleet.client.history import History
from voxfleet.client.patience import Patience
from voxfleet.client.quiet import next_frame
from voxfleet.client.told import Told
from voxfleet.wire import native
from voxfleet.wire.options import StreamOptions

SURVIVED_CODES = frozenset({1001, 1006, 1012})
"""Closes without an error that leave the stream as it was: going away, no close at all, restart."""
SURVIVED_ERRORS = frozenset({"engine_lost", "engine_failed", "draining"})
"""Errors after which the stream may go on elsewhere."""
UNREAD = 64
"""Messages kept for a caller that does not read; then the server is not read either."""
MOVE_PAUSE = 1.0
"""Seconds between attempts to leave a server that is itself leaving."""
SPARE_AUDIO = 60.0
"""Seconds of audio kept beyond the longest turn before resuming is given up."""


class Connection:
    """From the first `ready` to `close`. `patience` is how long a break may last, seconds; None = no stream is resumed.

    Memory is bounded: where the server settles so little that more than its longest turn and SPARE_AUDIO would have to be
    kept, the history is dropped, and the stream goes on but can't be resumed any more.
    """

    def __init__(
        self,
        dial: Dial,
        options: StreamOptions,
        opened: tuple[ClientConnection, native.ReadyMessage],
        patience: float | None,
    ) -> None:
        self.gaps: list[float] = []
        """For each resumption, seconds from the break to the new server's `ready`; 0 where there was no break."""
        self._dial = dial
        self._socket, ready = opened
        self._wanted = patience is not None
        self._patience = Patience(patience or 0.0)
        self._history = History(options, ready.limits.max_turn + SPARE_AUDIO)
        self._told = Told()
        self._token: str | None = None
        self._resume_from = 0.0
        self._dialling = False
        """A connection is being made with an older token: what it stands for must be kept."""
        self._over = False
        self._ended: Exception | None = None
        self._unread: deque[native.ServerMessage] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._steady = asyncio.Event()
        """The socket is there, and everything said before was said on it."""
        self._steady.set()
        self._learn_token(ready.token, 0.0)
        self._reader = asyncio.create_task(self._read())
        self._mover: asyncio.Task[None] | None = None
        self._repeater: asyncio.Task[None] | None = None
        self._leaving: dict[asyncio.Task[None], ClientConnection] = {}

    # ---- saying -----------------------------------------------------------------------------------------------

    async def say(self, what: bytes | native.ClientMessage) -> None:
        """Send audio or a message. Waits while the network is slow, and while a lost connection is made anew.

        Raises ConnectionFailed when the stream has ended; `receive` raises why.
        """
        await self._steadied()
        socket = self._socket
        self._history.say(what)
        try:
            await socket.send(what if isinstance(what, bytes) else native.encode(what))
        except ConnectionClosed as closed:
            if not self._resumable:
                raise broken(closed) from None
            if socket is self._socket and self._ended is None:  # the reader will find it broken too
                self._steady.clear()
                self._room.set()
            await self._steadied()  # what was said is in the history: it has been said again by then

    async def _steadied(self) -> None:
        while self._ended is None and not self._steady.is_set():
            await self._steady.wait()
        if isinstance(self._ended, ConnectionFailed):
            raise self._ended
        if self._ended is not None:
            raise ConnectionFailed(f"the stream has ended: {self._ended}")

    async def _repeat(self, socket: ClientConnection, frames: Sequence[bytes | str]) -> None:
        with suppress(ConnectionClosed):  # the reader finds out, and mends
            for frame in frames:
                await socket.send(frame)
            self._steady.set()

    # ---- reading ----------------------------------------------------------------------------------------------

    async def receive(self) -> native.ServerMessage:
        """The next message that is news. Raises RemoteError for the server's error, ConnectionFailed for a break."""
        while not self._unread:
            if self._ended is not None:
                raise self._ended
            self._arrived.clear()
            await self._arrived.wait()
        self._room.set()
        return self._unread.popleft()

    async def _read(self) -> None:
        """Until the stream is over, on whatever socket it has."""
        try:
            while True:
                socket = self._socket
                try:
                    frame = await (next_frame(socket) if self._resumable else socket.recv())
                    message = native.decode_server(frame)
                except ConnectionClosed as closed:
                    code = closed.rcvd.code if closed.rcvd else 1006
                    await self._mend(socket, broken(closed), survived=code in SURVIVED_CODES)
                    continue
                if socket is self._socket:  # else the stream has moved: the new server says it again
                    await self._hear(socket, message)
        except Exception as error:  # noqa: BLE001 - the task ends here, and the caller is told why
            self._ended = error
        finally:
            self._steady.set()
            self._arrived.set()

    async def _hear(self, socket: ClientConnection, message: native.ServerMessage) -> None:
        match message:
            case native.ErrorMessage():
                if not (self._resumable and message.code in SURVIVED_ERRORS):
                    raise RemoteError(message, await close_code(socket))
                await self._mend(socket, RemoteError(message), survived=message.retryable)
                return
            case native.ReconnectMessage() if self._wanted:
                self._learn_token(message.token, message.resume_from)
                if self._resumable and (self._mover is None or self._mover.done()):
                    self._mover = asyncio.create_task(self._move())
                return
            case native.AckMessage():
                self._learn_token(message.token, message.resume_from)
            case native.PongMessage():
                self._history.ponged()
            case native.FlushedMessage():
                number = self._history.flushed()
                if self.gaps:
                    if number is None:
                        return
                    message.flush = number
            case native.DoneMessage():
                self._over = True
        news = self._told.news(message)
        if news and isinstance(message, native.FinalMessage | native.AckMessage):
            self._patience.progressed()
        if news or not self.gaps:
            await self._deliver(message)

    async def _deliver(self, message: native.ServerMessage) -> None:
        if len(self._unread) >= UNREAD and self._steady.is_set():
            self._room.clear()
            await self._room.wait()
        self._unread.append(message)
        self._arrived.set()

    # ---- going on elsewhere -----------------------------------------------------------------------------------

    @property
    def _resumable(self) -> bool:
        return self._token is not None and self._history.complete and not self._over

    def _learn_token(self, token: str | None, resume_from: float | None) -> None:
        if self._wanted and token is not None and resume_from is not None:
            self._token, self._resume_from = token, resume_from
            if not self._dialling:
                self._history.settle(resume_from)

    async def _mend(self, lost: ClientConnection, why: ConnectionFailed | RemoteError, *, survived: bool) -> None:
        """Another socket in place of the lost one. Raises why there is none."""
        if lost is not self._socket:  # it was left, not lost
            return
        if not (survived and self._resumable):
            raise why
        since = monotonic()
        self._steady.clear()
        await _stop([task for task in (self._mover, self._repeater) if task is not None])
        if lost is not self._socket:  # the mover was just done
            return
        self._leave(lost)
        self._patience.broke(since)
        pause = self._patience.pause(None)
        while pause < self._patience.left(monotonic()):
            await asyncio.sleep(pause)
            try:
                opened = await self._redial(within=max(self._patience.left(monotonic()), 0.1))
            except ConnectionFailed as failed:
                why, pause = failed, self._patience.pause(None)
            except RemoteError as refused:
                if not refused.remote_retryable:
                    raise
                why, pause = refused, self._patience.pause(refused.retry_after)
            else:
                self._go_on(*opened, gap=monotonic() - since)
                return
        raise why

    async def _move(self) -> None:
        """Another socket while this one still works, however long that takes."""
        while self._resumable:
            pause = MOVE_PAUSE
            self._dialling = True
            try:
                opened = await self._redial()
                present = self._socket
                self._go_on(*opened, gap=0.0)
                self._leave(present)
                return
            except RemoteError as refused:
                if not refused.remote_retryable:
                    return  # what this means is decided when the present connection breaks
                pause = max(pause, refused.retry_after or 0.0)
            except ConnectionFailed:
                pass
            finally:
                self._dialling = False
            await asyncio.sleep(pause)

    async def _redial(self, within: float = float("inf")) -> tuple[ClientConnection, native.ReadyMessage]:
        return await self._dial.open(self._history.options(self._resume_from), self._token, within)

    def _go_on(self, socket: ClientConnection, ready: native.ReadyMessage, gap: float) -> None:
        """From here on the stream is on this socket. Raises ConnectionFailed where it can't be."""
        at = ready.resumed_from
        frames = None if at is None else self._history.since(at)
        if at is None or frames is None:
            self._leave(socket)
            wanted = "a new one" if at is None else f"its audio from {at:g} s on, which is not kept"
            raise ConnectionFailed(f"the server can't go on with this stream: it wants {wanted}")
        self._steady.clear()
        if self._repeater is not None:
            self._repeater.cancel()
        self._socket = socket
        self.gaps.append(gap)
        self._patience.resumed(monotonic())
        self._learn_token(ready.token, at)
        self._repeater = asyncio.create_task(self._repeat(socket, frames))

    # ---- leaving ----------------------------------------------------------------------------------------------

    def _leave(self, socket: ClientConnection) -> None:
        """Close a socket that is no longer this stream's, without waiting for it."""
        task = asyncio.create_task(socket.close())
        self._leaving[task] = socket
        task.add_done_callback(lambda task: self._leaving.pop(task, None))

    async def close(self) -> None:
        """Leave at once; what is not final yet is lost."""
        self._over = True
        left = list(self._leaving.values())
        tasks = (self._reader, self._mover, self._repeater)
        await _stop([*(task for task in tasks if task is not None), *self._leaving])
        for socket in left:
            socket.transport.abort()
        self._ended = self._ended or ConnectionFailed("the stream was closed")
        self._history.forget()
        await self._socket.close()


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
