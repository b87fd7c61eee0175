"""The native dialect: JSON messages with a `type`, audio in binary frames.

The types below are the protocol: `schema()` and docs/protocol.md are made from them.
All times are seconds of stream time; all durations are seconds unless the name ends in `_ms`.
"""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from voxfleet.errors import BadMessage, BadValue, UnknownParameter, VoxfleetError
from voxfleet.speech import Event, Final, Flushed, Partial, Settled, SpeechStarted, text_of
from voxfleet.wire import commands, phrases
from voxfleet.wire.options import Encoding, StreamOptions, language_tag, translates
from voxfleet.wire.resume import MAX_TOKEN

# ---- client to server -------------------------------------------------------------------------------------------

EndpointingMs: TypeAlias = Annotated[int, Meta(ge=100, le=3000, description="silence that ends a turn, milliseconds")]


class ConfigureMessage(Struct, tag="configure", forbid_unknown_fields=True):
    """Change how turns are ended or whether partials are sent, from now on."""

    endpointing_ms: EndpointingMs | UnsetType = UNSET
    interim: bool | UnsetType = UNSET


class FlushMessage(Struct, tag="flush", forbid_unknown_fields=True):
    """End the present turn now. Answered by `flushed` once everything before it is final."""


class FinishMessage(Struct, tag="finish", forbid_unknown_fields=True):
    """No more audio. Answered by the remaining finals and `done`."""


class PingMessage(Struct, tag="ping", forbid_unknown_fields=True):
    """Keeps a silent connection open. Answered by `pong` with the same `id`."""

    id: Annotated[str, Meta(max_length=64)] | None = None


ClientMessage: TypeAlias = ConfigureMessage | FlushMessage | FinishMessage | PingMessage

# ---- server to client -------------------------------------------------------------------------------------------


class LimitsMessage(Struct):
    """What this server accepts; part of `ready`."""

    max_frame_bytes: int
    max_ahead: float
    """How far audio may run ahead of its recognition before the stream is refused, seconds."""
    idle_timeout: float
    max_turn: float


class ReadyMessage(Struct, tag="ready", omit_defaults=True):
    """The stream has its places; audio may come (and may have been sent already)."""

    session: str
    model: str
    language: str
    channels: int
    sample_rate: int
    encoding: str
    chunk_ms: int
    """Audio the engine works on at a time: about how often partials can change."""
    endpointing_ms: int
    limits: LimitsMessage
    token: str | None = None
    """What resumes this stream if the connection is lost now."""
    resumed_from: float | None = None
    """Where a resumed stream goes on: the first audio sent on this connection is that of this time."""


class SpeechStartedMessage(Struct, tag="speech_started"):
    """Somebody began to speak on this channel."""

    channel: int
    turn: int
    at: float


class PartialMessage(Struct, tag="partial"):
    """The present guess of the turn. Replaces the previous partial of this channel. `stable` words no longer change.

    `end` is how much audio the guess has taken into account, not the end of its last word.
    """

    channel: int
    turn: int
    start: float
    end: float
    stable: str
    unstable: str


class WordMessage(Struct, omit_defaults=True):
    word: str
    start: float
    end: float
    confidence: float | None = None


class FinalMessage(Struct, tag="final", omit_defaults=True):
    """Never changes. Empty text means that speech was heard and nothing was recognised.

    `end` covers the silence that closed the turn; `speech_end` is where speech was last detected.
    """

    channel: int
    turn: int
    start: float
    end: float
    text: str
    words: list[WordMessage] | None = None
    speech_end: float | None = None
    language: str | None = None
    """What the engine found to be spoken in this turn, where it tells (ask for the language `auto`)."""


class FlushedMessage(Struct, tag="flushed"):
    """Everything before your flush is final. Sent once per flush, when all channels are flushed."""

    flush: int


class AckMessage(Struct, tag="ack", omit_defaults=True):
    """Nothing before `settled` will change on this channel.

    `heard` is how far recognition has got: the measure of progress for a client that sends faster than real time.
    `token` resumes the stream; a client that may resume keeps its audio from `resume_from` on.
    """

    channel: int
    settled: float
    heard: float
    token: str | None = None
    resume_from: float | None = None


