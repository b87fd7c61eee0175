"""Where voice activity runs: one thread for all streams of a process, so that one call of the model serves them all.

The event loop only appends to an inbox; per tick the thread copies what arrived into one ring per stream, lets the
listener hear every whole frame of every stream in batches, and delivers. ONNX Runtime lets go of the interpreter
while it works.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.gate import GatedSilero, Listener, UngatedSilero
from voxfleet.audio.silero import SAMPLE_RATES, Floats, Rows, frame_length
from voxfleet.errors import AtCapacity, BadValue, TooFast
from voxfleet.speech import Seconds

_RING = 4096
"""Samples kept per stream; a power of two, so a whole number of frames at both rates: a frame never wraps around."""


class Verdict(NamedTuple):
    """What was heard in one stream since its last verdict."""

    stream: "VoiceStream"
    probabilities: Floats
    """One per 32 ms frame, in order; empty only in a last verdict. A frame that couldn't be judged counts as speech."""
    last: bool
    """Everything before `finish` has been delivered with this."""


class VoiceStream:
    """One stream of a VoiceDetector. All methods belong to one thread, the event loop's."""

    __slots__ = ("_detector", "_given", "_later", "_row", "_taken", "closed", "owner", "sample_rate")

    def __init__(self, detector: "VoiceDetector", row: int, sample_rate: int) -> None:
        self._detector = detector
        self._row = row
        self._given = 0  # samples; written by the event loop only
        self._taken = 0  # samples; written by the detector's thread only
        self._later: deque[Floats] = deque()  # what didn't fit in the ring; the detector's thread only
        self.sample_rate = sample_rate
        self.closed = False
        self.owner: object = None
        """The caller's own reference; the detector never looks at it."""

    @property
    def behind(self) -> Seconds:
        """Audio that was given and hasn't been looked at."""
        return max(0, self._given - self._taken) / self.sample_rate

    def hear(self, samples: Floats) -> None:
        """More mono audio (n,) in -1..1 at the stream's rate, any length, not to be changed afterwards. Never blocks.

        Raises TooFast where more than the detector's `most_behind` seconds would wait.
        """
        ahead = self._given + len(samples) - self._taken
        if ahead > self._detector.most_behind * self.sample_rate:
            raise TooFast(ahead / self.sample_rate, self._detector.most_behind)
        self._given += len(samples)
        self._detector.inbox.append((self, samples))

    def finish(self) -> None:
        """Nothing more will come; a last frame is filled with silence. The last verdict says so."""
        self._detector.inbox.append((self, _FINISH))

    def close(self) -> None:
        """Frees the row. A verdict already on its way to the caller's thread is known by `closed`. Twice is fine."""
        if not self.closed:
            self.closed = True
            self._detector.inbox.append((self, _CLOSE))


_FINISH: Floats = np.empty(0, np.float32)
_CLOSE: Floats = np.empty(0, np.float32)
"""Marks in the inbox, known by identity."""


