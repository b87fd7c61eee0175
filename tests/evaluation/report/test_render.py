"""Pages as text: what they say, the same twice, and even without matplotlib and without data."""

import re
import sys
from html import escape

import msgspec
import pytest

from voxfleet.evaluation.faults import MissingExtra
from voxfleet.evaluation.report.document import (
    EvaluationReport,
    Figure,
    Health,
    Latency,
    LoadReport,
    Stability,
    Streams,
)
from voxfleet.evaluation.report.page import render
from voxfleet.evaluation.report.verdict import verdict

from .documents import about, evaluation_report, load_report, words


def text(html: str) -> str:
    """What a reader sees, roughly."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.split("<main>")[1]))


def nothing_happened() -> LoadReport:
    """A run that was ended before the first caller."""
    return LoadReport(
        about=about("Nothing", "voxfleet load", partial=True),
        arrivals="constant",
        warm_up=0,
        seconds=0,
        health=Health(valid=True, lag_p50=0, lag_p99=0, lag_max=0, cpu_share=0, frames_sent=0),
        streams=Streams(offered=0, admitted=0, refused=0, failed=0, finished=0, most_at_once=0),
        latencies=[Latency(name="final", meaning="never", count=0, too_few=["p95", "p99"])],
        stability=Stability(
            final_words=0, shown_and_changed=0, revisions=0, partials=0, committed_revisions=0, turns=0, revised_turns=0
        ),
        stalls=[],
        bytes_sent=0,
        bytes_received=0,
        audio_seconds=0,
    )


def test_the_same_report_gives_the_same_page(load: LoadReport, evaluation: EvaluationReport) -> None:
    assert render(load) == render(load)
    assert render(evaluation) == render(msgspec.json.decode(msgspec.json.encode(evaluation), type=EvaluationReport))


def test_nothing_on_the_page_is_elsewhere(load: LoadReport, evaluation: EvaluationReport) -> None:
    for html in (render(load), render(evaluation)):
        assert not re.search(r"""(?:src|href)=["']?(?!#|data:)[a-z/.]""", html)
        assert "@import" not in html
        assert not re.search(r"<[a-z]+ [^>]*style=", html)


def test_every_chart_has_ids_of_its_own(load: LoadReport) -> None:
    html = render(load)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for used in re.findall(r'(?:href="#|url\(#)([^")]+)', html):
        assert used in ids


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (
            load_report(capacity=False),
            r"^412 callers on ws://[^ ]+: p95 final 0.9\d\u00a0s \[0.\d+, 1.\d+\], 1 error, 9 refused, 2 stalls$",
        ),
        (load_report(), r"^480 streams at once \(p95 emission and final ≤ 2 s, 0 errors\)\. Beyond: at 600"),
        (nothing_happened(), "^0 callers on .*: no finals, 0 errors$"),
        (
            evaluation_report(items=60, clips=0),
            r"^offline: WER \d+\.\d\u00a0% \[.*\] on 60 recordings of 42 speakers or calls$",
        ),
    ],
)
def test_verdicts(report: LoadReport | EvaluationReport, sentence: str) -> None:
    assert re.search(sentence, verdict(report).sentences[0])


def test_standing() -> None:
    assert verdict(load_report()).standing == "valid"
    assert verdict(load_report(partial=True)).standing == "partial"
    late = verdict(load_report(partial=True, because=["late"]))
    assert (late.standing, late.because) == ("invalid", ("late",))


def test_without_matplotlib_the_page_says_what_to_install(load: LoadReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    html = render(load)
    missing = MissingExtra("drawing this chart", "evaluation", "matplotlib")
    assert html.count(escape(str(missing))) == 4
    assert "pip install" in str(missing)
    assert "<svg" not in html
    assert "p95 final" in html


def test_a_run_without_anything_still_has_a_page() -> None:
    said = text(render(nothing_happened()))
    assert "PARTIAL" in said
    assert "Nothing to draw" in said
    assert "too few" in said
    empty = msgspec.structs.replace(evaluation_report(items=1, clips=0), modes=[], streaming_cost=[], problems=[])
    assert "Nothing was recognised." in text(render(empty))


def test_percentiles_of_too_few_events_are_marked() -> None:
    few = Latency(name="final", meaning="m", count=40, p50=Figure(0.5), p95=Figure(0.9), too_few=["p95", "p99"])
    html = render(msgspec.structs.replace(nothing_happened(), latencies=[few]))
    assert re.search(r"0\.90<abbr [^>]*>†</abbr>", html)
    assert "p95 asks for 100, p99 for 1,000" in html


def test_changed_committed_text_is_an_alarm() -> None:
    report = load_report(capacity=False)
    broken = msgspec.structs.replace(report, stability=msgspec.structs.replace(report.stability, committed_revisions=3))
    assert "committed text changed 3 times" in verdict(broken).sentences[0]
    assert "3: must be 0" in text(render(broken))


def test_modes_and_slices_have_their_counts(evaluation: EvaluationReport) -> None:
    said = text(render(evaluation))
    for mode in evaluation.modes:
        counts = mode.words
        row = f"{counts.substitutions} {counts.deletions} {counts.insertions}"
        assert re.search(rf"{mode.mode} 300 \d+\.\d \[\d+\.\d, \d+\.\d\] 4 \d+ {row}", said)
    assert "Number F1" in said
    assert "babble 10 dB" in said


def test_rates_above_one_and_of_nothing() -> None:
    base = evaluation_report(items=3, clips=0)
    for counts in (words(1, 0, 0, 9), words(0, 0, 0, 4)):
        html = render(msgspec.structs.replace(base, modes=[msgspec.structs.replace(base.modes[0], words=counts)]))
        assert ("900.0" in html) == (counts.hits == 1)
