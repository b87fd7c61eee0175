"""Gates: what is planted in B closes its own gate and no other, and what can't be told lets nothing through."""

import random

import msgspec
import pytest

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.report.compare import Comparison, compare
from voxfleet.evaluation.report.comparison_page import plain, render_comparison
from voxfleet.evaluation.report.document import EvaluationReport
from voxfleet.evaluation.report.gates import Gate, named_gates, passes, unseen, verdicts
from voxfleet.evaluation.statistics import holm

from .documents import evaluation_report
from .heard import ADDED, LOOP, MISHEARD, SAID, calls, heard_report


def gates(a: EvaluationReport, b: EvaluationReport, margin: float = 0.002) -> dict[str, Gate]:
    return {gate.name: gate for gate in compare(a, b, margin=margin).gates}


def test_a_run_passes_every_gate_against_itself() -> None:
    run = heard_report(calls(12, planted=LOOP, every=3), silences={f"s{n}": "" for n in range(8)})
    found = gates(run, run)
    assert list(found) == ["wer", "insertions", "runaway", "non-speech"]
    assert {gate.verdict for gate in found.values()} == {"not worse"}
    assert all(gate.difference.value == gate.difference.low == gate.difference.high == 0 for gate in found.values())
    assert found["runaway"].a == pytest.approx(4 / 20)
    assert [gate.items for gate in found.values()] == [20, 20, 20, 8], "scored, scored, heard, heard without speech"


def test_words_added_for_words_repaired_are_seen_where_wer_sees_nothing() -> None:
    a, b = heard_report(calls(20, text=MISHEARD, planted=MISHEARD)), heard_report(calls(20, text=ADDED, planted=ADDED))
    found = gates(a, b)
    assert found["wer"].verdict == "not worse"
    assert found["wer"].a == found["wer"].b == pytest.approx(0.1)
    assert (found["insertions"].verdict, found["runaway"].verdict) == ("worse", "not worse")
    assert found["insertions"].a == 0
    assert found["insertions"].b == pytest.approx(0.1)
    back = gates(b, a)
    assert (back["wer"].verdict, back["insertions"].verdict) == ("not worse", "better")
    assert back["insertions"].difference.value == pytest.approx(-found["insertions"].difference.value)


def test_loops_close_the_gate_of_runaway_texts() -> None:
    a, b = heard_report(calls(40)), heard_report(calls(40, planted=LOOP, every=4))
    found = gates(a, b)["runaway"]
    assert (found.verdict, found.a, found.b) == ("worse", 0, 0.25)
    assert found.difference.low is not None
    assert 0 < found.difference.low < 0.25
    assert gates(b, a)["runaway"].verdict == "better"


def test_one_loop_is_not_enough_to_know_and_too_much_to_pass() -> None:
    found = gates(heard_report(calls(40)), heard_report(calls(40, planted=LOOP, every=40)))["runaway"]
    assert (found.b, found.verdict) == (1 / 40, "undecided")
    assert not passes(found.verdict)


def test_runaway_texts_are_seen_where_nobody_wrote_down_what_was_said() -> None:
    a, b = heard_report(calls(12)), heard_report(calls(12))
    known = len(a.modes[0].items)
    unknown = {f"u{number}": SAID for number in range(12)}
    more_a = heard_report(unknown, said=None).modes[0].items
    more_b = heard_report(unknown | {f"u{number}": LOOP for number in range(6)}, said=None).modes[0].items
    a, b = (
        msgspec.structs.replace(run, modes=[msgspec.structs.replace(run.modes[0], items=run.modes[0].items + more)])
        for run, more in ((a, more_a), (b, more_b))
    )
    found = gates(a, b)
    assert (found["wer"].items, found["runaway"].items) == (known, known + 12)
    assert (found["wer"].verdict, found["runaway"].verdict) == ("not worse", "worse")


def test_output_on_non_speech_is_a_gate_where_both_heard_some() -> None:
    silent = {f"s{number}": "" for number in range(13)}
    quiet = heard_report(calls(12), silences=silent)
    loud = heard_report(calls(12), silences=silent | {f"s{number}": "Thank you." for number in range(9)})
    notes = heard_report(calls(12), silences=dict.fromkeys(silent, "♪ …"))
    assert gates(quiet, loud)["non-speech"].verdict == "worse"
    assert gates(quiet, loud)["non-speech"].b == pytest.approx(9 / 13)
    assert gates(quiet, notes)["non-speech"].verdict == "not worse", "signs are no words"
    assert "non-speech" not in gates(quiet, heard_report(calls(12)))


def test_recordings_that_failed_or_say_something_else_tell_nothing() -> None:
    whole = calls(14, planted=LOOP)
    a = heard_report(whole)
    b = heard_report(whole | {"000.wav": None})
    assert gates(a, b)["runaway"].items == 13
    other = heard_report({"001.wav": LOOP}, said="somebody else said this").modes[0].items[0]
    items = [other if one.item == "001.wav" else one for one in b.modes[0].items]
    b = msgspec.structs.replace(b, modes=[msgspec.structs.replace(b.modes[0], items=items)])
    assert gates(a, b)["runaway"].items == 12


