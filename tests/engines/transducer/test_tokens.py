"""Tokens become the words the reference spells, at the right times, and only ever grow."""

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.engines.transducer.conftest import TAGS, TEXT
from voxfleet.engines.transducer.tokens import TERMINAL, Piece, Role, Vocabulary, sort
from voxfleet.engines.transducer.transcript import Transcript
from voxfleet.errors import SettingsError
from voxfleet.speech import Word, text_of

UNSPACED = "[⺀-⿟\u3000-ヿ㐀-䶿一-鿿豈-﫿\uff00-\uffef]"


def _spell(*pieces: str) -> tuple[Vocabulary, list[int]]:
    """A vocabulary of these pieces and the ids that spell them in this order."""
    known = list(dict.fromkeys(pieces))
    return Vocabulary([*known, ""], len(known)), [known.index(piece) for piece in pieces]


def _hear(vocabulary: Vocabulary, tokens: Sequence[int], confidences: Sequence[float] = ()) -> Transcript:
    """Token i is emitted in the frame from i to i + 1 seconds."""
    transcript = Transcript(vocabulary)
    for index, token in enumerate(tokens):
        transcript.add(token, float(index), index + 1.0, confidences[index] if confidences else 1.0)
    return transcript


def _words(*pieces: str) -> list[tuple[str, float, float]]:
    return [(word.text, word.start, word.end) for word in _hear(*_spell(*pieces)).close()]


def _plain(text: str) -> str:
    """A line of the reference without what words do not keep: double spaces, and spaces before closing punctuation."""
    text = re.sub("<[a-z]{2}-[A-Z]{2}>", " ", text)
    closing = re.escape("".join(TERMINAL))
    text = re.sub(f"\\s+(?=[{closing}])", "", re.sub(r"\s+", " ", text)).strip()
    text = re.sub(f"(?<={UNSPACED}) (?={UNSPACED})", "", text)
    return re.sub(f"^[{closing}]+ ?", "", text)


@pytest.mark.parametrize("seed", range(8))
def test_random_tokens_spell_what_the_reference_spells(
    tiny_folder: Path, reference_processor: Callable[[Path], Any], seed: int
) -> None:
    vocabulary = Vocabulary.read(tiny_folder / "tokenizer.json", 129, 128)
    processor, chance = reference_processor(tiny_folder), random.Random(seed)
    for _ in range(100):
        tokens = chance.choices(range(129), k=chance.randrange(60))
        expected = processor.decode(tokens, skip_special_tokens=True)
        assert text_of(_hear(vocabulary, tokens).close()) == _plain(expected), tokens


@pytest.mark.parametrize("seed", range(8))
def test_random_tokens_of_many_scripts_spell_what_the_reference_spells(
    tiny_prompt_folder: Path, reference_processor: Callable[[Path], Any], seed: int
) -> None:
    vocabulary = Vocabulary.read(tiny_prompt_folder / "tokenizer.json", 513, 512)
    processor, chance = reference_processor(tiny_prompt_folder), random.Random(seed)
    letters = [token for token in range(513) if vocabulary.sorted[token].role is not Role.BYTE]
    for _ in range(100):
        tokens: list[int] = []
        while len(tokens) < chance.randrange(60):
            tokens.append(chance.choice(letters))
            if chance.random() < 0.2:  # a whole letter in bytes
                tokens += [1 + byte for byte in chance.choice("ășțяЖ北犬が🙂€é漢").encode()]
        expected = processor.decode(tokens, skip_special_tokens=True)
        assert text_of(_hear(vocabulary, tokens).close()) == _plain(expected), tokens


def test_encoded_sentences_come_back(tiny_prompt_folder: Path, reference_processor: Callable[[Path], Any]) -> None:
    vocabulary = Vocabulary.read(tiny_prompt_folder / "tokenizer.json", 513, 512)
    for line in TEXT.split("\n"):
        ids = vocabulary.encode(line)
        assert ids == reference_processor(tiny_prompt_folder).tokenizer(line, add_special_tokens=False)["input_ids"]
        assert text_of(_hear(vocabulary, ids).close()) == _plain(line)


def test_words_only_grow(tiny_prompt_folder: Path) -> None:
    vocabulary = Vocabulary.read(tiny_prompt_folder / "tokenizer.json", 513, 512)
    chance = random.Random(4)
    for _ in range(50):
        transcript = Transcript(vocabulary)
        before: tuple[Word, ...] = ()
        for index in range(80):
            transcript.add(chance.randrange(513), index * 0.08, index * 0.08 + 0.08, chance.random())
            stable, unstable = transcript.stable, transcript.unstable
            assert stable[: len(before)] == before
            assert len(unstable) <= 1
            for word in stable + unstable:
                assert word.text
                assert not re.search(r"\s|▁", word.text)
                assert 0 <= word.start < word.end <= index * 0.08 + 0.08
            starts = [word.start for word in stable + unstable]
            assert starts == sorted(starts)
            before = stable
        assert transcript.close()[: len(before)] == before
        assert transcript.unstable == ()


def test_a_word_lasts_from_its_first_token_to_its_last() -> None:
    assert _words("▁bu", "nă", "▁zi", "ua") == [("bună", 0, 2), ("ziua", 2, 4)]
    assert _words("ua", "▁zi") == [("ua", 0, 1), ("zi", 1, 2)]


