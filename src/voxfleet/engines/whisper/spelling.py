"""Where words begin and end in a row of tokens, and when each was said.

A word begins at a space. Punctuation joins its word: what opens (a bracket, a quotation mark) the one behind it even
across a space, all else the one before. Chinese, Japanese, Thai, Lao, Burmese and Cantonese have no spaces: there a
word begins wherever two letters of such a script come from two tokens. So the words, written as one line, are the text.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from math import exp

from voxfleet.engines.transducer.tokens import TERMINAL
from voxfleet.engines.whisper.languages import JOINED
from voxfleet.engines.whisper.tokens import Vocabulary
from voxfleet.engines.windowed.transcriber import Spelled
from voxfleet.speech import RUN_ON, Seconds, Word, bare_language

OPENING = frozenset("\"'“¡¿([{-")
"""Alone behind a space, these belong to the next word."""

_UNFINISHED = re.compile(r"[\s\ufffd]+\Z")
_UNSPACED = re.compile(RUN_ON)
"""One letter of Han, Kana, Thai, Lao or Burmese."""
_LEANING = frozenset("ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々ゝゞヽヾ〜～・ะาำๆຯະາຳໆ")
"""Letters that lean on the one before and so begin no word; combining marks do as well."""


def spelled(
    vocabulary: Vocabulary,
    tokens: Sequence[int],
    begins: Sequence[Seconds],
    ends: Sequence[Seconds],
    scores: Sequence[float],
    attended: Sequence[Seconds] | None,
    language: str,
) -> tuple[Spelled, ...]:
    """The words of a transcript; special tokens, of whatever kind, are in none of them, all others are in one.

    Per token: the second at which it begins and ends, the natural logarithm of its probability, the latest second it
    attended to. A word's time is that of its letters, punctuation left out, and never runs backwards; its confidence is
    that of its least certain token. A letter of which bytes are still missing at the end is no part of the text, but
    its tokens are of the last word: one without text where there is no other.
    """
    joined = not language or bare_language(language) in JOINED
    words: list[Spelled] = []
    heard = 0.0
    for text, places, timed in _words(_letters(vocabulary, tokens), joined):
        start = max(begins[timed[0]], heard)
        heard = end = max(ends[timed[-1]], start)
        confidence = exp(min(0.0, *[scores[place] for place in places]))
        last = None if attended is None else max([attended[place] for place in places])
        words.append(Spelled(Word(text, start, end, confidence), tuple([tokens[place] for place in places]), last))
    return tuple(words)


def _letters(vocabulary: Vocabulary, tokens: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Text that stands for itself, and the places of the tokens that spell it: several where a letter has several."""
    pieces = [vocabulary.pieces(token) for token in tokens]
    whole = b"".join(pieces)
    inside = _inside(whole)
    spans: list[tuple[int, list[int]]] = []
    at = 0
    for place, piece in enumerate(pieces):
        if not piece:
            continue
        if at in inside:
            spans[-1][1].append(place)
        else:
            spans.append((at, [place]))
        at += len(piece)
    edges = [*(start for start, _ in spans), at]
    return [
        (whole[start:stop].decode(errors="replace"), places)
        for (start, stop), (_, places) in zip(pairwise(edges), spans, strict=True)
    ]


def _inside(letters: bytes) -> set[int]:
    """Positions within a letter of several bytes, or within bytes that are together no letter."""
    inside: set[int] = set()
    at = len(letters) if letters.isascii() else 0
    while at < len(letters):
        start, stop = len(letters), len(letters)
        try:
            letters[at:].decode()
        except UnicodeDecodeError as error:
            start, stop = at + error.start, at + error.end
        inside.update(place for place in range(at, start) if letters[place] & 0xC0 == 0x80)
        inside.update(range(start + 1, stop))
        at = stop
    return inside


def _words(letters: Sequence[tuple[str, list[int]]], joined: bool) -> list[tuple[str, list[int], list[int]]]:
    """Text, places of all tokens, and of those that give the word its time."""
    words: list[tuple[str, list[int], list[int]]] = []
    opening = False
    for text, places in letters:
        spaced = text[0].isspace()
        voiced = places if any(map(str.isalnum, text)) else []
        if words and (opening or not (spaced or (joined and _parts(words[-1][0][-1], text[0])))):
            before, earlier, timed = words[-1]
            words[-1] = (before + text, earlier + places, timed + voiced)
        else:
            words.append((text, places, voiced))
            opening = True
        bare = text.strip()
        opening = opening and spaced and (not bare or bare in OPENING)
    while len(words) > 1 and _UNFINISHED.fullmatch(words[-1][0]):
        (before, earlier, timed), (_, places, _) = words[-2], words.pop()
        words[-1] = (before, earlier + places, timed)
    named = [(text.strip(), places, timed or places) for text, places, timed in words]
    if named:
        named[-1] = (_UNFINISHED.sub("", named[-1][0]), *named[-1][1:])
    return named


def _parts(before: str, after: str) -> bool:
    """Whether a word begins between two letters of a script without spaces."""
    return (
        _UNSPACED.match(before) is not None
        and _UNSPACED.match(after) is not None
        and after not in TERMINAL
        and after not in _LEANING
        and unicodedata.category(after)[0] != "M"
        and unicodedata.category(before) not in ("Ps", "Pi")
    )
