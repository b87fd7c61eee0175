"""The Whisper engine on this machine's device in one command: check it, hold as many live streams as it can, print a table.

    python -m benchmarks.whisper [--device cuda|cpu] [--shapes large-v3-turbo,large-v3,small] [--contexts padded,silence_tail]
                                 [--precision …] [--speech 0.5] [--cadence 1000] [--streams N] [--seconds 15] [--budget 420]
                                 [--check] [--all] [--quick] [--out DIR] [--keep]

--check: the same windows alone, together, and with drafts right and wrong, in float32 (must be equal) and in the precision
served (the share of tokens that differ is told). --all: the check, then the measurement. Each part is kept as it ends, so
that a run that is cut short leaves what it found. Nothing but torch, numpy, msgspec and tokenizers is needed, so it runs
where Voxfleet is not installed: from a checkout it finds `src` by itself.
"""

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
if str(ROOT / "src") not in sys.path:
    sys.path.insert(0, str(ROOT / "src"))

import voxfleet.engines.network  # noqa: E402, F401, I001  what it sets must be set before torch is imported
import numpy as np  # noqa: E402
import torch  # noqa: E402

from voxfleet.engines.bench import machine  # noqa: E402
from voxfleet.engines.whisper.bench import Asked, measure  # noqa: E402
from voxfleet.engines.whisper.hearing import CONTEXTS, PADDED  # noqa: E402
from voxfleet.engines.whisper.loading import Machine, load_model  # noqa: E402
from voxfleet.engines.windowed.transcriber import Transcript, Window  # noqa: E402

RESULTS = Path(__file__).parent / "results"
SHAPES = "large-v3-turbo,large-v3,small"
TARGETS = {("large-v3-turbo", "padded"): 400, ("large-v3-turbo", "silence_tail"): 1_500, ("large-v3", "padded"): 250}
"""Streams at half speech asked of one H200-class card in bf16."""
CHECKED = "small"
WINDOWS = 12


def say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


def windows(count: int, seed: int = 1) -> list[Window]:
    """Noise of one to nine seconds whose loudness changes ten times a second."""
    dice = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        samples = int(dice.integers(16_000, 144_000))
        loudness = np.repeat(dice.random(samples // 1_600 + 1), 1_600)[:samples]
        made.append(Window((dice.standard_normal(samples) * 3_000 * loudness).astype(np.int16), "en", exact=True))
    return made


def tokens(outcome: object) -> tuple[int, ...]:
    if not isinstance(outcome, Transcript):
        raise RuntimeError(f"a window failed: {outcome}")
    return tuple(token for word in outcome.words for token in word.tokens)


def check(shape: str, device: str, precision: str) -> dict[str, Any]:
    """One network with random weights: alone, together, with drafts."""
    loading = load_model(f"random:{shape}", Machine(device, precision, PADDED, places=1))
    try:
        transcribe, asked = loading.transcriber.transcribe, windows(WINDOWS)
        alone = [tokens(transcribe([window])[0]) for window in asked]
        others = {"together": transcribe(asked)}
        for name, drafts in (("right drafts", alone), ("others' drafts", alone[1:] + alone[:1])):
            drafted = [
                Window(window.samples, "en", draft=draft, exact=True)
                for window, draft in zip(asked, drafts, strict=True)
            ]
            others[name] = transcribe(drafted)
        total = sum(map(len, alone))
        different = {
            name: sum(_apart(one, tokens(other)) for one, other in zip(alone, found, strict=True))
            for name, found in others.items()
        }
    finally:
        loading.transcriber.close()
    return {"shape": shape, "precision": precision, "tokens": total, "tokens_that_differ": different}


def _apart(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Tokens from the first that differs to the end of the longer."""
    same = next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return max(len(one), len(other)) - same


def run(asked: argparse.Namespace, keep: Path | None) -> int:
    """All that was asked for, part by part; 1 where the check failed or a part did."""
    report = machine.heading("whisper-device") | {"checks": [], "shapes": []}
    failed = False
    served = asked.precision or ("bfloat16" if asked.device != "cpu" else "float32")
    if asked.check or asked.all:
        shape = "tiny" if asked.quick else CHECKED
        for precision in dict.fromkeys(("float32", served)):
            say(f"checking {shape} in {precision}")
            report["checks"].append(check(shape, asked.device, precision))
            wrong = sum(report["checks"][-1]["tokens_that_differ"].values())
            failed |= precision == "float32" and wrong > 0
            say(f"{report['checks'][-1]['tokens_that_differ']} of {report['checks'][-1]['tokens']} tokens differ")
            _keep(report, keep)
    shapes = [each for each in asked.shapes.split(",") if each] if asked.all or not asked.check else []
    ends = time.monotonic() + asked.budget
    for number, shape in enumerate(shapes):
        left = (ends - time.monotonic()) / (len(shapes) - number)
        try:
            report["shapes"].append(measure(_asked(asked, shape, left), say))
        except Exception:  # noqa: BLE001 - the other shapes are measured all the same
            traceback.print_exc()
            failed = True
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _keep(report, keep)
    table(report)
    print(json.dumps(report, indent=2))
    return int(failed)


def _asked(asked: argparse.Namespace, shape: str, seconds: float) -> Asked:
    return Asked(
        shape=shape,
        device=asked.device,
        precision=asked.precision,
        contexts=tuple(asked.contexts.split(",")),
        cadence_ms=asked.cadence,
        speech=asked.speech,
        streams=asked.streams,
        seconds=asked.seconds,
        threads=asked.threads,
        limit_seconds=max(30.0, seconds),
        quick=asked.quick,
    )


def table(report: dict[str, Any]) -> None:
    """A line per shape and context, on standard error."""
    for each in report["shapes"]:
        for context in each["contexts"]:
            target = TARGETS.get((each["shape"], context["encoder_context"]))
            wanted = f" (target {target})" if target else ""
            held = context["held"]
            told = (
                f", emission p95 {held['emission_ms']['p95']} ms, final p95 {held['final_ms']['p95']} ms"
                if held
                else ""
            )
            say(
                f"{each['shape']} {each['precision']} {context['encoder_context']}: {context['streams']} streams{wanted}{told}"
            )


def _keep(report: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shapes", default=SHAPES)
    parser.add_argument("--contexts", default=",".join(CONTEXTS))
    parser.add_argument("--precision", default="")
    parser.add_argument("--speech", type=float, default=0.5)
    parser.add_argument("--cadence", type=int, default=1_000)
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--budget", type=float, default=420.0, help="seconds for all measurements together")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", default="", help="folder for the report")
    parser.add_argument("--keep", action="store_true", help="keep the report among the results")
    asked = parser.parse_args()
    name = f"whisper-{asked.device.replace(':', '')}-{time.strftime('%Y-%m-%d', time.gmtime())}.json"
    folder = RESULTS if asked.keep else Path(asked.out) if asked.out else None
    return run(asked, folder / name if folder else None)


if __name__ == "__main__":
    sys.exit(main())
