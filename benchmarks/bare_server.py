"""A server with nothing in it but sockets and the scripted engine: what a load generator is measured against.

    python -m benchmarks.bare_server --places 2500

Speaks the native protocol for 16-bit PCM in one channel: every frame is speech or silence by its loudest sample, half a
second of silence ends a turn, the engine is stepped every 20 ms for all who spoke, and texts are sent as the real gateway
sends them, when their words have changed. No bounds, no errors, no names: 2,500 callers fit on one core.
Prints its port, then serves until it is terminated.
"""

import argparse
import asyncio
import gc
import resource
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import uvloop
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)
from tests.fakes.fake_engine import FakeEngine

from voxfleet.engines.port import END_OF_TURN, Heard, Increments, TrackOptions
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE, Hypothesis, Word, text_of
from voxfleet.wire import native

STEP_SECONDS = 0.02
SPEECH_LEVEL = 500
"""Loudest sample of a frame that is speech; a quiet line stays below 100."""
ENDPOINTING = 0.5
NOTHING = np.zeros(0, np.int16)


class Bench:
    """The engine, and what has arrived for it since its last step."""

    def __init__(self, places: int) -> None:
        self.engine = FakeEngine(places=places)
        self.calls: dict[int, Call] = {}
        """By index of their place."""
        self._places: list[int] = []
        self._lengths: list[int] = []
        self._flags: list[int] = []

    def put(self, place: int, samples: int, flag: int) -> None:
        """Audio of one place, or the end of its turn."""
        self._places.append(place)
        self._lengths.append(samples)
        self._flags.append(flag)

    async def run(self) -> None:
        """Step until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + STEP_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())
            if self._places:
                for heard in self._step():
                    call = self.calls.get(heard.place.index)
                    if call is not None:
                        call.learn(heard.hypothesis)

    def _step(self) -> list[Heard]:
        present = [call for index in dict.fromkeys(self._places) if (call := self.calls.get(index)) is not None]
        self.engine.hear(
            Increments(
                places=np.array(self._places, np.uint32),
                lengths=np.array(self._lengths, np.uint32),
                flags=np.array(self._flags, np.uint8),
                samples=NOTHING,  # the scripted engine counts samples and looks at none
            )
        )
        self._places, self._lengths, self._flags = [], [], []
        return list(self.engine.step(Plan(tuple(call.work for call in present))))


class Call(WSListener):
    """One caller."""

    def __init__(self, bench: Bench, query: dict[str, str]) -> None:
        super().__init__()
        self._bench = bench
        self._rate = int(query.get("sample_rate", "16000"))
        self._language = query.get("language", "en")
        self._place = bench.engine.take(TrackOptions())
        self.work = Work(self._place, Urgency.PARTIAL, 0.0, 0.0)
        bench.calls[self._place.index] = self
        self._position = 0.0
        self._silence = 0.0
        self._spoken_until = 0.0
        self._start: float | None = None
        """Of the open turn; ended turns wait in `_ended` for their finals."""
        self._ended: list[tuple[float, float, float]] = []
        self._turn = 0
        self._shown: tuple[Word, ...] = ()
        self._finishing = False
        self._partials = self._words = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        limits = native.LimitsMessage(2**20, 10.0, 60.0, 30.0)
        self._say(
            native.ReadyMessage(
                "bare", "fake", self._language, 1, self._rate, "pcm16", 100, int(ENDPOINTING * 1e3), limits
            )
        )

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self._hear(np.frombuffer(frame.get_payload_as_memoryview(), np.int16))
        elif frame.msg_type == WSMsgType.TEXT:
            self._finishing = True
            if self._start is not None:
                self._end_turn()
            self._leave_if_done()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        del self._bench.calls[self._place.index]
        self._bench.engine.free(self._place)

    def learn(self, hypothesis: Hypothesis) -> None:
        """Tell the caller what is new in it."""
        if hypothesis.final:
            start, end, spoken = self._ended.pop(0)
            words = hypothesis.words
            listed = [native.WordMessage(w.text, start + w.start, start + w.end, w.confidence) for w in words]
            self._say(native.FinalMessage(0, self._turn, start, end, text_of(words), listed, spoken))
            self._turn += 1
            self._words += len(words)
            self._shown = ()
            self._leave_if_done()
        elif self._start is not None and hypothesis.words != self._shown:
            self._shown = hypothesis.words
            self._partials += 1
            stable, unstable = text_of(hypothesis.stable), text_of(hypothesis.unstable)
            end = self._start + hypothesis.heard
            self._say(native.PartialMessage(0, self._turn, self._start, end, stable, unstable))

    def _hear(self, samples: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> None:
        seconds = len(samples) / self._rate
        spoken = len(samples) > 0 and int(samples.max()) > SPEECH_LEVEL
        if spoken:
            self._silence = 0.0
            if self._start is None:
                self._start = self._position
                self._say(native.SpeechStartedMessage(0, self._turn + len(self._ended), self._start))
        else:
            self._silence += seconds
        self._position += seconds
        if spoken:
            self._spoken_until = self._position
        if self._start is not None:
            self._bench.put(self._place.index, round(seconds * SAMPLE_RATE), 0)
            if self._silence >= ENDPOINTING - 1e-6:
                self._end_turn()

    def _end_turn(self) -> None:
        assert self._start is not None
        self._ended.append((self._start, self._position, self._spoken_until))
        self._start = None
        self._bench.put(self._place.index, 0, END_OF_TURN)

    def _leave_if_done(self) -> None:
        if self._finishing and not self._ended:
            self._say(native.DoneMessage(self._position, self._turn, self._words, self._partials, self._turn))
            self._transport.send_close(WSCloseCode.OK)

    def _say(self, message: native.ServerMessage) -> None:
        self._transport.send(WSMsgType.TEXT, native.encode(message))


async def serve(places: int) -> None:
    bench = Bench(places)

    def answered(request: WSUpgradeRequest) -> Call:
        return Call(bench, dict(parse_qsl(urlsplit(request.path.decode()).query)))

    gc.disable()  # looking through 2,000 callers would be in the latencies
    server = await ws_create_server(answered, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await bench.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--places", type=int, default=2_500)
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uvloop.run(serve(asked.places))


if __name__ == "__main__":
    main()
