"""The benchmark of the transducer engine: how many live streams one device holds at each chunk size, and why not more."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from voxfleet.engines.bench import closed, machine, search
from voxfleet.engines.bench.trial import SHARE, Terms, Trial, hold
from voxfleet.engines.network.ceiling import ceiling
from voxfleet.engines.network.device import find_device, find_precision
from voxfleet.engines.transducer import arithmetic, sizes
from voxfleet.engines.transducer.engine import FRAME_MS, RANDOM, TransducerEngine
from voxfleet.engines.transducer.layout import SHAPES, Layout, Shape
from voxfleet.engines.transducer.meter import MeteredRunner
from voxfleet.engines.transducer.profile import launches
from voxfleet.engines.transducer.talk import enliven, tune
from voxfleet.errors import SettingsError, nearest

MOST_ON_CPU = 4_096
MOST_ON_GPU = 16_384
"""Streams a search ends at without being told otherwise, memory permitting."""
MEMORY_SHARE = 0.25
"""Of a host's free memory that may go into places."""
TALK = 3.5
"""Labels per stream and second a random network is tuned to: what the published models say of running speech."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured."""

    model: str
    """random:NAME, or a model folder."""
    device: str = "cpu"
    precision: str = ""
    chunks: tuple[int, ...] = ()
    """ms; empty = those the engine serves by default."""
    streams: int = 0
    """The search goes no further; 0 = as many as the memory holds."""
    seconds: float = 20.0
    """Of the last, long hold of each chunk size."""
    trial_seconds: float = 4.0
    """Of every trial of the search."""
    threads: int = 0
    tick_ms: int = 20
    budget: float = 0.0
    """Seconds for all searches together; 0 = as long as they take. What is found is confirmed all the same."""
    quick: bool = False
    """Shorter trials and smaller products: seconds instead of minutes, for a look or a test."""


Told = Callable[[str], None]


def measure(asked: Asked, told: Told) -> dict[str, Any]:
    """The whole benchmark as one document. `told` is given a sentence now and then. Raises SettingsError."""
    report: dict[str, Any] = machine.heading("transducer")
    shape = shape_of(asked.model)
    told(f"loading {asked.model}")
    engine = build(asked, shape)
    try:
        runner = MeteredRunner(engine.runner)
        engine.runner = runner
        precision = find_precision(asked.precision, runner.device)
        top = ceiling(runner.device, precision.dtype, quick=asked.quick)
        if asked.model.startswith(RANDOM):
            told("bringing the random network to talk")
            enliven(engine, runner)
        report |= _about(asked, engine, runner, shape)
        report |= {
            "precision": precision.name,
            "matrix_product_ceiling_tflops": round(top, 4),
        }
        bench = _Bench(asked, engine, runner, shape, top, told)
        report["chunks"] = bench.chunks()
    finally:
        engine.close()
    report["others_after"] = machine.others()
    return report


def shape_of(model: str) -> Shape:
    """The sizes of a network. Raises SettingsError where there is none of that name."""
    if not model.startswith(RANDOM):
        return Layout.read(Path(model)).shape
    name = model.removeprefix(RANDOM)
    if name not in SHAPES:
        raise SettingsError(f"shape '{name}' is unknown{nearest(name, SHAPES)}; known: {', '.join(SHAPES)}")
    return SHAPES[name]


