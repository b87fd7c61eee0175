"""A gateway's end of the link without a gateway: says what a test tells it to say, remembers every answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import numpy as np

from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster import link_pb2_grpc


class RawGateway:
    """One joined link. `ended` is set, with `code`, once the worker has ended it."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[pb.Tick, pb.Answer]") -> None:
        self.answers: list[pb.Answer] = []
        self.ended = asyncio.Event()
        self.code: grpc.StatusCode | None = None
        self._call = call
        self._news = asyncio.Event()

    async def say(self, **tick: object) -> None:
        await self._call.write(pb.Tick(**tick))  # type: ignore[arg-type]

    async def open(self, request: int = 1) -> int:
        """The key of a place."""
        await self.say(opens=[pb.Open(request=request, language="en")])
        answer = await self.heard(lambda a: any(o.request == request for o in a.opened))
        return next(o.place for o in answer.opened if o.request == request)

    async def speak(self, place: int, seconds: float = 1.0, *, end: bool = True) -> None:
        samples = int(seconds * 16_000)
        await self.say(
            places=np.array([place], "<u8").tobytes(),
            lengths=np.array([samples], "<u4").tobytes(),
            flags=bytes([end]),
            samples=bytes(2 * samples),
        )

    async def heard(self, wanted: Callable[[pb.Answer], bool], since: int = 0) -> pb.Answer:
        """The first answer from number `since` on that is wanted."""
        async with asyncio.timeout(20):
            while True:
                for answer in self.answers[since:]:
                    if wanted(answer):
                        return answer
                assert not self.ended.is_set(), f"the link ended with {self.code} before that was said"
                self._news.clear()
                await self._news.wait()

    async def read(self) -> None:
        try:
            while (answer := await self._call.read()) is not grpc.aio.EOF:
                self.answers.append(answer)
                self._news.set()
        except grpc.aio.AioRpcError:
            pass
        self.code = await self._call.code()
        self.ended.set()
        self._news.set()


@asynccontextmanager
async def joined(address: str, name: str = "") -> AsyncIterator[RawGateway]:
    """A link to the worker at `address`, once it has said welcome; `name` is what the gateway calls itself."""
    async with grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = link_pb2_grpc.LinkStub(channel).Join(wait_for_ready=True)
        gateway = RawGateway(call)
        await call.write(pb.Tick(hello=pb.Hello(gateway=name, state="ready")) if name else pb.Tick())
        reading = asyncio.create_task(gateway.read())
        try:
            await gateway.heard(lambda a: a.HasField("welcome"))
            yield gateway
        finally:
            call.cancel()
            await asyncio.gather(reading, return_exceptions=True)
