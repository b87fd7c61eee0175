"""Two accuracy runs on the same recordings: which is better, by how much, where, and what could not be compared.

Only what both runs scored against the same reference is compared, by the unit the first resamples. What is left out is
counted and named. Differences are B − A: below zero B makes fewer errors.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from voxfleet.evaluation import statistics
from voxfleet.evaluation.faults import BadReport
from voxfleet.evaluation.report.compare_load import LoadComparison, compare_load
from voxfleet.evaluation.report.document import (
    EvaluationReport,
    Figure,
    ItemResult,
    LoadReport,
    ModeResult,
    Report,
    Words,
)
from voxfleet.evaluation.report.estimates import figure
from voxfleet.evaluation.report.gates import Gate, judge
from voxfleet.evaluation.report.numbers import errors, spoken
from voxfleet.evaluation.statistics.resampling import least_units

MARGIN = 0.002
"""Share by which B may be worse and still count as not worse: 0.2 points (reference, section 2, rule 3)."""

LEVEL = 0.95

_BOTH = "these two reports"


class Side(Struct, frozen=True, kw_only=True):
    """One of the two: which run, which mode, and its counts over what both have."""

    title: str
    created: str
    mode: str
    words: Words


class Difference(Struct, frozen=True, kw_only=True):
    """B against A over some of the recordings."""

    by: str
    """The column; empty for all recordings."""
    value: str
    items: int
    units: int
    a: float
    b: float
    """Pooled rates, shares."""
    difference: Figure
    """B − A, a share."""
    p_value: float
    adjusted: float
    """After Holm's correction over all slices; for all recordings the p-value itself."""
    verdict: str
    """Of all recordings: better, not worse, worse, undecided.

    Of a slice: better, worse, no difference shown, too few units.
    """


class Comparison(Struct, frozen=True, kw_only=True, tag="comparison"):
    """B against A on the recordings that both have."""

    a: Side
    b: Side
    normaliser: str
    unit: str
    margin: float
    level: float
    sentence: str
    """The verdict in words."""
    overall: Difference
    slices: list[Difference]
    gates: list[Gate] = []
    """One for each measure that these recordings can tell of; `wer` is what `overall` is."""
    only_a: list[str] = []
    """Recordings the other run does not have."""
    only_b: list[str] = []
    unscored: list[str] = []
    """Recordings both have, but that failed or have no reference in one."""
    other_reference: list[str] = []
    """Recordings whose reference is not the same in both."""


def compare_reports(
    a: Report, b: Report, mode_a: str | None = None, mode_b: str | None = None, *, margin: float = MARGIN
) -> Comparison | LoadComparison:
    """Two reports of one kind. Raises BadReport where they are not, or can't be compared."""
    if isinstance(a, LoadReport) and isinstance(b, LoadReport):
        return compare_load(a, b)
    if isinstance(a, EvaluationReport) and isinstance(b, EvaluationReport):
        return compare(a, b, mode_a, mode_b, margin=margin)
    raise BadReport(_BOTH, "one is of load, the other of accuracy; only two of a kind can be compared")


