"""Every metric, declared once. Buckets stand around the two-second promise; names follow Prometheus' conventions."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
WINDOW_SECONDS = 60.0
"""How far back the console's percentiles look."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the last minute; None where nothing was observed."""

    p50: float | None
    p95: float | None
    count: int


def at_share(ordered: Sequence[float], share: float) -> float:
    """The value that lies at this share (0..1) of ascending values; there must be one."""
    return ordered[round((len(ordered) - 1) * share)]


class Recent:
    """Values of the last WINDOW_SECONDS, at most 4,096 of them, for percentiles a person looks at."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=4_096)

    def add(self, value: float, now: float) -> None:
        self._values.append((now, value))

    def percentiles(self, now: float) -> Percentiles:
        while self._values and self._values[0][0] < now - WINDOW_SECONDS:
            self._values.popleft()
        ordered = sorted(value for _, value in self._values)
        if not ordered:
            return Percentiles(None, None, 0)
        return Percentiles(at_share(ordered, 0.5), at_share(ordered, 0.95), len(ordered))


class Latency:
    """One of the latencies of the design: a histogram for Prometheus and the last minute for the console."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self.recent = Recent()

    def observe(self, seconds: float, now: float) -> None:
        self._histogram.observe(seconds)
        self.recent.add(seconds, now)


class GatewayMetrics:
    """All metrics of a gateway process, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.streams_active = Gauge("voxfleet_streams_active", "Live streams on this gateway", registry=registry)
        self.streams_opened = Counter("voxfleet_streams_opened", "Streams that got a place", registry=registry)
        self.errors = Counter("voxfleet_errors", "Streams refused or ended by an error", ["code"], registry=registry)
        self.audio_seconds = Counter("voxfleet_audio_seconds", "Audio received, all channels", registry=registry)
        self.frames = Counter("voxfleet_frames_received", "Audio frames received", registry=registry)
        self._counted: dict[Counter, float] = {}
        self.turns = Counter("voxfleet_turns", "Turns made final", registry=registry)
        self.partials_replaced = Counter(
            "voxfleet_partials_replaced", "Partials replaced by newer ones before they could be sent", registry=registry
        )
        self.over_budget = Counter(
            "voxfleet_finals_over_budget",
            "Finals later than two seconds after the last speech sample",
            registry=registry,
        )
        self.first_partial = Latency(
            Histogram(
                "voxfleet_first_partial_latency_seconds",
                "Last sample of a turn's first word received to first sent",
                buckets=LATENCY_BUCKETS,
                registry=registry,
            )
        )
        self.emission = Latency(
            Histogram(
                "voxfleet_emission_latency_seconds",
                "Last sample of a word received to first partial or final with it sent",
                buckets=LATENCY_BUCKETS,
                registry=registry,
            )
        )
        self.final = Latency(
            Histogram(
                "voxfleet_final_latency_seconds",
                "Last speech sample of a turn received to its final sent",
                buckets=LATENCY_BUCKETS,
                registry=registry,
            )
        )
        self.stage = Histogram(
            "voxfleet_stage_seconds",
            "Where a final's latency went: endpointing (silence that ends the turn and its detection), recognition "
            "(end of turn fed to final known), delivery (final known to sent); they add up to the final latency",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.recovery = Latency(
            Histogram(
                "voxfleet_recovery_seconds",
                "A stream's track lost to the first word of another engine that goes on where the lost one had got",
                buckets=LATENCY_BUCKETS,
                registry=registry,
            )
        )
        self.moves = Counter(
            "voxfleet_streams_moved", "Streams moved to another worker at the end of a turn", registry=registry
        )
        self.replays = Counter(
            "voxfleet_streams_replayed",
            "Streams whose unfinished audio was replayed to another track",
            registry=registry,
        )
        self.resumes = Counter(
            "voxfleet_streams_resumed",
            "Streams that came with a resume token of this or another gateway",
            registry=registry,
        )
        self.worker_places = Gauge(
            "voxfleet_worker_places", "Places a worker offers", ["worker", "model"], registry=registry
        )
        self.worker_taken = Gauge(
            "voxfleet_worker_places_taken", "Places taken at a worker", ["worker", "model"], registry=registry
        )
        self.worker_capacity = Gauge(
            "voxfleet_worker_capacity",
            "Streams a worker takes: its places, or fewer where its steps would not sustain them",
            ["worker", "model"],
            registry=registry,
        )
        self.worker_utilisation = Gauge(
            "voxfleet_worker_utilisation",
            "Share of the time its steps take at this load",
            ["worker"],
            registry=registry,
        )
        self.worker_up = Gauge("voxfleet_worker_up", "1 while a worker takes streams", ["worker"], registry=registry)
        self.step_seconds = Gauge(
            "voxfleet_worker_step_seconds",
            "Recent step durations as the worker reports them",
            ["worker", "quantile"],
            registry=registry,
        )
        self.step_batch = Gauge("voxfleet_worker_batch_mean", "Mean places per step", ["worker"], registry=registry)
        self.queue_delay = Gauge(
            "voxfleet_worker_queue_seconds_p95", "How long works waited for their step", ["worker"], registry=registry
        )
        self.steps = Gauge("voxfleet_worker_steps", "Steps run since the worker started", ["worker"], registry=registry)
        self.vad_seconds = Gauge(
            "voxfleet_vad_cpu_seconds", "CPU seconds of the speech detection thread", registry=registry
        )

    def count_to(self, counter: Counter, total: float) -> None:
        """Bring a counter up to a total that is kept elsewhere, where counting each event here would cost too much."""
        counter.inc(total - self._counted.get(counter, 0.0))
        self._counted[counter] = total

    def text(self) -> bytes:
        """The exposition format Prometheus reads."""
        return generate_latest(self.registry)


class WorkerMetrics:
    """What a worker of its own tells at its door; gateways tell the same of all workers under other names."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.ready = Gauge("voxfleet_engine_ready", "1 while new streams are welcome", registry=registry)
        self.draining = Gauge("voxfleet_engine_draining", "1 while the worker leaves", registry=registry)
        self.places = Gauge("voxfleet_engine_places", "Places the engine has", registry=registry)
        self.taken = Gauge("voxfleet_engine_places_taken", "Places taken", registry=registry)
        self.capacity = Gauge("voxfleet_engine_capacity", "Streams its measured steps sustain", registry=registry)
        self.utilisation = Gauge(
            "voxfleet_engine_utilisation_ratio", "Share of the time its steps take at this load", registry=registry
        )
        self.recorded_paused = Gauge(
            "voxfleet_engine_recorded_paused", "1 while recorded work waits for live work", registry=registry
        )
        self.step_seconds = Gauge(
            "voxfleet_engine_step_seconds", "Durations of recent steps", ["quantile"], registry=registry
        )
        self._steps = Counter("voxfleet_engine_steps", "Steps run", registry=registry)
        self._decisions = Counter(
            "voxfleet_engine_admission_decisions", "Changes of how many streams it takes", registry=registry
        )
        self._counted = (0, 0)

    def count(self, steps: int, decisions: int) -> None:
        """So many of each since the worker started."""
        self._steps.inc(steps - self._counted[0])
        self._decisions.inc(decisions - self._counted[1])
        self._counted = steps, decisions

    def text(self) -> bytes:
        """The exposition format Prometheus reads."""
        return generate_latest(self.registry)
