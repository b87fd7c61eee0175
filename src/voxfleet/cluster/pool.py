"""Many workers behind one `open`.

Losing a worker loses no audio and repeats no final: its tracks are lost by name (EngineLost), no track is ever given the
words of another, and the streams' sessions, which hold their audio, ask for places elsewhere. Those go before new callers.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from time import monotonic
from types import TracebackType
from typing import Self

import structlog

from voxfleet.cluster import discovery
from voxfleet.cluster import link_pb2 as pb
from voxfleet.cluster.journal import Journal
from voxfleet.cluster.link import Link
from voxfleet.cluster.routing import Candidate, Wish, order, rebalance
from voxfleet.cluster.track import Listener, Track
from voxfleet.cluster.turnover import Turnover
from voxfleet.engines.port import TrackOptions
from voxfleet.errors import (
    AtCapacity,
    BadGrammar,
    BadRequest,
    CapacityError,
    EngineLost,
    LanguageNotSupported,
    ModelNotFound,
    NotReady,
    WorkerNotFound,
)
from voxfleet.settings import ClusterSettings, LinkSettings
from voxfleet.speech import hears

log = structlog.get_logger()

REBALANCE_SECONDS = 2.0
"""Between two streams that move because one worker is much fuller than another: slow, a move costs a little work."""


class Pool:
    """The workers of this gateway, by name and address (`unix:/path` or `host:port`). Use as an async context.

    To those given come the ones that `cluster.workers` names, as they are found. `hello` says how this gateway fares.
    """

    def __init__(
        self,
        workers: Mapping[str, str],
        settings: LinkSettings,
        default_model: str = "",
        cluster: ClusterSettings | None = None,
        hello: Callable[[], pb.Hello] = pb.Hello,
    ) -> None:
        self.hello = hello
        self.journal = Journal()
        self.displaced = 0
        """Streams that have lost their place and look for another now."""
        self._settings = settings
        self._cluster = cluster or ClusterSettings()
        self._default_model = default_model
        self._served: dict[str, tuple[str, ...]] = {}
        """Every model that was ever served, with its languages: a caller comes back for one that is away for a moment."""
        self._complete = False
        self._turnover = Turnover()
        self._dice = random.Random()  # noqa: S311 - spreading load, no secret
        self._discovered: set[str] = set()
        self._changed = asyncio.Event()
        self.links = {name: self._link(name, address) for name, address in workers.items()}
        self._tasks = AsyncExitStack()
        self._group: asyncio.TaskGroup
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._group = await self._tasks.enter_async_context(asyncio.TaskGroup())
        self._tasks.callback(lambda: [task.cancel() for task in self._running])
        for link in tuple(self.links.values()):
            self._start(self._keep(link))
        self._start(self._rebalance())
        if self._cluster.workers:
            self._start(discovery.watch(self._cluster.workers, self._cluster.resolve_seconds, self._found))
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._tasks.__aexit__(None, None, None)  # the links are ours to end, the error is not about them

    # ---- what is there ----------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Streams are welcome: every configured worker has been linked once, and one takes streams now."""
        if not self._complete:
            self._complete = bool(self.links) and all(link.state == "ready" for link in self.links.values())
            return self._complete
        return any(link.state == "ready" for link in self.links.values())

    @property
    def models(self) -> dict[str, tuple[str, ...]]:
        """Models that can be asked for now, and their languages."""
        return {link.info.name: link.info.languages for link in self.links.values() if link.info is not None}

    @property
    def default_model(self) -> str:
        """The model of callers who name none."""
        served = list(self.models) or list(self._served)
        return self._default_model or (served[0] if served else "")

    def worker(self, name: str) -> Link:
        """The link to the worker of this name. Raises WorkerNotFound."""
        for link in self.links.values():
            if link.name == name:
                return link
        raise WorkerNotFound(name, [link.name for link in self.links.values()])

    def gateways(self) -> list[pb.Hello]:
        """Every gateway that shares a worker with this one, itself first."""
        mine = self.hello()
        known = {(mine.host, mine.pid): mine}
        for link in self.links.values():
            for hello in link.load.gateways:
                known.setdefault((hello.host, hello.pid), hello)
        first, *others = known.values()
        return [first, *sorted(others, key=lambda hello: (hello.gateway, hello.pid))]

    # ---- places -----------------------------------------------------------------------------------------------

    async def open(
        self,
        model: str | None,
        options: TrackOptions,
        listener: Listener,
        *,
        near: str = "",
        avoid: frozenset[str] = frozenset(),
        displaced: bool = False,
    ) -> Track:
        """A track of this model (None = the default one): a place taken at the worker that routing prefers.

        `near` is the worker (Track.worker) of the call's other channels, `avoid` those that the stream was just lost
        from, `displaced` says that the stream had a place and lost it. Raises NotReady, ModelNotFound, BadGrammar,
        LanguageNotSupported, BadRequest (phrases, translation), or, when all refuse, AtCapacity with a `retry_after` from the
        observed turnover.
        """
        wanted = model or self.default_model
        self._check(wanted, options)
        cluster = self._cluster
        mute = frozenset(link.key for link in self.links.values() if link.is_mute(monotonic()))
        wish = Wish(wanted, cluster.region, cluster.require, near, avoid | mute)
        candidates = self._candidates()
        names = order(candidates, wish, self._dice)
        if not names:
            raise NotReady
        candidates = [candidate for candidate in candidates if candidate.name in names]
        if displaced or self._room(candidates) > self.displaced:
            track = await self._first_of(names, options, listener)
            if track is not None:
                return track
        raise self._full(candidates)

    @contextmanager
    def displacing(self) -> Iterator[None]:
        """A stream looks for a place in the place of one it lost, within this block."""
        self.displaced += 1
        try:
            yield
        finally:
            self.displaced -= 1

    async def _first_of(self, names: list[str], options: TrackOptions, listener: Listener) -> Track | None:
        for name in names:
            link = self.links.get(name)
            if link is None or link.surely_full:
                continue
            with suppress(CapacityError, EngineLost):
                return await link.open(options, listener)
        return None

    def _full(self, candidates: list[Candidate]) -> CapacityError:
        now = monotonic()
        seconds = round(self._turnover.retry_after(now, self._turnover.refused(now)), 1)
        return AtCapacity(sum(candidate.capacity for candidate in candidates), seconds)

    def _room(self, candidates: list[Candidate]) -> int:
        """Free places as far as known; unknown ones count as room when nobody is displaced."""
        free = sum(max(candidate.capacity - candidate.taken, 0) for candidate in candidates)
        return free if self.displaced else max(free, 1)

    def _candidates(self) -> list[Candidate]:
        return [
            Candidate(link.key, link.info.name, link.capacity, link.taken, link.state == "ready", link.labels)
            for link in self.links.values()
            if link.info is not None
        ]

    def _check(self, model: str, options: TrackOptions) -> None:
        info = next((link.info for link in self.links.values() if link.info and link.info.name == model), None)
        if info is None:
            if model in self._served or not self.models:
                raise NotReady
            raise ModelNotFound(model, self.models)
        if not hears(info.languages, options.language):
            raise LanguageNotSupported(options.language, model, info.languages, info.advice)
        if options.grammar is not None and not info.grammars:
            raise BadGrammar(f"model '{model}' has no grammar mode")
        if options.phrases and not info.phrases:
            raise BadRequest(f"model '{model}' can't be told which phrases to expect: leave 'phrases' out")
        if options.translate and not info.translates:
            raise BadRequest(f"model '{model}' can't translate: ask for the task 'transcribe', or for another model")

    # ---- from the links ---------------------------------------------------------------------------------------

    def changed(self) -> None:
        """A worker came, went or began to drain."""
        self._served.update(self.models)
        self._changed.set()

    def fell_silent(self, worker: str) -> None:
        """A stream gave up a track there because it was given speech and said nothing."""
        if (link := self.links.get(worker)) is not None:
            link.fell_silent(monotonic())

    def done(self) -> None:
        """A stream has ended and its place is free for others (one that only moved has taken another)."""
        self._turnover.freed(1, monotonic())

    async def change(self, seconds: float) -> None:
        """Until something changed about the workers, or so long."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    # ---- coming and going -------------------------------------------------------------------------------------

    def _link(self, name: str, address: str) -> Link:
        return Link(name, address, self._settings, self, self._cluster)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _keep(self, link: Link) -> None:
        try:
            await link.run()
        finally:
            if self.links.get(link.key) is link:
                del self.links[link.key]

    def _found(self, addresses: Mapping[str, str]) -> None:
        """Discovery knows these workers now; those gone from it end with their last track."""
        for name in self._discovered - set(addresses):
            if name in self.links:
                self.links[name].retired = True
        for name, address in addresses.items():
            known = self.links.get(name)
            if known is None:
                link = self.links[name] = self._link(name, address)
                self._start(self._keep(link))
            else:
                known.retired = False
        self._discovered = set(addresses)

    async def _rebalance(self) -> None:
        """Even out the workers, slowly: after a replacement the newest one is empty."""
        while True:
            await asyncio.sleep(REBALANCE_SECONDS)
            pair = rebalance(self._candidates(), require=self._cluster.require)
            # all gateways see the same reports: on average one of them acts
            if pair is not None and self._dice.random() * len(self.gateways()) < 1:
                self.links[pair[0]].give_one_away()
