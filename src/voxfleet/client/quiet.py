"""How a server that says nothing is told from one that is gone: a connection can break without either end hearing of it."""

import asyncio
from collections.abc import Awaitable

from websockets.asyncio.client import ClientConnection

QUIET = 10.0
"""Seconds without a word after which a server is asked whether it is there; after as many more, it is not.

Long, because a server that makes a fast caller wait does not read its pings either.
"""


async def next_frame(socket: ClientConnection) -> bytes | str:
    """The next frame. Raises ConnectionClosed, also for a server that neither speaks nor answers a ping."""
    pong: Awaitable[float] | None = None
    while True:
        try:
            async with asyncio.timeout(QUIET):
                return await socket.recv()
        except TimeoutError:
            if asyncio.isfuture(pong) and not pong.done():
                break
        try:
            async with asyncio.timeout(QUIET):
                pong = await socket.ping()
        except TimeoutError:  # not even the ping can be sent
            break
    socket.transport.abort()
    return await socket.recv()
