"""Every knob: its unit, its default and the reason for it.

Read once at start from a TOML file and the environment, frozen, and handed down in slices. An unknown key is an error
that names the nearest known one. Environment: VOXFLEET_<SECTION>_<KEY>, e.g. VOXFLEET_GATEWAY_PORT=9000; workers, being
a list, come as JSON in VOXFLEET_WORKERS.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import msgspec

from voxfleet.errors import SettingsError, nearest

T = TypeVar("T")
ENVIRONMENT_PREFIX = "VOXFLEET_"


def knob(default: Any, unit: str, why: str, *, low: float | None = None, high: float | None = None) -> Any:
    """One setting: its default, its unit ('' for none) and the reason for the default; low and high are inclusive."""
    return field(default=default, metadata={"unit": unit, "why": why, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The outside door."""

    host: str = knob("127.0.0.1", "", "only this machine until you decide otherwise; 0.0.0.0 for everybody")
    port: int = knob(8765, "TCP port", "free on most machines; 0 takes any free one", low=0, high=65_535)
    max_frame_bytes: int = knob(
        1_048_576, "bytes", "one WebSocket frame; 32 s of 16 kHz PCM, far above any live client", low=1_024
    )
    max_file_bytes: int = knob(268_435_456, "bytes", "one uploaded file; two hours of 16 kHz WAV", low=1_024)
    max_files: int = knob(4, "files", "recorded files worked on at once; more wait, holding only their bytes", low=1)
    idle_timeout: float = knob(
        60.0,
        "s",
        "a connection that sends neither audio nor ping for so long is closed; half-open sockets end here",
        low=1,
    )
    max_ahead: float = knob(
        10.0, "s", "unrecognised audio kept per stream; live callers are never ahead, a flood is refused by name", low=1
    )
    finals_waiting: int = knob(
        64, "messages", "kept for a caller that does not read; about ten minutes of speech, then it is cut", low=4
    )
    receive_buffer: int = knob(
        65_536, "bytes", "kernel buffer per socket; the default hides 100 s of lag behind TCP", low=4_096
    )
    send_buffer: int = knob(
        65_536, "bytes", "kernel buffer per socket; text nobody reads must be noticed, not buffered", low=4_096
    )
    drain_seconds: float = knob(
        25.0, "s", "how long SIGTERM lets live calls finish; below Kubernetes' 30 s grace", low=0
    )
    default_model: str = knob("", "", "served when a caller names none; empty = the first worker's model")
    name: str = knob("", "", "shown to operators; empty = gateway-0 and so on; alone: machine and port")
    cores: tuple[int, ...] = knob(
        (), "cores", "processors for gateways, one each in turn (Linux); empty = wherever the system puts them"
    )
    reseat_seconds: float = knob(
        10.0, "s", "how long a stream that lost its worker looks for another before it fails; its audio is kept", low=0
    )
    silence_seconds: float = knob(
        5.0, "s", "speech sent and nothing heard from the engine for so long: the track is lost and replayed", low=0.5
    )
    handover_seconds: float = knob(
        5.0,
        "s",
        "before a draining worker's deadline its talking streams are moved by replay, not at a turn's end",
        low=0,
    )
    resume_seconds: float = knob(
        120.0, "s", "how long the token of an ack lets a caller resume its stream at any gateway", low=1
    )
    replay_context: float = knob(
        5.0, "s", "most audio before a replayed turn given to engines whose state outlives a turn", low=0, high=30
    )


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """When a turn starts and ends."""

    speech_threshold: float = knob(
        0.5, "probability", "Silero's own operating point to enter speech", low=0.01, high=0.99
    )
    silence_threshold: float = knob(
        0.35, "probability", "hysteresis: speech goes on above it, so soft word ends are kept", low=0.01, high=0.99
    )
    min_speech_ms: int = knob(100, "ms", "shorter sounds are clicks, not words", low=0, high=1_000)
    endpointing_ms: int = knob(500, "ms", "silence that ends a turn; callers may choose 100-3000", low=100, high=3_000)
    max_turn: float = knob(30.0, "s", "a turn is cut here; Whisper-type models hear no more at once", low=1, high=30)
    preroll_ms: int = knob(
        300, "ms", "audio before detected speech, so that first consonants are not lost", low=0, high=2_000
    )
    partial_interval_ms: int = knob(200, "ms", "partials at most so often: faster than reading, cheap to send", low=0)


