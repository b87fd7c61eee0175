"""The transducer engine on this machine's device in one command: check it, hold as many live streams as it can, print a table.

    python -m benchmarks.transducer [--device cuda|cpu] [--shape nemotron-3.5-0.6b] [--precision …] [--chunks 160,320,560,1120]
                                    [--streams N] [--seconds 15] [--budget 360] [--check] [--tests] [--all] [--out DIR] [--keep]

--check: the same streams alone and in one another's company, in float32 (must be equal) and in the precision served (the
rate of labels that differ is told). --tests: the tests of the engine that are marked gpu. --all: both, then the sweep.
Each part is kept as it ends, so that a run that is cut short leaves what it found. Nothing but torch, numpy, msgspec and
tokenizers is needed, so it runs where Voxfleet is not installed: from a checkout it finds `src` by itself.
"""

import argparse
import json
import subprocess
import sys
import time
import traceback
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
if str(ROOT / "src") not in sys.path:
    sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from voxfleet.engines.port import END_OF_TURN, Increments, TrackOptions  # noqa: E402
from voxfleet.engines.transducer.bench import TALK, Asked, measure  # noqa: E402
from voxfleet.engines.transducer.engine import TransducerEngine  # noqa: E402
from voxfleet.engines.transducer.meter import MeteredRunner  # noqa: E402
from voxfleet.engines.transducer.talk import enliven, tune  # noqa: E402
from voxfleet.scheduling.places import Place  # noqa: E402
from voxfleet.scheduling.work import Plan, Urgency, Work  # noqa: E402

RESULTS = Path(__file__).parent / "results"
CHUNKS = (160, 320, 560, 1120)
TARGETS = {160: 1_000, 320: 2_000, 560: 4_000, 1120: 8_000}
"""Streams asked of one H200-class card."""
TEST_SECONDS = 120


def say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


