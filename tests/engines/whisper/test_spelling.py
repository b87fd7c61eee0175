"""Tokens to words, held against how the reference joins them."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.whisper.folders import needed
from voxfleet.engines.whisper.layout import Layout
from voxfleet.engines.whisper.spelling import spelled
from voxfleet.engines.whisper.tokens import Vocabulary
from voxfleet.engines.windowed.transcriber import Spelled
from voxfleet.speech import text_of

NAMES = {"en": "english", "ro": "romanian", "zh": "chinese", "fr": "french"}


@cache
def vocabulary(folder: Path) -> Vocabulary:
    return Layout.read(folder).vocabulary()


def spell(folder: Path, tokens: Sequence[int], language: str = "en") -> tuple[Spelled, ...]:
    """Token number i is said from i / 10 s on, for a tenth of a second, and attends to its middle."""
    begins = [place / 10 for place in range(len(tokens))]
    ends = [begin + 0.1 for begin in begins]
    return spelled(vocabulary(folder), tokens, begins, ends, [-0.1] * len(tokens), [b + 0.05 for b in begins], language)


def texts(words: Sequence[Spelled]) -> list[str]:
    return [word.word.text for word in words]


def reference(folder: Path, tokens: Sequence[int], language: str) -> tuple[list[str], list[list[int]]]:
    """Its words, spaces stripped, and their tokens."""
    from transformers.models.whisper import tokenization_whisper as whisper

    words, joined, _ = whisper._combine_tokens_into_words(_tokenizer(folder), list(tokens), NAMES[language])
    return [word.strip() for word in words], joined


@cache
def _tokenizer(folder: Path) -> Any:
    return needed("transformers").WhisperTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("language", "sentence", "words"),
    [
        ("en", " Well, how can I help you today?", "Well,|how|can|I|help|you|today?"),
        ("en", ' He said: "no, thanks!" (twice)', 'He|said:|"no,|thanks!"|(twice)'),
        ("en", " Please hold the line...", "Please|hold|the|line..."),
        ("en", ' ( " yes', '( " yes'),
        ("ro", " Bună ziua, vă rog să așteptați puțin, mulțumesc!", "Bună|ziua,|vă|rog|să|așteptați|puțin,|mulțumesc!"),
        ("ro", "Numărul meu este „șapte”.", "Numărul|meu|este|„șapte”."),
        ("fr", " ¿Qué tal? Très bien", "¿Qué|tal?|Très|bien"),
    ],
)
def test_words_are_the_references(tiny_folder: Path, language: str, sentence: str, words: str) -> None:
    tokens = vocabulary(tiny_folder).encode(sentence)
    found = spell(tiny_folder, tokens, language)
    assert texts(found) == words.split("|")
    assert (texts(found), [list(word.tokens) for word in found]) == reference(tiny_folder, tokens, language)


def test_chinese_words_are_the_references(tiny_folder: Path) -> None:
    tokens = vocabulary(tiny_folder).encode("问我的公园多少号码、地址。您好？在去的天。")
    found = spell(tiny_folder, tokens, "zh-CN")
    assert len(found) > 8
    assert (texts(found), [list(word.tokens) for word in found]) == reference(tiny_folder, tokens, "zh")


@pytest.mark.parametrize(
    ("language", "sentence", "words"),
    [
        ("en", " it-is 3.50; and/or don't", "it-is|3.50;|and/or|don't"),  # the reference begins words at -, . and ;
        ("zh", "我的 number是3.50", "我|的|number是3.50"),  # and in Chinese everywhere
        ("zh", "「你好」", None),
        ("ja", "ちょっと待って。", None),
    ],
)
def test_words_written_as_one_line_are_the_text(
    tiny_folder: Path, language: str, sentence: str, words: str | None
) -> None:
    found = spell(tiny_folder, vocabulary(tiny_folder).encode(sentence), language)
    assert text_of(tuple(word.word for word in found)) == sentence.strip()
    if words is not None:
        assert texts(found) == words.split("|")
    if language == "ja":
        assert not any(text.startswith(("ょ", "っ", "。")) for text in texts(found))


def test_thai_words_begin_at_letters_and_no_mark_stands_alone(tiny_folder: Path) -> None:
    found = texts(spell(tiny_folder, vocabulary(tiny_folder).encode("ขอบคุณครับ น้ำ"), "th"))
    assert "".join(found) == "ขอบคุณครับน้ำ"
    assert len(found) == 9
    assert "น้ำ" in found


def test_han_in_a_language_with_spaces_is_one_word(tiny_folder: Path) -> None:
    tokens = vocabulary(tiny_folder).encode(" see 公园 there")
    assert texts(spell(tiny_folder, tokens, "en")) == ["see", "公园", "there"]


ANY = st.lists(st.integers(0, 2307), max_size=40)
TIMES = st.floats(0, 30)


LETTERS = st.text(st.sampled_from(" \"'(-.,!?;aeînțTh1你好我的，。（"), max_size=5)


@settings(deadline=None, max_examples=400)
@given(parts=st.lists(LETTERS, max_size=12), language=st.sampled_from(["en", "zh"]))
def test_words_begin_only_where_the_references_do(tiny_folder: Path, parts: list[str], language: str) -> None:
    known = vocabulary(tiny_folder)
    tokens = [token for part in parts for token in known.encode(part)]
    _, joined = reference(tiny_folder, tokens, language)
    theirs = {0, *accumulate(map(len, joined))}
    ours = [0, *accumulate(len(word.tokens) for word in spell(tiny_folder, tokens, language))]
    assert theirs.issuperset(ours)
    spaced = {at for at in theirs if known.decode(tokens[at:])[:1] == " " and known.decode(tokens[at:]).strip()}
    assert spaced <= set(ours)


@settings(deadline=None, max_examples=400)
@given(data=st.data(), tokens=ANY, language=st.sampled_from(["en", "ro", "zh", "ja", ""]))
def test_every_token_is_in_one_word_and_time_runs_forwards(
    tiny_folder: Path, data: st.DataObject, tokens: list[int], language: str
) -> None:
    known = vocabulary(tiny_folder)
    count = len(tokens)
    begins, ends = (data.draw(st.lists(TIMES, min_size=count, max_size=count)) for _ in range(2))
    scores = data.draw(st.lists(st.floats(-50, 0.001), min_size=count, max_size=count))
    found = spelled(known, tokens, begins, ends, scores, None, language)
    kept = tuple(token for token in tokens if not known.is_special(token))
    assert tuple(token for word in found for token in word.tokens) == kept
    assert all(word.tokens and word.attended is None for word in found)
    for word in found:
        assert word.word.start <= word.word.end
        assert 0 <= (word.word.confidence or 0) <= 1
        assert word.word.text == word.word.text.strip()
    for before, after in pairwise(found):
        assert before.word.end <= after.word.start
    whole = re.sub(r"[\s\ufffd]+\Z", "", known.decode(tokens))
    assert "".join(text_of(tuple(word.word for word in found)).split()) == "".join(whole.split())
    assert len(found) <= 1 or all(texts(found))


def test_a_letter_not_yet_whole_is_left_out_of_the_text(tiny_folder: Path) -> None:
    known = vocabulary(tiny_folder)
    face = known.encode("🙂")
    assert len(face) == 4
    begun = (*known.encode(" da"), *face[:3])
    (word,) = spell(tiny_folder, begun, "ro")
    assert (word.word.text, word.tokens) == ("da", begun)
    (word,) = spell(tiny_folder, (*begun, face[3]), "ro")
    assert word.word.text == "da🙂"
    words = spell(tiny_folder, (*known.encode(" da "), *face[:2]), "ro")
    assert (texts(words), len(words[0].tokens)) == (["da"], len(known.encode(" da ")) + 2)
    (word,) = spell(tiny_folder, face[:1], "ro")
    assert (word.word.text, word.tokens) == ("", face[:1])
    assert texts(spell(tiny_folder, (*known.encode("我的"), *face[:3]), "zh")) == ["我", "的"]


def test_times_certainty_and_attention_of_a_word(tiny_folder: Path) -> None:
    known = vocabulary(tiny_folder)
    special = Layout.read(tiny_folder).special
    pieces = [known.encode(part) for part in (" zq", ",", " the")]
    tokens = (special.timestamps, *pieces[0], *pieces[1], *pieces[2])
    assert list(map(len, pieces)) == [2, 1, 1]
    first, second = spelled(
        known,
        tokens,
        begins=[0.0, 0.5, 0.9, 1.2, 1.0],
        ends=[0.0, 0.9, 1.1, 3.0, 1.6],
        scores=[-9.0, log(0.5), log(0.25), log(0.75), 0.0],
        attended=[9.0, 0.7, 1.3, 1.2, 1.5],
        language="en",
    )
    assert (first.word.text, first.word.start, first.word.end) == ("zq,", 0.5, 1.1)
    assert first.word.confidence == pytest.approx(0.25)
    assert first.attended == 1.3
    assert (second.word.start, second.word.end, second.word.confidence) == (1.1, 1.6, exp(0.0))
    assert spelled(known, (), (), (), (), None, "en") == ()
