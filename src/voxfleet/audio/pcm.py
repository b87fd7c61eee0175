"""Samples as the 16-bit numbers that travel: on sockets, on the link, in WAV files."""

import io
import wave

import numpy as np
from numpy.typing import NDArray

from voxfleet.speech import Samples

PCM16 = np.dtype("<i2")


def pcm16(samples: Samples) -> NDArray[np.int16]:
    """The nearest 16-bit numbers, little-endian; too loud is clipped. What came in as such numbers goes out the same."""
    block = samples * np.float32(32_768)
    np.rint(block, out=block)
    np.clip(block, -32_768, 32_767, out=block)
    return block.astype(PCM16)


def wav(samples: Samples, rate: int) -> bytes:
    """A mono 16-bit WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(pcm16(samples).tobytes())
    return file.getvalue()