def test_texts_without_a_length_of_their_audio_are_not_judged() -> None:
    run = heard_report(calls(12), seconds=0.0)
    assert list(gates(run, run)) == ["wer", "insertions"]
    assert verdicts(compare(run, run).gates, ["wer", "runaway"]) == {"wer": "not worse", "runaway": "not judged"}
    assert not passes("not judged")


@pytest.mark.parametrize("units", [1, 2, 5])
def test_too_few_units_decide_nothing(units: int) -> None:
    run = heard_report(calls(30), units=units)
    better = gates(heard_report(calls(30, planted=LOOP), units=units), run)
    for found in (gates(run, run), better):
        assert {gate.units for gate in found.values()} == {units}
        assert {gate.verdict for gate in found.values()} == {"undecided"}
        assert {gate.adjusted for gate in found.values()} == {1.0}


def test_a_wider_margin_opens_a_gate() -> None:
    a, b = heard_report(calls(200)), heard_report(calls(200, planted=LOOP, every=50))
    assert gates(a, b)["runaway"].verdict != "not worse"
    assert gates(a, b, margin=0.05)["runaway"].verdict == "not worse"


@pytest.mark.parametrize("seed", range(12))
def test_the_gate_of_wer_is_the_verdict_of_the_first_sentence(seed: int) -> None:
    chance = random.Random(seed)
    units = chance.choice((None, 3, 9))
    kinds = (SAID, MISHEARD, ADDED, LOOP, None)
    silent = {f"s{number}": chance.choice(("", "you")) for number in range(chance.randint(0, 9))}

    def run() -> EvaluationReport:
        weights = [chance.random() for _ in kinds]
        texts = {f"{number}": chance.choices(kinds, weights)[0] for number in range(chance.randint(12, 60))}
        return heard_report(texts, silences=silent, units=units)

    found = compare(run(), run(), margin=chance.choice((0.0, 0.002, 0.2)))
    wer, overall = found.gates[0], found.overall
    assert (wer.name, wer.verdict, wer.items, wer.units) == ("wer", overall.verdict, overall.items, overall.units)
    assert (wer.a, wer.b, wer.difference) == (overall.a, overall.b, overall.difference)
    tested = {gate.name: gate.p_beyond for gate in found.gates if gate.units >= 6}
    adjusted = {gate.name: gate.adjusted for gate in found.gates if gate.units >= 6}
    assert adjusted == {name: one.adjusted for name, one in holm(tested).items()}


def test_names_are_read_and_others_refused() -> None:
    assert named_gates("wer, runaway,wer") == ("wer", "runaway")
    for wrong in ("wer,cer", "", "wer,", "WER"):
        with pytest.raises(BadOption, match="--gate must be one of wer, insertions, runaway, non-speech"):
            named_gates(wrong)


def test_a_gate_that_saw_nothing_says_what_it_can_not_promise() -> None:
    found = compare(heard_report(calls(40)), heard_report(calls(40)))
    (sentence,) = unseen(found.gates, found.level)
    assert sentence.startswith("Runaway text: none in 40 recordings of either run; 40 units")
    assert sentence.endswith("a share of up to 7.2 %")
    assert sentence in plain(found).sentences
    assert sentence in render_comparison(found)
    one = compare(heard_report(calls(40)), heard_report(calls(40, planted=LOOP, every=40)))
    assert unseen(one.gates, one.level) == ()


def test_gates_are_told_on_the_terminal_and_on_the_page() -> None:
    found = compare(heard_report(calls(40)), heard_report(calls(40, planted=LOOP, every=4)))
    table = plain(found).tables[-1]
    rows = {row[0]: dict(zip(table.heads, row, strict=True)) for row in table.rows}
    assert list(rows) == ["wer", "insertions", "runaway"]
    assert rows["runaway"]["B − A, points"].startswith("+25.00 [")
    assert (rows["runaway"]["A"], rows["runaway"]["B"], rows["runaway"]["verdict"]) == ("0.0 %", "25.0 %", "worse")
    html = render_comparison(found)
    assert html.index('id="gates"') < html.index('id="differences"')
    assert '<span class="fails">worse</span>' in html


def test_comparisons_written_before_there_were_gates_are_still_read() -> None:
    found = compare(evaluation_report(items=30, clips=0), evaluation_report(items=30, clips=0))
    old = msgspec.json.decode(msgspec.json.encode(found))
    assert [gate["name"] for gate in old.pop("gates")] == ["wer", "insertions", "runaway"]
    read = msgspec.convert(old, Comparison)
    assert read == msgspec.structs.replace(found, gates=[])
    assert len(plain(read).tables) == 1
    assert 'id="gates"' not in render_comparison(read)
