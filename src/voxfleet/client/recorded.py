"""One recorded file sent whole, as OpenAI's clients do: POST /v1/audio/transcriptions, on this server or any that speaks it."""

import asyncio
import http.client
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from voxfleet.client.connect import ConnectionFailed
from voxfleet.client.refusal import refused

PATH = "/v1/audio/transcriptions"
HOSTED_MODEL = "whisper-1"
"""Asked for where no model is named: every server of this kind takes it for its default."""
PATIENCE = 600.0
"""Seconds a server may take for one file."""


class Segment(msgspec.Struct):
    """A stretch of the transcript."""

    text: str
    start: float = 0.0
    end: float = 0.0


class Transcript(msgspec.Struct):
    """What `verbose_json` says of a file; a server that knows less says less."""

    text: str
    segments: list[Segment] = []
    language: str | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class RecordedOptions:
    """What is asked of one file."""

    language: str | None = None
    model: str | None = None
    grammar: str | None = None
    api_key: str | None = None


async def transcribe(url: str, wav: bytes, options: RecordedOptions) -> Transcript:
    """The transcript of a WAV file. Raises ConnectionFailed where nobody answers, RemoteError where it is refused."""
    return await asyncio.to_thread(_post, url, wav, options)


def _post(url: str, wav: bytes, options: RecordedOptions) -> Transcript:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    secure = parts.scheme in ("https", "wss")
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=PATIENCE)
    boundary = secrets.token_hex(16)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Accept": "application/json"}
    if options.api_key:
        headers["Authorization"] = f"Bearer {options.api_key}"
    fields = {"model": options.model or HOSTED_MODEL, "response_format": "verbose_json"}
    if options.language:
        fields["language"] = options.language
    if options.grammar:
        fields["grammar"] = options.grammar
    try:
        connection.request("POST", _path(parts.path), _form(boundary, fields, wav), headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionFailed(f"no server answers at {url}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise refused(answer.status, answer.getheader("Retry-After"), body)
    try:
        return msgspec.json.decode(body, type=Transcript)
    except msgspec.DecodeError as error:
        raise ConnectionFailed(f"{url} answered something that is no transcript: {error}") from None


def _path(path: str) -> str:
    """A path that was given stands; that of a stream is none of files."""
    bare = path.rstrip("/")
    return PATH if not bare or bare == "/v1/stream" else bare


def _form(boundary: str, fields: Mapping[str, str], wav: bytes) -> bytes:
    lines = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    heading = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="audio.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    ).encode()
    return lines + heading + wav + f"\r\n--{boundary}--\r\n".encode()
