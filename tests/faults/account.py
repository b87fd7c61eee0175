"""What a fault did to the callers: finals compared one by one with the undisturbed run, and the time until words came again."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from msgspec.structs import replace

from tests.faults.callers import Told
from tests.faults.calls import Call
from voxfleet.telemetry.metrics import at_share
from voxfleet.wire.native import FinalMessage, PartialMessage


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the fleet. `at` is `time.monotonic()`; None for `sessions` = it is not known who was hit."""

    kind: str
    at: float
    sessions: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Seconds:
    """How values are spread; None where there are none."""

    count: int
    p50: float | None = None
    p95: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> "Seconds":
        ordered = sorted(values)
        if not ordered:
            return cls(0)
        return cls(
            len(ordered), round(at_share(ordered, 0.5), 3), round(at_share(ordered, 0.95), 3), round(ordered[-1], 3)
        )


@dataclass(slots=True)
class Account:
    """Every count is of channels' finals unless it says otherwise; all but the first group should be zero."""

    calls: int = 0
    streams: int = 0
    finals: int = 0
    faults: int = 0
    affected: int = 0
    """Streams that a fault hit, each time counted; all live streams where it is not known who was hit."""
    resumes: int = 0
    recovery: Seconds = field(default_factory=lambda: Seconds(0))
    """Of streams that were hit while somebody talked: from the fault to the first partial or final that covers audio spoken
    after the fault. The audio itself, the step and the interval between partials are part of it."""
    refused: int = 0
    """Calls that got no place."""

    finals_lost: int = 0
    finals_repeated: int = 0
    finals_different: int = 0
    finals_invented: int = 0
    """Finals of turns that the undisturbed run does not have."""
    out_of_order: int = 0
    stable_withdrawn: int = 0
    """Partials that take back a word called stable before."""
    failed: dict[str, int] = field(default_factory=dict)
    """Calls that ended before `done`, by the name of the error."""
    examples: list[str] = field(default_factory=list)
    """The first few differences in words."""

    @property
    def identical(self) -> bool:
        """Nothing was lost, repeated, changed or cut."""
        wrong = self.finals_lost + self.finals_repeated + self.finals_different + self.finals_invented
        return not (wrong or self.out_of_order or self.stable_withdrawn or self.failed)

    def json(self) -> dict[str, Any]:
        return {"identical": self.identical} | asdict(self)


CLOSE = 0.001
"""Confidences of the same words that differ by less are the same."""


compared: list[Account] = []
"""Every account of the present test."""


def account(
    heard: Sequence[Told], expected: Mapping[Call, Sequence[FinalMessage]], faults: Sequence[Fault] = ()
) -> Account:
    """Compare what callers were told with the undisturbed run. Calls that were refused are counted and left out."""
    found = Account(faults=len(faults))
    recovered: list[float] = []
    for told in heard:
        if told.refused:
            found.refused += 1
            continue
        found.calls += 1
        found.streams += told.call.channels
        found.resumes += told.resumes
        if not told.done:
            found.failed[told.code or "unknown"] = found.failed.get(told.code or "unknown", 0) + 1
        _compare(told, expected[told.call], found)
        _partials(told, found)
        for fault in faults:
            if fault.sessions is not None and told.session not in fault.sessions:
                continue
            if not told.began <= fault.at < told.began + told.call.frames * 0.1:
                continue
            found.affected += told.call.channels
            recovered += recoveries(told, fault.at)
    found.recovery = Seconds.of(recovered)
    compared.append(found)
    return found


def recoveries(told: Told, at: float) -> list[float]:
    """For each channel on which somebody talked at the fault and a second beyond: seconds until words of that talk came."""
    position = at - told.began
    talking = [c for c in range(told.call.channels) if told.call.talks(c, position - 0.5, position + 1.0)]
    later = [(when, m) for when, m in told.messages if when > at and isinstance(m, PartialMessage | FinalMessage)]
    waits = []
    for channel in talking:
        covering = (when - at for when, m in later if m.channel == channel and m.end > position)
        if (first := next(covering, None)) is not None:
            waits.append(first)
    return waits


def final_latencies(heard: Sequence[Told]) -> list[float]:
    """From the last speech sample of each turn, spoken, to its final, received; the silence that ends a turn is part of it."""
    return [
        when - one.began - message.speech_end
        for one in heard
        for when, message in one.messages
        if isinstance(message, FinalMessage) and message.speech_end is not None
    ]


def _compare(told: Told, expected: Sequence[FinalMessage], found: Account) -> None:
    who = f"caller {told.number}"
    wanted = {(final.channel, final.turn): final for final in expected}
    counts = Counter((final.channel, final.turn) for final in told.finals)
    found.finals += len(told.finals)
    for key in wanted.keys() - counts.keys():
        found.finals_lost += 1
        _example(found, f"{who}: lost {_brief(wanted[key])}")
    for key, count in counts.items():
        if count > 1:
            found.finals_repeated += count - 1
            _example(found, f"{who}: channel {key[0]} turn {key[1]} came {count} times")
    last: dict[int, int] = {}
    for final in told.finals:
        key = final.channel, final.turn
        if key not in wanted:
            found.finals_invented += 1
            _example(found, f"{who}: invented {_brief(final)}")
        elif not _same(final, wanted[key]):
            found.finals_different += 1
            _example(found, f"{who}: {_brief(wanted[key])} became another: {_difference(wanted[key], final)}")
        if final.turn < last.get(final.channel, -1):
            found.out_of_order += 1
        last[final.channel] = final.turn


def _partials(told: Told, found: Account) -> None:
    """Words once called stable stay, in later partials of the turn and in its final."""
    stable: dict[tuple[int, int], str] = {}
    for _, message in told.messages:
        if not isinstance(message, PartialMessage | FinalMessage):
            continue
        key = message.channel, message.turn
        now = message.text if isinstance(message, FinalMessage) else message.stable
        before = stable.get(key, "")
        if not (now + " ").startswith(before + " " if before else ""):
            found.stable_withdrawn += 1
            _example(found, f"caller {told.number}: turn {key[1]} took back …{before[-40:]!r}, has …{now[-40:]!r}")
        stable[key] = now


def _brief(final: FinalMessage) -> str:
    words = final.text if len(final.text) < 40 else f"{final.text[:12]}…{final.text[-20:]}"
    return f"channel {final.channel} turn {final.turn} [{final.start}, {final.end}] {words!r}"


def _same(a: FinalMessage, b: FinalMessage) -> bool:
    """Equal in everything but the last digits of confidences: PocketSphinx computes them from a lattice whose order of
    summation differs from process to process (seen: 0.56188 and 0.56193 for the same audio)."""
    ours, theirs = a.words or [], b.words or []
    if len(ours) != len(theirs):
        return False
    unsure = [replace(word, confidence=None) for word in ours], [replace(word, confidence=None) for word in theirs]
    if replace(a, words=unsure[0]) != replace(b, words=unsure[1]):
        return False
    sure = zip([word.confidence for word in ours], [word.confidence for word in theirs], strict=True)
    return all(p == q or (p is not None and q is not None and abs(p - q) < CLOSE) for p, q in sure)


def _difference(a: FinalMessage, b: FinalMessage) -> str:
    fields = [(name, getattr(a, name), getattr(b, name)) for name in a.__struct_fields__]
    return ", ".join(f"{name} {was!r} -> {now!r}"[:400] for name, was, now in fields if was != now)


def _example(found: Account, sentence: str) -> None:
    if len(found.examples) < 8:
        found.examples.append(sentence)