def turns(count: int, seed: int = 1) -> list[np.ndarray[Any, np.dtype[np.int16]]]:
    """Turns of noise of one to five seconds whose loudness changes ten times a second."""
    dice = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        samples = int(dice.integers(16_000, 80_000))
        loudness = np.repeat(dice.random(samples // 1_600 + 1), 1_600)[:samples]
        made.append((dice.standard_normal(samples) * 3_000 * loudness).astype(np.int16))
    return made


def heard(engine: TransducerEngine, spoken: list[Any], together: bool, chunk_ms: int) -> list[list[str]]:
    """The words of every turn: of all at once, each beginning a chunk after the one before; or of one after the other."""
    groups = [spoken] if together else [[turn] for turn in spoken]
    said: list[list[str]] = []
    for group in groups:
        places = [engine.take(TrackOptions(engine.info.languages[0])) for _ in group]
        final: dict[Place, list[str]] = {}
        number = 0
        while len(final) < len(group):
            _hear(engine, places, group, number, chunk_ms)
            works = tuple(Work(place, Urgency.PARTIAL, 0.0, 0.0) for place in places)
            for outcome in engine.step(Plan(works, chunk_ms)):
                if outcome.hypothesis.final:
                    final[outcome.place] = [word.text for word in outcome.hypothesis.stable]
            number += 1
        said.extend(final[place] for place in places)
        for place in places:
            engine.free(place)
    return said


def _hear(engine: TransducerEngine, places: list[Place], group: list[Any], number: int, chunk_ms: int) -> None:
    size = chunk_ms * 16
    rows = []
    for late, (place, turn) in enumerate(zip(places, group, strict=True)):
        begin = (number - late % 7) * size
        if 0 <= begin < len(turn):
            rows.append((place.index, turn[begin : begin + size], END_OF_TURN if begin + size >= len(turn) else 0))
    if rows:
        engine.hear(
            Increments(
                np.array([index for index, _, _ in rows], np.uint32),
                np.array([len(samples) for _, samples, _ in rows], np.uint32),
                np.array([flags for _, _, flags in rows], np.uint8),
                np.concatenate([samples for _, samples, _ in rows]),
            )
        )


def company(shape: str, device: str, precision: str, streams: int, chunk_ms: int = 320) -> dict[str, Any]:
    """Streams alone against the same streams together."""
    engine = TransducerEngine(f"random:{shape}", places=streams, device=device, precision=precision, chunks=(chunk_ms,))
    try:
        runner = MeteredRunner(engine.runner)
        engine.runner = runner
        enliven(engine, runner)
        talk = tune(engine, runner, TALK, chunk_ms)
        spoken = turns(streams)
        alone, together = (heard(engine, spoken, at_once, chunk_ms) for at_once in (False, True))
    finally:
        engine.close()
    labels = sum(map(len, alone))
    same = sum(
        sum(block.size for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())
        for a, b in zip(alone, together, strict=True)
    )
    return {
        "precision": precision or "default",
        "streams": streams,
        "labels": labels,
        "labels_per_stream_second": talk,
        "streams_that_differ": sum(a != b for a, b in zip(alone, together, strict=True)),
        "rate_of_differing_labels": round(1 - same / max(1, labels), 5),
    }


def tests() -> dict[str, Any]:
    """The tests that need a card, with whatever pytest is there; not those of the whole project."""
    options = ["-q", "-m", "gpu", "-c", "/dev/null", f"--rootdir={ROOT}", "-p", "no:cacheprovider"]
    options += [f"--confcutdir={ROOT / 'tests/engines/transducer'}", "tests/engines/transducer"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}:" + ":".join(sys.path), "PATH": "/usr/bin:/bin", "HOME": "/tmp"},
            capture_output=True,
            text=True,
            timeout=TEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"ended": f"after {TEST_SECONDS} s"}
    return {"exit": done.returncode, "last": (done.stdout + done.stderr).strip().splitlines()[-12:]}


def table(report: dict[str, Any]) -> str:
    """A line per chunk size."""
    lines = [
        f"{'chunk':>6} {'streams':>8} {'target':>7} {'p95 ms':>8} {'lag p95':>8} {'busy':>6} {'ceiling':>8} {'host us':>8}"
    ]
    for chunk in report["chunks"]:
        held, size = chunk["held"], chunk["chunk_ms"]
        cells = ["-"] * 5
        if held is not None:
            cells = [
                f"{held['step_ms']['p95']:.1f}",
                f"{held['lag_ms']['p95']:.1f}",
                f"{held['device_busy_share']:.0%}",
            ]
            cells += [f"{held['share_of_ceiling']:.1%}", f"{held['host_us_per_stream_step']:.1f}"]
        streams = f"{'>=' if chunk['places_ended_before_speed'] else ''}{chunk['streams']}"
        target = TARGETS.get(size, "-")
        lines.append(
            f"{size:>6} {streams:>8} {target:>7} {cells[0]:>8} {cells[1]:>8} {cells[2]:>6} {cells[3]:>8} {cells[4]:>8}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", default="nemotron-3.5-0.6b")
    parser.add_argument("--precision", default="")
    parser.add_argument("--chunks", default=",".join(map(str, CHUNKS)))
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--budget", type=float, default=360.0, help="seconds for the sweep")
    parser.add_argument("--company", type=int, default=24, help="streams of the check")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--tests", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for every part's report")
    parser.add_argument("--keep", action="store_true", help="keep the report of the sweep among the results")
    asked = parser.parse_args()
    parts: dict[str, Any] = {}

    def part(name: str, make: Any) -> None:
        say(f"{name} begins")
        try:
            parts[name] = make()
        except Exception as error:  # noqa: BLE001 - the other parts are worth having
            traceback.print_exc()
            parts[name] = {"failed": f"{type(error).__name__}: {error}"}
        if asked.out is not None:
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / f"transducer-{name}.json").write_text(json.dumps(parts[name], indent=2) + "\n")

    if asked.all or asked.check:
        for precision in dict.fromkeys(("float32", asked.precision)):
            name = f"company-{precision or 'default'}"
            part(name, lambda chosen=precision: company(asked.shape, asked.device, chosen, asked.company))
    if asked.all or asked.tests:
        part("tests", tests)
    if asked.all or not (asked.check or asked.tests):
        part("sweep", lambda: measure(sweep(asked), say))
    print(json.dumps(parts if len(parts) > 1 else next(iter(parts.values())), indent=2))
    found = parts.get("sweep", {})
    if asked.keep and "chunks" in found:
        device = found["device"]["name"].replace(" ", "-") if isinstance(found["device"], dict) else "cpu"
        name = f"transducer-{device}-{found['precision']}-{found['date'][:10]}.json"
        (RESULTS / name).write_text(json.dumps(found, indent=2) + "\n")
    for name, each in parts.items():
        if name != "sweep":
            say(f"{name}: {json.dumps(each)}")
    if "chunks" in found:
        print(table(found), file=sys.stderr)
    return int(any("failed" in each for each in parts.values()))


def sweep(asked: argparse.Namespace) -> Asked:
    """The benchmark of the engine, as this command was asked for it."""
    return Asked(
        model=f"random:{asked.shape}",
        device=asked.device,
        precision=asked.precision,
        chunks=tuple(int(each) for each in asked.chunks.split(",")),
        streams=asked.streams,
        seconds=asked.seconds,
        threads=asked.threads,
        budget=asked.budget,
        quick=asked.quick,
    )


if __name__ == "__main__":
    sys.exit(main())
