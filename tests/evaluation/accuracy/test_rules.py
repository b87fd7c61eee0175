"""What intervals resample, which ways of hearing are asked for, and what streaming costs."""

from pathlib import Path

import pytest

from voxfleet.cli.evaluate import modes_of, terms_of
from voxfleet.evaluation.accuracy.evaluation import streaming_cost, unit_rule
from voxfleet.evaluation.accuracy.hearing import Heard, Mode
from voxfleet.evaluation.accuracy.scored import Rules
from voxfleet.evaluation.accuracy.scoring import score_mode
from voxfleet.evaluation.faults import BadManifest, BadOption
from voxfleet.evaluation.manifests.items import Item


def item(name: str, reference: str | None = "amber birch cedar delta", kind: str = "speech", **columns: str) -> Item:
    return Item(name, Path(name), reference, kind=kind, columns=columns)


def rules(*items: Item, slices: tuple[str, ...] | None = None, language: str = "en") -> Rules:
    return Rules(language, None, unit_rule(None, items)[0], slices)


def test_the_unit_is_the_call_then_the_speaker_then_the_recording() -> None:
    both = [item("a.wav", call="7", speaker="ann"), item("b.wav", speaker="ben")]
    rule, why = unit_rule(None, both)
    assert [rule(one) for one in both] == ["7", "b.wav"]
    assert "'call'" in why
    rule, why = unit_rule("speaker", both)
    assert [rule(one) for one in both] == ["ann", "ben"]
    rule, why = unit_rule(None, [item("a.wav")])
    assert rule(item("a.wav")) == "a.wav"
    assert "too narrow" in why
    rule, _ = unit_rule(r"/libri-other.(\d+)-/", [])
    assert rule(item("libri-other/1688-142285-0000.flac")) == "1688"
    assert rule(item("other.wav")) == "other.wav"


@pytest.mark.parametrize("name", ["tenant", "/([/", "/no group/"])
def test_a_unit_that_can_not_be_is_refused(name: str) -> None:
    with pytest.raises(BadOption):
        unit_rule(name, [item("a.wav", speaker="ann")])


@pytest.mark.parametrize(
    ("live", "offline", "settings", "only_scored", "names"),
    [
        (None, None, None, False, ["offline", "live"]),
        (None, None, None, True, []),
        (True, None, None, False, ["live"]),
        (None, True, None, False, ["offline"]),
        (False, None, None, False, ["offline"]),
        (None, False, None, False, ["live"]),
        (None, None, "300,900", False, ["offline", "live, endpointing 300 ms", "live, endpointing 900 ms"]),
        (None, True, "300", True, ["offline", "live, endpointing 300 ms"]),
        (True, True, None, True, ["offline", "live"]),
    ],
)
def test_the_modes_that_options_ask_for(
    live: bool | None, offline: bool | None, settings: str | None, only_scored: bool, names: list[str]
) -> None:
    assert [str(mode) for mode in modes_of(live, offline, settings, only_scored=only_scored)] == names


def test_terms_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("Voxfleet\n\n  Chișinău \n", encoding="utf-8")
    assert terms_of(path) == ("Voxfleet", "Chișinău")
    with pytest.raises(BadManifest):
        terms_of(tmp_path / "nothing")


def test_items_without_reference_are_listed_and_counted_in_nothing() -> None:
    items = [item("a.wav"), item("b.wav", None), item("quiet.wav", "", kind="silence"), item("gone.wav")]
    heard = [Heard(items[0], 2, "amber birch delta"), Heard(items[1], 2, "x"), Heard(items[2], 60, "thank you")]
    heard.append(Heard(items[3], 0, None))
    mode = score_mode(str(Mode(live=False)), heard, rules(*items))
    assert [one.item for one in mode.items] == [one.id for one in items]
    assert (mode.words.hits, mode.words.deletions, mode.words.insertions) == (3, 1, 0)
    figures = {figure.name: figure for figure in mode.figures}
    invented = figures["Invented words, silence"].figure
    assert invented is not None
    assert invented.value == pytest.approx(2.0)
    assert figures["Clips with invented words, all"].counts == {"clips": 1, "with output": 1, "words": 2}


def test_romanian_is_scored_by_romanian_rules_with_its_three_figures() -> None:
    one = item("a.wav", "Plătiți 1.250,50 lei până mâine, într-un oraş")
    mode = score_mode("x", [Heard(one, 5, "platiti 1250,50 lei până mâine într un oraș")], rules(one, language="ro"))
    assert (mode.words.substitutions, mode.words.deletions, mode.words.insertions) == (1, 0, 0)
    figures = {figure.name: figure for figure in mode.figures}
    assert figures["Diacritic error rate"].counts["wrong"] == 1
    stripped = figures["WER, romanian-stripped"].figure
    assert stripped is not None
    assert stripped.value == 0.0


def test_the_cost_of_streaming_is_paired_over_what_both_have_heard() -> None:
    items = [item(f"{k}.wav", speaker=str(k)) for k in range(12)]
    rule = rules(*items)
    offline = score_mode("offline", [Heard(one, 2, "amber birch cedar delta") for one in items], rule)
    live = score_mode("live", [Heard(one, 2, "amber birch cedar") for one in items[:10]], rule)
    (cost,) = streaming_cost([offline, live])
    assert cost.mode == "live"
    assert cost.points.value == pytest.approx(0.25)
    assert streaming_cost([live]) == []