class ReconnectMessage(Struct, tag="reconnect"):
    """This gateway is leaving: connect again with `resume` = `token`, and send the audio from `resume_from` on there.

    This connection still works, and is best kept until the new one is ready.
    """

    token: str
    resume_from: float
    reason: str


class WarningMessage(Struct, tag="warning"):
    """Something is odd and the stream goes on."""

    code: str
    message: str


class PongMessage(Struct, tag="pong"):
    """The answer to `ping`."""

    id: str | None = None


class ErrorMessage(Struct, tag="error"):
    """The stream ends here; the connection is closed with a matching code."""

    code: str
    message: str
    retryable: bool
    retry_after: float | None = None


class DoneMessage(Struct, tag="done"):
    """Totals of the call, after the last final. The connection is then closed with 1000."""

    audio: float
    """Longest channel, seconds."""
    turns: int
    words: int
    partials: int
    finals: int
    final_latency_p95: float | None = None
    """Last speech sample received to final sent, seconds, as the server saw it."""
    emission_latency_p95: float | None = None
    """Last sample of a word received to first sent, seconds, as the server saw it."""


ServerMessage: TypeAlias = (
    ReadyMessage
    | SpeechStartedMessage
    | PartialMessage
    | FinalMessage
    | FlushedMessage
    | AckMessage
    | ReconnectMessage
    | WarningMessage
    | PongMessage
    | ErrorMessage
    | DoneMessage
)

_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_encoder = msgspec.json.Encoder()


def decode(frame: bytes | str) -> commands.Command:
    """A frame of a client as a command: binary is audio, text is a message. Raises BadMessage."""
    if isinstance(frame, bytes):
        return commands.Audio(frame)
    try:
        message = _client_decoder.decode(frame)
    except msgspec.DecodeError as error:
        raise BadMessage(str(error)) from None
    match message:
        case ConfigureMessage():
            return commands.Configure(
                None if message.endpointing_ms is UNSET else message.endpointing_ms,
                None if message.interim is UNSET else message.interim,
            )
        case FlushMessage():
            return commands.Flush()
        case FinishMessage():
            return commands.Finish()
        case PingMessage():
            return commands.Ping(message.id)


def message_of(event: Event, *, words: bool = True) -> ServerMessage:
    """An event of a stream as a message. `words` puts words with times into finals."""
    match event:
        case Partial():
            return PartialMessage(
                event.channel,
                event.turn,
                _ms(event.start),
                _ms(event.end),
                text_of(event.stable),
                text_of(event.unstable),
            )
        case Final():
            listed = (
                [WordMessage(w.text, _ms(w.start), _ms(w.end), w.confidence) for w in event.words] if words else None
            )
            return FinalMessage(
                event.channel,
                event.turn,
                _ms(event.start),
                _ms(event.end),
                event.text,
                listed,
                _ms(event.speech_end),
                event.language or None,
            )
        case SpeechStarted():
            return SpeechStartedMessage(event.channel, event.turn, _ms(event.at))
        case Flushed():
            return FlushedMessage(event.flush)
        case Settled():
            return ack_of(event)


def ack_of(event: Settled, token: str | None = None, resume_from: float | None = None) -> AckMessage:
    """Progress as a message, with the token that resumes the stream from `resume_from` on, where there is one."""
    return AckMessage(event.channel, _ms(event.at), _ms(event.heard), token, resume_from)


def error_message(error: VoxfleetError) -> ErrorMessage:
    """An error as the last message of a stream."""
    return ErrorMessage(error.code, str(error), error.retryable, error.retry_after)


def encode(message: ServerMessage | ClientMessage) -> str:
    """A message as the text of a frame."""
    return _encoder.encode(message).decode()


