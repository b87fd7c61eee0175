"""A recording as part of a page: short, small, and playable by a browser without a file beside it."""

import base64
import io
import wave
from fractions import Fraction

import av
import numpy as np
import soxr
from av.error import FFmpegError
from numpy.typing import NDArray

RATE = 16_000
"""Hz of every clip: what is recognised is not more than that."""

LONGEST = 30.0
"""Seconds of a clip. What is longer is cut: a page holds many."""

BITS_PER_SECOND = 20_000

_FRAME = RATE // 50


def clip_uri(samples: NDArray[np.float32], rate: int) -> str:
    """Mono samples in −1..1 as a data: URI: Ogg with Opus, WAV where this PyAV has no Opus encoder.

    About 3 kB a second (WAV: 43 kB). Only the first `LONGEST` seconds. Raises ValueError for no samples, for more
    than one channel and for a rate that is none.
    """
    if samples.ndim != 1 or not samples.size or rate <= 0:
        raise ValueError(f"a clip is mono samples at a rate, not shape {samples.shape} at {rate} Hz")
    kept = np.nan_to_num(samples[: int(LONGEST * rate)].astype(np.float32, copy=False))
    if rate != RATE:
        kept = soxr.resample(kept, rate, RATE)
    whole = (np.clip(kept, -1, 1) * 32_767).astype("<i2")
    try:
        return _uri("audio/ogg", _opus(whole))
    except (FFmpegError, ValueError):  # av.codec.UnknownCodecError is a ValueError
        return _uri("audio/wav", _wav(whole))


def _opus(samples: NDArray[np.int16]) -> bytes:
    written = io.BytesIO()
    with av.open(written, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE)
        stream.bit_rate = BITS_PER_SECOND
        stream.layout = "mono"
        for begin in range(0, len(samples), _FRAME):
            piece = samples[begin : begin + _FRAME]
            frame = av.AudioFrame.from_ndarray(piece[np.newaxis], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return written.getvalue()


def _wav(samples: NDArray[np.int16]) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return written.getvalue()


def _uri(media_type: str, body: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(body).decode()}"