def compare(
    a: EvaluationReport,
    b: EvaluationReport,
    mode_a: str | None = None,
    mode_b: str | None = None,
    *,
    margin: float = MARGIN,
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """B against A on shared recordings, overall and by slice with Holm's correction.

    Without modes: the first that both have; else the first of each. Raises BadReport for different normalisers, an
    unknown mode and no shared recordings, MissingExtra without scipy.
    """
    if a.normaliser != b.normaliser:
        why = f"rates of different normalisers can't be compared: {a.normaliser} and {b.normaliser}"
        raise BadReport(_BOTH, why)
    run_a, run_b = _modes(a, b, mode_a, mode_b)
    all_a, all_b = ({item.item: item for item in run.items} for run in (run_a, run_b))
    both = [item for item in all_a if item in all_b]
    unscored = [item for item in both if all_a[item].words is None or all_b[item].words is None]
    scored = [item for item in both if item not in set(unscored)]
    other = [item for item in scored if not _same_reference(all_a[item], all_b[item])]
    pairs = [(all_a[item], all_b[item]) for item in scored if item not in set(other)]
    heard = [(all_a[item], all_b[item]) for item in both if item not in set(other)]
    if not any(item.words and spoken(item.words) for item, _ in pairs):
        why = f"no recording with a reference is in both ({len(both)} shared, {len(unscored)} of them not scored, "
        raise BadReport(_BOTH, f"{why}{len(other)} with another reference)")
    found = _statistics(pairs, margin, level, seed)
    overall = _difference("", "", pairs, found, found.p_value, str(found.verdict))
    return Comparison(
        a=_side(a, run_a, [item for item, _ in pairs]),
        b=_side(b, run_b, [item for _, item in pairs]),
        normaliser=a.normaliser,
        unit=a.unit,
        margin=margin,
        level=level,
        sentence=found.sentence(*_names(a, b, run_a, run_b)),
        overall=overall,
        slices=_slices(pairs, margin, level, seed),
        gates=judge(heard, margin, level, seed),
        only_a=[item for item in all_a if item not in all_b],
        only_b=[item for item in all_b if item not in all_a],
        unscored=unscored,
        other_reference=other,
    )


def _modes(
    a: EvaluationReport, b: EvaluationReport, mode_a: str | None, mode_b: str | None
) -> tuple[ModeResult, ModeResult]:
    known_a, known_b = ({mode.mode: mode for mode in report.modes} for report in (a, b))
    if not known_a or not known_b:
        raise BadReport(_BOTH, "one of them has no results at all")
    shared = next((mode for mode in known_a if mode in known_b), None)
    if mode_a is None:
        mode_a = mode_b if mode_b in known_a else shared or next(iter(known_a))
    if mode_b is None:
        mode_b = mode_a if mode_a in known_b else next(iter(known_b))
    for report, known, mode in ((a, known_a, mode_a), (b, known_b, mode_b)):
        if mode not in known:
            raise BadReport(report.about.title, f"has no mode '{mode}'; it has {', '.join(map(repr, known))}")
    assert mode_a is not None
    return known_a[mode_a], known_b[mode_b]


def _names(a: EvaluationReport, b: EvaluationReport, run_a: ModeResult, run_b: ModeResult) -> tuple[str, str]:
    """What tells the two apart: their modes, else their titles, else A and B."""
    if run_a.mode != run_b.mode:
        return run_a.mode, run_b.mode
    if a.about.title != b.about.title:
        return f"“{a.about.title}”", f"“{b.about.title}”"
    return "A", "B"


def _same_reference(a: ItemResult, b: ItemResult) -> bool:
    assert a.words is not None
    assert b.words is not None
    if a.alignment and b.alignment:
        said_a, said_b = ([column.said for column in item.alignment if column.said is not None] for item in (a, b))
        return said_a == said_b
    return spoken(a.words) == spoken(b.words)


def _slices(pairs: Sequence[tuple[ItemResult, ItemResult]], margin: float, level: float, seed: int) -> list[Difference]:
    """Of every value of every column that some but not all of the recordings have, and more than one has.

    Slices of fewer units than any interval needs are shown, but not tested: they would only weaken the correction.
    """
    groups: dict[tuple[str, str], list[tuple[ItemResult, ItemResult]]] = defaultdict(list)
    for a, b in pairs:
        for pair in a.columns.items():
            groups[pair].append((a, b))
    groups = {
        name: group
        for name, group in sorted(groups.items())
        if 1 < len(group) < len(pairs) and any(a.words and spoken(a.words) for a, _ in group)
    }
    found = {name: _statistics(group, margin, level, seed) for name, group in groups.items()}
    enough = least_units(level)
    tested = {f"{by}\n{value}": one.p_value for (by, value), one in found.items() if one.units >= enough}
    corrected = statistics.holm(tested, 1 - level)
    slices = []
    for (by, value), group in groups.items():
        one, correction = found[by, value], corrected.get(f"{by}\n{value}")
        verdict = "no difference shown" if correction else "too few units"
        if correction and correction.significant:
            verdict = "better" if one.difference < 0 else "worse"
        slices.append(_difference(by, value, group, one, correction.adjusted if correction else 1.0, verdict))
    return slices


def _statistics(
    pairs: Sequence[tuple[ItemResult, ItemResult]], margin: float, level: float, seed: int
) -> statistics.Comparison:
    return statistics.compare(
        units_of((pair[0].unit, pair[0].words) for pair in pairs),
        units_of((pair[0].unit, pair[1].words) for pair in pairs),
        margin,
        level,
        seed=seed,
    )


def units_of(items: Iterable[tuple[str, Words | None]]) -> Mapping[str, tuple[float, float]]:
    """Errors and reference words of each unit."""
    wrong: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for unit, counts in items:
        assert counts is not None
        wrong[unit] += errors(counts)
        said[unit] += spoken(counts)
    return {unit: (wrong[unit], said[unit]) for unit in said}


def _difference(
    by: str,
    value: str,
    pairs: Sequence[tuple[ItemResult, ItemResult]],
    found: statistics.Comparison,
    adjusted: float,
    verdict: str,
) -> Difference:
    return Difference(
        by=by,
        value=value,
        items=len(pairs),
        units=found.units,
        a=found.rate_a,
        b=found.rate_b,
        difference=figure(found.difference, found.interval),
        p_value=found.p_value,
        adjusted=adjusted,
        verdict=verdict,
    )


def _side(report: EvaluationReport, mode: ModeResult, items: Sequence[ItemResult]) -> Side:
    counts = [item.words for item in items if item.words is not None]
    hits, substitutions, deletions, insertions = (
        sum(getattr(one, name) for one in counts) for name in ("hits", "substitutions", "deletions", "insertions")
    )
    pooled = Words(hits=hits, substitutions=substitutions, deletions=deletions, insertions=insertions)
    return Side(title=report.about.title, created=report.about.created, mode=mode.mode, words=pooled)