@dataclass(frozen=True, slots=True)
class VadSettings:
    """Speech detection."""

    model: str = knob("silero", "", "silero; or level: any sound counts as speech, for clean lines and measurements")
    gate: bool = knob(True, "", "an energy gate before the model saves half its cost and changes no turn")
    tick_ms: int = knob(
        32, "ms", "how long frames of many streams gather for one model call: one frame", low=1, high=100
    )
    core: int = knob(-1, "core", "keeps the detection thread on one processor (Linux); -1 = anywhere", low=-1)
    capacity: int = knob(4_096, "streams", "rows of model state of one gateway, 2 KB each", low=1)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The connection between a gateway and a worker."""

    tick_ms: int = knob(20, "ms", "one message with the increments of all streams so often", low=5, high=100)
    stream_bound: float = knob(
        75.0, "s", "audio a worker keeps for one stream it has not worked on; two whole turns replayed at once", low=1
    )
    report_ms: int = knob(250, "ms", "how often a worker says how loaded it is", low=50)
    open_timeout: float = knob(5.0, "s", "how long taking a place may last", low=0.1)
    max_message_bytes: int = knob(
        33_554_432, "bytes", "one tick; 1,000 streams that all catch up a second of audio", low=65_536
    )
    catch_up_bytes: int = knob(
        2_097_152, "bytes", "audio in one tick at most, so that replays do not delay live streams", low=65_536
    )
    silence_seconds: float = knob(
        2.0, "s", "no report from a worker for so long: it is stopped or unreachable, its streams go elsewhere", low=0.5
    )


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """One worker process: one engine on one device."""

    model: str = knob("embedded", "", "the engine that needs no download; `voxfleet models` lists all")
    name: str = knob("", "", "shown to operators; empty = the model and a number")
    places: int = knob(0, "streams", "how many streams it takes; 0 = what the engine advises for this machine", low=0)
    device: str = knob(
        "",
        "",
        "where its engine computes: cpu, cuda:0, …; one worker per device; empty = the CPU, Whisper on a GPU that is there",
    )
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"unit": "", "why": "passed to the engine as it is", "low": None, "high": None}
    )

    labels: dict[str, str] = field(
        default_factory=dict,
        metadata={"unit": "", "why": "gpu, region, lifecycle; what routing may ask for", "low": None, "high": None},
    )
    cores: tuple[int, ...] = knob(
        (), "cores", "processors this worker stays on, with all it starts (Linux); empty = wherever the system puts it"
    )
    drain_seconds: float = knob(
        25.0, "s", "how long a worker that was told to leave waits for its streams to be moved; below 30 s grace", low=0
    )
    utilisation: float = knob(
        0.8, "share", "of the time its steps may take; beyond it new streams are refused", low=0.1, high=1.0
    )
    stuck_seconds: float = knob(
        30.0, "s", "a step that lasts so long never ends: the worker ends itself and is started again", low=1
    )
    http: str = knob("", "host:port", "health, readiness, drain and metrics of a worker of its own; empty = off")
    preemption: str = knob(
        "", "", "where notice of preemption comes from: gce, ec2, azure, file:PATH or a URL; empty = nowhere"
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How gateways and workers of several machines find and trust each other."""

    workers: tuple[str, ...] = knob(
        (), "addresses", "workers started elsewhere: host:port, unix:/path, or dns:name:port, resolved again and again"
    )
    resolve_seconds: float = knob(5.0, "s", "how often names are resolved; new pods are found within it", low=0.5)
    secret: str = knob(
        "",
        "",
        "shared by all gateways and workers; signs resume tokens, opens links and admin calls; empty = made anew",
    )
    tls_cert: str = knob("", "PEM file", "this process' certificate on the link")
    tls_key: str = knob("", "PEM file", "its private key")
    tls_ca: str = knob(
        "", "PEM file", "who signed the other side's certificate; a worker that has it asks for one (mTLS)"
    )
    insecure: bool = knob(False, "", "let links leave this machine without TLS, where a mesh encrypts them")
    region: str = knob("", "", "this gateway's; workers labelled with it are preferred")
    require: dict[str, str] = field(
        default_factory=dict,
        metadata={"unit": "", "why": "labels a worker must have to be used here", "low": None, "high": None},
    )


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Who watches the processes of one machine."""

    gateways: int = knob(1, "processes", "gateways that share the port; one fills one core", low=1, high=64)
    beat_seconds: float = knob(
        10.0, "s", "a worker process silent for so long is stopped or hung: killed and started again", low=1
    )
    restart_first: float = knob(0.5, "s", "wait before a dead process is started again; doubles each time", low=0)
    restart_most: float = knob(30.0, "s", "longest such wait", low=0)
    ready_seconds: float = knob(
        180.0, "s", "how long an engine may take to load before the start is called failed", low=1
    )


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What may be known about a running system. Never transcript text, never audio."""

    log_level: str = knob("info", "", "debug, info, warning or error")
    log_format: str = knob("auto", "", "console for a terminal, json for a collector, auto decides by the terminal")
    otlp_endpoint: str = knob("", "URL", "OpenTelemetry spans go there; empty = off, needs voxfleet[otel]")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one machine."""

    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    turn: TurnSettings = field(default_factory=TurnSettings)
    vad: VadSettings = field(default_factory=VadSettings)
    link: LinkSettings = field(default_factory=LinkSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    workers: tuple[WorkerSettings, ...] = (WorkerSettings(),)


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting as shown to a person."""

    key: str
    """section.name as in TOML; workers are `workers[].name`."""
    environment: str
    unit: str
    default: Any
    value: Any
    why: str


