"""One recording sent as one call: at the pace of a live caller, or as fast as the server recognises it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic

from voxfleet.audio.recording import Recording
from voxfleet.client.connect import ConnectionFailed, Stream, connect
from voxfleet.client.pacing import Pacing
from voxfleet.speech import Seconds
from voxfleet.wire.native import DoneMessage, FinalMessage, ReadyMessage, ServerMessage
from voxfleet.wire.options import StreamOptions

FRAME = 0.1
"""Seconds of audio in each message: what a telephone gateway or a browser sends at most."""
FAST_FRAME = 0.25
"""Seconds of audio in each message of a recording that is sent as fast as it goes: fewer, larger messages."""
SILENT_SERVER = 120.0
"""Seconds without a word from the server after which the call is given up; a server that works acks every 4 s of audio."""


@dataclass(slots=True)
class Outcome:
    """What came of a call."""

    ready: ReadyMessage
    finals: list[FinalMessage] = field(default_factory=list)
    done: DoneMessage | None = None
    seconds: float = 0.0
    """Clock time from stream time zero (the first sample) to `done`."""


Heard = Callable[[ServerMessage, float], None]
"""Told every message with its arrival, in seconds since stream time zero, on this program's clock."""


async def live_call(
    url: str, recording: Recording, options: StreamOptions, heard: Heard, *, api_key: str | None = None
) -> Outcome:
    """Send a recording as a live caller would: each frame when its last sample has been spoken.

    Raises ConnectionFailed or RemoteError.
    """
    async with connect(url, options, api_key=api_key) as stream:
        started = monotonic()

        async def send() -> None:
            for number, frame in enumerate(recording.frames(FRAME), start=1):
                await asyncio.sleep(max(started + number * FRAME - monotonic(), 0))
                await stream.send(frame)

        return await _hold(stream, send, heard, started)


async def fast_call(
    url: str, recording: Recording, options: StreamOptions, progress: Callable[[Seconds], None]
) -> Outcome:
    """Send a recording as fast as the server recognises it; `progress` is told how far that is, in stream time.

    Raises ConnectionFailed or RemoteError.
    """
    async with connect(url, options) as stream:
        started = monotonic()
        pacing = Pacing(recording.channels, stream.ready.limits.max_ahead, started)
        moved = asyncio.Event()

        async def send() -> None:
            for frame in recording.frames(FAST_FRAME):
                seconds = len(frame) / (2 * recording.channels * recording.sample_rate)
                while pacing.allowed(monotonic()) < seconds - 1e-6:
                    wait = pacing.wait(seconds, monotonic())
                    moved.clear()
                    await _either(moved, min(wait, SILENT_SERVER))
                await stream.send(frame)
                pacing.send(seconds)

        def learn(message: ServerMessage, at: float) -> None:
            if pacing.learn(message, started + at):
                progress(min(pacing.heard, recording.seconds))
                moved.set()

        return await _hold(stream, send, learn, started)


async def _hold(stream: Stream, send: Callable[[], Awaitable[None]], heard: Heard, started: float) -> Outcome:
    """Send in one task, read in this one, up to `done`."""
    outcome = Outcome(stream.ready)

    async def speak() -> None:
        try:
            await send()
            await stream.finish()
        except ConnectionFailed:
            return  # the server has ended the call; reading tells why

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            while outcome.done is None:
                message = await _next(stream)
                outcome.seconds = monotonic() - started
                heard(message, outcome.seconds)
                match message:
                    case FinalMessage():
                        outcome.finals.append(message)
                    case DoneMessage():
                        outcome.done = message
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return outcome


async def _next(stream: Stream) -> ServerMessage:
    try:
        async with asyncio.timeout(SILENT_SERVER):
            return await stream.receive()
    except TimeoutError:
        raise ConnectionFailed(f"the server said nothing for {SILENT_SERVER:g} s") from None


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or for so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
