from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tick(_message.Message):
    __slots__ = ("opens", "places", "lengths", "flags", "samples", "closes")
    OPENS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    opens: _containers.RepeatedCompositeFieldContainer[Open]
    places: bytes
    lengths: bytes
    flags: bytes
    samples: bytes
    closes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, opens: _Optional[_Iterable[_Union[Open, _Mapping]]] = ..., places: _Optional[bytes] = ..., lengths: _Optional[bytes] = ..., flags: _Optional[bytes] = ..., samples: _Optional[bytes] = ..., closes: _Optional[_Iterable[int]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("request", "language", "grammar", "recorded")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    request: int
    language: str
    grammar: str
    recorded: bool
    def __init__(self, request: _Optional[int] = ..., language: _Optional[str] = ..., grammar: _Optional[str] = ..., recorded: bool = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("welcome", "opened", "refused", "heard", "failed", "load")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    opened: _containers.RepeatedCompositeFieldContainer[Opened]
    refused: _containers.RepeatedCompositeFieldContainer[Refused]
    heard: _containers.RepeatedCompositeFieldContainer[Heard]
    failed: _containers.RepeatedCompositeFieldContainer[Failed]
    load: Load
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., opened: _Optional[_Iterable[_Union[Opened, _Mapping]]] = ..., refused: _Optional[_Iterable[_Union[Refused, _Mapping]]] = ..., heard: _Optional[_Iterable[_Union[Heard, _Mapping]]] = ..., failed: _Optional[_Iterable[_Union[Failed, _Mapping]]] = ..., load: _Optional[_Union[Load, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("worker", "model", "languages", "chunk_ms", "word_times", "grammars", "device", "advice", "places", "finds_endpoints")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_MS_FIELD_NUMBER: _ClassVar[int]
    WORD_TIMES_FIELD_NUMBER: _ClassVar[int]
    GRAMMARS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    FINDS_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    model: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    chunk_ms: _containers.RepeatedScalarFieldContainer[int]
    word_times: bool
    grammars: bool
    device: str
    advice: str
    places: int
    finds_endpoints: bool
    def __init__(self, worker: _Optional[str] = ..., model: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ..., chunk_ms: _Optional[_Iterable[int]] = ..., word_times: bool = ..., grammars: bool = ..., device: _Optional[str] = ..., advice: _Optional[str] = ..., places: _Optional[int] = ..., finds_endpoints: bool = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("request", "place")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    request: int
    place: int
    def __init__(self, request: _Optional[int] = ..., place: _Optional[int] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("request", "code", "message", "retry_after")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    request: int
    code: str
    message: str
    retry_after: float
    def __init__(self, request: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., retry_after: _Optional[float] = ...) -> None: ...

class Word(_message.Message):
    __slots__ = ("text", "start", "end", "confidence")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    text: str
    start: float
    end: float
    confidence: float
    def __init__(self, text: _Optional[str] = ..., start: _Optional[float] = ..., end: _Optional[float] = ..., confidence: _Optional[float] = ...) -> None: ...

class Heard(_message.Message):
    __slots__ = ("place", "turn", "stable", "unstable", "heard", "final")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    UNSTABLE_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    place: int
    turn: int
    stable: _containers.RepeatedCompositeFieldContainer[Word]
    unstable: _containers.RepeatedCompositeFieldContainer[Word]
    heard: float
    final: bool
    def __init__(self, place: _Optional[int] = ..., turn: _Optional[int] = ..., stable: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., unstable: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., heard: _Optional[float] = ..., final: bool = ...) -> None: ...

class Failed(_message.Message):
    __slots__ = ("place", "code", "message")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    place: int
    code: str
    message: str
    def __init__(self, place: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("places", "taken", "chunk_ms", "draining", "step_p50", "step_p95", "batch_mean", "queue_p95", "steps", "checks")
    PLACES_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    CHUNK_MS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    STEP_P50_FIELD_NUMBER: _ClassVar[int]
    STEP_P95_FIELD_NUMBER: _ClassVar[int]
    BATCH_MEAN_FIELD_NUMBER: _ClassVar[int]
    QUEUE_P95_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    places: int
    taken: int
    chunk_ms: int
    draining: bool
    step_p50: float
    step_p95: float
    batch_mean: float
    queue_p95: float
    steps: int
    checks: int
    def __init__(self, places: _Optional[int] = ..., taken: _Optional[int] = ..., chunk_ms: _Optional[int] = ..., draining: bool = ..., step_p50: _Optional[float] = ..., step_p95: _Optional[float] = ..., batch_mean: _Optional[float] = ..., queue_p95: _Optional[float] = ..., steps: _Optional[int] = ..., checks: _Optional[int] = ...) -> None: ...
