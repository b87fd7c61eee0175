"""Real speech for these tests, from the folder beside the checkout, and files made of tones."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from benchmarks.vad_gate import Floats, at_rate

from voxfleet.audio.container import decode_file
from voxfleet.audio.resample import resample_file

AUDIO = Path(__file__).parents[2] / "../shared/audio"

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@cache
def speech(sample_rate: int, count: int = 12) -> list[Floats]:
    """The first `count` spoken clips, at 16,000 or 8,000 Hz. Skips the test where the folder isn't there."""
    files = sorted((AUDIO / "libri-other").glob("*.flac"))[:count]
    if not files:
        pytest.skip(f"no recordings in {AUDIO}")
    clips = []
    for file in files:
        samples, rate = decode_file(file)
        clips.append(at_rate(resample_file(samples[:, 0], rate), 16_000, sample_rate))
    return clips


def tones(sample_rate: int, channels: int, seconds: float) -> Floats:
    """(n, channels): a tone per channel, 440 Hz and 110 Hz more each, at a third of full scale."""
    times = np.arange(int(sample_rate * seconds))[:, None] / sample_rate
    pitches = 440 + 110 * np.arange(channels)
    return np.asarray(np.sin(2 * np.pi * pitches * times) / 3, np.float32)


def file_of(samples: Floats, sample_rate: int, format_name: str, codec: str, **options: str) -> bytes:
    """The samples as a file of that format."""
    into = BytesIO()
    channels = samples.shape[1]
    with av.open(into, "w", format=format_name, options=options) as container:
        stream: Any = container.add_stream(codec, rate=sample_rate, layout=LAYOUTS[channels])
        convert = av.AudioResampler(format=stream.codec_context.format, layout=LAYOUTS[channels], rate=sample_rate)
        for start in range(0, len(samples), 960):
            piece = samples[start : start + 960].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=LAYOUTS[channels])
            frame.rate, frame.pts = sample_rate, start
            for converted in convert.resample(frame):
                container.mux(stream.encode(converted))
        for converted in convert.resample(None):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return into.getvalue()