def knobs(settings: Settings) -> Iterator[Knob]:
    """Every setting with its present value, in the order of the file."""
    for section in fields(Settings):
        value = getattr(settings, section.name)
        if section.name == "workers":
            for number, worker in enumerate(value):
                yield from _knobs_of(worker, f"workers[{number}]", f"{ENVIRONMENT_PREFIX}WORKERS (JSON)")
        else:
            yield from _knobs_of(value, section.name, "")


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file (None = none) and the environment, which wins. Raises SettingsError."""
    data = _read_toml(path) if path is not None else {}
    for section, name, value in _environment_values(os.environ if environment is None else environment):
        if name is None:
            data[section] = value
        else:
            data.setdefault(section, {})[name] = value
    return from_dict(data)


def from_dict(data: Mapping[str, Any]) -> Settings:
    """Settings from nested mappings. Raises SettingsError naming the key at fault."""
    known = {section.name for section in fields(Settings)}
    sections: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise SettingsError(f"unknown section '{name}'{nearest(name, known)}")
        if name == "workers":
            if not isinstance(value, list) or not value:
                raise SettingsError("'workers' must be a list of tables with at least one worker")
            sections[name] = tuple(_section(WorkerSettings, f"workers[{i}]", item) for i, item in enumerate(value))
        else:
            sections[name] = _section(get_type_hints(Settings)[name], name, value)
    return Settings(**sections)


def to_json(settings: Settings) -> str:
    """All settings as JSON, for the processes a supervisor starts."""
    return msgspec.json.encode(settings).decode()


def _knobs_of(value: Any, prefix: str, environment: str) -> Iterator[Knob]:
    for item in fields(value):
        default = item.default if item.default is not MISSING else {}
        variable = environment or f"{ENVIRONMENT_PREFIX}{prefix}_{item.name}".upper()
        present = getattr(value, item.name)
        yield Knob(f"{prefix}.{item.name}", variable, item.metadata["unit"], default, present, item.metadata["why"])


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"can't read settings from {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


def _environment_values(environment: Mapping[str, str]) -> Iterator[tuple[str, str | None, Any]]:
    variables = {
        f"{ENVIRONMENT_PREFIX}{section.name}_{item.name}".upper(): (section.name, item.name)
        for section in fields(Settings)
        if section.name != "workers" and is_dataclass(get_type_hints(Settings)[section.name])
        for item in fields(get_type_hints(Settings)[section.name])
    }
    for variable, text in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in OTHER_VARIABLES | INHERITED_VARIABLES:
            continue
        if variable == f"{ENVIRONMENT_PREFIX}WORKERS":
            try:
                yield "workers", None, msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise SettingsError(f"{variable} is not JSON: {error}") from None
        elif variable in variables:
            section_name, name = variables[variable]
            yield section_name, name, text
        else:
            raise SettingsError(f"unknown environment variable {variable}{nearest(variable, variables)}")


OTHER_VARIABLES = frozenset({"VOXFLEET_CONFIG", "VOXFLEET_URL", "VOXFLEET_RESOLVED"})
"""Variables with our prefix that are not settings: a file's path, a server's address, a child's settings."""
INHERITED_VARIABLES = frozenset({"VOXFLEET_MODELS"})
"""Such variables that processes pass on to their children: where models are kept (serving/snapshot)."""


def _section(kind: type[T], prefix: str, data: Any) -> T:
    if not isinstance(data, Mapping):
        raise SettingsError(f"'{prefix}' must be a table")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in hints:
            raise SettingsError(f"unknown setting '{prefix}.{name}'{nearest(name, hints)}")
        try:
            if isinstance(value, str) and get_origin(hints[name]) in (tuple, dict):  # from the environment
                value = msgspec.json.decode(value)
            values[name] = msgspec.convert(value, hints[name], strict=False)
        except msgspec.DecodeError as error:  # ValidationError is one
            raise SettingsError(f"'{prefix}.{name}': {error}, got {value!r}") from None
    for item in fields(kind):  # type: ignore[arg-type]
        _check_range(f"{prefix}.{item.name}", values.get(item.name), item.metadata)
    return kind(**values)


def _check_range(key: str, value: Any, metadata: Mapping[str, Any]) -> None:
    if value is None:
        return
    low, high = metadata.get("low"), metadata.get("high")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = " and ".join(
            f"{word} {bound:g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None
        )
        raise SettingsError(f"'{key}' must be {bounds} {metadata['unit']}, not {value}".replace("  ", " "))
