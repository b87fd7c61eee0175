"""What B must not be worse in before it may replace A: errors, added words, runaway text, output where nobody speaks.

Every gate is the paired comparison of one rate over the recordings that both heard, by the unit the first report
resamples. Whoever asks for several wants all of them passed. One more gate can then only make passing harder, so each
verdict is that of its gate alone; Holm's correction is for those who read one gate by itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from msgspec import Struct

from voxfleet.evaluation import statistics
from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.manifests.items import SPEECH
from voxfleet.evaluation.report.document import Figure, ItemResult
from voxfleet.evaluation.report.estimates import figure
from voxfleet.evaluation.report.numbers import errors, percent, plural, spoken
from voxfleet.evaluation.statistics.comparison import Verdict
from voxfleet.evaluation.statistics.resampling import least_units
from voxfleet.evaluation.text.runaway import NonSpeech

WER = "wer"
INSERTIONS = "insertions"
RUNAWAY = "runaway"
NON_SPEECH = "non-speech"

NOT_JUDGED = "not judged"
"""Stands where a verdict would: no recording of both can tell."""

Pair: TypeAlias = tuple[ItemResult, ItemResult]
"""The same recording in A and in B."""

Counts: TypeAlias = tuple[float, float]
"""How much happened, of how much."""


class Gate(Struct, frozen=True, kw_only=True):
    """B against A in one measure."""

    name: str
    """wer, insertions, runaway, non-speech."""
    meaning: str
    items: int
    units: int
    a: float
    b: float
    """Pooled rates, shares."""
    difference: Figure
    """B − A, a share."""
    p_beyond: float
    """How often chance alone would look this good if B were worse by the margin, one-sided."""
    adjusted: float
    """The same after Holm's correction over the gates; 1 where the units are too few for any interval."""
    verdict: str
    """better, not worse, worse, undecided."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What one gate counts."""

    name: str
    title: str
    meaning: str
    counts: Callable[[ItemResult], Counts | None]
    """None where the recording can't tell."""


def _errors(item: ItemResult) -> Counts | None:
    return (errors(item.words), spoken(item.words)) if item.words else None


def _insertions(item: ItemResult) -> Counts | None:
    return (item.words.insertions, spoken(item.words)) if item.words else None


def _runaway(item: ItemResult) -> Counts | None:
    """A text whose audio has no known length was never judged."""
    return (item.runaway is not None, 1) if item.hypothesis is not None and item.seconds > 0 else None


def _output(item: ItemResult) -> Counts | None:
    if item.hypothesis is None or item.kind == SPEECH:
        return None
    return NonSpeech.of(item.hypothesis, item.seconds).clips_with_output, 1


MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(WER, "Word errors", "WER: words wrong, left out or added ÷ words said", _errors),
        Measure(INSERTIONS, "Added words", "words added ÷ words said", _insertions),
        Measure(RUNAWAY, "Runaway text", "share of recordings whose text can't have been said in its audio", _runaway),
        Measure(NON_SPEECH, "Output on non-speech", "share of recordings of non-speech with any word", _output),
    )
}
"""By the name that `--gate` takes, in the order they are shown."""

_RARE = (RUNAWAY, NON_SPEECH)
"""Measures whose rate may be nought in both because too little was looked at."""


def named_gates(text: str) -> tuple[str, ...]:
    """The names in a list such as `wer,insertions`, each once. Raises BadOption for an unknown one and for none."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in MEASURES:
            raise BadOption("--gate", name, f"one of {', '.join(MEASURES)}, or several with commas")
    return names


def judge(pairs: Sequence[Pair], margin: float, level: float, seed: int) -> list[Gate]:
    """Every gate that these recordings can tell of; B may be worse by `margin` in each."""
    judged = {name: _judged(pairs, measure) for name, measure in MEASURES.items()}
    found = {
        name: statistics.compare(
            _by_unit((unit, of_a) for unit, of_a, _ in items),
            _by_unit((unit, of_b) for unit, _, of_b in items),
            margin,
            level,
            seed=seed,
        )
        for name, items in judged.items()
        if items
    }
    tested = {name: one.p_beyond for name, one in found.items() if one.units >= least_units(level)}
    corrected = statistics.holm(tested, 1 - level)
    return [
        Gate(
            name=name,
            meaning=MEASURES[name].meaning,
            items=len(judged[name]),
            units=one.units,
            a=one.rate_a,
            b=one.rate_b,
            difference=figure(one.difference, one.interval),
            p_beyond=one.p_beyond,
            adjusted=corrected[name].adjusted if name in corrected else 1.0,
            verdict=str(one.verdict),
        )
        for name, one in found.items()
    ]


def verdicts(gates: Iterable[Gate], names: Iterable[str]) -> dict[str, str]:
    """What each of the named gates says, in their order; `not judged` where there is no such gate."""
    found = {gate.name: gate.verdict for gate in gates}
    return {name: found.get(name, NOT_JUDGED) for name in names}


def passes(verdict: str) -> bool:
    """Whether a gate with this verdict lets B through: only what is better or not worse."""
    return verdict in (Verdict.BETTER, Verdict.NOT_WORSE)


def unseen(gates: Iterable[Gate], level: float) -> tuple[str, ...]:
    """What gates that saw nothing in either run can't promise: n units bound a rate by 1 − α^(1/n)."""
    return tuple(
        f"{MEASURES[gate.name].title}: none in {plural(gate.items, 'recording')} of either run; "
        f"{plural(gate.units, 'unit')} can miss a share of up to {percent(1 - (1 - level) ** (1 / gate.units))} %"
        for gate in gates
        if gate.name in _RARE and gate.a == gate.b == 0
    )


def _judged(pairs: Sequence[Pair], measure: Measure) -> list[tuple[str, Counts, Counts]]:
    """Unit, counts of A and counts of B of every recording that can tell in both runs."""
    return [
        (a.unit, of_a, of_b)
        for a, b in pairs
        if (of_a := measure.counts(a)) is not None and (of_b := measure.counts(b)) is not None
    ]


def _by_unit(items: Iterable[tuple[str, Counts]]) -> Mapping[str, Counts]:
    total: dict[str, Counts] = defaultdict(lambda: (0.0, 0.0))
    for unit, (happened, of) in items:
        total[unit] = total[unit][0] + happened, total[unit][1] + of
    return total
