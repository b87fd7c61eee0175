"""One joined gateway: the places it holds, who it says it is, and what it has not been told yet."""

import asyncio

from voxfleet.cluster import link_pb2 as pb
from voxfleet.scheduling.places import Place

MOST_WAITING = 2_000
"""Answers a gateway may leave unread (minutes of steps) before it counts as gone."""


class GatewayEnd:
    """The worker's end of one link.

    `put` drops nothing; a gateway that does not read loses its link when `MOST_WAITING` answers wait for it.
    """

    def __init__(self) -> None:
        self.places: set[Place] = set()
        self.hello: pb.Hello | None = None
        """The newest word of the gateway about itself."""
        self.stalled = asyncio.Event()
        self._answers: list[pb.Answer] = []
        self._some = asyncio.Event()
        self._sending = False

    def put(self, answer: pb.Answer) -> None:
        self._answers.append(answer)
        self._some.set()
        if len(self._answers) > MOST_WAITING:
            self.stalled.set()

    async def taken(self) -> list[pb.Answer]:
        """What is to be sent next; call `sent` when it was."""
        await self._some.wait()
        self._some.clear()
        answers, self._answers = self._answers, []
        self._sending = True
        return answers

    def sent(self) -> None:
        self._sending = False

    @property
    def told(self) -> bool:
        """Everything put here has been handed to the network."""
        return not self._answers and not self._sending
