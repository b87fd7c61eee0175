"""One item with its counts, and the rules they were counted by."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from voxfleet.evaluation.accuracy.hearing import Heard
from voxfleet.evaluation.manifests.items import Item
from voxfleet.evaluation.text.alignment import AlignedWord as Step
from voxfleet.evaluation.text.counts import CharErrors
from voxfleet.evaluation.text.normalise import Normaliser, for_language
from voxfleet.evaluation.wer import WordErrors


@dataclass(frozen=True, slots=True)
class Rules:
    """How an evaluation scores."""

    language: str
    """Of items that name none."""
    normaliser: Normaliser | None
    """None: the one of each item's language."""
    unit: Callable[[Item], str]
    slices: tuple[str, ...] | None
    """Columns; None: every column with few enough values, the folder, and the duration."""
    terms: tuple[str, ...] = ()
    """Names and words that count as entities."""

    def of(self, item: Item) -> Normaliser:
        return self.normaliser or for_language(item.language or self.language)

    def spoken(self, item: Item) -> str:
        """The language of an item."""
        return item.language or self.language

    def versions(self, items: Iterable[Item]) -> str:
        """Every normaliser used, to be printed beside every rate."""
        return "; ".join(sorted({self.of(item).version for item in items}))


@dataclass(frozen=True, slots=True)
class Scored:
    """One item with its counts."""

    heard: Heard
    unit: str
    words: WordErrors | None
    raw: WordErrors | None
    characters: CharErrors | None
    alignment: Sequence[Step] = ()
    """What `words` counts."""

    @property
    def item(self) -> Item:
        return self.heard.item
