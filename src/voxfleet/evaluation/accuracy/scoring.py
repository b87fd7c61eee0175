"""From what was heard to the figures of one mode: words, characters, slices, and what else can be said of the text.

Rates pool counts over items; intervals resample units (calls or speakers), because the utterances of one are alike.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from voxfleet.evaluation.accuracy.figures import further_figures
from voxfleet.evaluation.accuracy.hearing import Heard
from voxfleet.evaluation.accuracy.scored import Rules, Scored
from voxfleet.evaluation.manifests.items import SPEECH
from voxfleet.evaluation.report.document import (
    AlignedWord,
    ItemResult,
    Latency,
    ModeResult,
    Slice,
    Words,
)
from voxfleet.evaluation.report.estimates import counted, latency, pooled
from voxfleet.evaluation.text.alignment import align_texts, count
from voxfleet.evaluation.text.characters import score_characters
from voxfleet.evaluation.text.counts import EditCounts
from voxfleet.evaluation.text.normalise import normaliser
from voxfleet.evaluation.text.runaway import is_runaway
from voxfleet.evaluation.wer import score

MOST_VALUES = 30
"""A column with more different values than this is no slice but a name."""
DURATIONS = ((3.0, "under 3 s"), (10.0, "3 to 10 s"), (30.0, "10 to 30 s"), (float("inf"), "over 30 s"))


def score_mode(name: str, heard: Sequence[Heard], rules: Rules) -> ModeResult:
    """All of one mode. Items that failed or have no reference are listed and counted in nothing else."""
    scored = [_scored(one, rules) for one in heard]
    spoken = [one for one in scored if one.words is not None and one.item.kind == SPEECH]
    return ModeResult(
        mode=name,
        items=[_result(one) for one in scored],
        words=_words(spoken, lambda one: one.words),
        raw=_words(spoken, lambda one: one.raw),
        characters=_words(spoken, lambda one: one.characters),
        slices=slices(spoken, rules),
        figures=further_figures(scored, rules),
        latencies=_latencies(heard),
    )


def slices(spoken: Sequence[Scored], rules: Rules) -> list[Slice]:
    """WER by every value of every column that is one to slice by."""
    tables: dict[str, dict[str, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for one in spoken:
        for column, value in _columns(one).items():
            if rules.slices is None or column in rules.slices:
                tables[column][value].append(one)
    wanted = {
        column: values
        for column, values in tables.items()
        if rules.slices is not None or 1 < len(values) <= MOST_VALUES
    }
    return [
        Slice(by=column, value=value, items=len(group), words=_words(group, lambda one: one.words))
        for column, values in sorted(wanted.items())
        for value, group in sorted(values.items())
    ]


def _columns(one: Scored) -> Mapping[str, str]:
    item = one.item
    folder = {"folder": item.id.rpartition("/")[0]} if "/" in item.id else {}
    length = next(name for limit, name in DURATIONS if one.heard.seconds < limit)
    return {**folder, "duration": length, **{name: value for name, value in item.columns.items() if value}}


def _scored(heard: Heard, rules: Rules) -> Scored:
    item = heard.item
    unit = rules.unit(item)
    if heard.text is None or item.reference is None:
        return Scored(heard, unit, None, None, None)
    rule = rules.of(item)
    alignment = align_texts(item.reference, heard.text, rule)
    return Scored(
        heard,
        unit,
        count(alignment),
        score(item.reference, heard.text, normalise=normaliser("raw")),
        score_characters(item.reference, heard.text, rule),
        alignment,
    )


def _result(one: Scored) -> ItemResult:
    item, heard = one.item, one.heard
    strange = is_runaway(heard.text, heard.seconds) if heard.text and heard.seconds else None
    return ItemResult(
        item=item.id,
        unit=one.unit,
        seconds=round(heard.seconds, 3),
        kind=item.kind,
        columns=dict(_columns(one)),
        reference=item.reference,
        hypothesis=heard.text,
        words=counted(one.words) if one.words else None,
        characters=counted(one.characters) if one.characters else None,
        alignment=[AlignedWord(str(word.op), word.reference, word.hypothesis) for word in one.alignment],
        runaway=str(strange) if strange else None,
        final_latency=[round(late, 4) for late in heard.final_latency],
        emission=[round(late, 4) for late in heard.emission],
    )


def _words(group: Sequence[Scored], pick: Callable[[Scored], EditCounts | None]) -> Words:
    """Counts of many and the pooled rate with its interval over units."""
    return pooled((one.unit, errors) for one in group if (errors := pick(one)) is not None)


def _latencies(heard: Sequence[Heard]) -> list[Latency]:
    picks: dict[str, Callable[[Heard], tuple[float, ...]]] = {
        "first_partial": lambda one: one.first_partial,
        "emission": lambda one: one.emission,
        "final": lambda one: one.final_latency,
    }
    found = []
    for name, pick in picks.items():
        values = [late for one in heard for late in pick(one)]
        if values:
            found.append(latency(name, values))
    return found
