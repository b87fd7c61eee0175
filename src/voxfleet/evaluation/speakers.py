"""Who said what: word errors that know of speakers, as counts that add up, and all scores of speakers together.

cpWER, tcpWER (collar 5 s, as usual) and ORC-WER are fgnt/meeteval's (von Neumann et al., "MeetEval", CHiME 2023,
arXiv 2307.11394); speaker time is scored in diarization.py.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any, Self

from voxfleet.errors import BadValue
from voxfleet.evaluation.diarization import DER_RULES, DiarizationRule, SpeakerTime, speaker_time
from voxfleet.evaluation.faults import MissingExtra
from voxfleet.evaluation.manifests.items import Segment
from voxfleet.evaluation.wer import WordErrors
from voxfleet.speech import Seconds

TCP_COLLAR: Seconds = 5.0
"""How far from its reference a word may be heard and still be that word."""

MOST_SPEAKERS = 20
"""On either side of one recording; meeteval takes more for a mistake of the input."""
MOST_STREAMS = 10
"""Speakers of a hypothesis that ORC-WER is computed for, by meeteval's rule."""
EXACT_ORC = 20_000_000
"""States (reference segments × product of the words + 1 of each stream) up to which ORC-WER is computed exactly.
meeteval takes 16 bytes and, on a slow core, 160 ns for each: 320 MB and 3 s. Beyond, its greedy search is taken."""

Normaliser = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class SpeakerErrors:
    """Word errors where a word counts only under the right speaker, and how the numbers of speakers compare."""

    words: WordErrors = field(default_factory=WordErrors)
    missed: int = 0
    """Speakers of the references that no hypothesis speaker was left for."""
    invented: int = 0
    """Speakers of the hypotheses that no reference speaker was left for."""
    speakers: int = 0
    """Speakers of the references."""

    @property
    def rate(self) -> float | None:
        """As WordErrors.rate."""
        return self.words.rate

    def __add__(self, other: Self) -> "SpeakerErrors":
        return SpeakerErrors(
            self.words + other.words,
            self.missed + other.missed,
            self.invented + other.invented,
            self.speakers + other.speakers,
        )


@dataclass(frozen=True, slots=True)
class StreamErrors:
    """Word errors where each reference segment may be heard in any one stream of the hypothesis (ORC-WER)."""

    words: WordErrors = field(default_factory=WordErrors)
    exact: bool = True
    """False where a recording was too large and a greedy search gave its figure, which may be too high."""

    @property
    def rate(self) -> float | None:
        """As WordErrors.rate."""
        return self.words.rate

    def __add__(self, other: Self) -> "StreamErrors":
        return StreamErrors(self.words + other.words, self.exact and other.exact)


@dataclass(frozen=True, slots=True)
class SpeakerScores:
    """Everything that can be said of one recording, or added up of many. None: the references don't allow it."""

    cp: SpeakerErrors | None = None
    tcp: SpeakerErrors | None = None
    orc: StreamErrors | None = None
    der: Mapping[DiarizationRule, SpeakerTime] = field(default_factory=dict)

    def __add__(self, other: Self) -> "SpeakerScores":
        rules = list(dict.fromkeys([*self.der, *other.der]))
        return SpeakerScores(
            _both(self.cp, other.cp),
            _both(self.tcp, other.tcp),
            _both(self.orc, other.orc),
            {rule: self.der.get(rule, SpeakerTime()) + other.der.get(rule, SpeakerTime()) for rule in rules},
        )


def score_speakers(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], *, normalise: Normaliser
) -> SpeakerScores:
    """One recording, by every measure its segments allow: words where both sides have text (ORC) and the reference
    speakers (cp, tcp), time where the reference has speakers.

    A side whose segments name no speaker counts as one speaker. Raises BadValue for more speakers than can be scored,
    MissingExtra.
    """
    told = all(segment.text is not None for segment in (*reference, *hypothesis))
    named = any(segment.speaker is not None for segment in reference)
    return SpeakerScores(
        cp_wer(reference, hypothesis, normalise=normalise) if told and named else None,
        tcp_wer(reference, hypothesis, normalise=normalise) if told and named else None,
        orc_wer(reference, hypothesis, normalise=normalise) if told and reference else None,
        {rule: speaker_time(reference, hypothesis, rule) for rule in DER_RULES} if named else {},
    )


