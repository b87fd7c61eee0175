"""What the record of one call says: latencies with their due times, how restless the text was, where nothing came.

Stability after Shangguan et al. 2020 (arXiv 2006.01416, UPWR) and Arivazhagan et al. 2020 (erasure): a word shown in one
partial and not found in the same place of the next, or of the final, is an unstable word. Case and punctuation are left out.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from voxfleet.errors import BadMessage
from voxfleet.evaluation.latency import Late, LatencyMeter, plain
from voxfleet.evaluation.load.caller import FRAME, Record
from voxfleet.evaluation.load.dialect import Dialect
from voxfleet.evaluation.report.document import Stability, Stall
from voxfleet.wire.native import FinalMessage, PartialMessage, ServerMessage

STALL_SECONDS = 5.0
STALL_SPEECH = 0.5
"""Speech that must be unanswered: the last syllable after a final is no stall."""


@dataclass(slots=True)
class Reading:
    """One call, read. Every `Late.due` is in seconds of the run."""

    first_partials: list[Late] = field(default_factory=list)
    emissions: list[Late] = field(default_factory=list)
    finals: list[Late] = field(default_factory=list)
    response_lag: list[Late] = field(default_factory=list)
    admission: list[Late] = field(default_factory=list)
    stability: Stability = field(default_factory=lambda: no_text())
    stalls: list[Stall] = field(default_factory=list)
    partials_at: list[float] = field(default_factory=list)
    finals_at: list[float] = field(default_factory=list)
    text: str = ""
    """All finals, in the order of their starts."""
    unreadable: list[str] = field(default_factory=list)


def no_text() -> Stability:
    """The stability of a call in which nothing was shown."""
    return Stability(
        final_words=0, shown_and_changed=0, revisions=0, partials=0, committed_revisions=0, turns=0, revised_turns=0
    )


def read(record: Record, dialect: Dialect) -> Reading:
    """Everything a call's record says. Never raises: what can't be read is listed."""
    reading = Reading()
    if record.admitted is None:
        return reading
    reading.admission.append(Late(record.came, record.admitted - record.came))
    spans = record.script.speech_spans
    meter = LatencyMeter(FRAME, spans)
    turns: dict[tuple[int, int], list[PartialMessage]] = {}
    finals: list[FinalMessage] = []
    for arrival, message in _messages(record, dialect, reading):
        at = arrival - record.started
        meter.heard(message, at)
        match message:
            case PartialMessage():
                turns.setdefault((message.channel, message.turn), []).append(message)
                reading.partials_at.append(arrival)
                due = record.started + meter.due(message.end)
                reading.response_lag.append(Late(due, arrival - due))
            case FinalMessage():
                finals.append(message)
                reading.finals_at.append(arrival)
    for turn in meter.timed_emissions():
        moved = [_moved(late, record.started) for late in turn]
        reading.emissions += moved
        reading.first_partials += moved[:1]
    reading.finals = [_moved(late, record.started) for late in meter.timed_finals()]
    reading.stability = stability_of(turns, finals)
    reading.text = " ".join(final.text for final in sorted(finals, key=lambda final: final.start) if final.text)
    reading.stalls = stalls(record, sorted(reading.partials_at + reading.finals_at))
    return reading


def _messages(record: Record, dialect: Dialect, reading: Reading) -> "list[tuple[float, ServerMessage]]":
    found: list[tuple[float, ServerMessage]] = []
    for arrival, payload in record.heard:
        try:
            found.extend((arrival, message) for message in dialect.read(payload))
        except BadMessage as error:
            reading.unreadable.append(str(error))
    return found


def _moved(late: Late, by: float) -> Late:
    return Late(late.due + by, late.seconds)


def stability_of(turns: dict[tuple[int, int], list[PartialMessage]], finals: Sequence[FinalMessage]) -> Stability:
    """Of one call. A final that comes twice, or whose turn had promised other words, is a committed revision."""
    last = {(final.channel, final.turn): final for final in finals}
    changed = revisions = committed = revised_turns = 0
    committed += len(finals) - len(last)
    for key in turns.keys() | last.keys():
        final = last.get(key)
        shown = [_plain_words(f"{partial.stable} {partial.unstable}") for partial in turns.get(key, ())]
        promised = [partial.stable.split() for partial in turns.get(key, ())]
        if final is not None:
            shown.append(_plain_words(final.text))
            promised.append(final.text.split())
        steps = [_differing(before, after) for before, after in itertools.pairwise(shown)]
        changed += sum(steps)
        revisions += sum(step > 0 for step in steps)
        revised_turns += any(steps)
        committed += sum(after[: len(before)] != before for before, after in itertools.pairwise(promised))
    return Stability(
        final_words=sum(len(final.text.split()) for final in last.values()),
        shown_and_changed=changed,
        revisions=revisions,
        partials=sum(map(len, turns.values())),
        committed_revisions=committed,
        turns=len(last),
        revised_turns=revised_turns,
    )


def together(parts: Sequence[Stability]) -> Stability:
    """Counts of many calls, and the rates of the whole."""
    words = sum(part.final_words for part in parts)
    changed = sum(part.shown_and_changed for part in parts)
    revisions = sum(part.revisions for part in parts)
    return Stability(
        final_words=words,
        shown_and_changed=changed,
        revisions=revisions,
        partials=sum(part.partials for part in parts),
        committed_revisions=sum(part.committed_revisions for part in parts),
        turns=sum(part.turns for part in parts),
        revised_turns=sum(part.revised_turns for part in parts),
        upwr=changed / words if words else None,
        revisions_per_word=revisions / words if words else None,
    )


def stalls(record: Record, texts: Sequence[float]) -> list[Stall]:
    """Where speech was sent and no text of any kind came for more than `STALL_SECONDS`, in seconds of the run."""
    sent_until = record.started + record.frames_sent * FRAME
    spans = [
        (record.started + start, min(record.started + end, sent_until))
        for start, end in record.script.speech_spans
        if record.started + start < sent_until
    ]
    found: list[Stall] = []
    for after, until in zip([record.started, *texts], [*texts, record.ended], strict=True):
        unanswered = [(max(start, after), min(end, until)) for start, end in spans if end > after and start < until]
        if not unanswered or until - unanswered[0][0] <= STALL_SECONDS:
            continue
        if sum(end - start for start, end in unanswered) >= STALL_SPEECH:
            found.append(Stall(record.number, unanswered[0][0], until - unanswered[0][0]))
    return found


def _plain_words(text: str) -> list[str]:
    return [plain(word) for word in text.split()]


def _differing(before: Sequence[str], after: Sequence[str]) -> int:
    """Words that no longer stand where they were shown."""
    return sum(k >= len(after) or after[k] != word for k, word in enumerate(before))
