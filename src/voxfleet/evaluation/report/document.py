"""What a run says: the one document behind the JSON, the HTML page and every comparison.

Counts are kept and rates derived from them; every rate and percentile that can have an interval has one. Seconds are
seconds, shares are 0..1; times inside a run are seconds since its start. The JSON Schema is made from these types.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, SupportsFloat, SupportsIndex, TypeAlias

import msgspec
from msgspec import Meta, Struct

from voxfleet.evaluation.faults import BadReport

FORMAT: Literal["voxfleet-report/1"] = "voxfleet-report/1"

Share: TypeAlias = Annotated[float, Meta(ge=0)]


class Figure(Struct, frozen=True):
    """An estimate and, where there is enough to say it, its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


class Latency(Struct, frozen=True, kw_only=True):
    """One kind of latency, seconds. `too_few` names the percentiles that too few events support (p95: 100, p99: 1,000)."""

    name: str
    """first_partial, emission, final, response_lag"""
    meaning: str
    """From when to when, on whose clock, in one sentence."""
    count: int
    p50: Figure | None = None
    p90: Figure | None = None
    p95: Figure | None = None
    p99: Figure | None = None
    largest: float | None = None
    too_few: list[str] = []
    cdf: list[tuple[float, float]] = []
    """(latency, share of events at most that), ascending, at most 200 points."""


class Machine(Struct, frozen=True, kw_only=True):
    """Where the measuring program ran; the server too where it was a private one."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    voxfleet: str


class Target(Struct, frozen=True, kw_only=True):
    """What was measured, as it described itself."""

    url: str
    dialect: str
    private: bool
    """Started by this run on this machine, and sharing it."""
    model: str | None = None
    language: str | None = None
    sample_rate: int | None = None
    chunk_ms: int | None = None
    endpointing_ms: int | None = None


class Problem(Struct, frozen=True):
    """One thing that went wrong with one item, call or row; counted, named, never dropped."""

    where: str
    code: str
    message: str


class About(Struct, frozen=True, kw_only=True):
    """What every report begins with."""

    title: str
    created: str
    """ISO 8601 with zone."""
    command: str
    """To run it again."""
    seed: int
    machine: Machine
    target: Target
    audio: str
    """The recordings in one sentence: manifest, how many, how long, and what was done to them (simulated lines say so)."""
    partial: bool = False
    """Ended before its time; the figures are of what had been done."""


# ---- load -------------------------------------------------------------------------------------------------------


class Streams(Struct, frozen=True, kw_only=True):
    """What became of the callers. offered = admitted + refused + failed before admission."""

    offered: int
    admitted: int
    refused: int
    failed: int
    """Before or after admission: broken connections, errors of the server, answers that never came."""
    finished: int
    """Admitted and ended as they should, with the server's goodbye."""
    most_at_once: int
    reasons: dict[str, int] = {}
    """Codes of refusals and failures."""


class Stability(Struct, frozen=True, kw_only=True):
    """How restless the text was."""

    final_words: int
    shown_and_changed: int
    """Words shown in a partial and later changed or withdrawn."""
    revisions: int
    """Partials that changed or withdrew a word shown before."""
    partials: int
    committed_revisions: int
    """Changes inside text the server had called stable or final: must be 0."""
    turns: int
    revised_turns: int
    upwr: float | None = None
    """Unstable partial word ratio: shown_and_changed / final_words."""
    revisions_per_word: float | None = None


class Stall(Struct, frozen=True):
    """Audio went in, speech was in it, and nothing came out for more than 5 s."""

    stream: int
    begin: float
    """Seconds of the run: when the first unanswered speech was due."""
    seconds: float


class Health(Struct, frozen=True, kw_only=True):
    """Of the load generator itself. A run it spoiled is invalid, whatever the server did."""

    valid: bool
    because: list[str] = []
    lag_p50: float
    lag_p99: float
    lag_max: float
    """Seconds a frame was sent, or the loop woke, after it was due, while the server was taking audio."""
    cpu_share: float
    """Of one core."""
    frames_sent: int


