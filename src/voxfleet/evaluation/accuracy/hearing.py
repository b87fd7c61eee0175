"""Every recording through the server in one way: whole as a file, or live at the pace of speech with some turn setting.

An item that fails is named and the rest goes on. A server without a free place is asked again; that is no failure.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from voxfleet.audio.pcm import pcm16, wav
from voxfleet.audio.recording import Recording, channels_of
from voxfleet.client import ConnectionFailed, RemoteError, StreamOptions
from voxfleet.client.call import FRAME, live_call
from voxfleet.client.recorded import RecordedOptions, transcribe
from voxfleet.errors import VoxfleetError
from voxfleet.evaluation.latency import LatencyMeter
from voxfleet.evaluation.manifests.audio import samples_of
from voxfleet.evaluation.manifests.items import Item, Segment
from voxfleet.evaluation.report.document import Problem
from voxfleet.evaluation.sound.line import Line
from voxfleet.evaluation.sound.spans import Span, cut_out, speech_spans
from voxfleet.speech import Samples

RATE = 16_000
LEAD = 0.3
TAIL = 1.5
"""Seconds of silence around a live recording: its last turn ends by itself, as in a call."""
TRIES = 40
"""Times a server without a free place is asked."""
RETRY = 0.5


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of hearing."""

    live: bool
    endpointing_ms: int | None = None

    def __str__(self) -> str:
        if not self.live:
            return "offline"
        return "live" if self.endpointing_ms is None else f"live, endpointing {self.endpointing_ms} ms"


@dataclass(frozen=True, slots=True)
class Asked:
    """What every request of an evaluation has in common."""

    url: str
    language: str = "en"
    model: str | None = None
    api_key: str | None = None
    line: Line = field(default_factory=Line)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one item."""

    item: Item
    seconds: float
    text: str | None
    """None where it failed; `problem` says why."""
    segments: tuple[Segment, ...] = ()
    problem: Problem | None = None
    final_latency: tuple[float, ...] = ()
    emission: tuple[float, ...] = ()
    first_partial: tuple[float, ...] = ()


async def hear_all(
    items: Sequence[Item],
    mode: Mode,
    asked: Asked,
    *,
    at_once: int,
    stopped: asyncio.Event,
    told: Callable[[Heard], None] = lambda _heard: None,
) -> list[Heard]:
    """The items in their order, some at once; those not begun when `stopped` is set are left out."""
    room = asyncio.Semaphore(at_once)
    voices = await asyncio.to_thread(_voices, items) if asked.line.noise == "babble" else []

    async def one(item: Item) -> Heard | None:
        async with room:
            if stopped.is_set():
                return None
            heard = asyncio.ensure_future(hear(item, mode, asked, voices))
            stop = asyncio.ensure_future(stopped.wait())
            await asyncio.wait([heard, stop], return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not heard.done():
                heard.cancel()
                await asyncio.gather(heard, return_exceptions=True)
                return None
            told(heard.result())
            return heard.result()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [heard for task in tasks if (heard := task.result()) is not None]


async def hear(item: Item, mode: Mode, asked: Asked, voices: Sequence[Samples] = ()) -> Heard:
    """One item. Never raises for what is wrong with it or with the server."""
    try:
        parts = await asyncio.to_thread(_parts, item, asked, voices)
        seconds = max(len(samples) / rate for _, samples, rate, _ in parts)
    except (VoxfleetError, OSError) as error:
        return _failed(item, 0.0, error)
    way = _live if mode.live else _offline
    try:
        results = [await _patient(way, part, mode, asked, item.language) for part in parts]
    except VoxfleetError as error:
        return _failed(item, seconds, error)
    segments = sorted((s for result in results for s in result.segments), key=lambda segment: segment.start)
    text = " ".join(segment.text for segment in segments if segment.text)
    if len(results) == 1 and not segments:
        text = results[0].text or ""
    return Heard(
        item,
        seconds,
        text,
        tuple(segments),
        None,
        tuple(late for result in results for late in result.final_latency),
        tuple(late for result in results for late in result.emission),
        tuple(late for result in results for late in result.first_partial),
    )


Part = tuple[str | None, Samples, int, list[Span]]
"""Whose voice, mono samples, their rate, and where speech was in them before the line."""


@dataclass(frozen=True, slots=True)
class _Result:
    segments: tuple[Segment, ...]
    text: str | None = None
    final_latency: tuple[float, ...] = ()
    emission: tuple[float, ...] = ()
    first_partial: tuple[float, ...] = ()


def _parts(item: Item, asked: Asked, voices: Sequence[Samples]) -> list[Part]:
    """The item's audio; channel by channel where its reference tells speakers apart and the file has channels."""
    channels = channels_of(item.audio) if item.channel is None and any(s.speaker for s in item.segments) else 1
    found: list[Part] = []
    for channel in range(channels):
        which = replace(item, channel=channel) if channels > 1 else item
        samples, rate = samples_of(which, RATE)
        spans = speech_spans(samples, rate)
        samples, rate = asked.line.applied(samples, rate, spans, voices, asked.seed)
        found.append((f"channel {channel}" if channels > 1 else None, samples, rate, spans))
    return found


