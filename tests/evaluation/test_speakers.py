"""Scores of speakers: by hand, against meeteval's own and pyannote.metrics' own call, and as sums."""

import functools
import operator
import random
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.errors import BadValue
from voxfleet.evaluation import speakers
from voxfleet.evaluation.diarization import DER_RULES, DiarizationRule, SpeakerTime, speaker_time
from voxfleet.evaluation.manifests.items import Segment
from voxfleet.evaluation.manifests.segments import read_sessions
from voxfleet.evaluation.speakers import (
    SpeakerErrors,
    SpeakerScores,
    StreamErrors,
    cp_wer,
    orc_wer,
    score_speakers,
    tcp_wer,
)
from voxfleet.evaluation.wer import WordErrors, score

pytest.importorskip("meeteval", reason="the extra 'speakers' is not installed")
pytest.importorskip("pyannote.metrics", reason="the extra 'speakers' is not installed")

DIAR = Path(__file__).parents[2] / "../shared/audio/diar"
needs_rttm = pytest.mark.skipif(not DIAR.is_dir(), reason="shared/audio is not beside the checkout")

CALL = (Segment("ana", 0.0, 2.0, "good morning"), Segment("dan", 2.0, 4.0, "hello my friend"))


def spoken(*segments: tuple[str | None, float, float, str | None]) -> tuple[Segment, ...]:
    return tuple(Segment(*segment) for segment in segments)


def planted(seed: int, *, people: int = 3, turns: int = 20) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """A made-up meeting and what was heard of it: words changed, lost and put in, turns given to the wrong speaker."""
    choose = random.Random(seed)
    words = [f"w{number}" for number in range(40)]
    said, heard, now = [], [], 0.0
    for _ in range(turns):
        length = choose.randint(1, 8)
        text = choose.choices(words, k=length)
        person = choose.randrange(people)
        said.append(Segment(f"s{person}", now, now + length / 2, " ".join(text)))
        kept = [choose.choice(words) if choose.random() < 0.2 else word for word in text if choose.random() > 0.1]
        speaker = f"h{choose.randrange(people + 1) if choose.random() < 0.2 else person}"
        begin = max(0.0, now + choose.uniform(-0.3, 0.3))
        heard.append(Segment(speaker, begin, begin + length / 2 + choose.uniform(0, 0.4), " ".join(kept)))
        now += length / 2 + choose.uniform(-0.3, 1)
        now = max(now, 0.0)
    return tuple(said), tuple(heard)


def test_all_right_under_other_names():
    heard = tuple(replace(one, speaker=f"not {one.speaker}") for one in CALL)
    right = SpeakerErrors(WordErrors(hits=5), speakers=2)
    assert cp_wer(CALL, heard, normalise=str) == right
    assert tcp_wer(CALL, heard, normalise=str) == right
    assert orc_wer(CALL, heard, normalise=str) == StreamErrors(WordErrors(hits=5))
    assert speaker_time(CALL, heard) == SpeakerTime(total=4.0, correct=4.0)


def test_the_wrong_speaker_is_an_error_of_speakers_only():
    """One stream holds everything: cp blames dan's words twice (left out of his, added to ana's or the reverse)."""
    heard = spoken(("x", 0, 4, "good morning hello my friend"))
    words = WordErrors(hits=3, deletions=2, insertions=2)
    assert cp_wer(CALL, heard, normalise=str) == SpeakerErrors(words, missed=1, speakers=2)
    assert orc_wer(CALL, heard, normalise=str).words == WordErrors(hits=5)


def test_the_right_word_at_the_wrong_time():
    heard = tuple(replace(one, start=one.start + 100, end=one.end + 100) for one in CALL)
    assert cp_wer(CALL, heard, normalise=str).words == WordErrors(hits=5)
    assert tcp_wer(CALL, heard, normalise=str).words == WordErrors(deletions=5, insertions=5)
    assert tcp_wer(CALL, heard, normalise=str, collar=101).words == WordErrors(hits=5)


def test_an_invented_speaker():
    heard = (*CALL, Segment("ghost", 5.0, 6.0, "boo"))
    assert cp_wer(CALL, heard, normalise=str) == SpeakerErrors(WordErrors(hits=5, insertions=1), invented=1, speakers=2)


