from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tick(_message.Message):
    __slots__ = ("opens", "places", "lengths", "flags", "samples", "closes", "hello", "drain")
    OPENS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    opens: _containers.RepeatedCompositeFieldContainer[Open]
    places: bytes
    lengths: bytes
    flags: bytes
    samples: bytes
    closes: _containers.RepeatedScalarFieldContainer[int]
    hello: Hello
    drain: Drain
    def __init__(self, opens: _Optional[_Iterable[_Union[Open, _Mapping]]] = ..., places: _Optional[bytes] = ..., lengths: _Optional[bytes] = ..., flags: _Optional[bytes] = ..., samples: _Optional[bytes] = ..., closes: _Optional[_Iterable[int]] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("gateway", "pid", "address", "host", "state", "streams", "opened", "refused", "failed", "moves", "replays", "uptime")
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    gateway: str
    pid: int
    address: str
    host: str
    state: str
    streams: int
    opened: int
    refused: int
    failed: int
    moves: int
    replays: int
    uptime: float
    def __init__(self, gateway: _Optional[str] = ..., pid: _Optional[int] = ..., address: _Optional[str] = ..., host: _Optional[str] = ..., state: _Optional[str] = ..., streams: _Optional[int] = ..., opened: _Optional[int] = ..., refused: _Optional[int] = ..., failed: _Optional[int] = ..., moves: _Optional[int] = ..., replays: _Optional[int] = ..., uptime: _Optional[float] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("seconds", "replace")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    replace: bool
    def __init__(self, seconds: _Optional[float] = ..., replace: bool = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("request", "language", "grammar", "recorded", "phrases", "translate")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    TRANSLATE_FIELD_NUMBER: _ClassVar[int]
    request: int
    language: str
    grammar: str
    recorded: bool
    phrases: _containers.RepeatedCompositeFieldContainer[Phrase]
    translate: bool
    def __init__(self, request: _Optional[int] = ..., language: _Optional[str] = ..., grammar: _Optional[str] = ..., recorded: bool = ..., phrases: _Optional[_Iterable[_Union[Phrase, _Mapping]]] = ..., translate: bool = ...) -> None: ...

class Phrase(_message.Message):
    __slots__ = ("text", "weight")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    text: str
    weight: float
    def __init__(self, text: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("worker", "model", "languages", "chunk_ms", "word_times", "grammars", "device", "advice", "places", "finds_endpoints", "context", "labels", "pid", "host", "phrases", "translates")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
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
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PHRASES_FIELD_NUMBER: _ClassVar[int]
    TRANSLATES_FIELD_NUMBER: _ClassVar[int]
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
    context: float
    labels: _containers.ScalarMap[str, str]
    pid: int
    host: str
    phrases: bool
    translates: bool
    def __init__(self, worker: _Optional[str] = ..., model: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ..., chunk_ms: _Optional[_Iterable[int]] = ..., word_times: bool = ..., grammars: bool = ..., device: _Optional[str] = ..., advice: _Optional[str] = ..., places: _Optional[int] = ..., finds_endpoints: bool = ..., context: _Optional[float] = ..., labels: _Optional[_Mapping[str, str]] = ..., pid: _Optional[int] = ..., host: _Optional[str] = ..., phrases: bool = ..., translates: bool = ...) -> None: ...

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
    __slots__ = ("place", "turn", "stable", "unstable", "heard", "final", "language")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    UNSTABLE_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    place: int
    turn: int
    stable: _containers.RepeatedCompositeFieldContainer[Word]
    unstable: _containers.RepeatedCompositeFieldContainer[Word]
    heard: float
    final: bool
    language: str
    def __init__(self, place: _Optional[int] = ..., turn: _Optional[int] = ..., stable: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., unstable: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., heard: _Optional[float] = ..., final: bool = ..., language: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("places", "taken", "chunk_ms", "draining", "step_p50", "step_p95", "batch_mean", "queue_p95", "steps", "checks", "capacity", "utilisation", "recorded_paused", "drain_left", "uptime", "gateways")
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
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    UTILISATION_FIELD_NUMBER: _ClassVar[int]
    RECORDED_PAUSED_FIELD_NUMBER: _ClassVar[int]
    DRAIN_LEFT_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    GATEWAYS_FIELD_NUMBER: _ClassVar[int]
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
    capacity: int
    utilisation: float
    recorded_paused: bool
    drain_left: float
    uptime: float
    gateways: _containers.RepeatedCompositeFieldContainer[Hello]
    def __init__(self, places: _Optional[int] = ..., taken: _Optional[int] = ..., chunk_ms: _Optional[int] = ..., draining: bool = ..., step_p50: _Optional[float] = ..., step_p95: _Optional[float] = ..., batch_mean: _Optional[float] = ..., queue_p95: _Optional[float] = ..., steps: _Optional[int] = ..., checks: _Optional[int] = ..., capacity: _Optional[int] = ..., utilisation: _Optional[float] = ..., recorded_paused: bool = ..., drain_left: _Optional[float] = ..., uptime: _Optional[float] = ..., gateways: _Optional[_Iterable[_Union[Hello, _Mapping]]] = ...) -> None: ...
