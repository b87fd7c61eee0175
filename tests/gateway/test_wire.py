"""The receiving side of a socket leaves nothing behind on the event loop."""

import asyncio
from typing import Any, cast

from voxfleet.gateway.websocket import Wire


class Quiet:
    """A caller who says nothing, on a socket as Starlette has it, and a conversation nothing happens to."""

    failure = None
    crowded = False

    def __init__(self) -> None:
        self.scope = {"extensions": {"voxfleet.socket": self}}

    def listen(self, hear: Any) -> None:
        """Nothing is heard."""

    async def receive(self) -> dict[str, str]:
        return await asyncio.Future()


async def test_a_reader_that_is_cancelled_leaves_no_task() -> None:
    quiet = Quiet()
    reading = asyncio.create_task(Wire(cast("Any", quiet), cast("Any", quiet), 1_000).read())
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 4
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}
