"""Are the facts right: slots found again, missed and invented, by kind; negations lost and invented are counted apart.

Slots are compared as a multiset within one item: each slot of the hypothesis stands for at most one of the reference,
of the same kind and value, wherever it is. Source: slot F1 on amounts, dates, digit strings, IBAN, names, and negation
errors apart (evaluation reference §1.1, "Entity accuracy").
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.text import slots_english, slots_romanian
from voxfleet.evaluation.text.alignment import align
from voxfleet.evaluation.text.normalise import for_language
from voxfleet.evaluation.text.slots import KINDS, Grammar, Slot, as_written, slots


@dataclass(frozen=True, slots=True)
class SlotCounts:
    """Slots of one kind, or of all. Raises ValueError for counts that can't be."""

    found: int = 0
    """In the reference and in the hypothesis."""
    missed: int = 0
    """Only in the reference."""
    invented: int = 0
    """Only in the hypothesis."""

    def __post_init__(self) -> None:
        if min(self.found, self.missed, self.invented) < 0:
            raise ValueError(f"counts of slots can't be negative: {self!r}")

    @property
    def reference(self) -> int:
        return self.found + self.missed

    @property
    def hypothesis(self) -> int:
        return self.found + self.invented

    @property
    def precision(self) -> float | None:
        """Found ÷ slots of the hypothesis; None without any."""
        return self.found / self.hypothesis if self.hypothesis else None

    @property
    def recall(self) -> float | None:
        """Found ÷ slots of the reference; None without any."""
        return self.found / self.reference if self.reference else None

    @property
    def f1(self) -> float | None:
        """2 · found ÷ (slots of both sides); None where neither side has any."""
        both = self.reference + self.hypothesis
        return 2 * self.found / both if both else None

    def __add__(self, other: Self) -> "SlotCounts":
        return SlotCounts(self.found + other.found, self.missed + other.missed, self.invented + other.invented)


@dataclass(frozen=True, slots=True)
class NegationErrors:
    """Negations said, and what became of them: one lost or invented turns a sentence's meaning round."""

    kept: int = 0
    """Said, and a negation was recognised in that place ('never' for 'not' too)."""
    lost: int = 0
    invented: int = 0

    def __post_init__(self) -> None:
        if min(self.kept, self.lost, self.invented) < 0:
            raise ValueError(f"counts of negations can't be negative: {self!r}")

    @property
    def reference(self) -> int:
        """Negations that were said."""
        return self.kept + self.lost

    @property
    def errors(self) -> int:
        return self.lost + self.invented

    @property
    def rate(self) -> float | None:
        """Errors ÷ negations said; None where none was said."""
        return self.errors / self.reference if self.reference else None

    def __add__(self, other: Self) -> "NegationErrors":
        return NegationErrors(self.kept + other.kept, self.lost + other.lost, self.invented + other.invented)


@dataclass(frozen=True, slots=True)
class EntityErrors:
    """What became of the facts of one item or, added up, of many."""

    kinds: Mapping[str, SlotCounts] = field(default_factory=dict)
    """Of the kinds that occurred, on either side."""
    negations: NegationErrors = NegationErrors()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown:
            raise ValueError(f"no kinds of slots: {', '.join(unknown)}")
        object.__setattr__(self, "kinds", MappingProxyType(dict(self.kinds)))

    @property
    def total(self) -> SlotCounts:
        """All kinds together."""
        return sum(self.kinds.values(), SlotCounts())

    def __add__(self, other: Self) -> "EntityErrors":
        none = SlotCounts()
        occurred = [kind for kind in KINDS if kind in self.kinds or kind in other.kinds]
        kinds = {kind: self.kinds.get(kind, none) + other.kinds.get(kind, none) for kind in occurred}
        return EntityErrors(kinds, self.negations + other.negations)


def score_entities(reference: str, hypothesis: str, language: str, terms: Iterable[str] = ()) -> EntityErrors:
    """One text against what was said. `terms`: names and words to be found besides (written as they are said).

    Raises BadOption for a language that is neither English nor Romanian.
    """
    grammar, wanted = _grammar(language), tuple(terms)
    said, heard = (Counter(slots(text, grammar, wanted)) for text in (reference, hypothesis))
    kinds = {kind: _counts(kind, said, heard) for kind in KINDS if any(slot.kind == kind for slot in said | heard)}
    return EntityErrors(kinds, negation_errors(reference, hypothesis, language))


def negation_errors(reference: str, hypothesis: str, language: str) -> NegationErrors:
    """Negations by place, in an alignment of the normalised words to which all negations are the same word.

    So 'never' heard as 'not' is kept, and one lost here and invented there are two errors. Raises as score_entities.
    """
    grammar, normalise = _grammar(language), for_language(language)
    said, heard = (
        [_NEGATION if grammar.negation.fullmatch(word) else word for word in words.split()]
        for words in (normalise(grammar.prepare(as_written(text))) for text in (reference, hypothesis))
    )
    steps = align(said, heard)
    kept = sum(step.reference == step.hypothesis == _NEGATION for step in steps)
    return NegationErrors(kept, said.count(_NEGATION) - kept, heard.count(_NEGATION) - kept)


_NEGATION = "¬"


def _counts(kind: str, said: Counter[Slot], heard: Counter[Slot]) -> SlotCounts:
    both, only_said, only_heard = said & heard, said - heard, heard - said
    return SlotCounts(
        *(sum(n for slot, n in part.items() if slot.kind == kind) for part in (both, only_said, only_heard))
    )


def _grammar(language: str) -> Grammar:
    match for_language(language).name:
        case "english":
            return slots_english.GRAMMAR
        case "romanian":
            return slots_romanian.GRAMMAR
    raise BadOption("language of entities", language, "English (en) or Romanian (ro)")
