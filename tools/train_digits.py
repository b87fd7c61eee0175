"""Trains the digits model and publishes it as a model folder: `python tools/train_digits.py --audio A --out models/digits`.

`--audio` is a folder with TRAIN.tsv and MANIFEST.tsv and the recordings they name; only TRAIN.tsv is learnt from. Needs
torch, transformers, soxr and `flite`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from digits.measure import report
from digits.network import publish
from digits.speech import recordings, synthetic
from digits.training import Plan, Training

# glibc gives large blocks back to the system and fetches them again at every step; kept, a step takes a third of the time.
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_ARENA_MAX": "1"}
# Two threads that sleep while they wait leave the second core to the process that draws the batches.
SLEEPING_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, publishing the averaged weights as it goes, and measure the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4200)
    parser.add_argument("--hold-out", default="", metavar="SPEAKER", help="learn nothing from this speaker")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=500, help="steps between checkpoints")
    parser.add_argument("--checkpoint", type=Path, help="where to keep the run, so that it can go on")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on from this checkpoint")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(2)
    clips = recordings(chosen.audio / "TRAIN.tsv", chosen.audio, {chosen.hold_out}) + synthetic()
    tested = recordings(chosen.audio / "MANIFEST.tsv", chosen.audio, prefix="fsdd/")
    training = Training(clips, Plan(chosen.steps, seed=chosen.seed))
    if chosen.resume:
        training.resume(chosen.resume)

    def rest(run: Training) -> None:
        if chosen.checkpoint:
            run.save(chosen.checkpoint)
        if run.step >= chosen.steps / 4:
            publish(run.model, run.averaged, chosen.out)
            lookaheads = (1, 3, 6, 13) if run.step == chosen.steps else (3,)
            sys.stdout.write(report(chosen.out, tested, lookaheads))
            sys.stdout.flush()

    training.run(chosen.every, rest)


if __name__ == "__main__":
    if "MALLOC_MMAP_MAX_" not in os.environ:  # read when a process starts, so start once more
        os.execve(  # noqa: S606
            sys.executable,
            [sys.executable, *sys.orig_argv[1:]],
            {**os.environ, **KEPT_MEMORY, **SLEEPING_THREADS},
        )
    main()
