"""Facts in texts: what is found, in both languages, said or written; and what is missed, invented, or turned round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.text import slots_english, slots_romanian
from voxfleet.evaluation.text.entities import (
    EntityErrors,
    NegationErrors,
    SlotCounts,
    negation_errors,
    score_entities,
)
from voxfleet.evaluation.text.slots import slots

IBAN = "RO49AAAA1B31007593840000"

ENGLISH = [
    ("four four two", ["number 442"]),
    ("five five five one two three four", ["number 5551234"]),
    ("call 555-1234", ["number 5551234"]),
    ("in 2024 5 people", ["number 2024", "number 5"]),
    ("zero oh seven", ["number 007"]),
    ("oh my god, a lone one", []),
    ("-5 degrees, minus five degrees", ["number -5", "number -5"]),
    ("the 21st, the twenty first", ["number 21st", "number 21st"]),
    ("$1 and one dollar", ["amount 1 USD", "amount 1 USD"]),
    ("twenty-one dollars", ["amount 21 USD"]),
    ("one hundred and one dollars", ["amount 101 USD"]),
    ("$1 million", ["amount 1000000 USD"]),
    ("€1,250.50", ["amount 1250.5 EUR"]),
    ("10 euros and 50 cents", ["amount 10.5 EUR"]),
    ("five hundred lei", ["amount 500 RON"]),
    ("1%, one percent", ["percent 1", "percent 1"]),
    ("twenty one per cent", ["percent 21"]),
    ("five o'clock", ["time 05:00"]),
    ("at ten thirty a.m.", ["time 10:30"]),
    ("at 10:30 PM", ["time 22:30"]),
    ("3 pm", ["time 15:00"]),
    ("half past ten", ["time 10:30"]),
    ("quarter to six p.m.", ["time 17:45"]),
    ("March 5, 2024", ["date 2024-03-05"]),
    ("the fifth of march twenty twenty four", ["date 2024-03-05"]),
    ("2024-03-05 or 03/05/2024", ["date 2024-03-05", "date 2024-03-05"]),
    ("on the first of May", ["date --05-01"]),
    ("you may one day", []),
    ("john dot smith at example dot com", ["email john.smith@example.com"]),
    ("Mail John.Smith@example.com.", ["email john.smith@example.com"]),
    ("RO49 AAAA 1B31 0075 9384 0000 please", [f"iban {IBAN}"]),
    ("r o four nine a a a a one b three one zero zero seven five nine three eight four zero zero zero zero please",
     [f"iban {IBAN}"]),
    ("be 20 people at 16 street", ["number 20", "number 16"]),
]  # fmt: skip
ROMANIAN = [
    ("1.250,50 lei", ["amount 1250.5 RON"]),
    ("o mie două sute cincizeci virgulă cinci lei", ["amount 1250.5 RON"]),
    ("10 lei și 50 de bani", ["amount 10.5 RON"]),
    ("un leu", ["amount 1 RON"]),
    ("douăzeci de mii de euro", ["amount 20000 EUR"]),
    ("20%, douăzeci la sută", ["percent 20", "percent 20"]),
    ("5 martie 2024", ["date 2024-03-05"]),
    ("cinci martie două mii douăzeci și patru", ["date 2024-03-05"]),
    ("05.03.2024", ["date 2024-03-05"]),
    ("întâi mai", ["date --05-01"]),
    ("martie 2024", ["date 2024-03"]),
    ("ora 14:30", ["time 14:30"]),
    ("ora paisprezece și treizeci", ["time 14:30"]),
    ("ora paisprezece și cinci", ["time 14:05"]),
    ("ora nouă fără un sfert", ["time 08:45"]),
    ("ora una", ["time 01:00"]),
    ("ion punct pop arond gmail punct com", ["email ion.pop@gmail.com"]),
    (f"IBAN {IBAN} da", [f"iban {IBAN}"]),
    ("r o patru nouă a a a a unu b trei unu zero zero șapte cinci nouă trei opt patru zero zero zero zero",
     [f"iban {IBAN}"]),
    ("zero șapte doi doi unu doi trei patru cinci șase", ["number 0722123456"]),
    ("0722.123.456", ["number 0722123456"]),
    ("de 20 lei pentru 5 produse", ["amount 20 RON", "number 5"]),
    ("minus cinci grade", ["number -5"]),
    ("un om și o fată", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ENGLISH)
def test_english_slots(text: str, expected: list[str]) -> None:
    found = slots(text, slots_english.GRAMMAR)
    assert sorted(f"{slot.kind} {slot.value}" for slot in found) == sorted(expected)


@pytest.mark.parametrize(("text", "expected"), ROMANIAN)
def test_romanian_slots(text: str, expected: list[str]) -> None:
    found = slots(text, slots_romanian.GRAMMAR)
    assert sorted(f"{slot.kind} {slot.value}" for slot in found) == sorted(expected)


def test_given_terms_are_found_as_words_longest_first() -> None:
    found = slots("New York, not York or Yorkshire", slots_english.GRAMMAR, ["York", "New York"])
    assert sorted(slot.value for slot in found) == ["new york", "york"]
    found = slots("La Cluj-Napoca", slots_romanian.GRAMMAR, ["Cluj Napoca"])
    assert [slot.value for slot in found] == ["cluj napoca"]


def test_slots_are_matched_as_a_multiset_of_kind_and_value() -> None:
    errors = score_entities("pay five euros and five euros by May 3rd", "pay 5 euros and 6 euros by May 3", "en")
    assert errors.kinds["amount"] == SlotCounts(found=1, missed=1, invented=1)
    assert errors.kinds["date"] == SlotCounts(found=1)
    assert errors.total == SlotCounts(found=2, missed=1, invented=1)
    assert errors.total.f1 == pytest.approx(2 / 3)


def test_a_wrong_digit_of_an_iban_is_missed_and_invented() -> None:
    errors = score_entities(IBAN, IBAN.replace("31", "32"), "ro")
    assert errors.kinds["iban"] == SlotCounts(missed=1, invented=1)


def test_rates_without_slots() -> None:
    assert score_entities("hello", "hello", "en") == EntityErrors()
    none = SlotCounts()
    assert (none.precision, none.recall, none.f1) == (None, None, None)
    assert SlotCounts(missed=1).precision is None
    assert SlotCounts(missed=1).recall == 0.0


@pytest.mark.parametrize(
    ("language", "said", "heard", "expected"),
    [
        ("en", "I don't agree", "I do agree", NegationErrors(lost=1)),
        ("en", "I don’t agree", "I do not agree", NegationErrors(kept=1)),
        ("en", "I cannot pay", "I can pay", NegationErrors(lost=1)),
        ("en", "I can't pay", "I cannot pay", NegationErrors(kept=1)),
        ("en", "I can pay", "I can't pay", NegationErrors(invented=1)),
        ("en", "I never pay", "I not pay", NegationErrors(kept=1)),
        ("en", "not here it is very nice there", "here it is very nice not there", NegationErrors(lost=1, invented=1)),
        ("en", "it ain't so", "it so", NegationErrors(lost=1)),
        ("ro", "n-am plătit", "am plătit", NegationErrors(lost=1)),
        ("ro", "nu am plătit niciodată", "nu am plătit niciodată", NegationErrors(kept=2)),
        ("ro", "cu zahăr", "fără zahăr", NegationErrors(invented=1)),
        ("ro", "", "nu", NegationErrors(invented=1)),
    ],
)
def test_negations(language: str, said: str, heard: str, expected: NegationErrors) -> None:
    assert negation_errors(said, heard, language) == expected


def test_other_languages_are_refused() -> None:
    with pytest.raises(BadOption, match="Romanian"):
        score_entities("eins", "eins", "de")


TEXTS = st.lists(st.sampled_from([text for text, _ in ENGLISH[:20]] + ["no", "not"]), max_size=4).map(", then ".join)


@given(a=TEXTS, b=TEXTS, c=TEXTS, d=TEXTS)
def test_counts_add_up(a: str, b: str, c: str, d: str) -> None:
    one, other = score_entities(a, b, "en"), score_entities(c, d, "en")
    both = one + other
    assert both.total == one.total + other.total
    assert both.negations.reference == one.negations.reference + other.negations.reference
    assert one.total.reference == len(slots(a, slots_english.GRAMMAR))
    assert one.total.hypothesis == len(slots(b, slots_english.GRAMMAR))
    assert (one.total.missed == one.total.invented == 0) or a != b


@pytest.mark.parametrize("language", ["en", "ro"])
@given(text=st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("0123456789.,:-/$€%@ apmro"), max_size=40))
def test_any_text_agrees_with_itself(language: str, text: str) -> None:
    errors = score_entities(text, text, language, terms=("ro", "a"))
    assert errors.total.missed == errors.total.invented == errors.negations.errors == 0


def test_impossible_values() -> None:
    with pytest.raises(ValueError, match="negative"):
        SlotCounts(missed=-1)
    with pytest.raises(ValueError, match="negative"):
        NegationErrors(lost=-1)
    with pytest.raises(ValueError, match="colour"):
        EntityErrors({"colour": SlotCounts()})
    with pytest.raises(TypeError):
        EntityErrors({"date": SlotCounts(1)}).kinds["date"] = SlotCounts()  # type: ignore[index]


def test_negation_rates() -> None:
    assert (NegationErrors(3, 1) + NegationErrors(0, 0, 1)).rate == pytest.approx(0.5)
    assert NegationErrors(invented=1).rate is None
