"""A small real server for the pages: it speaks the native protocol by a script, whatever it hears.

Words appear as their audio arrives, so times on the page are as they would be. Models with a name from `ERRORS` fail in
that way. What the page sent is kept in `Heard` for the test to look at.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from voxfleet.console.routes import routes
from voxfleet.errors import AtCapacity, EngineLost, VoxfleetError
from voxfleet.speech import Final, Partial, SpeechStarted, Word
from voxfleet.wire import commands, native
from voxfleet.wire.options import StreamOptions

NOTE = (
    "PocketSphinx: works out of the box, demo quality: 61.6 % WER on LibriSpeech test-other; "
    "use Whisper or Nemotron engines for real work."
)
MODELS = {
    "object": "list",
    "data": [
        {"id": "embedded", "object": "model", "languages": ["en-US"], "note": NOTE},
        {"id": "whisper-large-v3-turbo", "object": "model", "languages": ["de", "en", "es", "fr", "it"]},
        {"id": "full", "object": "model", "languages": ["en-US"]},
        {"id": "breaks", "object": "model", "languages": ["en-US"]},
        {"id": "vanishes", "object": "model", "languages": ["en-US"]},
    ],
}
SILENCE = 0.6
"""Seconds after the last word at which a turn of the script is final."""

REACTION = 0.25
"""Seconds by which words appear after their audio, as they would from an engine."""


def spoken(text: str, start: float, per_word: float = 0.3) -> tuple[Word, ...]:
    """Words of a script, one after another."""
    at = [start + i * per_word for i in range(len(text.split()) + 1)]
    return tuple(Word(word, at[i], at[i + 1] - 0.02, 0.9) for i, word in enumerate(text.split()))


SCRIPT: tuple[tuple[tuple[Word, ...], ...], ...] = (
    (
        spoken("good morning this is the front desk how can I help", 0.2, 0.15),
        spoken("of course one moment please", 3.4, 0.15),
        spoken("your room is ready from three o'clock", 5.0, 0.15),
    ),
    (
        spoken("hello I am calling about my reservation", 2.2, 0.15),
        spoken("that would be wonderful thank you", 6.4, 0.15),
    ),
)
"""Turns by channel."""


@dataclass(slots=True)
class Heard:
    """What one page sent on one stream."""

    options: StreamOptions
    audio: bytearray = field(default_factory=bytearray)
    frames: int = 0
    configured: list[int | None] = field(default_factory=list)
    finished: bool = False

    @property
    def seconds(self) -> float:
        return len(self.audio) / (2 * self.options.channels * self.options.sample_rate)


class Scripted:
    """The server's state: what it heard, and the status it shows (tests may change it)."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.status: dict[str, Any] = busy_status()
        self.status_code = 200
        self.fleet: dict[str, Any] = busy_fleet()
        self.asked: list[tuple[str, Any]] = []
        """Workers asked to leave, and the bodies of those questions."""
        self.refusal: VoxfleetError | None = None
        """Why a worker may not be asked."""
        self.models: dict[str, Any] = MODELS
        self.url = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                *routes(),
                Route("/v1/models", self._models),
                Route("/v1/status", self._status),
                Route("/v1/fleet", self._fleet),
                Route("/v1/workers/{name}/drain", self._drain, methods=["POST"]),
                WebSocketRoute("/v1/stream", self._stream),
            ]
        )

    async def _models(self, request: Request) -> JSONResponse:
        return JSONResponse(self.models)

    async def _status(self, request: Request) -> JSONResponse:
        return JSONResponse(self.status, self.status_code)

    async def _fleet(self, request: Request) -> JSONResponse:
        return JSONResponse(self.fleet, self.status_code)

    async def _drain(self, request: Request) -> JSONResponse:
        if self.refusal is not None:
            fault = {"code": self.refusal.code, "message": str(self.refusal)}
            return JSONResponse({"error": fault}, self.refusal.http_status)
        name, order = request.path_params["name"], await request.json()
        self.asked.append((name, order))
        for worker in self.fleet["workers"]:
            if worker["name"] == name:
                worker.update(state="draining", drain_left=25.0)
        return JSONResponse({"worker": name, "seconds": 0.0, "replace": order["replace"], "at": time.time()}, 202)

    async def _stream(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            options = native.parse_query(dict(socket.query_params))
            if options.model == "full":
                raise AtCapacity(64, retry_after=7.0)
            heard = Heard(options)
            self.heard.append(heard)
            await self._perform(socket, heard)
        except VoxfleetError as error:
            await socket.send_text(native.encode(native.error_message(error)))
            await socket.close(error.close_code)
        except WebSocketDisconnect:
            pass

    async def _perform(self, socket: WebSocket, heard: Heard) -> None:
        options = heard.options
        limits = native.LimitsMessage(1 << 20, 30.0, 30.0, 30.0)
        silence = options.endpointing_ms or 700
        ready = native.ReadyMessage(
            "s-7f3a9c", options.model or "embedded", options.language, options.channels, options.sample_rate,
            options.encoding, 320, silence, limits,
        )  # fmt: skip
        await socket.send_text(native.encode(ready))
        await socket.send_text('{"type":"novelty","of":"a newer server"}')
        performance = Performance(options.channels)
        while not heard.finished:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._obey(heard, native.decode(message.get("bytes") or message.get("text") or ""))
            if options.model == "breaks" and heard.seconds > 0.5:
                raise EngineLost("gpu-0")
            if options.model == "vanishes" and heard.seconds > 1.5:
                await socket.close(1011, "gone")
                return
            for said in performance.until(heard.seconds):
                await socket.send_text(native.encode(said))
        for said in performance.end(heard.seconds):
            await socket.send_text(native.encode(said))
        done = native.DoneMessage(heard.seconds, performance.turns, performance.words, 0, performance.turns, 0.61, 0.42)
        await socket.send_text(native.encode(done))
        await socket.close(1000)

    @staticmethod
    def _obey(heard: Heard, command: commands.Command) -> None:
        match command:
            case commands.Audio(data):
                heard.audio += data
                heard.frames += 1
            case commands.Configure(endpointing_ms):
                heard.configured.append(endpointing_ms)
            case commands.Finish():
                heard.finished = True


class Performance:
    """The script, played as far as audio has arrived."""

    def __init__(self, channels: int) -> None:
        self._waiting = [(channel, turn, words) for channel in range(channels)
                         for turn, words in enumerate(SCRIPT[channel])]  # fmt: skip
        self._shown: dict[tuple[int, int], int] = {}
        self.turns = 0
        self.words = 0

    def until(self, second: float) -> Iterator[native.ServerMessage]:
        for channel, turn, words in list(self._waiting):
            known = sum(word.end + REACTION <= second for word in words)
            ended = second >= words[-1].end + SILENCE
            if not ended and known in (0, self._shown.get((channel, turn))):
                continue
            if (channel, turn) not in self._shown:
                yield native.message_of(SpeechStarted(channel, turn, words[0].start))
            if ended:
                yield self._final(channel, turn, words)
                self._waiting.remove((channel, turn, words))
                continue
            self._shown[channel, turn] = known
            settled = max(0, known - 2)
            yield native.message_of(
                Partial(channel, turn, words[0].start, words[known - 1].end, words[:settled], words[settled:known])
            )

    def end(self, second: float) -> Iterator[native.ServerMessage]:
        for channel, turn, words in list(self._waiting):
            if words[0].end <= second:
                yield self._final(channel, turn, tuple(word for word in words if word.end <= second))

    def _final(self, channel: int, turn: int, words: tuple[Word, ...]) -> native.ServerMessage:
        self.turns += 1
        self.words += len(words)
        return native.message_of(Final(channel, turn, words[0].start, words[-1].end + SILENCE, words, words[-1].end))


def busy_status() -> dict[str, Any]:
    """A status with something of everything: a full worker, a lost one, a stream that lags."""
    return {
        "version": "0.1.0",
        "uptime": 93_784.2,
        "draining": False,
        "streams": {"live": 187, "opened": 20_417, "refused": 12, "failed": 0},
        "workers": [
            _worker("gpu-0", "nemotron-speech-en-0.6b", "NVIDIA H100 80GB", "ready", 128, 256, 560, ["en-US"]),
            _worker("gpu-1", "whisper-large-v3-turbo", "NVIDIA L40S", "ready", 48, 48, 1000, [*"abcdefgh"]),
            _worker("gpu-2", "whisper-large-v3-turbo", "NVIDIA L40S", "draining", 11, 48, 1000, ["de", "en", "fr"]),
            _worker("cpu", "embedded", "CPU, 8 threads", "starting", 0, 8, 100, ["en-US"], measured=False),
            _worker(
                "gpu-3", "whisper-large-v3-turbo", "NVIDIA L40S", "lost", 0, 48, 1000, ["de", "en"], measured=False
            ),
        ],
        "latency": {
            "first_partial": {"p50": 0.412, "p95": 0.873, "count": 1204},
            "emission": {"p50": 0.631, "p95": 1.118, "count": 15_480},
            "final": {"p50": 0.884, "p95": 1.462, "count": 1187},
        },
        "live": [
            _stream("s-7f3a9c", "nemotron-speech-en-0.6b", "en-US", 2, 734.2, 0.31),
            _stream("s-10bb42", "whisper-large-v3-turbo", "de", 1, 61.9, 0.74),
            _stream("s-c0ffee", "whisper-large-v3-turbo", "fr", 1, 188.0, 2.61),
            _stream("s-55e1d0", "nemotron-speech-en-0.6b", "en-US", 2, 12.4, 0.28),
        ],
    }


def busy_fleet() -> dict[str, Any]:
    """The fleet of `busy_status`, as the first of its two gateways sees it."""
    now = time.time()
    return {
        "gateway": "gateway-0",
        "gateways": [
            _gateway("gateway-0", 4120, "ready", 119, 12_300, 5, 31, 4),
            _gateway("gateway-1", 4121, "draining", 68, 8_117, 7, 22, 2),
        ],
        "workers": [
            _member(worker, labels, load)
            for worker, labels, load in zip(
                busy_status()["workers"],
                (
                    {"gpu": "h100", "lifecycle": "on-demand", "region": "eu-west"},
                    {"gpu": "l40s", "lifecycle": "preemptible", "region": "eu-west"},
                    {"gpu": "l40s", "lifecycle": "preemptible"},
                    {},
                    {},
                ),
                (0.412, 0.93, 0.2, None, None),
                strict=True,
            )
        ],
        "events": [
            {"at": now - 3_700, "kind": "joined", "worker": "gpu-1", "text": "", "count": 1},
            {"at": now - 95, "kind": "lost", "worker": "gpu-3", "text": "", "count": 1},
            {"at": now - 94, "kind": "replayed", "worker": "gpu-3", "text": "", "count": 6},
            {"at": now - 61, "kind": "silent", "worker": "gpu-1", "text": "", "count": 1},
            {"at": now - 12, "kind": "draining", "worker": "gpu-2", "text": "", "count": 1},
            {"at": now - 4, "kind": "moved", "worker": "gpu-2", "text": "", "count": 37},
        ],
        "recovery": {"p50": 0.31, "p95": 0.62, "count": 6},
        "totals": {"streams": 187, "places": 352, "capacity": 296},
    }


def empty_fleet() -> dict[str, Any]:
    """One gateway that has just started."""
    return {
        "gateway": "gateway-0",
        "gateways": [_gateway("gateway-0", 4120, "draining", 0, 0, 0, 0, 0)],
        "workers": [],
        "events": [],
        "recovery": {"p50": None, "p95": None, "count": 0},
        "totals": {"streams": 0, "places": 0, "capacity": 0},
    }


def empty_status() -> dict[str, Any]:
    """A server that has just started: nothing measured, nobody there."""
    nothing = {"p50": None, "p95": None, "count": 0}
    return {
        "version": "0.1.0",
        "uptime": 3.0,
        "draining": True,
        "streams": {"live": 0, "opened": 0, "refused": 0, "failed": 0},
        "workers": [],
        "latency": {"first_partial": nothing, "emission": nothing, "final": nothing},
        "live": [],
    }


@contextlib.contextmanager
def serving() -> Iterator[Scripted]:
    """The scripted server on a free port of the loopback interface, in a thread of its own."""
    scripted = Scripted()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(scripted.app(), log_level="warning", ws="websockets-sansio", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        scripted.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield scripted
        finally:
            server.should_exit = True
            server.force_exit = True
            thread.join(10)


def _worker(
    name: str, model: str, device: str, state: str, taken: int, places: int, chunk_ms: int, languages: list[str],
    *, measured: bool = True,
) -> dict[str, Any]:  # fmt: skip
    step = {"step_p50": 0.0413, "step_p95": 0.1127, "batch_mean": 31.4} if measured else {}
    unmeasured = {"step_p50": None, "step_p95": None, "batch_mean": None}
    return {
        "name": name, "model": model, "device": device, "state": state, "places": places, "taken": taken,
        "chunk_ms": chunk_ms, "languages": languages, **unmeasured, **step,
    }  # fmt: skip


def _gateway(
    name: str, pid: int, state: str, streams: int, opened: int, refused: int, moves: int, replays: int
) -> dict[str, Any]:
    return {
        "name": name, "pid": pid, "host": "asr-1", "address": "asr-1:8765", "state": state, "streams": streams,
        "opened": opened, "refused": refused, "failed": 0, "moves": moves, "replays": replays, "uptime": 93_784.2,
    }  # fmt: skip


def _member(worker: dict[str, Any], labels: dict[str, str], load: float | None) -> dict[str, Any]:
    """A row of the status as a row of the fleet."""
    there = worker["state"] in ("ready", "draining")
    kept = {name: worker[name] for name in ("name", "model", "device", "state", "places", "taken", "step_p95")}
    number = sum(map(ord, worker["name"]))
    return {
        **kept, "pid": 4000 + number if there else 0, "host": "asr-1", "address": f"10.0.0.{number % 250}:8766",
        "labels": labels, "capacity": 40 if worker["name"] == "gpu-1" else worker["places"], "utilisation": load,
        "chunk_ms": worker["chunk_ms"] if there else None, "recorded_paused": worker["name"] == "gpu-1",
        "drain_left": 13.2 if worker["state"] == "draining" else None, "uptime": 9_133.0 if there else None,
    }  # fmt: skip


def _stream(session: str, model: str, language: str, channels: int, audio: float, lag: float) -> dict[str, Any]:
    return {
        "session": session, "model": model, "language": language, "channels": channels, "audio": audio, "lag": lag,
        "age": audio + 1,
    }  # fmt: skip
