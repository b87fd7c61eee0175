"""Who spoke when: what of speaker time a rule scores, and how much of it was missed, invented or given to another.

DER is pyannote.metrics' (Bredin, Interspeech 2017). A collar is meant as NIST's md-eval means it: so many seconds are
left out on EITHER side of each boundary of the reference. pyannote.metrics calls the whole width, twice that, a collar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, Self

from voxfleet.errors import BadValue
from voxfleet.evaluation.faults import MissingExtra
from voxfleet.evaluation.manifests.items import Segment
from voxfleet.speech import Seconds


@dataclass(frozen=True, slots=True)
class DiarizationRule:
    """What speaker time is scored. Raises BadValue for a collar that can't be."""

    collar: Seconds = 0.0
    """Left out on either side of each boundary of the reference, as in NIST's md-eval."""
    skip_overlap: bool = False
    """Whether time in which the reference has several speakers is left out."""

    def __post_init__(self) -> None:
        if not 0 <= self.collar < float("inf"):
            raise BadValue("collar", self.collar, "a number of seconds, 0 or more")

    @property
    def name(self) -> str:
        """What to print beside the rate; rates under different rules can't be compared."""
        collar = f"collar {self.collar:g} s each side" if self.collar else "no collar"
        return f"DER, {collar}, overlap {'left out' if self.skip_overlap else 'scored'}"


DER_RULES = (DiarizationRule(), DiarizationRule(0.25), DiarizationRule(0.25, skip_overlap=True))
"""The strict one, the one older papers use, and that without overlap, older still."""


@dataclass(frozen=True, slots=True)
class SpeakerTime:
    """Seconds of speaker time of one recording or, added up, of many; two speakers at once count twice."""

    total: Seconds = 0.0
    """In the references."""
    correct: Seconds = 0.0
    missed: Seconds = 0.0
    false_alarm: Seconds = 0.0
    confused: Seconds = 0.0
    """Heard as speech, under another speaker."""

    @property
    def rate(self) -> float | None:
        """(missed + false alarm + confused) ÷ total: the diarization error rate. None where nobody spoke."""
        return (self.missed + self.false_alarm + self.confused) / self.total if self.total else None

    def __add__(self, other: Self) -> "SpeakerTime":
        return SpeakerTime(
            self.total + other.total,
            self.correct + other.correct,
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confused + other.confused,
        )


def speaker_time(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], rule: DiarizationRule = DER_RULES[0]
) -> SpeakerTime:
    """Speaker time of one recording, speakers matched so that most time agrees. All of the recording is scored but
    what the rule leaves out. Raises MissingExtra."""
    core, diarization = _pyannote()
    segments = [core.Segment(segment.start, segment.end) for segment in (*reference, *hypothesis)]
    extent = core.Timeline(segments).extent()
    scored = core.Timeline([extent] if extent else [])
    measure = diarization.DiarizationErrorRate(collar=2 * rule.collar, skip_overlap=rule.skip_overlap)
    found = measure(_annotation(core, reference), _annotation(core, hypothesis), uem=scored, detailed=True)
    return SpeakerTime(
        total=float(found["total"]),
        correct=float(found["correct"]),
        missed=float(found["missed detection"]),
        false_alarm=float(found["false alarm"]),
        confused=float(found["confusion"]),
    )


def _annotation(core: Any, segments: Sequence[Segment]) -> Any:
    tracks = count()
    annotation = core.Annotation()
    for segment in segments:
        annotation[core.Segment(segment.start, segment.end), next(tracks)] = segment.speaker or ""
    return annotation


@cache
def _pyannote() -> tuple[Any, Any]:
    try:
        import pyannote.core
        import pyannote.metrics.diarization
    except ImportError as error:
        raise MissingExtra("diarization scoring", "speakers", "pyannote.metrics") from error
    return pyannote.core, pyannote.metrics.diarization
