"""What voice activity costs: CPU seconds of the detector's thread per second of audio of 1,000 live conversations.

Real speech from the audio folder, 45 % of the time, faint noise between; every stream sends 100 ms blocks in real time
at its own moment. Thread CPU time, not wall time, so a busy machine hardly matters. Prints one JSON line per set-up.

    python benchmarks/vad_cost.py --audio ../shared/audio --streams 1000 --seconds 10
"""

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.container import decode_file
from voxfleet.audio.detector import Verdict, VoiceDetector
from voxfleet.audio.gate import GatedSilero
from voxfleet.audio.resample import resample_file
from voxfleet.audio.silero import SileroBatch

Floats = NDArray[np.float32]
BLOCK_S = 0.1


def conversations(audio: Path, count: int, length_s: float, share: float, seed: int = 7) -> list[Floats]:
    """`count` times `length_s` seconds at 16 kHz: turns of 1.5-7 s, gaps so that `share` of the time is speech."""
    chance = np.random.default_rng(seed)
    speech = [_mono(file) for file in sorted((audio / "libri-other").glob("*.flac"))]
    made = []
    for _ in range(count):
        parts: list[Floats] = []
        length = 0
        while length < length_s * 16_000:
            turn = speech[chance.integers(len(speech))][: int(chance.uniform(1.5, 7.0) * 16_000)]
            gap = len(turn) * (1 - share) / share * chance.uniform(0.4, 1.6)
            parts += [turn * np.float32(chance.uniform(0.3, 1.0)), np.zeros(int(gap), np.float32)]
            length += len(turn) + int(gap)
        whole = np.concatenate(parts)[: int(length_s * 16_000)]
        noise = chance.standard_normal(len(whole)) * 10 ** (chance.uniform(-70.0, -55.0) / 20)
        made.append((whole + noise).astype(np.float32))
    return made


def _mono(file: Path) -> Floats:
    samples, rate = decode_file(file)
    mono: Floats = resample_file(samples[:, 0], rate)
    return mono


class Stopwatch:
    """CPU seconds of the calling thread inside one method of an object."""

    def __init__(self, target: Any, method: str) -> None:
        self.seconds = 0.0
        self._inner: Callable[..., Any] = getattr(target, method)
        setattr(target, method, self)

    def __call__(self, *args: Any) -> Any:
        before = time.thread_time()
        try:
            return self._inner(*args)
        finally:
            self.seconds += time.thread_time() - before


def in_real_time(numbers: range, streams: int, push: Callable[[int, int], None]) -> None:
    """Calls `push(number, index)` for every block of every stream when it is due, spread over the length of a block."""
    start = time.monotonic()
    for number in numbers:
        for index in range(streams):
            due = start + (number - numbers.start + index / streams) * BLOCK_S
            if index % 16 == 0 and (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            push(number, index)


def measure(pool: list[Floats], rate: int, gate: bool, streams: int, seconds: float, tick: float) -> dict[str, Any]:
    """One configuration, `seconds` long, after one second that isn't counted."""
    total = {"frames": 0, "passes": 0, "cpu": 0.0}

    def deliver(verdicts: list[Verdict]) -> None:
        total["frames"] += sum(len(verdict.probabilities) for verdict in verdicts)
        total["passes"] += 1
        total["cpu"] = time.thread_time()

    failures: list[Exception] = []
    detector = VoiceDetector(deliver, tick=tick, capacity=streams, gate=gate, on_failure=failures.append)
    hearing = Stopwatch(detector.listener, "hear")
    inner: SileroBatch = detector.listener._model  # type: ignore[attr-defined]
    model = Stopwatch(inner, "step")
    opened = [detector.open(rate) for _ in range(streams)]
    chance = np.random.default_rng(3)
    offsets = chance.integers(0, len(pool[0]) - int((seconds + 2) * rate), streams)
    block = int(BLOCK_S * rate)
    detector.start()

    def mark() -> tuple[float, ...]:
        return total["cpu"], hearing.seconds, model.seconds, total["frames"], total["passes"]

    def push(number: int, index: int) -> None:
        at = offsets[index] + number * block
        opened[index].hear(pool[index % len(pool)][at : at + block])

    start, loop_cpu = time.monotonic(), time.thread_time()
    blocks, warm = int((seconds + 1) / BLOCK_S), round(1 / BLOCK_S)
    in_real_time(range(warm), streams, push)
    marks = [mark()]
    in_real_time(range(warm, blocks), streams, push)
    marks.append(mark())
    loop_cpu, lasted = time.thread_time() - loop_cpu, time.monotonic() - start
    behind = max(stream.behind for stream in opened)
    detector.close()
    cpu, heard, modelled, frames, passes = (after - before for before, after in zip(*marks, strict=True))
    listener = detector.listener
    heard_share = listener.heard / listener.frames if isinstance(listener, GatedSilero) else 1.0
    audio_s = frames * 0.032 / streams
    return {
        "sample_rate": rate,
        "gate": gate,
        "streams": streams,
        "cores": round(cpu / audio_s, 3),
        "model": round(modelled / audio_s, 3),
        "gate_cost": round((heard - modelled) / audio_s, 3),
        "bookkeeping": round((cpu - heard) / audio_s, 3),
        "skipped": round(1 - heard_share, 3),
        "us_per_frame": round(1e6 * cpu / frames, 1),
        "rows_per_pass": round(frames / passes, 1),
        "pushing_us": round(1e6 * loop_cpu / blocks / streams, 2),
        "late": round(lasted / (blocks * BLOCK_S), 3),
        "behind_s": round(behind, 2),
        "failures": len(failures),
        "threads_left": sum(thread.name == "voice" for thread in threading.enumerate()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, default=Path(__file__).parents[1] / "../shared/audio")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--speech", type=float, default=0.45, help="share of the time somebody speaks")
    parser.add_argument("--tick", type=float, default=0.016)
    given = parser.parse_args()
    wide = conversations(given.audio, 40, given.seconds + 60, given.speech)
    narrow = [np.asarray(_half(talk), np.float32) for talk in wide]
    for rate, pool in ((16_000, wide), (8_000, narrow)):
        for gate in (True, False):
            print(json.dumps(measure(pool, rate, gate, given.streams, given.seconds, given.tick)), flush=True)


def _half(samples: Floats) -> Floats:
    import soxr  # the only place that goes down

    return soxr.resample(samples, 16_000, 8_000, quality="HQ")  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
