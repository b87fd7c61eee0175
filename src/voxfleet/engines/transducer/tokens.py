"""Which letters a token stands for: the vocabulary of a `tokenizer.json`, sorted once into a table by what a token does.

A token opens a word (it carries the word mark '▁'), goes on spelling one, closes one (punctuation), is one byte of a
letter, names a language, or stands for nothing. `transcript.py` joins them to words.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import DecodeError, Struct, ValidationError, field, json

from voxfleet.errors import SettingsError
from voxfleet.speech import UNSPACED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORD_MARK = "▁"
TERMINAL = frozenset(".,!?;:…%)]}»。，、！？；：）」』】》〉％؟،؛।॥")
"""What ends a word even if a space stands before it, as French writes: 'Bonjour !' is one word, 'Bonjour!'."""

_LANGUAGE = re.compile(r"<([a-z]{2,3}-[A-Z]{2,4}|[a-z]{2})>")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_UNSPACED = re.compile(UNSPACED)
_LEANING = frozenset("ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々ゝゞヽヾ〜～・")
"""Kana and marks that lean on the letter before and so begin no word."""


class Role(IntEnum):
    """What a token does to the words before it."""

    NOTHING = 0
    OPEN = 1
    """Begins a word: carries the mark and letters."""
    SPELL = 2
    """Goes on with a word."""
    CLOSE = 3
    """Punctuation of TERMINAL alone: belongs to the word before, with or without the mark."""
    ORNAMENT = 4
    """Other punctuation alone and without the mark (an apostrophe, a hyphen): part of the word, but not of its time."""
    GAP = 5
    """The mark alone: the next letter begins a word."""
    BYTE = 6
    LANGUAGE = 7
    MIXED = 8
    """Marks in the middle: does several of these one after the other."""


class Piece(NamedTuple):
    """One token, sorted."""

    role: Role
    text: str = ""
    """Letters without the mark; the tag of a language."""
    begins: bool = False
    """In an unspaced script, and fit to begin a word there."""
    ends: bool = False
    """In an unspaced script, and fit to end a word there."""
    value: int = 0
    """Of a byte."""
    parts: tuple[Any, ...] = ()
    """Pieces of a mixed one."""


NOTHING = Piece(Role.NOTHING)


def sort(piece: str) -> Piece:
    """What a piece of a vocabulary does; control tokens are not told apart from letters here."""
    if language := _LANGUAGE.fullmatch(piece):
        return Piece(Role.LANGUAGE, language[1])
    if byte := _BYTE.fullmatch(piece):
        return Piece(Role.BYTE, value=int(byte[1], 16))
    if not piece:
        return NOTHING
    letters = piece.lstrip(WORD_MARK)
    if not letters:
        return Piece(Role.GAP)
    marked = letters != piece
    if WORD_MARK in letters:
        parts = [sort(part) for part in re.findall(f"{WORD_MARK}+[^{WORD_MARK}]*|^[^{WORD_MARK}]+", piece)]
        return Piece(Role.MIXED, parts=tuple(parts))
    return Piece(_role(letters, marked), letters, *_boundaries(letters))


def _role(letters: str, marked: bool) -> Role:
    if all(letter in TERMINAL for letter in letters):
        return Role.CLOSE
    if marked:
        return Role.OPEN
    kinds = {unicodedata.category(letter) for letter in letters}
    return Role.ORNAMENT if all(kind[0] == "P" and kind not in ("Ps", "Pi") for kind in kinds) else Role.SPELL


def _boundaries(letters: str) -> tuple[bool, bool]:
    """Whether a word of an unspaced script can begin before, and end after, these letters.

    Such scripts would make a sentence one endless word. So wherever two letters of Han or Kana come from two tokens, a
    new word begins: a token there is a syllable or a short word, and shows where in the sound it was heard. Whoever
    writes the words as one line sets no space between two such letters.
    """
    first, last = letters[0], letters[-1]
    begins = bool(_UNSPACED.match(first)) and first not in TERMINAL and first not in _LEANING
    return begins, bool(_UNSPACED.match(last)) and unicodedata.category(last) not in ("Ps", "Pi")


class _Added(Struct):
    id: int
    content: str
    special: bool = False


class _Model(Struct):
    vocab: dict[str, int] | list[tuple[str, float]]
    kind: str = field(name="type", default="")
    unk_token: str | None = None
    unk_id: int | None = None


class _File(Struct):
    model: _Model
    added_tokens: list[_Added] = field(default_factory=list)


class Vocabulary:
    """Ids to pieces. Never changes; any thread may read it."""

    def __init__(
        self, pieces: Sequence[str], blank: int, special: Iterable[int] = (), tokenizer_json: Path | None = None
    ) -> None:
        """`special` tokens, like the blank, stand for nothing. Without the file nothing can be encoded."""
        silent = {blank, *special}
        self.pieces = tuple(pieces)
        """As the file spells them, by id."""
        self.sorted = tuple(NOTHING if id_ in silent else sort(piece) for id_, piece in enumerate(self.pieces))
        self._path = tokenizer_json
        self._tokenizer: Tokenizer | None = None

    @staticmethod
    def read(tokenizer_json: Path, size: int = 0, blank: int = -1) -> "Vocabulary":
        """The pieces of ids 0 to `size` - 1 (0 = all the file has); `blank` stands for nothing, whatever the file says.

        Special tokens beyond `size` are ignored: the published files list a blank the network can't emit. Raises
        SettingsError if the file is missing or broken, if it is another network's, or if no piece carries the mark.
        """
        file = _parse(tokenizer_json)
        listed = file.model.vocab
        ids = {id_: piece for piece, id_ in listed.items()} if isinstance(listed, dict) else {}
        if isinstance(listed, list):
            ids = {id_: piece for id_, (piece, _) in enumerate(listed)}
        beyond = [id_ for id_ in ids if id_ >= size > 0]
        if beyond:
            raise SettingsError(
                f"{tokenizer_json} has {len(ids)} pieces, up to id {max(beyond)}, but the network emits only {size}: "
                "it belongs to another network"
            )
        ids.update((added.id, added.content) for added in file.added_tokens)
        size = size or max(ids, default=-1) + 1
        missing = [id_ for id_ in range(size) if id_ not in ids and id_ != blank]
        if missing:
            raise SettingsError(
                f"{tokenizer_json} has no piece for {len(missing)} of the network's {size} ids, such as {missing[0]}: "
                "it belongs to another network"
            )
        pieces = tuple(ids.get(id_, "") for id_ in range(size))
        if not any(piece.startswith(WORD_MARK) for piece in pieces):
            raise SettingsError(
                f"{tokenizer_json}: no piece carries the word mark '{WORD_MARK}'; words would run together"
            )
        special = {added.id for added in file.added_tokens if added.special and not _LANGUAGE.fullmatch(added.content)}
        special |= {id_ for id_, piece in ids.items() if piece == file.model.unk_token}
        special |= {file.model.unk_id} if file.model.unk_id is not None else set()
        return Vocabulary(pieces, blank, special, tokenizer_json)

    def __len__(self) -> int:
        return len(self.pieces)

    def is_special(self, token: int) -> bool:
        """Adds no letters: blank, padding, unknown, control tokens, language tags."""
        return self.sorted[token].role in (Role.NOTHING, Role.LANGUAGE)

    def language_tag(self, token: int) -> str | None:
        """'ro-RO' for the token '<ro-RO>'."""
        piece = self.sorted[token]
        return piece.text if piece.role is Role.LANGUAGE else None

    def encode(self, phrase: str) -> list[int]:
        """Ids that spell a phrase, as the network was taught to; without special tokens. Slow the first time."""
        if self._tokenizer is None:
            assert self._path is not None, "a vocabulary without a file"
            from tokenizers import Tokenizer  # only phrases need it

            self._tokenizer = Tokenizer.from_file(str(self._path))
        return list(self._tokenizer.encode(phrase, add_special_tokens=False).ids)


def _parse(path: Path) -> _File:
    try:
        return json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from None
    except ValidationError as error:
        raise SettingsError(f"{path} is no tokenizer of pieces: {error}") from None
    except (DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is broken: {error}") from None
