"""Tokens to letters and back, held against the tokenizer of the reference."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.whisper.folders import edited, needed
from voxfleet.engines.whisper.layout import Layout, random_layout
from voxfleet.engines.whisper.tokens import Vocabulary
from voxfleet.errors import SettingsError

SENTENCES = (
    " Well, how can I help you today?",
    " Bună ziua, vă rog să așteptați puțin; mulțumesc!",
    "你好，请问有什么可以帮您？",
    ' He said: "it\'s (almost) 3.50 - really".',
    " emoji 🙂 and ﷽ and ქართული",
)


@cache
def reference(folder: Path) -> Any:
    return needed("transformers").WhisperTokenizer.from_pretrained(folder)


@cache
def vocabulary(folder: Path) -> Vocabulary:
    return Layout.read(folder).vocabulary()


@pytest.mark.parametrize("sentence", SENTENCES)
def test_text_survives(tiny_folder: Path, sentence: str) -> None:
    tokens = vocabulary(tiny_folder).encode(sentence)
    assert list(tokens) == reference(tiny_folder).encode(sentence, add_special_tokens=False)
    assert vocabulary(tiny_folder).decode(tokens) == sentence


@settings(deadline=None, max_examples=300)
@given(tokens=st.lists(st.integers(0, 2307), max_size=30))
def test_any_tokens_decode_as_the_reference_does(tiny_folder: Path, tokens: list[int]) -> None:
    known = vocabulary(tiny_folder)
    text = [token for token in tokens if not known.is_special(token)]
    told = reference(tiny_folder).decode(text, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert known.decode(tokens) == known.decode(text) == told


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=40))
def test_any_text_survives(tiny_folder: Path, text: str) -> None:
    known = vocabulary(tiny_folder)
    tokens = known.encode(text)
    assert known.decode(tokens) == text
    assert b"".join(map(known.pieces, tokens)) == text.encode()


def test_no_text_spells_a_special_token(tiny_folder: Path) -> None:
    known = vocabulary(tiny_folder)
    for text in ("<|endoftext|>", " a<|startofprev|>b", "<|ro|>"):
        tokens = known.encode(text)
        assert not any(known.is_special(token) for token in tokens)
        assert known.decode(tokens) == text


def test_special_tokens_stand_for_nothing(tiny_folder: Path) -> None:
    layout, known = Layout.read(tiny_folder), vocabulary(tiny_folder)
    special = layout.special
    named = {*special.prefix("ro", True), special.end, special.previous, special.no_speech, special.transcribe}
    for token in (*named, special.timestamps, special.timestamps + 1500):
        assert known.is_special(token)
        assert known.pieces(token) == b""
    assert len(known) == layout.shape.vocabulary == special.timestamps + 1501
    assert sum(known.is_special(token) for token in range(len(known))) == 1501 + 8 + 99
    assert known.decode((*special.prefix("ro", False), *known.encode(" da"), special.end)) == " da"


def test_tokens_somebody_added_are_read_and_outputs_without_letters_are_silent(
    tiny_folder: Path, tmp_path: Path
) -> None:
    added = reference(tiny_folder).backend_tokenizer.to_str()
    tokenizer = needed("tokenizers").Tokenizer.from_str(added)
    tokenizer.add_tokens(["IBAN", "contribuabil"])
    folder = edited(tiny_folder, tmp_path / "added", "config.json", vocab_size=2320)
    (folder / "tokenizer.json").unlink()
    tokenizer.save(str(folder / "tokenizer.json"))
    known = Layout.read(folder).vocabulary()
    assert (len(known), known.decode((2308, 2309))) == (2320, "IBANcontribuabil")
    assert known.encode(" da, contribuabil")[-1] == 2309
    assert not known.is_special(2309)
    assert known.is_special(2310)
    assert known.decode((2319, 2308)) == "IBAN"


def test_the_vocabulary_of_another_network_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="100 pieces beyond the 600 tokens of the network"):
        Vocabulary.read(tiny_folder / "tokenizer.json", 600)
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 1}}}')
    with pytest.raises(SettingsError, match=r"no piece for 254 of the 256 bytes"):
        Vocabulary.read(tmp_path / "tokenizer.json", 600)
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": -1}}}')
    with pytest.raises(SettingsError, match=r"tokenizer\.json: expected `int` >= 0"):
        Vocabulary.read(tmp_path / "tokenizer.json", 600)


@pytest.mark.parametrize("name", ["micro", "tiny.en", "large-v3-turbo"])
def test_made_up_words_survive(name: str) -> None:
    shape, special, known = random_layout(name)
    assert len(known) == shape.vocabulary
    assert not any(known.is_special(token) for token in range(special.end))
    assert all(known.is_special(token) for token in range(special.end, shape.vocabulary))
    assert len({known.pieces(token) for token in range(special.end)}) == special.end
    for text in (" babada bebu", "și 你好"):
        assert known.decode(known.encode(text)) == text
    assert known.encode(known.decode([300, 301])) == (300, 301)
