"""One evaluation: the modes together, what streaming costs, and the clips worth hearing."""

import re
from collections.abc import Callable, Mapping, Sequence

from voxfleet.errors import VoxfleetError
from voxfleet.evaluation.accuracy.hearing import Heard
from voxfleet.evaluation.accuracy.scored import Rules
from voxfleet.evaluation.accuracy.scoring import score_mode
from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.manifests.audio import samples_of
from voxfleet.evaluation.manifests.hypotheses import Hypotheses
from voxfleet.evaluation.manifests.items import SPEECH, Item
from voxfleet.evaluation.report.clips import clip_uri
from voxfleet.evaluation.report.compare import units_of
from voxfleet.evaluation.report.document import (
    About,
    Cost,
    EvaluationReport,
    ItemResult,
    ModeResult,
    Problem,
)
from voxfleet.evaluation.report.estimates import figure
from voxfleet.evaluation.report.numbers import errors
from voxfleet.evaluation.statistics.comparison import compare

OFFLINE = "offline"


def unit_rule(name: str | None, items: Sequence[Item]) -> tuple[Callable[[Item], str], str]:
    """What intervals resample, and the sentence for the report.

    `name` is a column, or a regular expression between slashes whose first group is taken from the item's id; without
    one: the call, else the speaker, else the item itself. Raises BadOption.
    """
    if name and name.startswith("/") and name.endswith("/") and len(name) > 2:
        try:
            pattern = re.compile(name[1:-1])
        except re.error as error:
            raise BadOption("--unit", name, f"a regular expression ({error})") from None
        if not pattern.groups:
            raise BadOption("--unit", name, "a regular expression with a group, e.g. /(\\d+)-/")

        def by_pattern(item: Item) -> str:
            found = pattern.search(item.id)
            return found.group(1) or item.id if found else item.id

        return by_pattern, f"part of the name of each recording that matches {name}"
    columns = {column for item in items for column in item.columns}
    if name and name not in columns:
        raise BadOption("--unit", name, f"a column of the manifest ({', '.join(sorted(columns)) or 'it has none'})")
    found = next((column for column in ([name] if name else ["call", "speaker"]) if column in columns), None)
    if found is not None:
        return (lambda item: item.columns.get(found) or item.id), f"the column '{found}'"
    return (lambda item: item.id), (
        "each recording by itself, because the manifest names neither call nor speaker: intervals are too narrow where "
        "several recordings are of one speaker"
    )


def from_hypotheses(items: Sequence[Item], hypotheses: Hypotheses) -> list[Heard]:
    """What another system recognised, as if it had been heard here; items it does not name are problems."""
    found = []
    for item in items:
        text = hypotheses.of(item)
        seconds = (item.end - item.start) if item.end is not None else _seconds(item)
        if text is None:
            problem = Problem(item.id, "no_hypothesis", f"{hypotheses.path.name} says nothing of this recording")
            found.append(Heard(item, seconds, None, problem=problem))
        elif isinstance(text, str):
            found.append(Heard(item, seconds, text))
        else:
            ordered = tuple(sorted(text, key=lambda segment: segment.start))
            found.append(Heard(item, seconds, " ".join(s.text for s in ordered if s.text), ordered))
    return found


def report(
    about: About,
    heard: Mapping[str, Sequence[Heard]],
    rules: Rules,
    unit: str,
    problems: Sequence[Problem],
    clips: int,
    told: Callable[[int, int], None] = lambda _done, _of: None,
) -> EvaluationReport:
    """The document of all modes. `clips` is how many recordings go into the page, those with most errors first."""
    modes = []
    for number, (name, results) in enumerate(heard.items()):
        modes.append(score_mode(name, results, rules))
        told(number + 1, len(heard))
    items = {one.item.id: one.item for results in heard.values() for one in results}
    failures = [
        replace_where(one.problem, f"{one.item.id} ({name})")
        for name, results in heard.items()
        for one in results
        if one.problem is not None
    ]
    unknown = sum(item.reference is None for item in items.values())
    notes = (
        [Problem("manifest", "no_reference", f"{unknown} recordings have no reference: heard, but not scored")]
        if unknown
        else []
    )
    return EvaluationReport(
        about=about,
        normaliser=rules.versions(items.values()),
        unit=unit,
        modes=modes,
        streaming_cost=streaming_cost(modes),
        problems=[*problems, *notes, *failures],
        clips=_clips(modes, items, clips),
    )


def replace_where(problem: Problem, where: str) -> Problem:
    """The problem, found elsewhere."""
    return Problem(where, problem.code, problem.message)


def streaming_cost(modes: Sequence[ModeResult]) -> list[Cost]:
    """Each live mode against offline, over the items both have scored: WER points with their paired interval."""
    offline = next((mode for mode in modes if mode.mode == OFFLINE), None)
    if offline is None:
        return []
    costs = []
    for mode in modes:
        if mode is offline:
            continue
        streamed, whole = _scored(mode), _scored(offline)
        both = streamed.keys() & whole.keys()
        a, b = (
            units_of((scored[name].unit, scored[name].words) for name in sorted(both)) for scored in (whole, streamed)
        )
        if not sum(words for _, words in a.values()):
            continue
        found = compare(a, b)
        p95 = next((latency.p95 for latency in mode.latencies if latency.name == "final"), None)
        points = figure(found.difference, found.interval)
        costs.append(Cost(mode=mode.mode, points=points, final_p95=p95.value if p95 else None))
    return costs


def _scored(mode: ModeResult) -> dict[str, ItemResult]:
    return {one.item: one for one in mode.items if one.words is not None and one.kind == SPEECH}


def _clips(modes: Sequence[ModeResult], items: Mapping[str, Item], most: int) -> dict[str, str]:
    """The sound of the recordings with most errors, and of inventions, for the page."""
    worst: dict[str, int] = {}
    for mode in modes:
        for one in mode.items:
            if one.words is not None:
                worst[one.item] = max(worst.get(one.item, 0), errors(one.words))
    clips: dict[str, str] = {}
    for name in sorted(worst, key=lambda name: -worst[name])[:most]:
        try:
            samples, rate = samples_of(items[name], 16_000)
        except (VoxfleetError, OSError):
            continue
        clips[name] = clip_uri(samples, rate)
    return clips


def _seconds(item: Item) -> float:
    """How long the audio is; 0 where it can't be read, which scoring text does not need."""
    try:
        samples, rate = samples_of(item)
    except (VoxfleetError, OSError):
        return 0.0
    return len(samples) / rate
