"""Which word of the hypothesis stands for which word of the reference: the smallest number of edits, found by jiwer.

Where several alignments need equally few edits, jiwer's choice is kept: counts and error view come from the same one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import jiwer

from voxfleet.evaluation.text.counts import WordErrors

Op = Literal["equal", "substitute", "delete", "insert"]


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """One step of an alignment. Raises ValueError where the words don't fit the operation."""

    op: Op
    reference: str | None
    """None for an inserted word."""
    hypothesis: str | None
    """None for a word left out."""

    def __post_init__(self) -> None:
        if self.op != _op(self.reference, self.hypothesis):
            raise ValueError(f"not '{self.op}': {self.reference!r} and {self.hypothesis!r}")


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[AlignedWord]:
    """Words as they are, in the order of both sides. A word is any non-empty text without white space in it."""
    if not reference or not hypothesis:
        left_out = [AlignedWord("delete", word, None) for word in reference]
        return left_out + [AlignedWord("insert", None, word) for word in hypothesis]
    steps = []
    for chunk in jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]:
        said = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        heard = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        match chunk.type:
            case "delete":
                steps += [AlignedWord("delete", word, None) for word in said]
            case "insert":
                steps += [AlignedWord("insert", None, word) for word in heard]
            case "equal":
                steps += [AlignedWord("equal", *pair) for pair in zip(said, heard, strict=True)]
            case "substitute":
                steps += [AlignedWord("substitute", *pair) for pair in zip(said, heard, strict=True)]
    return steps


def align_texts(reference: str, hypothesis: str, normalise: Callable[[str], str]) -> list[AlignedWord]:
    """The words of both texts after `normalise`."""
    return align(normalise(reference).split(), normalise(hypothesis).split())


def count(steps: Iterable[AlignedWord]) -> WordErrors:
    """The errors of an alignment."""
    ops = Counter(step.op for step in steps)
    return WordErrors(ops["equal"], ops["substitute"], ops["delete"], ops["insert"])


def _op(reference: str | None, hypothesis: str | None) -> Op | None:
    if reference is None:
        return None if hypothesis is None else "insert"
    if hypothesis is None:
        return "delete"
    return "equal" if reference == hypothesis else "substitute"