def build(asked: Asked, shape: Shape) -> TransducerEngine:
    """The engine, with as many places as the search may want."""
    device = find_device(asked.device)
    precision = find_precision(asked.precision, device)
    chunk = max(asked.chunks, default=0) // FRAME_MS
    size = precision.dtype.itemsize
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0] * sizes.FREE_SHARE)
        most = min(MOST_ON_GPU, sizes.places_within(shape, free, size, chunk))
    else:
        most = min(MOST_ON_CPU, int(_free_memory() * MEMORY_SHARE) // sizes.place_bytes(shape, size, chunk))
    return TransducerEngine(
        asked.model,
        places=max(1, min(asked.streams or most, most)),
        device=asked.device,
        precision=asked.precision,
        chunks=asked.chunks,
        threads=asked.threads,
    )


def _about(asked: Asked, engine: TransducerEngine, runner: MeteredRunner, shape: Shape) -> dict[str, object]:
    device = runner.device
    return {
        "model": asked.model,
        "parameters_million": round(sizes.parameters(shape) / 1e6, 1),
        "device": machine.card(device.index or 0) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "places": engine.info.places,
        "kb_per_place": {
            "arena": round(runner.arena.bytes_per_place / 1000, 1),
            "audio": round(sizes.ring_bytes() / 1000, 1),
        },
        "link_tick_ms": asked.tick_ms,
        "criterion": f"p95 of step and of lag (chunk due to hypotheses out) at most {SHARE:.0%} of the chunk",
    }


@dataclass(slots=True)
class _Bench:
    """The searches, one chunk size after the other."""

    asked: Asked
    engine: TransducerEngine
    runner: MeteredRunner
    shape: Shape
    ceiling: float
    told: Told

    def chunks(self) -> list[dict[str, object]]:
        asked, found = self.asked, []
        chunk_ms = self.engine.info.chunk_ms
        ends = time.monotonic() + asked.budget if asked.budget else math.inf
        for number, each in enumerate(chunk_ms):
            share = (ends - time.monotonic()) / (len(chunk_ms) - number)
            found.append(self._chunk(each, time.monotonic() + share - asked.seconds))
        return found

    def _chunk(self, chunk_ms: int, until: float) -> dict[str, object]:
        if self.asked.model.startswith(RANDOM):
            tune(self.engine, self.runner, TALK, chunk_ms)
        places, quick = self.engine.info.places, self.asked.quick
        powers = [1 << power for power in range(places.bit_length()) if 1 << power <= places]
        curve = closed.curve(self.engine, chunk_ms, powers, repeats=3 if quick else 5)
        for each in curve:
            self.told(f"{chunk_ms} ms: a step over {each.rows} takes {each.middle * 1000:.1f} ms")
        short = max(self.asked.trial_seconds / (3 if quick else 1), 2.5 * chunk_ms / 1000)
        found = search.largest(
            lambda streams: self._trial(streams, chunk_ms, short),
            lambda streams: self._trial(streams, chunk_ms, max(self.asked.seconds, short)),
            closed.guess(curve),
            places,
            self._tell,
            lambda: time.monotonic() > until,
        )
        rows = max(1, min(self.runner.most_rows(chunk_ms // FRAME_MS), found.streams))
        return {
            "chunk_ms": chunk_ms,
            "streams": found.streams,
            "places_ended_before_speed": found.bounded,
            "held": _held(found.confirmed, self.shape, self.ceiling) if found.confirmed is not None else None,
            "one_step": launches(self.engine, self.runner, rows, chunk_ms),
            "steps_by_batch": [each.json() for each in curve],
            "trials": [_short(each) for each in found.trials],
        }

    def _trial(self, streams: int, chunk_ms: int, seconds: float) -> Trial:
        warm_up = 0.3 + 1.5 * chunk_ms / 1000
        return hold(self.engine, Terms(streams, chunk_ms, seconds, warm_up, self.asked.tick_ms), self.runner.readings)

    def _tell(self, done: Trial) -> None:
        p95 = "fell behind" if done.lost or not done.step else f"p95 {done.worst * 1000:.0f} ms"
        verdict = "held" if done.met else "not held"
        self.told(f"{done.terms.chunk_ms} ms: {done.terms.streams} streams {verdict}, {p95}")


def _short(trial: Trial) -> dict[str, object]:
    p95 = round(trial.worst * 1000, 1) if trial.step else None
    return {"streams": trial.terms.streams, "met": trial.met, "seconds": round(trial.span, 1), "worst_p95_ms": p95}


def _held(trial: Trial, shape: Shape, top: float) -> dict[str, object]:
    """What the long hold showed of the device and of the host."""
    probed, steps = trial.probed, max(1, len(trial.step))
    work = probed["frames"] * arithmetic.frame_flops(shape, trial.terms.chunk_ms // FRAME_MS)
    work += probed["labels"] * arithmetic.label_flops(shape)
    host = trial.hearing + trial.planning + sum(trial.step) - probed["waited"]
    through = max(1, sum(trial.rows))
    return trial.json() | {
        "device_busy_share": round(probed["device"] / trial.span, 3),
        "tflops": round(work / trial.span / 1e12, 5),
        "share_of_ceiling": round(work / trial.span / 1e12 / top, 4),
        "share_of_ceiling_while_busy": round(work / max(probed["device"], 1e-9) / 1e12 / top, 4),
        "host_us_per_stream_step": round(host / through * 1e6, 1),
        "of_these_hearing_us": round(trial.hearing / through * 1e6, 1),
        "passes_per_step": round(probed["passes"] / steps, 2),
        "bursts_per_pass": round(probed["bursts"] / max(1.0, probed["passes"]), 2),
        "labels_per_stream_second": round(probed["labels"] / trial.span / trial.terms.streams, 2),
        "audio_seconds_per_second": round(probed["frames"] * FRAME_MS / 1000 / trial.span, 1),
    }


def _free_memory() -> int:
    """Bytes of this host that could be used; a guess where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return 4 << 30
