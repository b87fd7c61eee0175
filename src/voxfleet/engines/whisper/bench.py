"""The benchmark of the Whisper engine: how many live streams one device holds within the two-second budget, and why not more.

Weights are random: what the network computes takes its real time, what it says is forced (`script`), as many tokens as
people say, of which the last ones change from decode to decode, as they do when words are cut off at the end of a window.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from voxfleet.engines.bench import machine, search
from voxfleet.engines.bench.talks import Budget, Conversations, Talk, converse
from voxfleet.engines.network.ceiling import ceiling
from voxfleet.engines.network.device import find_device, find_precision
from voxfleet.engines.whisper import arithmetic, sizes
from voxfleet.engines.whisper.engine import WhisperEngine
from voxfleet.engines.whisper.hearing import CONTEXTS, PADDED
from voxfleet.engines.whisper.layout import SHAPES, Shape
from voxfleet.engines.whisper.loading import INT8, RANDOM
from voxfleet.errors import SettingsError, nearest
from voxfleet.speech import SAMPLE_RATE

MOST = 8_192
"""Streams a search ends at without being told otherwise."""
UTILISATION = 0.7
"""Of the device that a search begins with, by arithmetic from a few steps."""
PLACE_BYTES = 30 * SAMPLE_RATE * 2
"""Audio kept of a turn as long as a window."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured."""

    shape: str
    device: str = "cpu"
    precision: str = ""
    contexts: tuple[str, ...] = (PADDED,)
    cadence_ms: int = 1_000
    speech: float = 0.5
    tokens_per_second: float = 3.3
    changing: int = 3
    """Tokens at the end of a transcript that the next decode says otherwise."""
    turn_seconds: float = 5.0
    budget: Budget = field(default_factory=Budget)
    streams: int = 0
    """The search goes no further; 0 = as far as it holds."""
    seconds: float = 20.0
    """Of the last, long hold."""
    trial_seconds: float = 6.0
    rows: int = 0
    threads: int = 0
    limit_seconds: float = 0.0
    """For all searches together; 0 = as long as they take. What is found is confirmed all the same."""
    quick: bool = False


def measure(asked: Asked, told: Told) -> dict[str, Any]:
    """The whole benchmark as one document. `told` is given a sentence now and then. Raises SettingsError."""
    shape = shape_of(asked.shape)
    for context in asked.contexts:
        if context not in CONTEXTS:
            raise SettingsError(
                f"context '{context}' is unknown{nearest(context, CONTEXTS)}; known: {', '.join(CONTEXTS)}"
            )
    device = find_device(asked.device)
    precision = find_precision("" if asked.precision == INT8 else asked.precision, device)
    report: dict[str, Any] = machine.heading("whisper")
    top = ceiling(device, precision.dtype, quick=asked.quick)
    report |= _about(asked, shape, device, asked.precision or precision.name, top)
    report["contexts"] = []
    ends = time.monotonic() + asked.limit_seconds if asked.limit_seconds else math.inf
    for number, context in enumerate(asked.contexts):
        share = (ends - time.monotonic()) / (len(asked.contexts) - number)
        told(f"loading {asked.shape}, {context}")
        engine = build(asked, context)
        try:
            bench = _Bench(asked, engine, shape, top, told)
            report["contexts"].append(bench.run(context, time.monotonic() + share - asked.seconds))
        finally:
            engine.close()
    report["others_after"] = machine.others()
    return report


def shape_of(name: str) -> Shape:
    """The sizes of a network. Raises SettingsError where there is none of that name."""
    if name not in SHAPES:
        raise SettingsError(f"shape '{name}' is unknown{nearest(name, SHAPES)}; known: {', '.join(SHAPES)}")
    return SHAPES[name]


def build(asked: Asked, context: str) -> WhisperEngine:
    """The engine, with as many places as the search may want."""
    engine = WhisperEngine(
        f"{RANDOM}{asked.shape}",
        places=asked.streams or MOST,
        device=asked.device,
        precision=asked.precision,
        encoder_context=context,
        threads=asked.threads,
        rows=asked.rows,
    )
    engine.rehearse(asked.tokens_per_second, asked.changing)
    return engine


