"""Live against offline: every shared clip in real time through a running server, and the same turns through the engine at once.

    python -m benchmarks.accuracy [--streams 10] [--limit N] [--match libri-other]

Starts a server with the embedded engine and as many places as streams, keeps that many calls going at real-time pace, and
while all places are taken tries one more, which must be refused. Then cuts the turns the server reported out of the same
audio and gives each to the same engine in one piece. WER: whisper-normalizer English, pooled counts. Latencies are the
caller's: from when the last word of a final was due to be sent to the arrival of that final. Prints JSON.
"""

import argparse
import asyncio
import csv
import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.container import decode_file
from voxfleet.audio.resample import Resampler
from voxfleet.cli.supervisor import private_server
from voxfleet.client import RemoteError, StreamOptions, connect
from voxfleet.cluster.messages import pcm16
from voxfleet.engines.embedded import CAREFUL_PER_CORE, EmbeddedEngine
from voxfleet.engines.port import END_OF_TURN, Increments, TrackOptions
from voxfleet.errors import AtCapacity
from voxfleet.evaluation.wer import score_all
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.settings import Settings, WorkerSettings
from voxfleet.speech import SAMPLE_RATE
from voxfleet.wire import native

SHARED = Path(__file__).parents[2] / "shared" / "audio"
FRAME_SECONDS = 0.1


@dataclass
class Clip:
    """One recording, what was said in it, and what came of it."""

    name: str
    transcript: str
    samples: NDArray[np.int16]
    rate: int
    finals: list[native.FinalMessage] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)

    @property
    def live_text(self) -> str:
        return " ".join(final.text for final in self.finals)


def clips(match: str, limit: int) -> list[Clip]:
    """The clips of the manifest; those of an empty transcript are left out, there is nothing to be wrong about."""
    found = []
    with (SHARED / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE):
            if match in row["file"] and row["transcript"].strip():
                frames, rate = decode_file(SHARED / row["file"])
                mono = frames.mean(axis=1)
                found.append(Clip(row["file"], row["transcript"], pcm16(mono.astype(np.float32)), rate))
    return found[:limit] if limit else found


async def live(found: list[Clip], streams: int) -> dict[str, Any]:
    """All clips through one server, `streams` at a time."""
    settings = Settings(workers=(WorkerSettings(model="embedded", places=streams),))
    waiting = list(reversed(found))
    refusals: list[str] = []
    async with private_server(settings) as url:

        async def caller(number: int) -> None:
            await asyncio.sleep(number * 0.37)  # phases of their own
            while waiting:
                clip = waiting.pop()
                while not await _call(url, clip):
                    await asyncio.sleep(0.2)  # the one too many had the place for a moment

        async def one_too_many() -> None:
            await asyncio.sleep(streams * 0.37 + 2.0)
            for _ in range(5):
                try:
                    async with connect(url):
                        refusals.append("admitted")
                except RemoteError as refusal:
                    refusals.append(refusal.remote_code)
                await asyncio.sleep(1.0)

        extra = asyncio.create_task(one_too_many())
        await asyncio.gather(*(caller(number) for number in range(streams)))
        extra.cancel()
        await asyncio.gather(extra, return_exceptions=True)
    return {"one_stream_more": refusals}


async def _call(url: str, clip: Clip) -> bool:
    """Whether the clip had a place."""
    try:
        await _heard(url, clip)
    except RemoteError as refusal:
        if refusal.remote_code != AtCapacity.code:
            raise
        return False
    return True


async def _heard(url: str, clip: Clip) -> None:
    async with connect(url, StreamOptions(sample_rate=clip.rate)) as stream:
        loop = asyncio.get_running_loop()
        step = round(FRAME_SECONDS * clip.rate)
        start = loop.time()

        async def send() -> None:
            for number, begin in enumerate(range(0, clip.samples.size, step)):
                await asyncio.sleep(max(0.0, start + number * FRAME_SECONDS - loop.time()))
                await stream.send(clip.samples[begin : begin + step].tobytes())
            await stream.finish()

        sending = asyncio.create_task(send())
        async for message in stream:
            if isinstance(message, native.FinalMessage):
                clip.finals.append(message)
                if message.words:
                    due = start + int(message.words[-1].end / FRAME_SECONDS) * FRAME_SECONDS
                    clip.late.append(loop.time() - due)
        await sending


def offline(found: list[Clip], streams: int) -> None:
    """The turns of the live run, each in one piece, through an engine of our own with the same settings."""
    engine = EmbeddedEngine(places=2, quick=streams > CAREFUL_PER_CORE * (os.cpu_count() or 1))
    try:
        for clip in found:
            resampler = Resampler(clip.rate, live=True)
            heard = resampler.feed(clip.samples.astype(np.float32) / np.float32(32768), last=True)
            audio = pcm16(heard)
            for final in clip.finals:
                turn = audio[round(final.start * SAMPLE_RATE) : round(final.end * SAMPLE_RATE)]
                clip.offline.append(_alone(engine, turn))
    finally:
        engine.close()


def _alone(engine: EmbeddedEngine, turn: NDArray[np.int16]) -> str:
    place = engine.take(TrackOptions(language="en"))
    columns = np.array([place.index], np.uint32), np.array([turn.size], np.uint32), np.array([END_OF_TURN], np.uint8)
    engine.hear(Increments(*columns, turn))
    heard = engine.step(Plan((Work(place, Urgency.FINAL, 0.0, 0.0, turn.size),), 100))
    engine.free(place)
    return " ".join(word.text for outcome in heard if outcome.hypothesis.final for word in outcome.hypothesis.words)


def report(found: list[Clip], streams: int, seen: dict[str, Any], wall: float) -> dict[str, Any]:
    """Counts pooled over clips, by folder and in all."""
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in found:
        groups[clip.name.split("/")[0]].append(clip)
        groups["all"].append(clip)
    late = sorted(late for clip in found for late in clip.late)
    return {
        "benchmark": "accuracy",
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]},
        "streams": streams,
        "audio_minutes": round(sum(clip.samples.size / clip.rate for clip in found) / 60, 1),
        "wall_minutes": round(wall / 60, 1),
        "wer": {name: _rates(group) for name, group in groups.items()},
        "turns": sum(len(clip.finals) for clip in found),
        "turns_with_other_words_offline": sum(
            final.text != text for clip in found for final, text in zip(clip.finals, clip.offline, strict=True)
        ),
        "final_latency_s": {
            f"p{percent}": round(float(np.percentile(late, percent)), 3) for percent in (50, 95, 99) if late
        }
        | {"finals": len(late)},
        **seen,
    }


def _rates(group: list[Clip]) -> dict[str, Any]:
    live_errors = score_all((clip.transcript, clip.live_text) for clip in group)
    offline_errors = score_all((clip.transcript, " ".join(clip.offline)) for clip in group)
    return {
        "clips": len(group),
        "words": live_errors.reference,
        "live": round(100 * (live_errors.rate or 0.0), 1),
        "offline": round(100 * (offline_errors.rate or 0.0), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--match", default="")
    asked = parser.parse_args()
    if not SHARED.exists():
        print("the shared recordings are not here", file=sys.stderr)
        return 1
    found = clips(asked.match, asked.limit)
    started = time.monotonic()
    seen = asyncio.run(live(found, asked.streams))
    wall = time.monotonic() - started
    offline(found, asked.streams)
    print(json.dumps(report(found, asked.streams, seen, wall), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
