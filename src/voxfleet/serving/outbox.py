"""What waits to be sent to one caller: finals queue in order, a newer partial replaces an unsent one. Bounded.

One task takes, everybody on the event loop puts. A caller who does not read is found here: more than `bound` messages
that may not be dropped raise TooSlow in `put`.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from voxfleet.errors import TooSlow
from voxfleet.speech import Event, Final, Partial, Settled


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping; queues like everything else that may not be dropped."""

    id: str | None


@dataclass(frozen=True, slots=True)
class HandOver:
    """The gateway is leaving: the caller shall connect again and resume."""


Post: TypeAlias = Event | Pong | HandOver
"""What can be on its way to a caller."""


class Outbox:
    """Events of one call on their way to its socket."""

    def __init__(self, bound: int) -> None:
        self.replaced = 0
        """Partials that were never sent because a newer one took their place."""
        self._bound = bound
        self._queue: deque[Post] = deque()
        self._partials: dict[int, Partial] = {}
        self._settled: dict[int, Settled] = {}
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, event: Post) -> None:
        """Queue an event. Raises TooSlow when too much waits already."""
        if isinstance(event, Partial):
            self.replaced += event.channel in self._partials
            self._partials[event.channel] = event
        elif isinstance(event, Settled):
            self._settled[event.channel] = event
        else:
            if isinstance(event, Final):
                self._drop_partial(event)
            if len(self._queue) >= self._bound:
                raise TooSlow(len(self._queue))
            self._queue.append(event)
        self._wake.set()

    def end(self) -> None:
        """Nothing more comes; `take` returns what is left and then nothing."""
        self._ended = True
        self._wake.set()

    async def take(self) -> list[Post]:
        """Wait for something to send and return it all: queued events in order, then the newest partials, then
        progress. Returns [] after `end`, when everything was taken."""
        if not self._ended:
            await self._wake.wait()
        self._wake.clear()
        events: list[Post] = [*self._queue, *self._partials.values(), *self._settled.values()]
        self._queue.clear()
        self._partials.clear()
        self._settled.clear()
        return events

    def _drop_partial(self, final: Final) -> None:
        partial = self._partials.get(final.channel)
        if partial is not None and partial.turn <= final.turn:
            self.replaced += 1
            del self._partials[final.channel]