class VoiceDetector:
    """Speech probabilities for up to `capacity` streams of 16,000 or 8,000 Hz, on a thread of its own.

    `deliver` is called on that thread, at most once per pass; it should only hand over (`loop.call_soon_threadsafe`).
    `on_failure` hears on that thread of what broke; the detector goes on.
    """

    def __init__(
        self,
        deliver: Callable[[list[Verdict]], None],
        tick: float = 0.016,
        capacity: int = 4096,
        gate: bool = True,
        listener: Listener | None = None,
        core: int | None = None,
        most_behind: Seconds = 60.0,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        """`tick` seconds are waited between passes, for more streams to share a call of the model. A `listener` of
        the caller's own stands in for the model; `core` keeps the thread on that processor."""
        self.inbox: deque[tuple[VoiceStream, Floats]] = deque()
        self.most_behind = most_behind
        self.listener: Listener = listener or (GatedSilero(capacity) if gate else UngatedSilero(capacity))
        self._core = core
        self._deliver = deliver
        self._on_failure = on_failure
        self._tick = tick
        self._capacity = capacity
        self._free = list(range(capacity - 1, -1, -1))
        self._streams: list[VoiceStream | None] = [None] * capacity
        self._ring = np.zeros((capacity, _RING), np.float32)
        self._written = np.zeros(capacity, np.int64)
        self._read = np.zeros(capacity, np.int64)
        self._length = np.full(capacity, frame_length(SAMPLE_RATES[0]), np.int64)
        self._crowded: dict[VoiceStream, None] = {}
        self._finishing: dict[VoiceStream, None] = {}
        self._wake = threading.Event()
        self._ended = False
        self.cpu_seconds = 0.0
        """What the thread has cost so far."""
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)

    @property
    def free(self) -> int:
        """Rows for new streams."""
        return len(self._free)

    def start(self) -> None:
        """Starts the thread. Call once."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and waits for it; what it hasn't delivered is lost."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def open(self, sample_rate: int) -> VoiceStream:
        """A new stream. Raises AtCapacity where every row is taken, BadValue for a rate the model doesn't hear."""
        if sample_rate not in SAMPLE_RATES:
            raise BadValue("sample_rate", sample_rate, "16000 or 8000")
        try:
            row = self._free.pop()
        except IndexError:
            raise AtCapacity(self._capacity) from None
        self._length[row] = frame_length(sample_rate)
        stream = self._streams[row] = VoiceStream(self, row, sample_rate)
        self._wake.set()
        return stream

    def _run(self) -> None:
        if self._core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {self._core})
        while not self._ended:
            idle = len(self._free) == self._capacity and not self.inbox
            self._wake.wait(None if idle else self._tick)
            self._wake.clear()
            try:
                self._take_in()
                self._hear()
                while self._crowded and not self._ended:  # somebody sends faster than real time; the others go along
                    self._take_in()
                    self._hear()
            except Exception as error:  # noqa: BLE001 the thread serves every stream of the process
                self._fail(error)
            self.cpu_seconds = time.thread_time()

    def _fail(self, error: Exception) -> None:
        if self._on_failure:
            self._on_failure(error)

    def _take_in(self) -> None:
        """Empties the inbox as it is now."""
        for stream in list(self._crowded):
            self._refill(stream)
        for _ in range(len(self.inbox)):
            stream, samples = self.inbox.popleft()
            if samples is _CLOSE:
                self._release(stream)
            elif stream.closed:
                continue
            elif samples is _FINISH:
                self._finishing[stream] = None
            elif stream._later or not self._write(stream, samples):
                stream._later.append(samples)
                self._crowded[stream] = None

    def _write(self, stream: VoiceStream, samples: Floats) -> bool:
        """Copies samples into the stream's ring, all or (False) none."""
        row, count = stream._row, len(samples)
        written = int(self._written[row])
        if count > _RING - written + int(self._read[row]) * int(self._length[row]):
            return False
        start = written % _RING
        stop = start + count
        if stop <= _RING:
            self._ring[row, start:stop] = samples
        else:
            fits = _RING - start
            self._ring[row, start:] = samples[:fits]
            self._ring[row, : stop - _RING] = samples[fits:]
        self._written[row] = written + count
        stream._taken += count
        return True

    def _refill(self, stream: VoiceStream) -> None:
        """Moves on what had no room in the ring before."""
        while stream._later:
            samples = stream._later[0]
            room = _RING - int(self._written[stream._row] - self._read[stream._row] * self._length[stream._row])
            if not self._write(stream, samples[:room]) or room < len(samples):
                stream._later[0] = samples[room:]
                return
            stream._later.popleft()
        del self._crowded[stream]

    def _pad(self) -> list[VoiceStream]:
        """Fills the last frame of the streams that have finished and have all their audio in the ring."""
        ready = [stream for stream in self._finishing if not stream._later]
        for stream in ready:
            row, length = stream._row, int(self._length[stream._row])
            missing = -int(self._written[row]) % length
            self._write(stream, np.zeros(missing, np.float32))
            del self._finishing[stream]
        return ready

    def _hear(self) -> None:
        """One pass over all whole frames."""
        finished = dict.fromkeys(self._pad())
        waiting = self._written // self._length - self._read
        rows = np.flatnonzero(waiting)
        verdicts: list[Verdict] = []
        for rate in SAMPLE_RATES:
            some = rows[self._length[rows] == frame_length(rate)]
            if len(some):
                self._judge(some, waiting[some], rate, finished, verdicts)
        verdicts += [Verdict(stream, _FINISH, True) for stream in finished if not stream.closed]
        if verdicts:
            self._deliver(verdicts)

    def _judge(
        self,
        rows: Rows,
        counts: NDArray[np.int64],
        rate: int,
        finished: dict[VoiceStream, None],
        verdicts: list[Verdict],
    ) -> None:
        length = frame_length(rate)
        slots = _RING // length
        places = (self._read[rows, None] + np.arange(counts.max())) % slots + rows[:, None] * slots
        frames = self._ring.reshape(-1, length)[places]
        self._read[rows] += counts
        try:
            probabilities = self.listener.hear(frames, counts, rows, rate)
        except Exception as error:  # noqa: BLE001 speech nobody could judge is still to be transcribed
            self._fail(error)
            probabilities = np.ones(frames.shape[:2], np.float32)
        for row, count, said in zip(rows.tolist(), counts.tolist(), probabilities, strict=True):
            stream = self._streams[row]
            if stream is not None and not stream.closed:
                last = stream in finished
                finished.pop(stream, None)
                verdicts.append(Verdict(stream, said[:count], last))

    def _release(self, stream: VoiceStream) -> None:
        """The row is free again; nothing of the stream is left in it."""
        row = stream._row
        self._streams[row] = None
        self._written[row] = self._read[row] = 0
        stream._later.clear()
        self._crowded.pop(stream, None)
        self._finishing.pop(stream, None)
        self.listener.reset(row)
        self._free.append(row)