def test_both_sides_are_normalised():
    heard = tuple(replace(one, text=(one.text or "").upper() + ".") for one in CALL)
    assert cp_wer(CALL, heard, normalise=str).words.hits == 0
    assert cp_wer(CALL, heard, normalise=lambda text: text.lower().strip(".")).words == WordErrors(hits=5)


@pytest.mark.parametrize("measure", [cp_wer, tcp_wer, orc_wer])
def test_nothing_said_or_nothing_heard(measure):
    assert measure(CALL, (), normalise=str).words == WordErrors(deletions=5)
    assert measure((), CALL, normalise=str).words == WordErrors(insertions=5)
    assert measure((), (), normalise=str).words == WordErrors()
    assert measure((), (), normalise=str).rate is None
    hushed = tuple(replace(one, text="...") for one in CALL)
    assert measure(CALL, hushed, normalise=lambda text: text.strip(".")).words == WordErrors(deletions=5)


def test_one_speaker_is_plain_word_errors():
    said, heard = planted(1, people=1)
    heard = tuple(replace(one, speaker="x") for one in heard)
    plain = score(" ".join(one.text or "" for one in said), " ".join(one.text or "" for one in heard), normalise=str)
    for measure in (cp_wer, orc_wer):
        assert measure(said, heard, normalise=str).words.errors == plain.errors
        assert measure(said, heard, normalise=str).words.reference == plain.reference


def test_too_many_speakers_have_a_name():
    crowd = tuple(Segment(f"s{number}", number, number + 1, "word") for number in range(21))
    for measure in (cp_wer, tcp_wer):
        with pytest.raises(BadValue, match="reference speakers"):
            measure(crowd, CALL, normalise=str)
        with pytest.raises(BadValue, match="hypothesis speakers"):
            measure(CALL, crowd, normalise=str)
    with pytest.raises(BadValue, match="ORC-WER"):
        orc_wer(CALL, crowd[:11], normalise=str)


def test_a_recording_too_large_is_searched_greedily_and_says_so(monkeypatch):
    said, heard = planted(2, people=2, turns=12)
    exact = orc_wer(said, heard, normalise=str)
    assert exact.exact
    monkeypatch.setattr(speakers, "EXACT_ORC", 100)
    greedy = orc_wer(said, heard, normalise=str)
    assert not greedy.exact
    assert greedy.words.reference == exact.words.reference
    assert greedy.words.errors >= exact.words.errors
    assert not (exact + greedy).exact


def test_turns_that_overlap_are_scored_without_a_word_in_the_log(caplog):
    heard = spoken(("x", 0, 4, "good morning"), ("x", 1, 1.5, "hello my friend"))
    assert tcp_wer(CALL, heard, normalise=str).words.reference == 5
    assert caplog.records == []


@pytest.mark.parametrize("measure", ["cpwer", "tcpwer", "orcwer"])
def test_agreement_with_meeteval(tmp_path, measure):
    """What the command of meeteval calls, on the same segments in files; several recordings, summed."""
    meetings = {f"m{seed}": planted(seed, people=2, turns=10) for seed in range(4)}
    for name, side in (("ref", 0), ("hyp", 1)):
        lines = [
            f"{meeting} 1 {one.speaker} {one.start} {one.end} {one.text}"
            for meeting, sides in meetings.items()
            for one in sides[side]
        ]
        (tmp_path / f"{name}.stm").write_text("\n".join(lines) + "\n")
    from meeteval.wer import api, combine_error_rates

    options = {"collar": 5} if measure == "tcpwer" else {}
    theirs = combine_error_rates(getattr(api, measure)(tmp_path / "ref.stm", tmp_path / "hyp.stm", **options))
    ours = {"cpwer": cp_wer, "tcpwer": tcp_wer, "orcwer": orc_wer}[measure]
    total: Any = functools.reduce(operator.add, (ours(*sides, normalise=str) for sides in meetings.values()))
    assert total.words.errors > 10
    assert total.words.hits > 10
    words = total.words
    assert (words.errors, words.reference) == (theirs.errors, theirs.length)
    assert (words.insertions, words.deletions, words.substitutions) == (
        theirs.insertions,
        theirs.deletions,
        theirs.substitutions,
    )
    assert total.rate == pytest.approx(theirs.error_rate)
    if isinstance(total, SpeakerErrors):
        speakers_found = (total.missed, total.invented, total.speakers)
        assert speakers_found == (theirs.missed_speaker, theirs.falarm_speaker, theirs.scored_speaker)


