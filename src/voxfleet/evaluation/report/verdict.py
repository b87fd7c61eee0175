"""The first thing a report says: whether it may be believed, what was found, and the handful of figures that matter."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from voxfleet.evaluation.report.document import (
    Capacity,
    EvaluationReport,
    Figure,
    Latency,
    LoadReport,
    ModeResult,
    Report,
)
from voxfleet.evaluation.report.numbers import NONE, duration, errors, estimate, number, plural, spoken

Standing: TypeAlias = Literal["valid", "partial", "invalid"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """In plain words. `sentences` are shown as they are, the most important first."""

    standing: Standing
    because: tuple[str, ...]
    """Why it is invalid or partial."""
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One figure of the top row. `doubt` is what a second, quieter line says: interval, n."""

    name: str
    figure: Figure | None
    unit: str
    doubt: str = ""
    alarming: bool = False


def verdict(report: Report) -> Verdict:
    """What a run found. An invalid run still has its sentences; they are not about the server then."""
    match report:
        case LoadReport():
            sentences = _of_load(report)
            because = report.health.because or ["The load generator was not well, and did not say why."]
            if not report.health.valid:
                return Verdict("invalid", tuple(because), sentences)
        case EvaluationReport():
            sentences = _of_evaluation(report)
    if report.about.partial:
        return Verdict("partial", ("The run ended before its time; the figures are of what had been done.",), sentences)
    return Verdict("valid", (), sentences)


def key_figures(report: Report) -> list[KeyFigure]:
    """Four to eight figures, in the order they are read."""
    return _load_figures(report) if isinstance(report, LoadReport) else _evaluation_figures(report)


def named(latencies: list[Latency], name: str) -> Latency | None:
    """The latency of that kind, if it was measured."""
    return next((latency for latency in latencies if latency.name == name), None)


def _of_load(report: LoadReport) -> tuple[str, ...]:
    counts = report.streams
    final = named(report.latencies, "final")
    found = [f"p95 final {estimate(final.p95, 'seconds')}" if final and final.p95 else "no finals"]
    found.append(plural(counts.failed, "error"))
    if counts.refused:
        found.append(f"{number(counts.refused)} refused")
    if report.stalls:
        found.append(plural(len(report.stalls), "stall"))
    if report.stability.committed_revisions:
        found.append(f"committed text changed {plural(report.stability.committed_revisions, 'time')}")
    offered = f"{plural(counts.offered, 'caller')} on {report.about.target.url}: {', '.join(found)}"
    return (*([_of_capacity(report.capacity)] if report.capacity else []), offered)


def _of_capacity(capacity: Capacity) -> str:
    if capacity.streams is None:
        return f"Not even the smallest number of streams meets the objective ({capacity.objective})."
    least = "At least " if capacity.is_lower_bound else ""
    beyond = f" Beyond: {capacity.beyond.rstrip('.')}." if capacity.beyond else ""
    return f"{least}{plural(capacity.streams, 'stream')} at once ({capacity.objective.rstrip('.')}).{beyond}"


def _of_evaluation(report: EvaluationReport) -> tuple[str, ...]:
    sentences = [_of_mode(mode) for mode in report.modes]
    sentences += [
        f"{cost.mode} against offline: {estimate(cost.points, 'points')} of WER" for cost in report.streaming_cost
    ]
    if report.problems:
        sentences.append(f"{plural(len(report.problems), 'problem')}, named below")
    return tuple(sentences) or ("Nothing was recognised.",)


def _of_mode(mode: ModeResult) -> str:
    failed = sum(item.hypothesis is None for item in mode.items)
    units = len({item.unit for item in mode.items})
    rate = estimate(mode.words.rate, "share") if mode.words.rate else "no reference words"
    counted = f"{plural(len(mode.items), 'recording')} of {plural(units, 'speaker or call', 'speakers or calls')}"
    return f"{mode.mode}: WER {rate} on {counted}" + (f", {number(failed)} failed" if failed else "")


def _load_figures(report: LoadReport) -> list[KeyFigure]:
    figures = []
    if report.capacity:
        most = report.capacity.streams
        figures.append(
            KeyFigure(
                "capacity, at least" if report.capacity.is_lower_bound else "capacity",
                None if most is None else Figure(most),
                "count",
                f"streams: {report.capacity.objective}",
                alarming=most is None,
            )
        )
    for name, title in (("final", "p95 final"), ("emission", "p95 emission"), ("first_partial", "p95 first partial")):
        if latency := named(report.latencies, name):
            few = ", too few" if "p95" in latency.too_few else ""
            figures.append(KeyFigure(title, latency.p95, "seconds", f"n = {number(latency.count)}{few}"))
    counts = report.streams
    figures += [
        KeyFigure(
            "failed", Figure(counts.failed), "count", f"of {plural(counts.offered, 'caller')}", counts.failed > 0
        ),
        KeyFigure("refused", Figure(counts.refused), "count", f"most at once {number(counts.most_at_once)}"),
        KeyFigure("stalls", Figure(len(report.stalls)), "count", "nothing out for over 5 s", bool(report.stalls)),
    ]
    if report.accuracy:
        words = report.accuracy.words
        figures.append(KeyFigure("WER under load", words.rate, "share", f"{plural(spoken(words), 'word')}"))
    return figures


def _evaluation_figures(report: EvaluationReport) -> list[KeyFigure]:
    figures = []
    for mode in report.modes[:4]:
        wrong = f"{number(errors(mode.words))} of {plural(spoken(mode.words), 'word')}"
        figures.append(KeyFigure(f"WER {mode.mode}", mode.words.rate, "share", wrong))
    if report.modes:
        characters = report.modes[0].characters
        figures.append(KeyFigure(f"CER {report.modes[0].mode}", characters.rate, "share", ""))
        seconds = sum(item.seconds for item in report.modes[0].items)
        figures.append(KeyFigure("recordings", Figure(len(report.modes[0].items)), "count", duration(seconds)))
    count = len(report.problems)
    figures.append(KeyFigure("problems", Figure(count), "count", "named below" if count else NONE, count > 0))
    return figures
