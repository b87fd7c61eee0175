"""Many workers behind one `open`.

Losing a worker loses its tracks by name (EngineLost); no track is ever given the words of another. Moving a stream to
another worker is its session's affair, which holds the audio.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from voxfleet.cluster.link import Link, Listener, Track
from voxfleet.cluster.routing import Candidate, hears, order
from voxfleet.engines.port import TrackOptions
from voxfleet.errors import (
    BadGrammar,
    CapacityError,
    EngineLost,
    LanguageNotSupported,
    ModelNotFound,
    NotReady,
)
from voxfleet.settings import LinkSettings


class Pool:
    """The workers of this gateway, by name and address (`unix:/path` or `host:port`). Use as an async context."""

    def __init__(self, workers: Mapping[str, str], settings: LinkSettings, default_model: str = "") -> None:
        self._became = asyncio.Event()
        self._default_model = default_model
        self.links = {name: Link(name, address, settings, self._became.set) for name, address in workers.items()}
        self._tasks = AsyncExitStack()

    async def __aenter__(self) -> Self:
        group = await self._tasks.enter_async_context(asyncio.TaskGroup())
        running = [group.create_task(link.run(), name=f"link {link.name}") for link in self.links.values()]
        self._tasks.callback(lambda: [task.cancel() for task in running])
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._tasks.__aexit__(None, None, None)  # the links are ours to end, the error is not about them

    @property
    def ready(self) -> bool:
        """Every configured worker is linked and takes streams."""
        return all(link.state == "ready" for link in self.links.values())

    @property
    def models(self) -> dict[str, tuple[str, ...]]:
        """Models that can be asked for now, and their languages."""
        return {link.info.name: link.info.languages for link in self.links.values() if link.info is not None}

    @property
    def default_model(self) -> str:
        """The model of callers who name none."""
        served = list(self.models)
        return self._default_model or (served[0] if served else "")

    async def open(self, model: str | None, options: TrackOptions, listener: Listener) -> Track:
        """A track on the least occupied worker of this model (None = the default one).

        Raises NotReady, ModelNotFound, LanguageNotSupported, BadGrammar, or AtCapacity when all refuse.
        """
        if not self.models:
            raise NotReady
        wanted = model or self.default_model
        self._check(wanted, options)
        candidates = [
            Candidate(link.name, link.info.name, link.info.places, link.taken, link.state == "ready")
            for link in self.links.values()
            if link.info is not None
        ]
        refusal: CapacityError = NotReady()
        for name in order(candidates, wanted):
            try:
                return await self.links[name].open(options, listener)
            except CapacityError as error:
                refusal = error
            except EngineLost:
                continue
        raise refusal

    def _check(self, model: str, options: TrackOptions) -> None:
        info = next((link.info for link in self.links.values() if link.info and link.info.name == model), None)
        if info is None:
            raise ModelNotFound(model, self.models)
        if not hears(info.languages, options.language):
            raise LanguageNotSupported(options.language, model, info.languages, info.advice)
        if options.grammar is not None and not info.grammars:
            raise BadGrammar(f"model '{model}' has no grammar mode")