STRICT, FORGIVING, NO_OVERLAP = DER_RULES


@pytest.mark.parametrize(
    ("reference", "hypothesis", "rule", "expected"),
    [
        # the change of speaker is heard 2 s late
        ("A 0 10, B 10 20", "x 0 12, y 12 20", STRICT, SpeakerTime(20, 18, confused=2)),
        # 0.25 s on either side of 0, 10 and 20: what is left is 9.5 s of each, and 1.75 s of the confusion
        ("A 0 10, B 10 20", "x 0 12, y 12 20", FORGIVING, SpeakerTime(19, 17.25, confused=1.75)),
        # two at once from 8 to 10; x is A
        ("A 0 10, B 8 12", "x 0 12", STRICT, SpeakerTime(14, 10, missed=2, confused=2)),
        ("A 0 10, B 8 12", "x 0 12", DiarizationRule(0.0, skip_overlap=True), SpeakerTime(10, 8, confused=2)),
        ("A 0 10", "x 2 14", STRICT, SpeakerTime(10, 8, missed=2, false_alarm=4)),
        ("A 0 10", "", STRICT, SpeakerTime(10, 0, missed=10)),
        ("", "x 0 5", STRICT, SpeakerTime(false_alarm=5)),
        ("", "", STRICT, SpeakerTime()),
        ("A 0 5, A 5 5", "x 0 5, y 3 3", STRICT, SpeakerTime(5, 5)),
    ],
)
def test_speaker_time_by_hand(reference, hypothesis, rule, expected):
    found = speaker_time(_times(reference), _times(hypothesis), rule)
    for name in ("total", "correct", "missed", "false_alarm", "confused"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name)), name
    assert found.rate == (pytest.approx(expected.rate) if expected.rate is not None else None)


def _times(text: str) -> tuple[Segment, ...]:
    fields = [one.split() for one in text.split(", ") if one]
    return tuple(Segment(speaker, float(start), float(end), None) for speaker, start, end in fields)


@needs_rttm
@pytest.mark.parametrize("name", ["development", "test", "train"])
@pytest.mark.parametrize("rule", DER_RULES, ids=lambda rule: rule.name)
def test_agreement_with_pyannote(name, rule):
    """The shared RTTM files, read by pyannote's own loader, against a hypothesis made by shifting and mislabelling.

    pyannote.metrics counts a collar as the whole width, so its 0.5 is 0.25 s on either side.
    """
    from pyannote.core import Annotation
    from pyannote.core import Segment as Stretch
    from pyannote.database.util import load_rttm
    from pyannote.metrics.diarization import DiarizationErrorRate

    path = DIAR / f"debug.{name}.rttm"
    theirs = DiarizationErrorRate(collar=2 * rule.collar, skip_overlap=rule.skip_overlap)
    total = SpeakerTime()
    sessions = read_sessions(path).spoken
    annotations = load_rttm(path)
    assert set(sessions) == set(annotations)
    for session, spoken_there in sessions.items():
        choose = random.Random(session)
        heard = Annotation()
        for number, one in enumerate(spoken_there):
            if choose.random() < 0.9:
                moved = Stretch(one.segment.start + choose.uniform(0, 0.5), one.segment.end + choose.uniform(0, 1))
                heard[moved, number] = choose.choice(["p", "q", "r"])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'uem' was approximated", category=UserWarning)
            theirs(annotations[session], heard)
        segments = [Segment(label, one.start, one.end, None) for one, _, label in heard.itertracks(yield_label=True)]
        total += speaker_time([one.segment for one in spoken_there], segments, rule)
    assert total.rate == pytest.approx(abs(theirs), rel=1e-9)
    assert total.confused == pytest.approx(theirs["confusion"])
    assert total.missed == pytest.approx(theirs["missed detection"])
    assert total.false_alarm == pytest.approx(theirs["false alarm"])
    assert total.total == pytest.approx(theirs["total"])
    assert 0.05 < abs(theirs) < 2


