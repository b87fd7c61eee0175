"""Audio files as they are sent: decoded here, 16-bit PCM with all channels interleaved.

A recording that need not be sent live is brought to 16 kHz here, with the good filter: a server must take the quick one.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.container import decode_file
from voxfleet.audio.pcm import pcm16
from voxfleet.audio.resample import resample_file
from voxfleet.errors import BadAudio
from voxfleet.speech import SAMPLE_RATE, Seconds

LIVE_RATES = range(8_000, 48_001)
"""Hz a server takes as they are."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded audio ready to be sent."""

    samples: NDArray[np.int16]
    """Shape (n, channels)."""
    sample_rate: int

    @property
    def channels(self) -> int:
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> Seconds:
        return len(self.samples) / self.sample_rate

    def frames(self, seconds: Seconds) -> list[bytes]:
        """The audio as 16-bit little-endian PCM, channels interleaved, cut into messages."""
        step = round(seconds * self.sample_rate)
        return [self.samples[at : at + step].astype("<i2").tobytes() for at in range(0, len(self.samples), step)]


def read_recording(path: Path, *, live: bool = False) -> Recording:
    """An audio file of any kind, with all its channels. Live callers keep the file's own rate where a server takes it.

    Raises BadAudio or MessageTooBig naming what is wrong with the file.
    """
    try:
        samples, sample_rate = decode_file(path)
    except OSError as error:
        raise BadAudio(error.strerror or str(error)) from None
    if not (live and sample_rate in LIVE_RATES):
        samples, sample_rate = resample_file(samples, sample_rate), SAMPLE_RATE
    return Recording(pcm16(samples), sample_rate)


def channels_of(path: Path) -> int:
    """How many channels a file says it has, read from its beginning; 1 where that can't be told."""
    try:
        with path.open("rb") as file, av.open(file, options={"protocol_whitelist": "none"}) as container:
            return max(int(container.streams.audio[0].channels), 1)
    except (OSError, IndexError, av.error.FFmpegError):
        return 1  # decoding it will say what is wrong