def decode_server(frame: str | bytes) -> ServerMessage:
    """A frame of the server as a message, for clients. Raises BadMessage."""
    try:
        return _server_decoder.decode(frame)
    except msgspec.DecodeError as error:
        raise BadMessage(str(error)) from None


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of all messages, in both directions."""
    (client, server), definitions = msgspec.json.schema_components(
        [ClientMessage, ServerMessage], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Voxfleet native stream protocol",
        "description": "Text frames of GET /v1/stream. Binary frames carry audio.",
        "$defs": {**definitions, "ClientMessage": client, "ServerMessage": server},
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
    }


# ---- the query of GET /v1/stream --------------------------------------------------------------------------------

QUERY: dict[str, str] = {
    "language": "BCP-47 tag of the speech, e.g. en or en-US; auto: found in each turn, by engines that can (default en)",
    "task": "transcribe; or translate: English text of other languages, by engines that can (default transcribe)",
    "encoding": "pcm16, float32, mulaw, alaw, or container for a file format that describes itself (default pcm16)",
    "sample_rate": "Hz of the audio sent, 8000 to 48000 (default 16000; containers carry their own)",
    "channels": "1 to 8, interleaved; each is transcribed on its own (default 1)",
    "endpointing_ms": "silence that ends a turn, 100 to 3000 (default: the server's setting)",
    "interim": "true or false: send partials (default true)",
    "model": "a model this server serves (default: its first)",
    "words": "true or false: words with times in finals (default true)",
    "grammar": "a closed vocabulary: digits, or the text of a JSGF grammar (engines that can)",
    "phrases": "names to expect: Voxfleet:4,Chișinău; at most 100 of 50 characters, weights 0 to 10, else 2 (engines that can)",
    "resume": "the newest token of a stream that lost its connection, to go on with it (default: a new stream)",
}
"""Every query parameter and what it means; docs/protocol.md prints it."""

_ENCODING_ALIASES = {
    "linear16": "pcm16",
    "s16le": "pcm16",
    "f32le": "float32",
    "ulaw": "mulaw",
    "pcmu": "mulaw",
    "pcma": "alaw",
    "auto": "container",
}
MAX_CHANNELS = 8
MAX_GRAMMAR = 4_096


def parse_query(query: dict[str, str]) -> StreamOptions:
    """The query of a stream as options. Raises UnknownParameter or BadValue naming the parameter."""
    for name in query:
        if name not in QUERY:
            raise UnknownParameter(name, QUERY)
    encoding_name = query.get("encoding", "pcm16").lower()
    try:
        encoding = Encoding(_ENCODING_ALIASES.get(encoding_name, encoding_name))
    except ValueError:
        raise BadValue("encoding", encoding_name, f"one of {', '.join(Encoding)}") from None
    grammar = query.get("grammar") or None
    if grammar is not None and len(grammar) > MAX_GRAMMAR:
        raise BadValue("grammar", f"{len(grammar)} characters", f"at most {MAX_GRAMMAR} characters")
    return StreamOptions(
        language=language_tag(query.get("language", "en")),
        encoding=encoding,
        sample_rate=_whole(query, "sample_rate", 16_000, 8_000, 48_000),
        channels=_whole(query, "channels", 1, 1, MAX_CHANNELS),
        endpointing_ms=_whole(query, "endpointing_ms", 0, 100, 3_000) or None,
        interim=_boolean(query, "interim"),
        model=query.get("model") or None,
        words=_boolean(query, "words"),
        grammar=grammar,
        phrases=phrases.parse(query.get("phrases", "")),
        translate=translates(query.get("task", "")),
    )


def resume_token(query: dict[str, str]) -> str | None:
    """The token of a stream to be resumed, None for a new one. It is not read here. Raises BadValue for what is none."""
    token = query.get("resume") or None
    if token is not None and not (len(token) <= MAX_TOKEN and token.isascii() and token.isprintable()):
        raise BadValue("resume", token, f"a token of at most {MAX_TOKEN} characters")
    return token


def _whole(query: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise BadValue(name, text, f"a whole number from {low} to {high}")
    return int(text)


def _boolean(query: dict[str, str], name: str) -> bool:
    text = query.get(name, "true").lower()
    if text not in ("true", "false", "1", "0"):
        raise BadValue(name, text, "true or false")
    return text in ("true", "1")


def _ms(seconds: float) -> float:
    """Times on the wire are rounded to the millisecond; audio is not known better."""
    return round(seconds, 3)