@needs_rttm
def test_a_reference_is_right_of_itself():
    for path in sorted(DIAR.glob("*.rttm")):
        for spoken_there in read_sessions(path).spoken.values():
            segments = [one.segment for one in spoken_there]
            for rule in DER_RULES:
                found = speaker_time(segments, segments, rule)
                assert found.correct == pytest.approx(found.total)
                assert (found.rate or 0.0) == pytest.approx(0.0)


def test_what_is_scored_depends_on_what_is_known():
    everything = score_speakers(CALL, CALL, normalise=str)
    assert everything.cp is not None
    assert everything.orc is not None
    assert list(everything.der) == list(DER_RULES)
    silent = tuple(replace(one, text=None) for one in CALL)
    only_time = score_speakers(silent, CALL, normalise=str)
    assert (only_time.cp, only_time.tcp, only_time.orc) == (None, None, None)
    assert only_time.der[STRICT] == SpeakerTime(4, 4)
    nameless = tuple(replace(one, speaker=None) for one in CALL)
    only_words = score_speakers(nameless, CALL, normalise=str)
    assert (only_words.cp, only_words.tcp, only_words.der) == (None, None, {})
    assert only_words.orc == StreamErrors(WordErrors(hits=5))
    assert score_speakers((), (), normalise=str) == SpeakerScores()


def test_scores_add_up():
    one = score_speakers(CALL, CALL, normalise=str)
    other = score_speakers(CALL, (), normalise=str)
    both = one + other + SpeakerScores()
    assert both.cp == SpeakerErrors(WordErrors(hits=5, deletions=5), missed=2, speakers=4)
    assert both.cp.rate == 0.5
    assert both.orc == StreamErrors(WordErrors(hits=5, deletions=5))
    assert both.der[STRICT] == SpeakerTime(8, 4, missed=4)


def test_rules_have_names_and_limits():
    names = [rule.name for rule in DER_RULES]
    assert names == [
        "DER, no collar, overlap scored",
        "DER, collar 0.25 s each side, overlap scored",
        "DER, collar 0.25 s each side, overlap left out",
    ]
    for collar in (-0.1, float("nan"), float("inf")):
        with pytest.raises(BadValue, match="collar"):
            DiarizationRule(collar)
    with pytest.raises(BadValue, match="collar"):
        tcp_wer(CALL, CALL, normalise=str, collar=0)


TIMES = st.floats(0, 30, allow_nan=False).map(lambda value: round(value, 3))
SEGMENTS = st.lists(
    st.builds(
        Segment,
        st.sampled_from(["a", "b", None]),
        TIMES,
        TIMES,
        st.lists(st.sampled_from(["x", "y", "z"]), max_size=4).map(" ".join),
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(reference=SEGMENTS, hypothesis=SEGMENTS)
def test_any_segments_can_be_scored(reference, hypothesis):
    """Also those that end before they begin, as no reader lets through but a server might send."""
    found = score_speakers(reference, hypothesis, normalise=str)
    words = sum(len((one.text or "").split()) for one in reference)
    for scored in (found.cp, found.tcp, found.orc):
        assert scored is None or scored.words.reference == words
    if found.cp is not None and found.tcp is not None:
        assert found.tcp.words.errors >= found.cp.words.errors
    for time in found.der.values():
        assert time.correct + time.missed + time.confused == pytest.approx(time.total)


@pytest.mark.parametrize(
    ("library", "call"),
    [
        ("meeteval", "speakers.cp_wer((), (), normalise=str)"),
        ("meeteval", "speakers.orc_wer((), (), normalise=str)"),
        ("meeteval", "segments.read_sessions(Path('x.stm'))"),
        ("pyannote.metrics", "speakers.speaker_time((), ())"),
    ],
)
def test_without_the_extra(library, call):
    """A fresh interpreter in which the library can't be imported."""
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from pathlib import Path\n"
        "from voxfleet.evaluation import faults, speakers\n"
        "from voxfleet.evaluation.manifests import read, segments\n"
        f"try: {call}\n"
        "except faults.MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert library in done.stdout
    assert "pip install 'voxfleet[speakers]'" in done.stdout