def _voices(items: Sequence[Item], most: int = 24) -> list[Samples]:
    """Speech of other recordings, for babble."""
    found = []
    for item in items[:: max(len(items) // most, 1)]:
        try:
            samples, rate = samples_of(item, RATE)
        except (VoxfleetError, OSError):
            continue
        found.append(cut_out(samples, rate, speech_spans(samples, rate)))
    return [voice for voice in found if len(voice)]


async def _patient(way: "Way", part: Part, mode: Mode, asked: Asked, language: str | None) -> _Result:
    """Ask again while there is only no place free."""
    for attempt in range(1, TRIES + 1):
        try:
            return await way(part, mode, asked, language or asked.language)
        except RemoteError as refusal:
            if attempt == TRIES or not refusal.wants_place:
                raise
            await asyncio.sleep(refusal.retry_after or RETRY)
    raise AssertionError


async def _live(part: Part, mode: Mode, asked: Asked, language: str) -> _Result:
    speaker, samples, rate, spans = part
    padded = np.concatenate([_silence(LEAD, rate), samples, _silence(TAIL, rate)])
    recording = Recording(pcm16(padded)[:, None], rate)
    options = StreamOptions(language=language, sample_rate=rate, model=asked.model, endpointing_ms=mode.endpointing_ms)
    meter = LatencyMeter(FRAME, [(start + LEAD, end + LEAD) for start, end in spans])

    outcome = await live_call(asked.url, recording, options, meter.heard, api_key=asked.api_key)
    finals = sorted(outcome.finals, key=lambda final: final.start)
    segments = tuple(Segment(speaker, f.start - LEAD, f.end - LEAD, f.text) for f in finals if f.text)
    return _Result(segments, None, tuple(meter.finals()), tuple(meter.emissions()), tuple(meter.first_partials()))


async def _offline(part: Part, mode: Mode, asked: Asked, language: str) -> _Result:  # noqa: ARG001 - one shape
    speaker, samples, rate, _ = part
    options = RecordedOptions(language=language, model=asked.model, api_key=asked.api_key)
    found = await transcribe(asked.url, wav(samples, rate), options)
    segments = tuple(Segment(speaker, s.start, s.end, s.text.strip()) for s in found.segments if s.text.strip())
    return _Result(segments, found.text)


Way = Callable[[Part, Mode, Asked, str], Coroutine[None, None, _Result]]


def _silence(seconds: float, rate: int) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)


def _failed(item: Item, seconds: float, error: Exception) -> Heard:
    code = getattr(error, "remote_code", getattr(error, "code", "unreadable"))
    sentence = str(error) or type(error).__name__
    if isinstance(error, ConnectionFailed):
        sentence += " (the server refused, or died while it worked)" if "no server" not in sentence else ""
    return Heard(item, seconds, None, problem=Problem(item.id, code, sentence))
