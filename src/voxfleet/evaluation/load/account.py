"""From the course of a run to the figures of its report, and whether they may be believed.

Only events due within the measured part count (the warm-up is discarded); calls are counted all, however they ended.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from voxfleet.evaluation.latency import Late
from voxfleet.evaluation.load.caller import FRAME, Record
from voxfleet.evaluation.load.pacer import CPU_LIMIT, LAG_MAX_LIMIT, LAG_P99_LIMIT, Wakes
from voxfleet.evaluation.load.reading import Reading, read, together
from voxfleet.evaluation.load.run import Course
from voxfleet.evaluation.report.document import (
    About,
    Accuracy,
    Health,
    Latency,
    LoadReport,
    Problem,
    Stall,
    StreamLine,
    Streams,
)
from voxfleet.evaluation.report.estimates import latency, pooled
from voxfleet.evaluation.text.normalise import Normaliser
from voxfleet.evaluation.wer import score

LINES = 60
"""Callers in the timeline."""
REFUSALS = 500
KEPT = 3
"""Frames of each record that stay when it is read: the greeting. A search holds many runs."""
PROBLEMS = 200
"""Problems that are told one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class Account:
    """A course, read."""

    course: Course
    readings: list[tuple[Record, Reading]]

    def measured(self, pick: Callable[[Reading], Iterable[Late]]) -> list[Late]:
        """Events due after the warm-up, of all calls."""
        begin = self.course.plan.warm_up
        return [late for _, reading in self.readings for late in pick(reading) if late.due >= begin]

    @property
    def stalls(self) -> list[Stall]:
        begin = self.course.plan.warm_up
        return [stall for _, reading in self.readings for stall in reading.stalls if stall.begin >= begin]


