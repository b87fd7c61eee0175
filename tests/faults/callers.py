"""Callers in real time through the client library, and everything each of them was told, with the time of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from tests.faults.calls import FRAME, Call, recording
from voxfleet.client import StreamOptions, connect
from voxfleet.client.call import fast_call
from voxfleet.client.connect import ConnectionFailed, RemoteError, Stream
from voxfleet.errors import VoxfleetError
from voxfleet.wire.native import DoneMessage, FinalMessage, ServerMessage

PATIENCE = 45.0
"""Seconds after its last word that a caller waits for the rest of the transcript."""
AT_ONCE = 4
"""Calls that are sent faster than real time side by side."""


@dataclass(slots=True)
class Told:
    """One call as its caller saw it. Clock times are `time.monotonic()`."""

    number: int
    call: Call
    asked: float
    """When the caller dialled."""
    answered: float = 0.0
    """When it was told that it may speak, or that it may not."""
    began: float = 0.0
    """Stream time zero."""
    session: str = ""
    messages: list[tuple[float, ServerMessage]] = field(default_factory=list)
    error: VoxfleetError | None = None
    resumes: int = 0
    gaps: list[float] = field(default_factory=list)
    """Seconds without a connection, each time the client resumed the stream."""

    @property
    def finals(self) -> list[FinalMessage]:
        return [message for _, message in self.messages if isinstance(message, FinalMessage)]

    @property
    def done(self) -> bool:
        return any(isinstance(message, DoneMessage) for _, message in self.messages)

    @property
    def refused(self) -> bool:
        """There was no place for it: it never spoke."""
        return isinstance(self.error, RemoteError) and self.error.wants_place and not self.began

    @property
    def code(self) -> str:
        """The error's name, or nothing."""
        if isinstance(self.error, RemoteError):
            return self.error.remote_code
        return self.error.code if self.error else ""


class Caller:
    """Somebody who says one call and listens to the end of it."""

    def __init__(
        self,
        number: int,
        call: Call,
        url: str,
        *,
        frames_at_once: int = 1,
        pace: float = 1.0,
        options: StreamOptions | None = None,
    ) -> None:
        """`pace` is how much faster than real time it talks; `options`: None = 16-bit PCM at 16 kHz, all channels."""
        self.told = Told(number, call, monotonic())
        self._url = url
        self._options = options or StreamOptions(channels=call.channels)
        self._step = frames_at_once
        self._pace = pace

    async def run(self) -> Told:
        """The whole call, to its end or its error."""
        told = self.told
        told.asked = monotonic()
        try:
            async with connect(self._url, self._options) as stream:
                told.answered = told.began = monotonic()
                told.session = stream.ready.session
                try:
                    await self._hold(stream)
                finally:
                    told.resumes = getattr(stream, "resumes", 0)
                    told.gaps = list(getattr(stream, "gaps", []))
        except VoxfleetError as error:
            told.error = error
            told.answered = told.answered or monotonic()
        except TimeoutError:
            told.error = ConnectionFailed(f"nothing more came for {PATIENCE:g} s")
        return told

    async def _hold(self, stream: Stream) -> None:
        told = self.told
        speaking = asyncio.create_task(self._speak(stream))
        try:
            async with asyncio.timeout(told.call.frames * FRAME / self._pace + PATIENCE):
                async for message in stream:
                    told.messages.append((monotonic(), message))
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def _speak(self, stream: Stream) -> None:
        call, began = self.told.call, self.told.began
        try:
            for number in range(0, call.frames, self._step):
                some = range(number, min(number + self._step, call.frames))
                await asyncio.sleep(max(began + (some[-1] + 1) * FRAME / self._pace - monotonic(), 0))
                await stream.send(b"".join(map(call.frame, some)))
            await stream.finish()
        except VoxfleetError:
            return  # the call has ended; listening tells why


class Crowd:
    """Callers who talk at the same time while something else happens."""

    def __init__(self, callers: Sequence[Caller], tasks: Sequence["asyncio.Task[Told]"]) -> None:
        self.callers = callers
        self._tasks = tasks

    @property
    def told(self) -> list[Told]:
        """What everybody was told so far."""
        return [caller.told for caller in self.callers]

    @property
    def sessions(self) -> set[str]:
        return {told.session for told in self.told if told.session}

    async def admitted(self) -> None:
        """Wait until everybody was told whether there is a place."""
        while not all(told.answered for told in self.told):
            await asyncio.sleep(0.02)

    async def hung_up(self) -> list[Told]:
        """Wait until everybody has heard the end of the transcript."""
        return list(await asyncio.gather(*self._tasks))


@asynccontextmanager
async def crowd(
    url: str | Sequence[str], calls: Sequence[Call], *, within: float = 1.0, options: StreamOptions | None = None
) -> AsyncIterator[Crowd]:
    """Callers of these calls, who dial one after another `within` so many seconds; of several URLs in turn."""
    urls = [url] if isinstance(url, str) else list(url)
    callers = [Caller(number, call, urls[number % len(urls)], options=options) for number, call in enumerate(calls)]

    async def come(caller: Caller, after: float) -> Told:
        await asyncio.sleep(after)
        return await caller.run()

    tasks = [asyncio.create_task(come(c, n * within / len(callers))) for n, c in enumerate(callers)]
    try:
        yield Crowd(callers, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_known: dict[Call, tuple[FinalMessage, ...]] = {}


async def undisturbed(url: str, calls: Sequence[Call]) -> dict[Call, tuple[FinalMessage, ...]]:
    """The finals of each call on a fleet that nothing happens to, sent as fast as they are recognised; known ones are not
    sent again. Raises what ends a call."""
    free = asyncio.Semaphore(AT_ONCE)

    async def learn(call: Call) -> None:
        async with free:
            outcome = await fast_call(url, recording(call), StreamOptions(channels=call.channels), lambda _: None)
            _known[call] = tuple(outcome.finals)

    async with asyncio.TaskGroup() as group:
        for call in dict.fromkeys(calls):
            if call not in _known:
                group.create_task(learn(call))
    return {call: _known[call] for call in calls}
