"""How files become samples, whole or while they still arrive: wav, flac, mp3, ogg, m4a, webm through FFmpeg.

A file comes from a stranger: only the demuxers named here may look at it (a playlist must not make us open what it
names), its channels, its spool and what one piece of it unpacks to are bounded.
"""

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import av
import av.error
import numpy as np

from voxfleet.audio.decode import Frames
from voxfleet.errors import BadAudio, MessageTooBig, VoxfleetError

MOST_CHANNELS = 8
MOST_SAMPLES = 1 << 28
"""Numbers (samples times channels) one call may unpack to: 1 GiB, 4.6 h of 16 kHz mono. More is an attack."""

_FORMATS = "wav,w64,aiff,flac,mp3,ogg,mov,matroska,aac,amr,caf,au"
_OPTIONS = {
    "format_whitelist": _FORMATS,
    "protocol_whitelist": "none",
    "probesize": "4096",  # these three: or FFmpeg keeps back the first seconds of what it could already decode
    "analyzeduration": "0",
    "max_size": "1024",
}
_READ = 4096
"""Bytes FFmpeg asks for at a time; also what it may keep back."""
_READABLE = "a wav, flac, mp3, ogg, m4a or webm file"
_BAD_PACKETS = 50
"""Undecodable packets in a row after which a file counts as broken, not as damaged."""