def account(course: Course, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Account:
    """Read every record; this takes about four seconds for 100,000 messages."""
    readings = []
    for number, record in enumerate(course.records):
        readings.append((record, read(record, course.plan.dialect)))
        del record.heard[KEPT:]
        progress(number + 1, len(course.records))
    return Account(course, readings)


def load_report(found: Account, about: About, arrivals: str, normaliser: Normaliser) -> LoadReport:
    """The document of one run."""
    course = found.course
    records = course.records
    return LoadReport(
        about=about,
        arrivals=arrivals,
        warm_up=course.plan.warm_up,
        seconds=max(min(course.ended, course.plan.end) - course.plan.warm_up, 0.0),
        health=health(course.wakes),
        streams=streams(course),
        latencies=latencies(found),
        stability=together([reading.stability for _, reading in found.readings]),
        stalls=found.stalls,
        bytes_sent=sum(record.bytes_sent for record in records),
        bytes_received=sum(record.bytes_received for record in records),
        audio_seconds=round(sum(record.frames_sent for record in records) * FRAME, 1),
        accuracy=accuracy(found, normaliser),
        concurrency=_thinned(course.changes),
        refusals=[record.came for record in records if record.outcome == "refused"][:REFUSALS],
        timeline=[_line(record, reading) for record, reading in _some(found.readings)],
        problems=problems(found),
    )


def health(wakes: Wakes) -> Health:
    """Whether the generator was in time itself."""
    late = np.array(wakes.late or [0.0], np.float64)
    p50, p99, largest = np.percentile(late, [50, 99, 100], method="inverted_cdf").tolist()
    because = []
    if p99 > LAG_P99_LIMIT:
        because.append(f"it sent {p99 * 1000:.0f} ms late at p99; {LAG_P99_LIMIT * 1000:.0f} ms is allowed")
    if largest > LAG_MAX_LIMIT:
        because.append(f"it stood still for {largest:.1f} s; {LAG_MAX_LIMIT:g} s is allowed")
    if wakes.cpu_share > CPU_LIMIT:
        because.append(f"it used {100 * wakes.cpu_share:.0f} % of its core; {100 * CPU_LIMIT:.0f} % is allowed")
    return Health(
        valid=not because,
        because=because,
        lag_p50=round(p50, 6),
        lag_p99=round(p99, 6),
        lag_max=round(largest, 6),
        cpu_share=round(wakes.cpu_share, 3),
        frames_sent=wakes.frames,
    )


def streams(course: Course) -> Streams:
    """What became of the callers."""
    outcomes = Counter(record.outcome for record in course.records)
    return Streams(
        offered=len(course.records),
        admitted=sum(record.admitted is not None for record in course.records),
        refused=outcomes["refused"],
        failed=outcomes["failed"],
        finished=outcomes["finished"],
        most_at_once=course.most,
        reasons=dict(Counter(record.reason for record in course.records if record.reason).most_common()),
    )


def latencies(found: Account) -> list[Latency]:
    """Every kind that occurred."""
    picks: dict[str, Callable[[Reading], list[Late]]] = {
        "first_partial": lambda reading: reading.first_partials,
        "emission": lambda reading: reading.emissions,
        "final": lambda reading: reading.finals,
        "response_lag": lambda reading: reading.response_lag,
        "admission": lambda reading: reading.admission,
    }
    kinds = []
    for name, pick in picks.items():
        events = found.measured(pick) if name != "admission" else [x for _, r in found.readings for x in pick(r)]
        if events:
            kinds.append(latency(name, [late.seconds for late in events]))
    return kinds


def accuracy(found: Account, normaliser: Normaliser) -> Accuracy | None:
    """WER of the calls whose words are known and that ended as they should; None where there are none."""
    counts = [
        (str(record.number), score(record.script.reference, reading.text, normalise=normaliser))
        for record, reading in found.readings
        if record.outcome == "finished" and record.script.reference
    ]
    return Accuracy(normaliser=normaliser.version, calls=len(counts), words=pooled(counts)) if counts else None


def problems(found: Account) -> list[Problem]:
    """Refusals, failures and unreadable messages, by caller."""
    told = [
        Problem(f"caller {record.number}", record.reason, record.why) for record, _ in found.readings if record.reason
    ]
    told += [
        Problem(f"caller {record.number}", "unreadable_message", sentence)
        for record, reading in found.readings
        for sentence in reading.unreadable[:1]
    ]
    return told[:PROBLEMS]


def _some(readings: list[tuple[Record, Reading]]) -> list[tuple[Record, Reading]]:
    """Callers for the timeline: first those in trouble, then evenly of the rest; in the order they came."""
    troubled = [pair for pair in readings if pair[0].outcome == "failed" or pair[1].stalls][: LINES // 2]
    rest = [pair for pair in readings if not any(pair is other for other in troubled)]
    room = LINES - len(troubled)
    step = max(len(rest) / room, 1.0)
    chosen = troubled + [rest[int(k * step)] for k in range(min(room, len(rest)))]
    return sorted(chosen, key=lambda pair: pair[0].number)


def _line(record: Record, reading: Reading) -> StreamLine:
    return StreamLine(
        stream=record.number,
        begin=round(record.came, 3),
        end=round(record.ended, 3),
        outcome=record.outcome,
        speech=[
            (round(record.started + start, 2), round(record.started + end, 2))
            for start, end in record.script.speech_spans
            if record.admitted is not None and start < record.frames_sent * FRAME
        ],
        partials=[round(at, 2) for at in reading.partials_at],
        finals=[round(at, 2) for at in reading.finals_at],
    )


def _thinned(changes: list[tuple[float, int]], most: int = 500) -> list[tuple[float, int]]:
    """Of very many changes some: the first, the last and evenly between."""
    step = max(len(changes) / most, 1.0)
    picked = [changes[int(k * step)] for k in range(min(most, len(changes)))]
    if picked[-1] != changes[-1]:
        picked.append(changes[-1])
    return [(round(at, 2), count) for at, count in picked]
