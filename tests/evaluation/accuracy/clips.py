"""Recordings of one loud burst each, which a scripted engine behind the level detector hears as one turn."""

import wave
from pathlib import Path

import numpy as np

SCRIPT = "amber birch cedar delta ember fjord grape hazel indigo jasper kelp lemon maple nutmeg olive"


def burst(path: Path, seconds: float = 2.0, channels: int = 1) -> Path:
    """Noise at a loud level, 16 kHz."""
    noise = np.random.default_rng(1).normal(0, 4_000, (round(seconds * 16_000), channels))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.clip(noise, -32_768, 32_767).astype("<i2").tobytes())
    return path


def manifest(folder: Path, references: dict[str, str]) -> Path:
    """A TSV with one burst for each reference; the speaker is the first letter of its name."""
    lines = ["file\ttranscript\tspeaker"]
    for name, reference in references.items():
        burst(folder / f"{name}.wav")
        lines.append(f"{name}.wav\t{reference}\t{name[0]}")
    path = folder / "manifest.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
