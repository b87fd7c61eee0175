"""Whether the energy gate changes a turn: every clip and dialogue heard with and without it, at 16 and at 8 kHz.

Turns as a session makes them: begin at 0.5 (kept from 0.35) after 100 ms of speech, end after 500 ms without. Part two
builds conversations with long silences, where the ungated model's own state drifts; there the truth is known, so both
are held against it. Prints a table, then one line of JSON.

    python benchmarks/vad_gate.py --audio ../shared/audio
"""

import argparse
import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from voxfleet.audio.container import decode_file
from voxfleet.audio.gate import GatedSilero, UngatedSilero
from voxfleet.audio.silero import SAMPLE_RATES, frame_length

Floats = NDArray[np.float32]
Turns = list[tuple[int, int]]
"""First and last frame of speech of each turn."""
FRAME_MS = 32


def turns_of(probabilities: Floats) -> Turns:
    """What a session would make of the probabilities of one stream."""
    found: Turns = []
    first = last = run = 0
    speaking = False
    for at, probability in enumerate(probabilities.tolist()):
        if speaking:
            if probability >= 0.35:
                last = at
            elif (at - last) * FRAME_MS >= 500:
                found.append((first, last))
                speaking, run = False, 0
        elif probability >= (0.35 if run else 0.5):
            first = first if run else at
            run += 1
            if run * FRAME_MS >= 100:
                speaking, last = True, at
        else:
            run = 0
    return [*found, (first, last)] if speaking else found


def listen(listener: GatedSilero | UngatedSilero, clips: list[Floats], sample_rate: int) -> list[Floats]:
    """Probabilities of every clip, all clips side by side, in passes of three frames (100 ms)."""
    length, step = frame_length(sample_rate), 3
    counts = np.array([-(-len(clip) // length) for clip in clips])
    heard: list[list[Floats]] = [[] for _ in clips]
    for start in range(0, int(counts.max()), step):
        rows = np.flatnonzero(counts > start)
        frames = np.zeros((len(rows), step, length), np.float32)
        for place, row in enumerate(rows):
            piece = clips[row][start * length : (start + step) * length]
            frames[place].reshape(-1)[: len(piece)] = piece
        ready = np.minimum(counts[rows] - start, step)
        said = listener.hear(frames, ready, rows, sample_rate)
        for row, count, probabilities in zip(rows, ready, said, strict=True):
            heard[row].append(probabilities[:count])
    return [np.concatenate(pieces) for pieces in heard]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One set of clips at one rate, without the gate and with it."""

    audio: str
    sample_rate: int
    clips: int
    frames: int
    speech: float
    turns: int
    turns_gated: int
    clips_that_differ: int
    worst_shift: int
    """Frames, over the clips with equal counts."""
    skipped: float


def compare(audio: str, clips: list[Floats], sample_rate: int) -> tuple[Comparison, list[Turns], list[Turns]]:
    """The comparison, the turns without the gate, and with it."""
    gate = GatedSilero(len(clips))
    alone = listen(UngatedSilero(len(clips)), clips, sample_rate)
    plain = [turns_of(heard) for heard in alone]
    gated = [turns_of(heard) for heard in listen(gate, clips, sample_rate)]
    pairs = [(a, b) for a, b in zip(plain, gated, strict=True) if len(a) == len(b)]
    shifts = [abs(x - y) for a, b in pairs for s, t in zip(a, b, strict=True) for x, y in zip(s, t, strict=True)]
    comparison = Comparison(
        audio,
        sample_rate,
        len(clips),
        gate.frames,
        round(float(np.mean(np.concatenate(alone) >= 0.5)), 3),
        sum(map(len, plain)),
        sum(map(len, gated)),
        len(clips) - len(pairs),
        max(shifts, default=0),
        round(1 - gate.heard / gate.frames, 3),
    )
    return comparison, plain, gated


def recorded(audio: Path) -> dict[str, tuple[Floats, int]]:
    """Every channel of every clip of the manifest and every dialogue, at its own rate."""
    with (audio / "MANIFEST.tsv").open() as manifest:
        names = {row["file"] for row in csv.DictReader(manifest, delimiter="\t") if not row["file"].endswith(".rttm")}
    names |= {file.relative_to(audio).as_posix() for file in (audio / "diar").glob("*.wav")}
    found = {}
    for name in sorted(names):
        samples, rate = decode_file(audio / name)
        for channel in range(samples.shape[1]):
            found[f"{name}#{channel}"] = (np.ascontiguousarray(samples[:, channel]), rate)
    return found


def at_rate(samples: Floats, rate: int, wanted: int) -> Floats:
    return samples if rate == wanted else np.asarray(soxr.resample(samples, rate, wanted), np.float32)


def conversations(clips: list[Floats], sample_rate: int, noise_db: float | None) -> tuple[list[Floats], list[Turns]]:
    """30 streams of 120 s: clips with 1-5 s between them in faint noise or digital silence; and where the clips are."""
    chance = np.random.default_rng(1)
    streams, truths = [], []
    length = frame_length(sample_rate)
    for _ in range(30):
        parts: list[Floats] = []
        truth: Turns = []
        at = 0
        while at < 120 * sample_rate:
            gap = int(chance.uniform(1.0, 5.0) * sample_rate)
            clip = clips[chance.integers(len(clips))][: 6 * sample_rate] * np.float32(chance.uniform(0.3, 1.0))
            truth.append(((at + gap) // length, (at + gap + len(clip)) // length))
            parts += [np.zeros(gap, np.float32), clip]
            at += gap + len(clip)
        stream = np.concatenate(parts)
        if noise_db is not None:
            stream = stream + np.asarray(chance.standard_normal(len(stream)) * 10 ** (noise_db / 20), np.float32)
        streams.append(stream)
        truths.append(truth)
    return streams, truths


def against(truths: list[Turns], found: list[Turns]) -> dict[str, int]:
    """Clips nobody heard, and turns where there was no clip."""
    missed = false = 0
    for truth, turns in zip(truths, found, strict=True):
        missed += sum(not any(s <= last and t >= first for s, t in turns) for first, last in truth)
        false += sum(not any(s <= last and t >= first for first, last in truth) for s, t in turns)
    return {"clips": sum(map(len, truths)), "missed": missed, "false": false}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, default=Path(__file__).parents[1] / "../shared/audio")
    audio = parser.parse_args().audio
    sources = recorded(audio)
    comparisons, truth = [], []
    for rate in SAMPLE_RATES:
        clips = {name: at_rate(samples, own, rate) for name, (samples, own) in sources.items()}
        comparisons.append(compare("all clips", list(clips.values()), rate)[0])
        dialogues = [clip for name, clip in clips.items() if name.startswith("diar/")]
        comparisons.append(compare("dialogues", dialogues, rate)[0])
        said = [clip for clip in clips.values() if len(clip) > rate // 3]
        for label, noise in (("gaps of noise", -60.0), ("gaps of zeros", None)):
            streams, where = conversations(said, rate, noise)
            comparison, plain, gated = compare(label, streams, rate)
            comparisons.append(comparison)
            truth.append(
                {"audio": label, "sample_rate": rate, "ungated": against(where, plain), "gated": against(where, gated)}
            )
    columns = list(asdict(comparisons[0]))
    for line in [columns, *([str(value) for value in asdict(each).values()] for each in comparisons)]:
        print("".join(cell.rjust(max(len(name) + 2, 15)) for cell, name in zip(line, columns, strict=True)))
    print(json.dumps({"comparisons": [asdict(each) for each in comparisons], "against_truth": truth}))


if __name__ == "__main__":
    main()
