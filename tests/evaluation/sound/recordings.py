"""The shared recordings as items, and a small pool whose every number is known."""

from functools import cache

import numpy as np
import pytest

from tests.speech_audio import SHARED
from voxfleet.audio.container import decode_file
from voxfleet.errors import BadAudio
from voxfleet.evaluation.manifests.items import Item
from voxfleet.evaluation.sound.line import Line
from voxfleet.evaluation.sound.pool import Pool
from voxfleet.speech import Samples


def sound_of(item: Item) -> tuple[Samples, int]:
    """What the reader of manifests does, for whole files."""
    samples, rate = decode_file(item.audio)
    return samples.mean(axis=1, dtype=np.float32), rate


@cache
def shared_items(folder: str = "") -> tuple[Item, ...]:
    """The recordings with a transcript, or those of one folder; skips where they are absent."""
    manifest = SHARED / "MANIFEST.tsv"
    if not manifest.exists():
        pytest.skip("the shared recordings are not here")
    rows = [line.split("\t") for line in manifest.read_text().splitlines()[1:]]
    return tuple(Item(row[0], SHARED / row[0], row[1]) for row in rows if row[1] and row[0].startswith(folder))


@cache
def shared_pool() -> Pool:
    """All of them at 8 kHz, as recorded."""
    return Pool.load(shared_items(), sound_of, rate=8000)


def worded_items(lengths: list[float]) -> list[Item]:
    """Items that need no files: `worded_sound` gives each a tone of its length; their texts are 'words 0' and so on."""
    return [
        Item(f"clip-{number}", SHARED / "none", f"words {number}", columns={"seconds": str(length)})
        for number, length in enumerate(lengths)
    ]


def worded_sound(item: Item) -> tuple[Samples, int]:
    """A hum of the item's length; a length below zero can't be decoded."""
    seconds = float(item.columns["seconds"])
    if seconds < 0:
        raise BadAudio("it is made to be so")
    return np.full(round(seconds * 8000), 0.1, np.float32), 8000


def worded_pool(lengths: list[float], line: Line | None = None, frame: float = 0.1) -> Pool:
    """A pool of such items at 8 kHz."""
    return Pool.load(worded_items(lengths), worded_sound, rate=8000, line=line or Line(), frame=frame)
