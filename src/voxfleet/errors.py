"""The one error tree. Each error knows its code, HTTP status, WebSocket close code and whether trying again helps.

CallerError    the caller must change something          not retryable
CapacityError  nothing is wrong, there is no room now    retryable, carries `retry_after`
EngineError    our side failed                           retryable
SettingsError  the operator must change something        start-up only

Close codes are the registered ones (RFC 6455 and the IANA registry): 1003 unsupported data, 1007 invalid payload,
1008 policy, 1009 too big, 1011 internal error, 1012 service restart, 1013 try again later. `code` has the exact cause.
"""

from collections.abc import Iterable
from typing import ClassVar


class VoxfleetError(Exception):
    """Anything Voxfleet raises on purpose. `str(error)` is a full sentence that may be shown to a user."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    close_code: ClassVar[int] = 1011
    retryable: ClassVar[bool] = False
    retry_after: float | None = None
    """Seconds after which trying again makes sense."""


class CallerError(VoxfleetError):
    """The caller must change something; the same request will fail again."""

    code = "bad_request"
    http_status = 400
    close_code = 1008


class BadRequest(CallerError):
    """A parameter or message is not understood."""


class UnknownParameter(CallerError):
    """A query key nobody knows; silently ignoring it would hide a typing error."""

    code = "unknown_parameter"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        super().__init__(f"unknown parameter '{name}'{nearest(name, known)}")


class BadValue(CallerError):
    """A known parameter with an impossible value."""

    code = "bad_value"

    def __init__(self, name: str, value: object, expected: str) -> None:
        self.name = name
        super().__init__(f"'{name}' must be {expected}, not {str(value)[:80]!r}")


class BadMessage(CallerError):
    """A text frame that is not a message of the protocol."""

    code = "bad_message"
    close_code = 1007

    def __init__(self, why: str) -> None:
        super().__init__(f"not a message of this protocol: {why}")


class BadAudio(CallerError):
    """The bytes are not audio of the declared encoding."""

    code = "bad_audio"
    close_code = 1007

    def __init__(self, why: str) -> None:
        super().__init__(f"undecodable audio: {why}")


class UnexpectedFrame(CallerError):
    """Text where audio is expected, or the reverse."""

    code = "unexpected_frame"
    close_code = 1003

    def __init__(self, why: str) -> None:
        super().__init__(why)


class MessageTooBig(CallerError):
    """One frame or file is larger than the gateway accepts."""

    code = "message_too_big"
    http_status = 413
    close_code = 1009

    def __init__(self, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"message is larger than the limit of {limit} {unit}")


class TooFast(CallerError):
    """Live audio arrives so much faster than real time that it would have to be kept without bound."""

    code = "too_fast"

    def __init__(self, ahead: float, limit: float) -> None:
        super().__init__(
            f"{ahead:.1f} s of audio wait to be recognised, more than the limit of {limit:g} s: send slower"
        )


class TooSlow(CallerError):
    """The caller does not read what it is sent."""

    code = "slow_reader"

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} finals wait to be read: the connection is closed, nothing more can be kept for it")


class NoAudio(CallerError):
    """The caller is connected and sends nothing."""

    code = "no_audio"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing was received for {seconds:g} s; send audio, or a ping to keep a silent call open")


class LanguageNotSupported(CallerError):
    """The model does not hear this language."""

    code = "language_not_supported"

    def __init__(self, language: str, model: str, heard: Iterable[str], advice: str = "") -> None:
        self.language = language
        sentence = f"model '{model}' does not hear '{language}', only {', '.join(heard)}"
        super().__init__(f"{sentence}. {advice}" if advice else sentence)


class ModelNotFound(CallerError):
    """No worker serves this model."""

    code = "model_not_found"
    http_status = 404

    def __init__(self, model: str, served: Iterable[str]) -> None:
        names = sorted(served)
        super().__init__(f"model '{model}' is not served here; served: {', '.join(names) or 'none yet'}")


class BadGrammar(CallerError):
    """The grammar a stream asked for can't be used."""

    code = "bad_grammar"

    def __init__(self, why: str) -> None:
        super().__init__(f"the grammar can't be used: {why}")


class ResumeRefused(CallerError):
    """The token of a resumed stream can't be used; the caller must begin a new stream."""

    code = "resume_refused"

    def __init__(self, why: str) -> None:
        super().__init__(f"this stream can't be resumed: {why}; begin a new one")


class TakenOver(CallerError):
    """The stream goes on over another connection."""

    code = "taken_over"

    def __init__(self) -> None:
        super().__init__("this stream was resumed over another connection")


class Unauthorized(CallerError):
    """Who asks has not shown that it may."""

    code = "unauthorized"
    http_status = 401

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} needs the cluster's secret as a bearer token")


class WorkerNotFound(CallerError):
    """No worker has this name."""

    code = "worker_not_found"
    http_status = 404

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no worker '{name}'{nearest(name, known)}")


class CapacityError(VoxfleetError):
    """Nothing is wrong with the request, there is no room for it now."""

    code = "no_capacity"
    http_status = 503
    close_code = 1013
    retryable = True

    def __init__(self, sentence: str, retry_after: float = 5.0) -> None:
        self.retry_after = retry_after
        super().__init__(sentence)


class AtCapacity(CapacityError):
    """Every place is taken."""

    code = "at_capacity"

    def __init__(self, places: int, retry_after: float = 5.0) -> None:
        self.places = places
        super().__init__(f"all {places} places are taken; try again in {retry_after:g} s", retry_after)


class Draining(CapacityError):
    """The server is leaving and takes nobody new."""

    code = "draining"

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__("this server is shutting down and takes no new streams; connect again", retry_after)


class NotReady(CapacityError):
    """No worker has reported itself ready yet."""

    code = "not_ready"

    def __init__(self, retry_after: float = 2.0) -> None:
        super().__init__("no worker is ready yet; try again in a moment", retry_after)


class EngineError(VoxfleetError):
    """Our side failed; the same request may well succeed."""

    code = "engine_failed"
    http_status = 502
    retryable = True
    retry_after = 1.0


class EngineFailed(EngineError):
    """The engine broke while it worked on this stream."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the engine failed: {why}")


class EngineLost(EngineError):
    """The worker, or the link to it, is gone."""

    code = "engine_lost"
    close_code = 1012

    def __init__(self, worker: str) -> None:
        super().__init__(f"the worker '{worker}' that heard this stream is gone; connect again")


class EngineBehind(EngineError):
    """The engine can't keep up with this stream."""

    code = "engine_behind"
    close_code = 1013

    def __init__(self, lag: float) -> None:
        super().__init__(f"the engine is {lag:.1f} s behind this stream and was stopped before it fell further back")


class SettingsError(VoxfleetError):
    """The operator must change a setting; nothing was started."""

    code = "bad_settings"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known one, or all of them."""
    import difflib  # only errors need it, and they are rare

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def by_code(code: str) -> type[VoxfleetError] | None:
    """The class a code on the wire stands for, or None for a code of a newer version."""
    found = [VoxfleetError]
    for kind in found:
        if "code" in kind.__dict__ and kind.code == code:
            return kind
        found.extend(kind.__subclasses__())
    return None
