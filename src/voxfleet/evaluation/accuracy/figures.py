"""What else can be said of recognised text than its word error rate: facts, diacritics, inventions, speakers.

Definitions: evaluation reference §1.1 and §1.2. Only figures that the references allow are there.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from voxfleet.evaluation.accuracy.scored import Rules, Scored
from voxfleet.evaluation.manifests.items import SPEECH
from voxfleet.evaluation.report.document import Figure, Named
from voxfleet.evaluation.report.estimates import figure
from voxfleet.evaluation.statistics.intervals import proportion_interval
from voxfleet.evaluation.statistics.resampling import Estimate, f1, figure_interval, rate_interval
from voxfleet.evaluation.text.characters import diacritic_errors
from voxfleet.evaluation.text.entities import EntityErrors, score_entities
from voxfleet.evaluation.text.normalise import for_language, normaliser
from voxfleet.evaluation.text.runaway import NonSpeech, RunawayCounts
from voxfleet.evaluation.wer import WordErrors, score


def further_figures(scored: Sequence[Scored], rules: Rules) -> list[Named]:
    """Every further figure of one mode."""
    spoken = [one for one in scored if one.words is not None and one.item.kind == SPEECH]
    return [
        *_romanian([one for one in spoken if for_language(rules.spoken(one.item)).name == "romanian"]),
        *_entities(spoken, rules),
        *_runaway(scored),
        *_non_speech(scored),
        *_speakers(scored, rules),
    ]


def _romanian(spoken: Sequence[Scored]) -> list[Named]:
    """Tolerance figures beside the primary one, which keeps diacritics."""
    if not spoken:
        return []
    keeps = normaliser("romanian")
    pairs = [(one.unit, one.item.reference or "", one.heard.text or "") for one in spoken]
    wrong: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for unit, said, heard in pairs:
        counts = diacritic_errors(said, heard, keeps)
        wrong[unit][0] += counts.wrong
        wrong[unit][1] += counts.reference
    named = [
        _rate("Diacritic error rate", wrong, "words wrong in nothing but diacritics ÷ words said"),
    ]
    for name, meaning in (
        ("romanian-stripped", "WER with diacritics stripped on both sides: a tolerance, not the figure to quote"),
        ("romanian-orthography", "WER with both orthographies of â and î taken as one (sînt = sunt)"),
    ):
        rule = normaliser(name)
        units: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for unit, said, heard in pairs:
            errors = score(said, heard, normalise=rule)
            units[unit][0] += errors.errors
            units[unit][1] += errors.reference
        named.append(_rate(f"WER, {name}", units, meaning))
    return named


def _entities(spoken: Sequence[Scored], rules: Rules) -> list[Named]:
    """Facts of the languages whose facts are known."""
    units: dict[str, EntityErrors] = {}
    for one in spoken:
        language = rules.spoken(one.item)
        if for_language(language).name == "basic":
            continue
        found = score_entities(one.item.reference or "", one.heard.text or "", language, rules.terms)
        units[one.unit] = units[one.unit] + found if one.unit in units else found
    if not units:
        return []
    whole = sum(units.values(), EntityErrors())
    named = []
    kinds: list[tuple[str, Callable[[EntityErrors], tuple[int, int, int]]]] = [
        ("Entities, F1", lambda e: (e.total.found, e.total.missed, e.total.invented))
    ]
    kinds += [(f"Entities: {kind}, F1", _of_kind(kind)) for kind in whole.kinds]
    for name, pick in kinds:
        found_, missed, invented = pick(whole)
        if not found_ + missed + invented:
            continue
        estimate = figure_interval({unit: pick(errors) for unit, errors in units.items()}, f1)
        named.append(
            Named(
                name=name,
                figure=_figure(estimate),
                unit="share",
                counts={"found": found_, "missed": missed, "invented": invented},
                meaning="2 · found ÷ (in the references + in the hypotheses), matched item by item",
            )
        )
    negations = whole.negations
    if negations.reference + negations.invented:
        named.append(
            Named(
                name="Negation errors",
                figure=Figure(negations.rate) if negations.rate is not None else None,
                unit="share",
                counts={"kept": negations.kept, "lost": negations.lost, "invented": negations.invented},
                meaning="negations lost or invented ÷ negations said: each turns a meaning round",
            )
        )
    return named


def _of_kind(kind: str) -> Callable[[EntityErrors], tuple[int, int, int]]:
    def pick(errors: EntityErrors) -> tuple[int, int, int]:
        slot = errors.kinds.get(kind)
        return (slot.found, slot.missed, slot.invented) if slot else (0, 0, 0)

    return pick


def _runaway(scored: Sequence[Scored]) -> list[Named]:
    counts = sum(
        (RunawayCounts.of(one.heard.text, one.heard.seconds) for one in scored if one.heard.text is not None),
        RunawayCounts(),
    )
    if not counts.utterances:
        return []
    return [
        Named(
            name="Runaway rate",
            figure=_share(counts.runaway, counts.utterances),
            unit="share",
            counts={
                "utterances": counts.utterances,
                "too dense": counts.dense,
                "compressible": counts.compressible,
                "looping": counts.looping,
            },
            meaning="recordings with more words than can be said, a compression ratio above 2.4, or a repeated loop",
        )
    ]


def _non_speech(scored: Sequence[Scored]) -> list[Named]:
    kinds: dict[str, NonSpeech] = defaultdict(NonSpeech)
    for one in scored:
        if one.item.kind != SPEECH and one.heard.text is not None:
            kinds[one.item.kind] += NonSpeech.of(one.heard.text, one.heard.seconds)
    if not kinds:
        return []
    kinds["all"] = sum(kinds.values(), NonSpeech())
    named = []
    for kind, counts in kinds.items():
        told = {"clips": counts.clips, "with output": counts.clips_with_output, "words": counts.words}
        words = counts.words_per_minute
        named.append(
            Named(
                name=f"Invented words, {kind}",
                figure=Figure(words) if words is not None else None,
                unit="words per minute",
                counts=told,
                meaning=f"words recognised in {counts.seconds / 60:.1f} min in which nobody speaks",
            )
        )
        named.append(
            Named(
                name=f"Clips with invented words, {kind}",
                figure=_share(counts.clips_with_output, counts.clips),
                unit="share",
                counts=told,
                meaning="recordings of non-speech in which anything was recognised",
            )
        )
    return named


def _speakers(scored: Sequence[Scored], rules: Rules) -> list[Named]:
    """cpWER, tcpWER, ORC-WER and DER where references tell speakers apart."""
    told = [
        one for one in scored if one.heard.text is not None and any(s.speaker is not None for s in one.item.segments)
    ]
    if not told:
        return []
    from voxfleet.evaluation.speakers import SpeakerScores, score_speakers

    whole = SpeakerScores()
    for one in told:
        whole += score_speakers(one.item.segments, one.heard.segments, normalise=rules.of(one.item))
    named = []
    for name, scores, meaning in (
        ("cpWER", whole.cp, "WER per speaker, speakers matched so that errors are fewest (meeteval)"),
        ("tcpWER", whole.tcp, "cpWER in which words match only within 5 s (meeteval)"),
        ("ORC-WER", whole.orc, "WER with each reference segment in whichever stream it fits best (meeteval)"),
    ):
        if scores is not None and scores.rate is not None:
            named.append(
                Named(name=name, figure=Figure(scores.rate), unit="share", counts=_told(scores.words), meaning=meaning)
            )
    for rule, time in whole.der.items():
        if time.rate is not None:
            named.append(
                Named(
                    name=rule.name,
                    figure=Figure(time.rate),
                    unit="share",
                    counts={
                        "total s": round(time.total),
                        "missed s": round(time.missed),
                        "false alarm s": round(time.false_alarm),
                        "confused s": round(time.confused),
                    },
                    meaning="speaker time missed, invented or under the wrong name ÷ speaker time (pyannote.metrics)",
                )
            )
    return named


def _told(words: WordErrors) -> dict[str, int]:
    return {
        "words": words.reference,
        "substituted": words.substitutions,
        "left out": words.deletions,
        "added": words.insertions,
    }


def _rate(name: str, units: Mapping[str, Sequence[float]], meaning: str) -> Named:
    estimate = rate_interval({unit: (counts[0], counts[1]) for unit, counts in units.items()})
    counts = {
        "wrong": round(sum(count[0] for count in units.values())),
        "words": round(sum(count[1] for count in units.values())),
    }
    return Named(name=name, figure=_figure(estimate), unit="share", counts=counts, meaning=meaning)


def _figure(estimate: Estimate) -> Figure | None:
    return None if estimate.value is None else figure(estimate.value, estimate.interval)


def _share(happened: int, count: int) -> Figure | None:
    return figure(happened / count, proportion_interval(happened, count)) if count else None
