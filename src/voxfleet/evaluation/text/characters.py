"""Errors below the word: characters, and words wrong only in their diacritics."""

import unicodedata
from collections.abc import Callable, Iterable

import jiwer

from voxfleet.evaluation.text.alignment import align
from voxfleet.evaluation.text.counts import CharErrors, DiacriticErrors


def score_characters(reference: str, hypothesis: str, normalise: Callable[[str], str]) -> CharErrors:
    """One text against what was said, both normalised, words joined by single spaces."""
    said, heard = (" ".join(normalise(text).split()) for text in (reference, hypothesis))
    if not said or not heard:
        return CharErrors(deletions=len(said), insertions=len(heard))
    found = jiwer.process_characters(said, heard)
    return CharErrors(found.hits, found.substitutions, found.deletions, found.insertions)


def score_all_characters(pairs: Iterable[tuple[str, str]], normalise: Callable[[str], str]) -> CharErrors:
    """Many (reference, hypothesis) pairs, pooled."""
    return sum((score_characters(said, heard, normalise) for said, heard in pairs), CharErrors())


def diacritic_errors(reference: str, hypothesis: str, normalise: Callable[[str], str]) -> DiacriticErrors:
    """Words that differ from the word said in nothing but diacritics. `normalise` must keep diacritics.

    The words are aligned without their diacritics, then compared with them: in an alignment of the words as they are,
    'o fată' heard as 'fata' may as well be o→fata with 'fată' left out, and whether the error shows would be chance.
    """
    said, heard = normalise(reference).split(), normalise(hypothesis).split()
    bare_said, bare_heard = [bare(word) for word in said], [bare(word) for word in heard]
    wrong = at = against = 0
    for step in align(bare_said, bare_heard):
        wrong += step.op == "equal" and said[at] != heard[against]
        at += step.op != "insert"
        against += step.op != "delete"
    return DiacriticErrors(len(said), wrong)


def bare(word: str) -> str:
    """The word without its diacritics: ă, â → a, î → i, ș → s, ț → t. Never empty where the word is not."""
    kept = "".join(char for char in unicodedata.normalize("NFD", word) if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", kept) if kept else word
