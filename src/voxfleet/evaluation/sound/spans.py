"""Where somebody speaks in a recording, to about 10 ms: what every latency after the end of speech is counted from.

The bundled Silero detector says which 32 ms frames hold speech, with hysteresis as sessions have it: from 0.5, until
below 0.35. Its verdict lags: measured on 200 spoken digits in silence, a span ends 62 ms late in the median (12 to
120 ms from the 5th to the 95th percentile) and begins 27 ms late. An end that late would make every final look that
much faster than it was. So each end is moved to where the sound of that span really rises and falls, in steps of
5 ms: then the end is 0 ms late in the median (-34 to 10 ms). Where noise covers the edge, the detector's word stands.
Pipecat calls this the "actual end of speech" (`docs/measuring-ttfs.md`), and also finds it afterwards.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import soxr

from voxfleet.audio.gate import Listener, UngatedSilero
from voxfleet.audio.silero import LARGEST_BATCH, SAMPLE_RATES, Floats, frame_length
from voxfleet.speech import Samples, Seconds

Span: TypeAlias = tuple[Seconds, Seconds]
"""Beginning and end, in seconds from the first sample."""

OPENS, CLOSES = 0.5, 0.35
"""Probabilities at which a span begins and below which it ends."""
MERGED: Seconds = 0.1
"""A gap shorter than this belongs to the speech: the closure of a stop consonant, not a pause."""

_FRAME = 0.032
_WARMING = 8
"""Frames of faint noise the model hears first: without them it misses clips that begin in the middle of a word."""
_COOLING = 2
_STEP = 0.005
_BEFORE, _WITHIN = 0.1, 0.2
"""How far an end may be moved: a beginning before the detector's, either end inside the span."""
_SOFTEST, _LOUDEST_NOISE, _ABOVE_NOISE = 30.0, 20.0, 9.0
"""dB: speech is within the first of the span's loud parts; noise closer than the second is no guide to its edges."""


def speech_spans(samples: Samples, rate: int) -> list[Span]:
    """The spans of speech in mono samples (n,) in -1..1 at `rate` Hz, ascending, apart by at least `MERGED`."""
    return spans_of_many([samples], rate)[0]


def spans_of_many(clips: Sequence[Samples], rate: int, listener: Listener | None = None) -> list[list[Span]]:
    """`speech_spans` of each clip; many at once share the calls of the model.

    Clips of a rate the model doesn't hear are resampled for it. A `listener` of the caller's own has at least
    `LARGEST_BATCH` rows.
    """
    heard_rate = rate if rate in SAMPLE_RATES else SAMPLE_RATES[0]
    listener = listener or UngatedSilero(LARGEST_BATCH)
    found: list[list[Span]] = [[] for _ in clips]
    longest_first = sorted(range(len(clips)), key=lambda index: -len(clips[index]))
    for start in range(0, len(clips), LARGEST_BATCH):
        batch = longest_first[start : start + LARGEST_BATCH]
        heard = [_at_rate(clips[index], rate, heard_rate) for index in batch]
        for index, said in zip(batch, _probabilities(listener, heard, heard_rate), strict=True):
            found[index] = merged(_refined(_hysteresis(said), clips[index], rate))
    return found


def merged(spans: Sequence[Span], gap: Seconds = MERGED) -> list[Span]:
    """Ascending spans with the gaps shorter than `gap` filled."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start - joined[-1][1] < gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def total(spans: Sequence[Span]) -> Seconds:
    """Seconds of speech."""
    return sum(end - start for start, end in spans)


def cut_out(samples: Samples, rate: int, spans: Sequence[Span]) -> Samples:
    """Only the samples inside the spans, one after the other."""
    parts = [samples[round(start * rate) : round(end * rate)] for start, end in spans]
    return np.concatenate(parts) if parts else samples[:0]


def _at_rate(samples: Samples, rate: int, wanted: int) -> Samples:
    if rate == wanted or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, rate, wanted, quality="HQ"), np.float32)


def _probabilities(listener: Listener, clips: Sequence[Samples], rate: int) -> list[Floats]:
    """One probability per frame of each clip, the longest first; what is left over at its end is a frame too."""
    length = frame_length(rate)
    counts = np.array([-(-len(clip) // length) + _WARMING + _COOLING for clip in clips], np.intp)
    rows = np.arange(len(clips), dtype=np.intp)
    frames = np.zeros((len(clips), int(counts.max()), length), np.float32)
    faint = np.random.default_rng(1)
    for frame, count, clip in zip(frames, counts.tolist(), clips, strict=True):
        flat = frame.reshape(-1)[: count * length]
        flat[:] = faint.standard_normal(len(flat), np.float32) * np.float32(1e-4)
        flat[_WARMING * length : _WARMING * length + len(clip)] += clip
    for row in rows.tolist():
        listener.reset(row)
    said = listener.hear(frames, counts, rows, rate)
    return [said[row, _WARMING:count] for row, count in enumerate(counts.tolist())]


def _hysteresis(probabilities: Floats) -> list[Span]:
    spans: list[Span] = []
    opened: int | None = None
    for frame, probability in enumerate(probabilities.tolist()):
        if opened is None and probability >= OPENS:
            opened = frame
        elif opened is not None and probability < CLOSES:
            spans.append((opened * _FRAME, frame * _FRAME))
            opened = None
    if opened is not None:
        spans.append((opened * _FRAME, len(probabilities) * _FRAME))
    return spans


def _refined(spans: Sequence[Span], samples: Samples, rate: int) -> list[Span]:
    """Each span with its ends where its own sound begins and ends."""
    step = max(round(rate * _STEP), 1)
    steps = len(samples) // step
    if not spans or not steps:
        return []
    blocks = samples[: steps * step].reshape(steps, step)
    power = np.convolve(np.vecdot(blocks, blocks), np.full(3, 1 / (3 * step)), "same")
    levels = 10 * np.log10(power[:steps] + 1e-12)
    seconds = step / rate
    floor = float(np.percentile(levels, 5))
    ready: list[Span] = []
    for start, end in spans:
        first, last = min(round(start / seconds), steps - 1), min(round(end / seconds), steps)
        if last <= first:
            continue
        loud = float(np.percentile(levels[first:last], 98))
        edge = max(loud - _SOFTEST, min(floor + _ABOVE_NOISE, loud - _LOUDEST_NOISE))
        earliest = max(round((start - _BEFORE) / seconds), round(ready[-1][1] / seconds) if ready else 0)
        audible = np.flatnonzero(levels[earliest:last] >= edge) + earliest
        reach = round(_WITHIN / seconds)
        begins = min(int(audible[0]), first + reach, last - 1)
        ends = max(int(audible[-1]) + 1, last - reach, begins + 1)
        ready.append((begins * seconds, ends * seconds))
    return ready
