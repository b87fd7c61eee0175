"""Which calls this gateway holds now, what became of the others, and what an operator may see of both."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from voxfleet import __version__
from voxfleet.clock import Clock
from voxfleet.cluster.link import Link
from voxfleet.cluster.pool import Pool
from voxfleet.errors import CapacityError, NoAudio, TakenOver, VoxfleetError
from voxfleet.serving.conversation import Conversation, Traffic
from voxfleet.speech import SAMPLE_RATE
from voxfleet.telemetry.metrics import GatewayMetrics

MOST_LISTED = 200
"""Live calls listed in the status; the counts are always complete."""


class LiveCalls:
    """The calls of a gateway, by session id."""

    def __init__(self, metrics: GatewayMetrics, clock: Clock) -> None:
        self.draining = False
        self.refused = 0
        self.failed = 0
        self.opened = 0
        self._metrics = metrics
        self._clock = clock
        self._started = clock.now()
        self._calls: dict[str, Conversation] = {}

    @property
    def count(self) -> int:
        return len(self._calls)

    @property
    def streams(self) -> int:
        """Channels of all live calls."""
        return sum(call.options.channels for call in self._calls.values())

    @property
    def uptime(self) -> float:
        """Seconds since the gateway started."""
        return self._clock.now() - self._started

    def take_over(self, session: str) -> None:
        """The caller of this session has come back over another connection: what the old one holds is free."""
        if (call := self._calls.get(session)) is not None:
            call.failed(TakenOver())
            call.close()

    def hand_over(self) -> None:
        """Ask every caller to go on at another gateway."""
        for call in tuple(self._calls.values()):
            call.hand_over()

    @contextmanager
    def holding(self, conversation: Conversation, session: str | None = None) -> Iterator[str]:
        """The call is live within this block; gives its session id, which a resumed call already has."""
        session = session or secrets.token_hex(8)
        channels = conversation.options.channels
        self._calls[session] = conversation
        self._metrics.streams_active.inc(channels)
        self.opened += channels
        try:
            yield session
        finally:
            if self._calls.get(session) is conversation:  # else it goes on over another connection
                del self._calls[session]
            self._metrics.streams_active.dec(channels)
            self._metrics.partials_replaced.inc(conversation.outbox.replaced)

    def note(self, error: VoxfleetError) -> None:
        """A call was refused or failed."""
        if isinstance(error, CapacityError):
            self.refused += 1
        else:
            self.failed += 1

    def status(self, pool: Pool) -> dict[str, Any]:
        """What the operator page shows; JSON types only."""
        now = self._clock.now()
        metrics = self._metrics
        return {
            "version": __version__,
            "uptime": round(self.uptime, 1),
            "draining": self.draining,
            "streams": {
                "live": self.streams,
                "opened": self.opened,
                "refused": self.refused,
                "failed": self.failed,
            },
            "workers": [_worker(link) for link in pool.links.values()],
            "latency": {
                name: asdict(latency.recent.percentiles(now))
                for name, latency in (
                    ("first_partial", metrics.first_partial),
                    ("emission", metrics.emission),
                    ("final", metrics.final),
                )
            },
            "live": [
                {
                    "session": session,
                    "model": call.info.name,
                    "language": call.options.language,
                    "channels": call.options.channels,
                    "workers": [self._name(pool, key) for key in call.workers],
                    "audio": round(call.received, 1),
                    "lag": round(call.backlog, 2),
                    "age": round(now - call.opened_at, 1),
                }
                for session, call in list(self._calls.items())[:MOST_LISTED]
            ],
        }

    @staticmethod
    def _name(pool: Pool, key: str) -> str:
        return pool.links[key].name if key in pool.links else key

    def expire(self, idle_timeout: float) -> None:
        """End the calls whose callers have said nothing for so long, seconds."""
        earliest = self._clock.now() - idle_timeout
        for call in self._calls.values():
            if call.last_word < earliest and call.waits_for_caller:
                call.failed(NoAudio(idle_timeout))

    def watch(self, now: float) -> None:
        """Look after silent tracks; `now` on the monotonic clock."""
        for call in tuple(self._calls.values()):
            call.watch(now)

    def publish(self, pool: Pool, traffic: Traffic, vad_cpu_seconds: float) -> None:
        """Bring the metrics up to date that mirror somebody else's state."""
        metrics = self._metrics
        metrics.count_to(metrics.frames, traffic.frames)
        metrics.count_to(metrics.audio_seconds, traffic.samples / SAMPLE_RATE)
        metrics.vad_seconds.set(vad_cpu_seconds)
        for link in pool.links.values():
            model = link.info.name if link.info else ""
            metrics.worker_up.labels(link.name).set(link.state == "ready")
            metrics.worker_places.labels(link.name, model).set(link.info.places if link.info else 0)
            metrics.worker_taken.labels(link.name, model).set(link.taken)
            metrics.worker_capacity.labels(link.name, model).set(link.capacity)
            metrics.worker_utilisation.labels(link.name).set(link.load.utilisation)
            metrics.step_seconds.labels(link.name, "0.5").set(link.load.step_p50)
            metrics.step_seconds.labels(link.name, "0.95").set(link.load.step_p95)
            metrics.step_batch.labels(link.name).set(link.load.batch_mean)
            metrics.queue_delay.labels(link.name).set(link.load.queue_p95)
            metrics.steps.labels(link.name).set(link.load.steps)


def _worker(link: Link) -> dict[str, Any]:
    info, load = link.info, link.load
    stepped = load.steps > 0
    return {
        "name": link.name,
        "model": info.name if info else None,
        "device": info.device if info else None,
        "state": link.state,
        "places": info.places if info else 0,
        "taken": link.taken,
        "capacity": link.capacity,
        "checks": load.checks,
        "chunk_ms": load.chunk_ms,
        "step_p50": round(load.step_p50, 4) if stepped else None,
        "step_p95": round(load.step_p95, 4) if stepped else None,
        "batch_mean": round(load.batch_mean, 1) if stepped else None,
        "languages": list(info.languages) if info else [],
    }