class ContainerDecoder:
    """A Decoder of files. FFmpeg wants to pull, `feed` pushes: so it runs on a thread of its own, and `feed` returns
    when that thread has used every byte and waits for more: it takes as long as decoding them does. Any split of the
    same bytes returns the same samples.

    `truncated` is known after `finish`: whether the file was seen to end in the middle of a packet (not every format
    shows it); what came before is returned.
    Its thread ends with `finish`, `close` or an error, whichever comes first.
    """

    def __init__(self, max_bytes: int = 256 << 20) -> None:
        """`max_bytes` bounds what is kept of a file that can't be decoded before its end (m4a with its index last)."""
        self.channels = 0
        self.sample_rate = 0
        self.truncated = False
        self._pipe = _Pipe()
        self._head: bytearray | None = bytearray()
        self._spool: bytearray | None = None
        self._max_bytes = max_bytes
        self._out: list[Frames] = []
        self._unpacked = 0
        self._error: VoxfleetError | None = None
        self._thread: threading.Thread | None = None

    def feed(self, data: bytes) -> Frames:
        """See Decoder. Raises MessageTooBig where more than `max_bytes` would have to be kept."""
        if self._error:
            raise self._error
        if self._head is not None:
            self._head += data
            whole = _must_be_whole(self._head)
            if whole is None:
                return self._taken()
            data, self._head = bytes(self._head), None
            if whole:
                self._spool = bytearray()
        if self._spool is not None:
            if len(self._spool) + len(data) > self._max_bytes:
                self._error = MessageTooBig(self._max_bytes)
                self._spool.clear()
                raise self._error
            self._spool += data
            return self._taken()
        if self._thread is None:
            self._thread = threading.Thread(target=self._decode, args=(self._pipe,), name="decode", daemon=True)
            self._thread.start()
        self._pipe.push(data)
        return self._taken()

    def finish(self) -> Frames:
        """See Decoder. Raises BadAudio also where the whole file held no audio."""
        if self._error:
            raise self._error
        if self._head:
            data, self._head = bytes(self._head), None
            self._decode(BytesIO(data))
        elif self._spool is not None:
            self._decode(BytesIO(self._spool))
            self._spool = None
        elif self._thread:
            self._pipe.end()
            self._thread.join()
        samples = self._taken()
        if not self.channels:
            self._error = BadAudio("there is no audio in it")
            raise self._error
        return samples

    def close(self) -> None:
        """See Decoder."""
        self._pipe.close()
        if self._thread:
            self._thread.join()
        self._head = self._spool = None
        self._out.clear()
        self._error = self._error or BadAudio("the decoder is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _taken(self) -> Frames:
        """What the thread, which waits or has ended, decoded since the last call."""
        samples, self._out, self._unpacked = self._out, [], 0
        if samples:
            return np.concatenate(samples)
        if self._error:
            raise self._error
        return np.empty((0, self.channels), np.float32)

    def _decode(self, source: "_Source") -> None:
        try:
            file = _File(source)
            for samples in file.decoded():
                self.channels, self.sample_rate = file.channels, file.sample_rate
                self._unpacked += samples.size
                if self._unpacked > MOST_SAMPLES:
                    raise MessageTooBig(MOST_SAMPLES, "samples")
                self._out.append(samples)
            self.truncated = file.truncated
        except VoxfleetError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 the thread ends here; nothing above it would hear of this
            self._error = BadAudio(str(error))
        finally:
            self._pipe.close()


def decode_file(file: str | Path | bytes, max_samples: int = MOST_SAMPLES) -> tuple[Frames, int]:
    """A whole recorded file: samples (n, channels) at its own rate, and that rate in Hz.

    A file that breaks off gives what it holds. Raises BadAudio where it isn't audio or holds none, MessageTooBig beyond
    `max_samples` (samples times channels), OSError where a path can't be read.
    """
    with BytesIO(file) if isinstance(file, bytes) else Path(file).open("rb") as source:
        opened = _File(source)
        pieces, unpacked = [], 0
        for samples in opened.decoded():
            unpacked += samples.size
            if unpacked > max_samples:
                raise MessageTooBig(max_samples, "samples")
            pieces.append(samples)
    if not unpacked:
        raise BadAudio("there is no audio in it")
    return np.concatenate(pieces), opened.sample_rate


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _File:
    """One pass over an open file: demux, decode, bring every sample format to float32."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._convert = av.AudioResampler(format="flt")
        self.channels = 0
        self.sample_rate = 0
        self.truncated = False

    def decoded(self) -> Iterator[Frames]:
        """The samples, packet by packet. Raises BadAudio."""
        try:
            with av.open(self._source, options=_OPTIONS, buffer_size=_READ) as container:
                if not container.streams.audio:
                    raise BadAudio("the file has no audio track")
                yield from self._packets(container)
        except av.error.FFmpegError as error:
            if not self.channels:
                raise BadAudio(f"it is not {_READABLE}, or is damaged at its start") from error
            self.truncated = True

    def _packets(self, container: Any) -> Iterator[Frames]:
        bad, cut = 0, False
        for packet in container.demux(container.streams.audio[0]):
            if packet.size:  # the last, empty one only flushes the codec
                cut = packet.is_corrupt
            try:
                frames = packet.decode()
                bad = 0
            except av.error.EOFError:
                break
            except av.error.FFmpegError as error:
                bad += 1
                if bad > _BAD_PACKETS:
                    raise BadAudio(f"{bad} packets in a row can't be decoded") from error
                continue
            for frame in frames:
                yield from self._samples(frame)
        self.truncated = cut or bad > 0

    def _samples(self, frame: Any) -> Iterator[Frames]:
        channels, rate = frame.layout.nb_channels, frame.sample_rate
        if not self.channels:
            if channels > MOST_CHANNELS:
                raise BadAudio(f"it has {channels} channels, at most {MOST_CHANNELS} are understood")
            self.channels, self.sample_rate = channels, rate
        elif (channels, rate) != (self.channels, self.sample_rate):
            raise BadAudio("its channels or its sample rate change on the way")
        for converted in self._convert.resample(frame):
            samples = np.array(converted.to_ndarray(), np.float32).reshape(-1, channels)
            if not np.isfinite(samples).all():
                raise BadAudio("a sample is not a finite number")
            yield samples


class _Pipe:
    """Bytes from the feeding to the decoding thread. `push` returns when the reader has used all and wants more."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._data = memoryview(b"")
        self._starved = False
        self._ended = False

    def push(self, data: bytes) -> None:
        with self._changed:
            if not data or self._ended:
                return
            self._data, self._starved = memoryview(data), False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._starved or self._ended)

    def end(self) -> None:
        """No more bytes come; the reader sees the end of the file."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """The same, and what the reader has not taken is thrown away."""
        with self._changed:
            self._data = memoryview(b"")
            self.end()

    def read(self, size: int, /) -> bytes:
        """What is there, at most `size` bytes; waits for some; nothing at the end. Called by FFmpeg, never seeks."""
        with self._changed:
            if not self._data and not self._ended:
                self._starved = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._data or self._ended)
            data, self._data = self._data[:size], self._data[size:]
            return bytes(data)


def _must_be_whole(head: bytearray) -> bool | None:
    """Whether the file is an MP4 whose index (moov) follows its audio (mdat); None while too little has arrived."""
    if len(head) < 12:
        return None
    if head[4:8] != b"ftyp":
        return False
    at = 0
    while at + 16 <= len(head):
        size = int.from_bytes(head[at : at + 4], "big")
        kind = bytes(head[at + 4 : at + 8])
        if kind in (b"moov", b"moof"):
            return False
        if kind == b"mdat" or size == 0:
            return True
        at += int.from_bytes(head[at + 8 : at + 16], "big") if size == 1 else max(size, 8)
    return None if len(head) < 1 << 20 else True