def cp_wer(reference: Sequence[Segment], hypothesis: Sequence[Segment], *, normalise: Normaliser) -> SpeakerErrors:
    """Concatenated minimum-permutation WER of one recording: all words of a speaker in a row, speakers matched so that
    errors are fewest (Watanabe et al., CHiME-6, 2020). Raises BadValue, MissingExtra."""
    return _by_speaker(_meeteval().cp_word_error_rate, reference, hypothesis, normalise)


def tcp_wer(
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment],
    *,
    normalise: Normaliser,
    collar: Seconds = TCP_COLLAR,
) -> SpeakerErrors:
    """cpWER in which a word matches only within `collar` seconds of where it was said. Raises BadValue, MissingExtra.

    Segments get their words' times by the words' lengths, as meeteval's command does it.
    """
    if not 0 < collar < float("inf"):
        raise BadValue("collar", collar, "a number of seconds above 0")
    measure = _meeteval().time_constrained_minimum_permutation_word_error_rate
    return _by_speaker(lambda said, heard: measure(said, heard, collar=collar), reference, hypothesis, normalise)


def orc_wer(reference: Sequence[Segment], hypothesis: Sequence[Segment], *, normalise: Normaliser) -> StreamErrors:
    """Optimal-reference-combination WER of one recording: each reference segment, in order of time, goes to the
    hypothesis stream where it fits best (Sklyar et al., 2022). It asks for no speakers, so it blames words only.
    Raises BadValue, MissingExtra.
    """
    metrics = _meeteval()
    said, heard = _words(reference, normalise), _words(hypothesis, normalise)
    streams: dict[str, int] = {}
    for segment in heard:
        streams[segment["speaker"]] = streams.get(segment["speaker"], 0) + len(segment["words"].split())
    if not any(streams.values()):  # meeteval 0.4 fails an assertion of its own on this
        return StreamErrors(WordErrors(deletions=sum(len(segment["words"].split()) for segment in said)))
    if len(streams) > MOST_STREAMS:
        raise BadValue("hypothesis speakers", len(streams), f"at most {MOST_STREAMS} for ORC-WER")
    exact = len(said) * prod(words + 1 for words in streams.values()) <= EXACT_ORC
    measure = metrics.orc_word_error_rate if exact else metrics.greedy_orc_word_error_rate
    return StreamErrors(_counts(measure(_seglst(said), _seglst(heard))), exact)


def _by_speaker(
    measure: Callable[[Any, Any], Any],
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment],
    normalise: Normaliser,
) -> SpeakerErrors:
    said, heard = _words(reference, normalise), _words(hypothesis, normalise)
    for what, segments in (("reference speakers", said), ("hypothesis speakers", heard)):
        speakers = len({segment["speaker"] for segment in segments})
        if speakers > MOST_SPEAKERS:
            raise BadValue(what, speakers, f"at most {MOST_SPEAKERS} in one recording")
    found = measure(_seglst(said), _seglst(heard))
    return SpeakerErrors(_counts(found), found.missed_speaker, found.falarm_speaker, found.scored_speaker)


def _counts(found: Any) -> WordErrors:
    """meeteval's counts as ours; what is neither substituted nor deleted of the reference was heard."""
    hits = found.length - found.substitutions - found.deletions
    return WordErrors(hits, found.substitutions, found.deletions, found.insertions)


def _words(segments: Sequence[Segment], normalise: Normaliser) -> list[dict[str, Any]]:
    return [
        {
            "session_id": "one",
            "speaker": segment.speaker or "",
            "start_time": segment.start,
            "end_time": max(segment.start, segment.end),
            "words": normalise(segment.text or ""),
        }
        for segment in segments
    ]


def _both(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else one + other


def _seglst(segments: list[dict[str, Any]]) -> Any:
    from meeteval.io import SegLST

    return SegLST(segments)


@cache
def _meeteval() -> Any:
    try:
        import meeteval.wer
    except ImportError as error:
        raise MissingExtra("speaker scoring", "speakers", "meeteval") from error
    logging.getLogger("preprocess").addFilter(_not_of_overlap)
    return meeteval.wer


def _not_of_overlap(record: logging.LogRecord) -> bool:
    """Drops one message of meeteval's: that a speaker overlaps with himself, as every hypothesis of turns may."""
    return not record.getMessage().startswith("The order of word-level timings contradicts")