def _about(asked: Asked, shape: Shape, device: torch.device, precision: str, top: float) -> dict[str, object]:
    value = 2 if precision in ("bfloat16", "float16") else 4
    return {
        "shape": asked.shape,
        "parameters_million": round(sizes.parameters(shape) / 1e6, 1),
        "weights": "random; what is said is forced",
        "device": machine.card(device.index or 0) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads() if not asked.threads else asked.threads,
        "precision": precision,
        "matrix_product_ceiling_tflops": round(top, 4),
        "cadence_ms": asked.cadence_ms,
        "speech": asked.speech,
        "turn_seconds": asked.turn_seconds,
        "tokens_per_second": asked.tokens_per_second,
        "tokens_that_change": asked.changing,
        "criterion": f"p95 of emission at most {asked.budget.emission:g} s and of final at most {asked.budget.final:g} s",
        "mb_per_place": round(PLACE_BYTES / 1e6, 2),
        "mb_per_window_in_decoding": round(sizes.slot_bytes(shape, value) / 1e6, 1),
        "weights_mb": round(sizes.parameters(shape) * value / 1e6, 1),
    }


@dataclass(slots=True)
class _Bench:
    """The search for one context."""

    asked: Asked
    engine: WhisperEngine
    shape: Shape
    ceiling: float
    told: Told

    def run(self, context: str, until: float) -> dict[str, object]:
        asked = self.asked
        short = asked.trial_seconds / (3 if asked.quick else 1)
        one = self._trial(1, max(short, 2.0 * asked.turn_seconds))
        busy = sum(one.steps) / max(1e-9, one.span)
        first = max(1, int(UTILISATION / max(busy, 1e-6))) if self.engine.transcriber.device.type == "cpu" else 0
        first = first or self._first(one)
        self.told(f"{context}: one stream keeps the device busy {busy:.1%} of the time; beginning with {first}")
        found = search.largest(
            lambda streams: self._trial(streams, short),
            lambda streams: self._trial(streams, max(asked.seconds, short)),
            min(first, self.engine.info.places),
            self.engine.info.places,
            self._tell,
            lambda: time.monotonic() > until,
        )
        held = found.confirmed
        return {
            "encoder_context": context,
            "streams": found.streams,
            "places_ended_before_speed": found.bounded,
            "held": self._held(held) if held is not None else None,
            "one_stream": one.json(),
            "trials": [
                {"streams": each.streams, "met": each.met, "seconds": round(each.span, 1)} for each in found.trials
            ],
        }

    def _first(self, one: Conversations) -> int:
        """Streams of a card to begin with: one stream leaves it nearly idle, so its arithmetic tells more."""
        positions = one.probed["positions"] / max(1.0, one.probed["windows"])
        work = arithmetic.encoder_flops(self.shape, round(positions)) + arithmetic.heard_flops(
            self.shape, round(positions)
        )
        per_second = one.probed["windows"] / one.span
        return max(1, int(0.35 * self.ceiling * 1e12 / max(1.0, work * per_second)))

    def _trial(self, streams: int, seconds: float) -> Conversations:
        asked = self.asked
        warm_up = 1.0 + asked.turn_seconds / asked.speech / 2
        talk = Talk(streams, asked.cadence_ms, asked.speech, seconds, warm_up, asked.turn_seconds, asked.budget)
        return converse(self.engine, talk, self.engine.transcriber.counters)

    def _tell(self, done: Conversations) -> None:
        verdict = "held" if done.met else "not held"
        told = done.json()
        self.told(f"{done.streams} streams {verdict}: emission {told['emission_ms']}, final {told['final_ms']} ms")

    def _held(self, trial: Conversations) -> dict[str, object]:
        probed = trial.probed
        windows, positions = max(1.0, probed["windows"]), probed["positions"]
        each = round(positions / windows)
        encoding = windows * (arithmetic.encoder_flops(self.shape, each) + arithmetic.heard_flops(self.shape, each))
        encoder = max(1e-9, probed["encoder_seconds"])
        steps = sum(trial.steps)
        return trial.json() | {
            "windows_per_second": round(windows / trial.span, 1),
            "encoder_seconds_of_a_window": round(each * 0.02, 2),
            "encoder_tflops": round(encoding / encoder / 1e12, 4),
            "encoder_share_of_ceiling": round(encoding / encoder / 1e12 / self.ceiling, 4),
            "share_of_time": {
                "encoder": round(probed["encoder_seconds"] / trial.span, 4),
                "decoder": round(probed["decoder_seconds"] / trial.span, 4),
                "rest_of_steps": round(
                    max(0.0, steps - probed["encoder_seconds"] - probed["decoder_seconds"]) / trial.span, 4
                ),
                "hearing": round(trial.hearing / trial.span, 4),
            },
            "tokens_per_window": round(probed["tokens"] / windows, 1),
            "draft_tokens_per_window": round(probed["offered"] / windows, 1),
            "draft_tokens_accepted": round(probed["accepted"] / max(1.0, probed["offered"]), 3),
            "decoded_tokens_saved_by_drafts": round(probed["accepted"] / max(1.0, probed["tokens"]), 3),
            "decoder_steps_per_second": round(probed["steps"] / trial.span, 1),
        }
