"""What the decoder is made to begin with fits into its positions, and leaves room to decode."""

from dataclasses import replace

import numpy as np
import pytest

from voxfleet.engines.whisper.entries import entry_of
from voxfleet.engines.whisper.layout import SHAPES, numbered
from voxfleet.engines.windowed.transcriber import Window
from voxfleet.errors import EngineFailed, LanguageNotSupported

SHAPE = SHAPES["micro"]
SPECIAL = numbered(SHAPE, multilingual=True)
WINDOW = Window(np.zeros(48_000, np.int16), "en")


def test_without_anything_known() -> None:
    made = entry_of(WINDOW, "en", SHAPE, SPECIAL)
    assert made.head == SPECIAL.prefix("en", translate=False)
    assert (made.start, made.begin, made.body) == (0, 4, ())
    assert made.limit == 4 + 20 + 20 * 3


def test_a_prompt_comes_before_the_start() -> None:
    made = entry_of(replace(WINDOW, prompt=(5, 6, 7), translate=True), "ro", SHAPE, SPECIAL)
    assert made.head == (SPECIAL.previous, 5, 6, 7, *SPECIAL.prefix("ro", translate=True))
    assert made.head[made.start] == SPECIAL.start


@pytest.mark.parametrize("seconds", [0, 3, 30])
@pytest.mark.parametrize("prefix", [0, 50, 223, 300, 400])
def test_a_long_prompt_loses_its_beginning(seconds: int, prefix: int) -> None:
    window = Window(np.zeros(seconds * 16_000, np.int16), "en", prompt=tuple(range(600)), prefix=(1,) * prefix)
    made = entry_of(window, "en", SHAPE, SPECIAL)
    said = made.head[1 : made.start] if made.start else ()
    assert len(said) <= 223
    assert said == tuple(range(600))[600 - len(said) :]
    assert made.begin + prefix < made.limit <= SHAPE.target
    assert made.limit - made.begin >= min(224, 20 + 20 * seconds)


def test_a_draft_ends_where_it_is_no_text_or_too_long() -> None:
    for draft, usable in (
        ((1, 2, SPECIAL.end, 3), (1, 2)),
        ((1, SPECIAL.timestamps + 4), (1,)),
        ((1, -1, 2), (1,)),
        ((SPECIAL.start,), ()),
        (tuple(range(500)), tuple(range(79))),
    ):
        assert entry_of(replace(WINDOW, draft=draft), "en", SHAPE, SPECIAL).draft == usable


def test_an_impossible_prefix_fails() -> None:
    with pytest.raises(EngineFailed, match="444 tokens leaves no room"):
        entry_of(replace(WINDOW, prefix=(1,) * 444), "en", SHAPE, SPECIAL)
    assert entry_of(replace(WINDOW, prefix=(1,) * 443), "en", SHAPE, SPECIAL).limit == SHAPE.target


def test_an_unknown_language_fails() -> None:
    with pytest.raises(LanguageNotSupported):
        entry_of(WINDOW, "xx", SHAPE, SPECIAL)
