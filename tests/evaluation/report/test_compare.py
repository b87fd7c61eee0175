"""Two runs against each other: planted differences are found, none is invented, nothing is left out in silence."""

import msgspec
import pytest

from voxfleet.evaluation.faults import BadReport
from voxfleet.evaluation.report.compare import Comparison, compare, compare_reports
from voxfleet.evaluation.report.compare_load import LoadComparison
from voxfleet.evaluation.report.comparison_page import plain, render_comparison
from voxfleet.evaluation.report.document import AlignedWord, EvaluationReport, ItemResult, LoadReport
from voxfleet.evaluation.report.numbers import errors, spoken

from .documents import evaluation_report, load_report, mode, scored


def report(items: list[ItemResult], name: str = "offline", title: str = "A") -> EvaluationReport:
    base = evaluation_report(items=1, clips=0)
    return msgspec.structs.replace(
        base, about=msgspec.structs.replace(base.about, title=title), modes=[mode(name, items, live=False)]
    )


def item(number: int, wrong: int, *, unit: str | None = None, line: str = "clean", said: int = 10) -> ItemResult:
    """Ten words, of which the first so many are misheard."""
    words = [AlignedWord("substitute" if place < wrong else "equal", f"w{place}", f"x{place}") for place in range(said)]
    return scored(f"{number}.wav", unit or f"call-{number}", words, {"line": line})


def test_a_planted_difference_is_found_exactly() -> None:
    a = report([item(number, 1) for number in range(20)])
    b = report([item(number, 2) for number in range(20)], title="B")
    found = compare(a, b)
    assert found.overall.a == pytest.approx(0.1)
    assert found.overall.b == pytest.approx(0.2)
    assert found.overall.difference.value == pytest.approx(0.1)
    assert found.overall.verdict == "worse"
    assert compare(b, a).overall.verdict == "better"
    assert "“B” is worse than “A”" in found.sentence
    assert (found.overall.items, found.overall.units) == (20, 20)


def test_a_run_is_not_worse_than_itself(evaluation: EvaluationReport) -> None:
    found = compare(evaluation, evaluation)
    assert found.overall.difference.value == 0
    assert found.overall.verdict == "not worse"
    assert {one.verdict for one in found.slices} <= {"no difference shown", "too few units"}


def test_modes_of_one_run_are_compared(evaluation: EvaluationReport) -> None:
    found = compare(evaluation, evaluation, "offline", "live endpointing 300 ms")
    assert found.overall.verdict == "worse"
    assert "live endpointing 300 ms is worse than offline" in found.sentence
    pooled = evaluation.modes[2].words
    assert found.overall.b == pytest.approx(errors(pooled) / spoken(pooled))


def test_the_slice_that_got_worse_is_named_after_holm() -> None:
    lines = ["clean", "a-law", "babble", "music"]
    a = report([item(number, 1, line=lines[number % 4]) for number in range(160)])
    b = report([item(number, 1 + (number % 4 == 2), line=lines[number % 4]) for number in range(160)])
    found = {one.value: one for one in compare(a, b).slices}
    assert found["babble"].verdict == "worse"
    assert found["babble"].difference.value == pytest.approx(0.1)
    assert {found[line].verdict for line in ("clean", "a-law", "music")} == {"no difference shown"}
    assert all(one.adjusted >= one.p_value for one in found.values())


def test_slices_of_few_units_do_not_weaken_the_others() -> None:
    a = report([item(number, 1, unit=f"call-{number % 8}", line=str(number % 40)) for number in range(80)])
    b = report([item(number, 1, unit=f"call-{number % 8}", line=str(number % 40)) for number in range(80)])
    assert {one.verdict for one in compare(a, b).slices} == {"too few units"}


