"""What a caller needs to go on with its stream at any gateway: a signed note of how far the stream is settled.

A token is the whole memory of a stream between two connections: gateways keep nothing. It is signed with the cluster's
secret, so a caller can hold it but not make it, and it expires. It holds no words and no audio.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass

import msgspec

from voxfleet.errors import ResumeRefused
from voxfleet.speech import SAMPLE_RATE, SPEECH_FRAME, Seconds

WARM_UP = SAMPLE_RATE
"""Samples before the settled ones that are sent again: the speech detector must know the noise of the line."""
MAX_TOKEN = 512
"""Characters; eight channels at the end of a day take about 200."""
VERSION = 1
_MAC_BYTES = 16
_PURPOSE = b"voxfleet resume token"
"""Keeps the signing key apart from other uses of the secret."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one channel is settled."""

    settled: int
    """16 kHz samples before which nothing will change any more."""
    turn: int
    """Number of the first turn that begins there or later."""
    continued: bool = False
    """That turn begins exactly there, in mid-speech."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a stream can be taken up again, and what it came to until there."""

    session: str
    issued: float
    """Unix time, seconds."""
    marks: tuple[Mark, ...]
    """One for each channel."""
    flushes: int = 0
    """Flushes of the caller that were answered."""
    turns: int = 0
    words: int = 0
    partials: int = 0

    @property
    def resume_sample(self) -> int:
        """First 16 kHz sample the caller must send again: a whole speech frame, before the least settled channel."""
        settled = min((mark.settled for mark in self.marks), default=0)
        return max(settled - WARM_UP, 0) // SPEECH_FRAME * SPEECH_FRAME

    @property
    def resume_from(self) -> Seconds:
        """The same as stream time."""
        return self.resume_sample / SAMPLE_RATE


class _Payload(msgspec.Struct, array_like=True):
    session: str
    issued: float
    marks: list[tuple[int, int, bool]]
    flushes: int
    turns: int
    words: int
    partials: int


_decoder = msgspec.msgpack.Decoder(_Payload)
_encoder = msgspec.msgpack.Encoder()


class Signer:
    """Makes and reads tokens. `lifetime` is seconds from the moment a token was issued."""

    def __init__(self, secret: bytes, lifetime: float) -> None:
        if not secret:
            raise ValueError("an empty secret signs nothing")
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        self._lifetime = lifetime

    def sign(self, checkpoint: Checkpoint) -> str:
        """The checkpoint as a token: letters, digits, - and _, at most MAX_TOKEN of them for sane session ids."""
        payload = _Payload(
            checkpoint.session,
            checkpoint.issued,
            [(mark.settled, mark.turn, mark.continued) for mark in checkpoint.marks],
            checkpoint.flushes,
            checkpoint.turns,
            checkpoint.words,
            checkpoint.partials,
        )
        body = bytes([VERSION]) + _encoder.encode(payload)
        return _text(body + self._mac(body))

    def read(self, token: str, now: float) -> Checkpoint:
        """The checkpoint of a token at Unix time `now`. Raises ResumeRefused for anything this cluster did not sign,
        and for what it signed too long ago. A token from a clock that is ahead counts as fresh."""
        signed = _bytes(token)
        if len(signed) <= 1 + _MAC_BYTES or not signed[0]:
            raise ResumeRefused("what was given is no resume token")
        if signed[0] > VERSION:
            raise ResumeRefused("its token was made by a newer version of this server")
        body, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise ResumeRefused("its token was not signed with this cluster's secret")
        try:
            payload = _decoder.decode(body[1:])
        except msgspec.DecodeError:
            raise ResumeRefused("its token holds something else than this version writes") from None
        if now - payload.issued > self._lifetime:
            raise ResumeRefused(f"its token is older than {self._lifetime:g} s")
        return Checkpoint(
            payload.session,
            payload.issued,
            tuple(Mark(*mark) for mark in payload.marks),
            payload.flushes,
            payload.turns,
            payload.words,
            payload.partials,
        )

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_BYTES]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(token: str) -> bytes:
    """The bytes of a token, or none where it is not exactly what `_text` writes: one stream, one spelling."""
    if len(token) > MAX_TOKEN or not token.isascii():
        return b""
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return b""
    return data if _text(data) == token else b""
