"""The samples of an item: its stretch of its file, its channel or all of them mixed down, at the rate asked for."""

import soxr

from voxfleet.audio.container import decode_file
from voxfleet.errors import BadAudio
from voxfleet.evaluation.manifests.items import Item
from voxfleet.speech import Samples


def samples_of(item: Item, rate: int | None = None) -> tuple[Samples, int]:
    """Mono samples (n,), n > 0, and their rate in Hz: `rate`, or without it the file's own.

    The whole file is decoded each time and nothing is kept. A stretch that ends after the file ends with it. Raises
    BadAudio where the file can't be read, is no audio, or has no such channel or stretch; MessageTooBig.
    """
    try:
        frames, source_rate = decode_file(item.audio)
    except OSError as error:
        raise BadAudio(f"{item.audio}: {error.strerror or error}") from error
    if item.channel is not None and item.channel >= frames.shape[1]:
        raise BadAudio(f"{item.audio.name} has {frames.shape[1]} channels, there is no channel {item.channel} (from 0)")
    first = round(item.start * source_rate)
    last = len(frames) if item.end is None else round(item.end * source_rate)
    frames = frames[first:last]
    if not len(frames):
        raise BadAudio(f"{item.audio.name} has no sound from {item.start:g} s on")
    mono = frames.mean(axis=1) if item.channel is None else frames[:, item.channel]
    if rate is None or rate == source_rate:
        return mono.copy(), source_rate
    return soxr.resample(mono, source_rate, rate, quality="HQ").astype("float32", copy=False), rate