def test_what_is_not_compared_is_named() -> None:
    failed = msgspec.structs.replace(item(2, 0), words=None, hypothesis=None, alignment=[])
    a = report([item(0, 1), item(1, 1), item(2, 0), item(3, 1, said=10), *(item(n, 1) for n in range(10, 20))])
    b = report([item(1, 1), failed, item(3, 1, said=12), item(4, 1), *(item(n, 1) for n in range(10, 20))])
    found = compare(a, b)
    assert (found.only_a, found.only_b) == (["0.wav"], ["4.wav"])
    assert (found.unscored, found.other_reference) == (["2.wav"], ["3.wav"])
    assert found.overall.items == 11
    html = render_comparison(found)
    for name in ("0.wav", "4.wav", "2.wav", "3.wav"):
        assert name in html
    assert "1 recording only in A" in plain(found).sentences


def test_other_normalisers_are_refused(evaluation: EvaluationReport) -> None:
    other = msgspec.structs.replace(evaluation, normaliser="basic multilingual 1")
    with pytest.raises(BadReport, match=r"different normalisers can't be compared: whisper.* and basic multilingual 1"):
        compare(evaluation, other)


def test_nothing_shared_is_refused() -> None:
    with pytest.raises(BadReport, match="no recording with a reference is in both"):
        compare(report([item(0, 1)]), report([item(1, 1)]))


def test_an_unknown_mode_is_refused(evaluation: EvaluationReport) -> None:
    with pytest.raises(BadReport, match="has no mode 'liv'; it has 'offline', 'live', "):
        compare(evaluation, evaluation, "liv")


def test_modes_are_chosen_by_name_where_both_have_one() -> None:
    a = msgspec.structs.replace(
        report([item(0, 1)]), modes=[mode(name, [item(0, 1)], live=False) for name in ("x", "y")]
    )
    b = msgspec.structs.replace(
        report([item(0, 1)]), modes=[mode(name, [item(0, 1)], live=False) for name in ("y", "z")]
    )
    found = compare(a, b)
    assert (found.a.mode, found.b.mode) == ("y", "y")
    found = compare(a, b, mode_b="z")
    assert (found.a.mode, found.b.mode) == ("y", "z")
    found = compare(report([item(0, 1)], "p"), report([item(0, 1)], "q"))
    assert (found.a.mode, found.b.mode) == ("p", "q")


def test_a_comparison_is_a_document_too(evaluation: EvaluationReport) -> None:
    found = compare(evaluation, evaluation, "offline", "live")
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found
    shown = plain(found)
    assert all(len(row) == len(table.heads) for table in shown.tables for row in table.rows)
    assert [len(table.rows) for table in shown.tables] == [1 + len(found.slices), len(found.gates)]


def test_load_runs_stand_side_by_side(load: LoadReport) -> None:
    slow = load_report(seed=8, because=["late"])
    slow = msgspec.structs.replace(slow, latencies=[one for one in slow.latencies if one.name != "emission"])
    found = compare_reports(load, slow)
    assert isinstance(found, LoadComparison)
    rows = {row.name: row for row in found.rows}
    assert rows["p95 final"].a == next(one.p95 for one in load.latencies if one.name == "final")
    assert rows["p95 emission"].b is None
    assert rows["offered"].a == rows["offered"].b
    assert found.warnings == ["B is not valid: its load generator was not well. Its figures are not the server's."]
    assert "not valid" in render_comparison(found)
    assert all(len(row) == 4 for table in plain(found).tables for row in table.rows)


def test_intervals_that_lie_apart_are_told(load: LoadReport) -> None:
    final = next(one for one in load.latencies if one.name == "final")
    assert final.p95 is not None
    later = msgspec.structs.replace(final, p95=msgspec.structs.replace(final.p95, value=3.0, low=2.9, high=3.1))
    found = compare_reports(load, msgspec.structs.replace(load, latencies=[later]))
    assert isinstance(found, LoadComparison)
    apart = {row.name: row.apart for row in found.rows}
    assert apart["p95 final"] is True
    assert apart["p50 final"] is False
    assert apart["offered"] is None


def test_load_and_accuracy_are_no_pair(load: LoadReport, evaluation: EvaluationReport) -> None:
    with pytest.raises(BadReport, match="only two of a kind"):
        compare_reports(load, evaluation)
