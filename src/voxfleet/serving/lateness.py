"""How late each word and each final left, by the definitions of the design, measured from the audio's arrival."""

from collections import deque

from voxfleet.serving.channel import Channel
from voxfleet.speech import Final, Partial
from voxfleet.telemetry.metrics import GatewayMetrics, at_share

BUDGET = 2.0
"""Seconds; finals later than this are counted, exported and visible."""
KEPT = 512
"""Latencies kept per call for its own summary."""


class Lateness:
    """The latencies of one call."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        self.final: deque[float] = deque(maxlen=KEPT)
        self.emission: deque[float] = deque(maxlen=KEPT)
        self._metrics = metrics
        self._turn: dict[int, int] = {}
        self._told: dict[int, int] = {}
        """Words of each channel's present turn that have been sent in some form."""
        self._stages: dict[tuple[int, int], tuple[float, float]] = {}

    def known(self, channel: Channel, final: Final) -> None:
        """A final was made; remember when its turn ended and when its words were known."""
        stages = channel.stages(final)
        if stages is not None:
            self._stages[channel.number, final.turn] = stages

    def sent(self, channel: Channel, event: Partial | Final, now: float) -> None:
        """A partial or final left at clock time `now`."""
        number = channel.number
        if event.turn > self._turn.get(number, -1):
            self._turn[number], self._told[number] = event.turn, 0
        told = self._told.get(number, 0) if event.turn == self._turn.get(number) else len(event.words)
        for index, word in enumerate(event.words[told:], told):
            arrived = channel.arrivals.when(word.end)
            if arrived is None:
                continue
            late = max(now - arrived, 0.0)
            self._metrics.emission.observe(late, now)
            self.emission.append(late)
            if index == 0:
                self._metrics.first_partial.observe(late, now)
        self._told[number] = max(told, len(event.words))
        if isinstance(event, Final):
            self._final(channel, event, now)

    def _final(self, channel: Channel, final: Final, now: float) -> None:
        stages = self._stages.pop((channel.number, final.turn), None)
        arrived = channel.arrivals.when(final.speech_end)
        channel.arrivals.forget(final.start)
        if arrived is None:
            return
        late = max(now - arrived, 0.0)
        self._metrics.final.observe(late, now)
        self.final.append(late)
        if late > BUDGET:
            self._metrics.over_budget.inc()
        if stages is not None:
            ended, learned = stages
            for stage, seconds in (
                ("endpointing", ended - arrived),
                ("recognition", learned - ended),
                ("delivery", now - learned),
            ):
                self._metrics.stage.labels(stage).observe(max(seconds, 0.0))


def p95(values: "deque[float]") -> float | None:
    """The 95th percentile, or None of nothing."""
    ordered = sorted(values)
    return round(at_share(ordered, 0.95), 3) if ordered else None
