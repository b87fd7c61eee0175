"""Which letters a token stands for: a byte-level vocabulary, in which a letter may lie across several tokens.

Special tokens stand for nothing: <|...|>, the time stamps, and ids a network has outputs for but the file no letters.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.engines.whisper import saved
from voxfleet.errors import SettingsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TIMESTAMP = re.compile(r"<\|\d+\.\d\d\|>")


def _alphabet() -> Mapping[str, int]:
    """The letters by which GPT-2's files write the 256 bytes: printable ones as themselves, others from U+0100 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _alphabet()


class Vocabulary:
    """Ids to bytes and back. Never changes; any thread may read it."""

    def __init__(self, pieces: Sequence[bytes], special: Iterable[int], tokenizer_json: Path | None = None) -> None:
        """A token without letters is special too.

        Without the file, `encode` takes the longest piece that fits, again and again.
        """
        silent = set(special)
        kept = [b"" if token in silent else piece for token, piece in enumerate(pieces)]
        self._pieces = (*kept, *(b"" for _ in range(max(silent, default=-1) + 1 - len(kept))))
        self._special = frozenset(token for token, piece in enumerate(self._pieces) if not piece)
        self._path = tokenizer_json
        self._tokenizer: Tokenizer | None = None
        self._longest: Mapping[bytes, int] = {}

    @staticmethod
    def read(tokenizer_json: Path, size: int, special: Iterable[int] = ()) -> "Vocabulary":
        """The pieces of ids 0 to `size` - 1; `special` ones are so whatever the file says.

        Raises SettingsError if the file is missing, broken, another network's, or not of bytes.
        """
        file = saved.tokenizer(tokenizer_json.parent)
        listed = file.model.vocab
        beyond = sum(token >= size for token in listed.values())
        if beyond:
            raise SettingsError(
                f"{tokenizer_json} has {beyond} pieces beyond the {size} tokens of the network (vocab_size in "
                "config.json): it belongs to another network"
            )
        if _BYTES.keys() - listed.keys():
            raise SettingsError(
                f"{tokenizer_json} has no piece for {len(_BYTES.keys() - listed.keys())} of the 256 bytes: it is no "
                "byte-level vocabulary, as Whisper's are"
            )
        pieces = [b""] * size
        silent = set(special)
        for piece, token in listed.items():
            if set(piece) <= _BYTES.keys() and not (piece.startswith("<|") and piece.endswith("|>")):
                pieces[token] = bytes(_BYTES[letter] for letter in piece)
        for added in file.added_tokens:
            if added.special or _TIMESTAMP.fullmatch(added.content):
                silent.add(added.id)
            elif added.id < size:
                pieces[added.id] = added.content.encode()
        return Vocabulary(pieces, (token for token in silent if token < size), tokenizer_json)

    def __len__(self) -> int:
        return len(self._pieces)

    def is_special(self, token: int) -> bool:
        """Stands for nothing."""
        return token in self._special

    def pieces(self, token: int) -> bytes:
        """UTF-8 of a token: whole letters, or a part of one; empty for special tokens."""
        return self._pieces[token]

    def decode(self, tokens: Iterable[int]) -> str:
        """Special tokens are dropped; what is no whole letter becomes U+FFFD."""
        return b"".join([self._pieces[token] for token in tokens]).decode(errors="replace")

    def encode(self, text: str) -> tuple[int, ...]:
        """Tokens that spell a text, as the network was taught; never a special one. A word within a text begins with
        its space. Slow the first time."""
        if self._path is None:
            return self._fit(text.encode())
        if self._tokenizer is None:
            from tokenizers import Tokenizer  # only prompts and phrases need it

            self._tokenizer = Tokenizer.from_file(str(self._path))
            self._tokenizer.encode_special_tokens = True  # '<|endoftext|>' in a text is letters like any other
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tuple(token for token in ids if token not in self._special)

    def _fit(self, letters: bytes) -> tuple[int, ...]:
        if not self._longest:
            self._longest = {piece: token for token, piece in enumerate(self._pieces) if piece}
        longest, found, at = max(map(len, self._longest)), [], 0
        while at < len(letters):
            end = next(end for end in range(at + longest, at, -1) if letters[at:end] in self._longest)
            found.append(self._longest[letters[at:end]])
            at = end
        return tuple(found)
