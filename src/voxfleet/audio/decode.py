"""How bytes without a header become samples: PCM and G.711, incrementally, on the path of every live message."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voxfleet.errors import BadAudio, BadValue

Frames: TypeAlias = NDArray[np.float32]
"""Samples of all channels in -1..1, shape (n, channels)."""


class Decoder(Protocol):
    """Bytes in, samples out. One per stream, used by one thread. Any split of the same bytes gives the same samples."""

    @property
    def channels(self) -> int:
        """Channels of what `feed` returns; 0 until a container has said so."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz of what `feed` returns; 0 until a container has said so."""
        ...

    def feed(self, data: bytes) -> Frames:
        """Everything decodable so far that wasn't returned before. Raises BadAudio."""
        ...

    def finish(self) -> Frames:
        """What was still held back; nothing may be fed afterwards. Raises BadAudio where the bytes end too early."""
        ...

    def close(self) -> None:
        """Frees what the decoder holds, at any time, more than once."""
        ...


def _mulaw_table() -> Frames:
    """ITU-T G.711 table 2: complemented bytes of sign, 3 bits of segment, 4 bits of step; 14 bits scaled to 16."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768).astype(np.float32)


def _alaw_table() -> Frames:
    """ITU-T G.711 table 1: even bits inverted, sign 1 is positive; 13 bits scaled to 16."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, step + 0x108 << np.maximum(segment - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32768).astype(np.float32)


_MULAW, _ALAW = _mulaw_table(), _alaw_table()
_PCM16, _FLOAT32 = np.dtype("<i2"), np.dtype("<f4")
_SCALE = np.float32(1 / 32768)


def _from_pcm16(data: bytes) -> Frames:
    samples = np.frombuffer(data, _PCM16).astype(np.float32)  # two plain passes: one with a cast inside takes longer
    samples *= _SCALE
    return samples


def _from_float32(data: bytes) -> Frames:
    samples = np.frombuffer(data, _FLOAT32)
    if not np.isfinite(samples).all():
        raise BadAudio("a float32 sample is not a number or infinite")
    return np.asarray(np.clip(samples, -1.0, 1.0), np.float32)


def _from_mulaw(data: bytes) -> Frames:
    return _MULAW.take(np.frombuffer(data, np.uint8))


def _from_alaw(data: bytes) -> Frames:
    return _ALAW.take(np.frombuffer(data, np.uint8))


_ENCODINGS: dict[str, tuple[int, Callable[[bytes], Frames]]] = {
    "pcm16": (2, _from_pcm16),
    "float32": (4, _from_float32),
    "mulaw": (1, _from_mulaw),
    "alaw": (1, _from_alaw),
}


class RawDecoder:
    """Samples without a header, little-endian, channels interleaved. The bytes of a split sample wait for the rest."""

    def __init__(self, encoding: str, sample_rate: int, channels: int) -> None:
        width, self._samples = _ENCODINGS[encoding]
        self._width = width * channels
        self._rest = b""
        self.channels = channels
        self.sample_rate = sample_rate

    def feed(self, data: bytes) -> Frames:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        extra = len(data) % self._width
        if extra:
            self._rest = bytes(data[-extra:])
            data = data[:-extra]
        return self._samples(data).reshape(-1, self.channels)

    def finish(self) -> Frames:
        left = len(self._rest)
        self._rest = b""
        if left:
            raise BadAudio(f"{left} bytes are left over at the end, a sample of all channels takes {self._width}")
        return np.empty((0, self.channels), np.float32)

    def close(self) -> None:
        self._rest = b""


def raw_decoder(encoding: str, sample_rate: int, channels: int) -> RawDecoder:
    """A decoder of "pcm16", "float32", "mulaw" or "alaw". Raises BadValue for anything else or no channel."""
    if encoding not in _ENCODINGS:
        raise BadValue("encoding", encoding, "one of " + ", ".join(_ENCODINGS))
    if channels < 1:
        raise BadValue("channels", channels, "1 or more")
    if sample_rate < 1:
        raise BadValue("sample_rate", sample_rate, "a number of Hz above 0")
    return RawDecoder(encoding, sample_rate, channels)