class Words(Struct, frozen=True, kw_only=True):
    """Word (or character) errors as counts that add up, and the rate with its interval."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int
    rate: Figure | None = None
    """None without reference words."""


class Accuracy(Struct, frozen=True, kw_only=True):
    """WER of what callers were sent under load."""

    normaliser: str
    calls: int
    words: Words


class StreamLine(Struct, frozen=True, kw_only=True):
    """One caller in the timeline."""

    stream: int
    begin: float
    """When it came, seconds of the run."""
    end: float
    outcome: str
    """finished, refused, failed, cut short"""
    speech: list[tuple[float, float]] = []
    partials: list[float] = []
    finals: list[float] = []


class Rung(Struct, frozen=True, kw_only=True):
    """One number of streams, held for a while."""

    streams: int
    seconds: float
    meets: bool
    why_not: list[str] = []
    valid: bool
    counts: Streams
    latencies: list[Latency]
    lag_growth: Figure | None = None
    """Seconds of lag gained per minute."""
    stalls: int = 0


class Capacity(Struct, frozen=True, kw_only=True):
    """The largest number of streams that meets the objective, and what happens beyond it."""

    objective: str
    streams: int | None
    """None: not even the smallest rung met it."""
    is_lower_bound: bool
    """The search ended at its own limit before the server did."""
    beyond: str
    """In a sentence: refusals (which, how many) or growing lag (how fast)."""
    final_p95_limit: float
    emission_p95_limit: float
    rungs: list[Rung]


class LoadReport(Struct, frozen=True, kw_only=True, tag="load"):
    """Many callers at once."""

    format: Literal["voxfleet-report/1"] = FORMAT
    about: About
    arrivals: str
    warm_up: float
    seconds: float
    """Measured, after the warm-up."""
    health: Health
    streams: Streams
    latencies: list[Latency]
    stability: Stability
    stalls: list[Stall]
    bytes_sent: int
    bytes_received: int
    audio_seconds: float
    accuracy: Accuracy | None = None
    concurrency: list[tuple[float, int]] = []
    """(seconds of the run, callers admitted and not ended) at each change, thinned."""
    refusals: list[float] = []
    """When callers were refused, seconds of the run; of very many some."""
    timeline: list[StreamLine] = []
    """Of some callers."""
    capacity: Capacity | None = None
    problems: list[Problem] = []


# ---- evaluation -------------------------------------------------------------------------------------------------


class AlignedWord(Struct, frozen=True, omit_defaults=True):
    """One column of reference against hypothesis. `op`: equal, substitute, delete, insert."""

    op: str
    said: str | None = None
    heard: str | None = None


class ItemResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recording in one mode."""

    item: str
    unit: str
    """The call or speaker it belongs to: what intervals resample."""
    seconds: float
    kind: str = "speech"
    columns: dict[str, str] = {}
    reference: str | None = None
    hypothesis: str | None = None
    """None where the item failed; the problem says why."""
    words: Words | None = None
    characters: Words | None = None
    alignment: list[AlignedWord] = []
    runaway: str | None = None
    final_latency: list[float] = []
    emission: list[float] = []


class Slice(Struct, frozen=True, kw_only=True):
    """The same figure over some of the items."""

    by: str
    """The column."""
    value: str
    items: int
    words: Words


class Named(Struct, frozen=True, kw_only=True):
    """A further figure: what it is called, its value, how it came about."""

    name: str
    figure: Figure | None
    unit: str
    """share, words per minute, count, seconds"""
    counts: dict[str, int] = {}
    meaning: str = ""


class ModeResult(Struct, frozen=True, kw_only=True):
    """Everything about one way of recognising the same recordings."""

    mode: str
    """offline, live, live endpointing 300 ms, or the name of a file of hypotheses."""
    items: list[ItemResult]
    words: Words
    """Primary normaliser, pooled."""
    raw: Words
    characters: Words
    slices: list[Slice]
    figures: list[Named]
    """Entity F1, diacritic error rate, tolerance rates, hallucination, cpWER, DER …"""
    latencies: list[Latency] = []


class Cost(Struct, frozen=True, kw_only=True):
    """What streaming costs in accuracy: a live mode against offline, the same items."""

    mode: str
    points: Figure
    """WER of the mode − WER offline, as a share (0.01 = one point)."""
    final_p95: float | None = None


class EvaluationReport(Struct, frozen=True, kw_only=True, tag="evaluation"):
    """Is the text right."""

    format: Literal["voxfleet-report/1"] = FORMAT
    about: About
    normaliser: str
    unit: str
    """What intervals resample, and why that."""
    modes: list[ModeResult]
    streaming_cost: list[Cost] = []
    problems: list[Problem] = []
    clips: dict[str, str] = {}
    """Item id → data: URI of its audio, for the items worth hearing. Empty where audio must not leave."""


Report: TypeAlias = LoadReport | EvaluationReport

_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(LoadReport | EvaluationReport)


def to_json(report: Report) -> bytes:
    """The document, indented, with its type tag."""
    return msgspec.json.format(msgspec.json.encode(report, enc_hook=plain_number), indent=1)


def plain_number(value: object) -> float:
    """A number of numpy's as Python's own."""
    if isinstance(value, SupportsFloat):
        return int(value) if isinstance(value, SupportsIndex) else float(value)
    raise NotImplementedError(type(value).__name__)


def read_report(path: Path) -> Report:
    """A report written before. Raises BadReport naming what is wrong with the file."""
    try:
        return _decoder.decode(path.read_bytes())
    except OSError as error:
        raise BadReport(path, error.strerror or str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadReport(path, f"not a report of this program: {error}") from None


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of both kinds of report."""
    (load, evaluation), definitions = msgspec.json.schema_components(
        [LoadReport, EvaluationReport], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Voxfleet report",
        "$defs": definitions,
        "anyOf": [load, evaluation],
    }
