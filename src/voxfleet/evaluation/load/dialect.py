"""How a service is spoken to, seen from its caller: a pure codec, so that one load run can be pointed at any of them.

A dialect turns a call into an address and frames, and the service's frames into the messages of `wire.native`, the common
vocabulary: partials with a stable part, finals, errors, goodbye. While callers speak, only `glance` is asked of a frame,
because two thousand callers share one core; the rest is read when the run is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

from voxfleet.client.connect import stream_url
from voxfleet.evaluation.faults import BadOption
from voxfleet.wire import native
from voxfleet.wire.options import StreamOptions


class Glance(Enum):
    """What a frame means for the life of a call."""

    TEXT = "text"
    """Nothing: text, or something that can wait."""
    READY = "ready"
    """The caller is admitted."""
    REFUSED = "refused"
    """The last word of the server was an error."""
    DONE = "done"
    """Everything is said."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What every caller of a run asks for."""

    url: str
    sample_rate: int
    language: str = "en"
    model: str | None = None
    endpointing_ms: int | None = None
    api_key: str | None = None


class Dialect(Protocol):
    """The caller's side of one service's protocol. Without state: it serves all calls of a run."""

    name: str
    admits_by_word: bool
    """Whether the service says when a caller is admitted; else it is admitted as soon as it is connected."""

    def address(self, ask: Ask) -> str:
        """The WebSocket URL of a call."""
        ...

    def headers(self, ask: Ask) -> Mapping[str, str]:
        """Of the upgrade request."""
        ...

    def audio(self, pcm: memoryview) -> memoryview | bytes | str:
        """16-bit PCM as the payload of a frame; str = a text frame."""
        ...

    def finish(self) -> Sequence[bytes | str]:
        """What says that no more audio comes."""
        ...

    def glance(self, payload: bytes) -> Glance:
        """What a text frame means for the call. Cheap."""
        ...

    def read(self, payload: bytes) -> Sequence[native.ServerMessage]:
        """A text frame in the common vocabulary. Raises BadMessage."""
        ...


class _Kind(msgspec.Struct):
    type: str


class Native:
    """Voxfleet's own."""

    name = "native"
    admits_by_word = True
    _kind = msgspec.json.Decoder(_Kind)

    def address(self, ask: Ask) -> str:
        return stream_url(
            ask.url,
            StreamOptions(
                language=ask.language, sample_rate=ask.sample_rate, model=ask.model, endpointing_ms=ask.endpointing_ms
            ),
        )

    def headers(self, ask: Ask) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {ask.api_key}"} if ask.api_key else {}

    def audio(self, pcm: memoryview) -> memoryview | bytes | str:
        return pcm

    def finish(self) -> Sequence[bytes | str]:
        return (native.encode(native.FinishMessage()),)

    def glance(self, payload: bytes) -> Glance:
        if payload.startswith((b'{"type":"partial"', b'{"type":"final"', b'{"type":"ack"')):
            return Glance.TEXT
        try:
            kind = self._kind.decode(payload).type
        except msgspec.DecodeError:
            return Glance.TEXT  # reading it will say what is wrong
        return {"ready": Glance.READY, "error": Glance.REFUSED, "done": Glance.DONE}.get(kind, Glance.TEXT)

    def read(self, payload: bytes) -> Sequence[native.ServerMessage]:
        return (native.decode_server(payload),)


DIALECTS: Mapping[str, Dialect] = {"native": Native()}
"""Every dialect a run can speak, by its name."""


def dialect(name: str) -> Dialect:
    """The dialect of that name. Raises BadOption naming the known ones."""
    if name not in DIALECTS:
        raise BadOption("--dialect", name, f"one of {', '.join(DIALECTS)}")
    return DIALECTS[name]