def test_punctuation_belongs_to_the_word_before_but_not_to_its_time() -> None:
    assert _words("▁da", ",", "▁nu", "▁!", "▁«", "bine", "▁»", ".") == [("da,", 0, 1), ("nu!", 2, 3), ("«bine».", 4, 6)]
    assert _words("▁don", "'", "t", "▁3", ".", "14", "%") == [("don't", 0, 3), ("3.14%", 3, 6)]
    assert _words("▁(", "a", ")", "▁-", "▁¿", "qué") == [("(a)", 0, 2), ("-", 3, 4), ("¿qué", 4, 6)]
    assert _words(".", "▁da", "▁", ",", "nu") == [("da,nu", 1, 5)]


def test_confidence_is_the_smallest_of_the_letters() -> None:
    vocabulary, tokens = _spell("▁a", "b", ".", "▁c", "d")
    words = _hear(vocabulary, tokens, [0.9, 0.8, 0.1, 0.7, 0.75]).close()
    assert [word.confidence for word in words] == [0.8, 0.7]
    vocabulary, tokens = _spell("▁a", "▁", "<0xC8>", "<0x99>", "b")
    words = _hear(vocabulary, tokens, [0.9, 0.5, 0.8, 0.4, 0.6]).close()
    assert words == (Word("a", 0.0, 1.0, 0.9), Word("șb", 1.0, 5.0, 0.4))


def test_a_bare_mark_begins_the_next_word() -> None:
    assert _words("▁a", "▁", "b", "▁", "▁c", "▁") == [("a", 0, 1), ("b", 1, 3), ("c", 4, 5)]
    assert _words("▁a▁b", "c▁") == [("a", 0, 1), ("bc", 0, 2)]


def test_letters_come_together_from_bytes() -> None:
    vocabulary, tokens = _spell("▁a", "<0xC8>", "<0x99>", "b")
    transcript = Transcript(vocabulary)
    shown = []
    for index, token in enumerate(tokens):
        transcript.add(token, float(index), index + 1.0, 1.0)
        shown.append([word.text for word in transcript.unstable])
    assert shown == [["a"], ["a"], ["aș"], ["așb"]]
    assert _words("▁a", "<0xE2>", "<0x82>", "▁b") == [("a\ufffd", 0, 3), ("b", 3, 4)]
    assert _words("▁a", "<0xE2>", "<0x82>") == [("a\ufffd", 0, 3)]
    assert _words("▁a", "<0xFF>", "<0x62>") == [("a\ufffdb", 0, 3)]
    assert _words("▁", "<0xE2>", "<0xC8>", "<0x99>") == [("\ufffdș", 0, 4)]
    assert _words("▁a", "<0x0A>", "<0x62>", "<0x2E>") == [("a", 0, 1), ("b.", 2, 3)]


def test_scripts_without_spaces_do_not_become_one_word() -> None:
    assert _words("▁", "你好", "，", "世", "界", "。") == [("你好，", 0, 2), ("世", 3, 4), ("界。", 4, 5)]
    assert _words("▁カ", "ー", "ド", "「", "番号", "」") == [("カー", 0, 2), ("ド", 2, 3), ("「番号」", 3, 5)]
    assert _words("▁用", "iPhone", "打", "电", "话") == [("用iPhone打", 0, 3), ("电", 3, 4), ("话", 4, 5)]
    assert _words("▁犬", "<0xE7>", "<0x8C>", "<0xAB>", "は") == [("犬", 0, 1), ("猫", 1, 4), ("は", 4, 5)]


def test_a_language_tag_is_no_text() -> None:
    vocabulary, tokens = _spell("▁da", ".", "▁", "<ro-RO>", "yes", "<en>")
    transcript = _hear(vocabulary, tokens[:4])
    assert transcript.language == "ro-RO"
    assert [word.text for word in transcript.unstable] == ["da."]
    transcript.add(tokens[4], 4.0, 5.0, 1.0)
    transcript.add(tokens[5], 5.0, 6.0, 1.0)
    assert [word.text for word in transcript.close()] == ["da.", "yes"]
    assert transcript.language == "en"


def test_what_a_token_is(tiny_prompt_folder: Path) -> None:
    vocabulary = Vocabulary.read(tiny_prompt_folder / "tokenizer.json", 513, 512)
    silent = {token for token in range(len(vocabulary)) if vocabulary.is_special(token)}
    tags = {token: vocabulary.language_tag(token) for token in silent if vocabulary.language_tag(token)}
    assert sorted(filter(None, tags.values())) == sorted(TAGS)
    assert {vocabulary.pieces[token] for token in silent - tags.keys()} == {"<unk>", "<pad>"}
    assert vocabulary.language_tag(1) is None
    assert sort("<unk>") == Piece(Role.SPELL, "<unk>")
    with pytest.raises(IndexError):
        vocabulary.is_special(513)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": {"vocab": {"a": 0, "▁b": 2}}}, "no piece for 1 of the network's 3 ids, such as 1"),
        ({"model": {"vocab": {"a": 0, "▁b": 1, "c": 3}}}, "up to id 3, but the network emits only 3"),
        ({"model": {"vocab": {"a": 0, "Ġb": 1}}}, "no piece carries the word mark"),
        ({"model": {"vocab": "a"}}, "is no tokenizer of pieces"),
        ({}, "is no tokenizer of pieces"),
        (None, "is broken"),
    ],
)
def test_another_networks_tokenizer_is_refused(tmp_path: Path, change: object, says: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(change) if change is not None else "{")
    with pytest.raises(SettingsError) as error:
        Vocabulary.read(path, 3, 2) if "such as" not in says else Vocabulary.read(path, 3)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_unigram_pieces_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁a", -1.5]]}}))
    vocabulary = Vocabulary.read(path)
    assert (vocabulary.pieces, vocabulary.is_special(0), vocabulary.is_special(1)) == (("<unk>", "▁a"), True, False)
    with pytest.raises(SettingsError, match="can't be read"):
        Vocabulary.read(tmp_path / "absent.json")
