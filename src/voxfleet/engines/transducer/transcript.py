"""How the tokens of one turn become words with times: what is complete, what is still being spelled."""

import codecs
from functools import lru_cache

from voxfleet.engines.transducer.tokens import WORD_MARK, Piece, Role, Vocabulary, sort
from voxfleet.speech import Seconds, Word

_UTF8 = codecs.getincrementaldecoder("utf-8")
_letter = lru_cache(4096)(sort)  # letters that come as bytes are few, and the same again and again


class Transcript:
    """The words of one turn, token by token. Not shared between threads.

    A word begins with a piece that carries the word mark, and in scripts without spaces with any piece that follows
    another (`Piece.begins`). It lasts from its first token's frame to the end of its last letter's. Its confidence
    is the smallest probability of its tokens: one wrong syllable makes a word wrong, and the smallest shows it however
    long the word is, where a product or a mean would follow the length. Punctuation belongs to the word before but says
    nothing of its time or confidence: it is emitted late, in the pause. Closing punctuation with no word before it is
    what a turn cut earlier left behind, and is dropped.

    Bytes are joined to letters as they come; a letter not yet whole is not shown, and one that never becomes whole is
    shown as U+FFFD. (The reference shows every byte of a run so if one of them is wrong.)
    """

    __slots__ = (
        "_bytes",
        "_confidence",
        "_doubt",
        "_end",
        "_ends",
        "_gap",
        "_last",
        "_since",
        "_sorted",
        "_start",
        "_text",
        "language",
        "stable",
    )

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._sorted = vocabulary.sorted
        self.stable: tuple[Word, ...] = ()
        """Words that will not change; they only grow."""
        self.language: str | None = None
        """The tag the model gave last in this turn, such as 'ro-RO'."""
        self._text = ""  # the word being spelled, and its times
        self._start: Seconds = 0.0
        self._end: Seconds = 0.0
        self._confidence = 1.0
        self._ends = False  # its last letter is of an unspaced script
        self._gap = False  # the next letter begins a word
        self._since: Seconds = -1.0  # start of a token that belongs to a word or letter still to come; -1 = none
        self._doubt = 1.0  # and its confidence
        self._last: Seconds = 0.0  # end of the last byte
        self._bytes: codecs.IncrementalDecoder | None = None  # holds the bytes of a letter not yet whole

    def add(self, token: int, start: Seconds, end: Seconds, confidence: float) -> None:
        """The next token of the turn, emitted at the frame from `start` to `end` seconds of the turn."""
        piece = self._sorted[token]
        if self._bytes is not None and piece.role is not Role.BYTE:
            self._end_bytes()
        self._take(piece, start, end, confidence)

    @property
    def unstable(self) -> tuple[Word, ...]:
        """The word still being spelled, if there is one."""
        return (self._word(),) if self._text else ()

    def close(self) -> tuple[Word, ...]:
        """The turn ends here: all its words, which are now all stable."""
        if self._bytes is not None:
            self._end_bytes()
        self._complete()
        return self.stable

    def _take(self, piece: Piece, start: Seconds, end: Seconds, confidence: float) -> None:
        role = piece.role
        if role is Role.SPELL and self._text and not self._gap and not (self._ends and piece.begins):
            self._text += piece.text
            self._end = end
            self._ends = piece.ends
            if confidence < self._confidence:
                self._confidence = confidence
        elif role is Role.OPEN or role is Role.SPELL:
            self._begin(piece, start, end, confidence)
        elif role is Role.CLOSE:
            self._gap, self._since, self._doubt = False, -1.0, 1.0
            if self._text:
                self._text += piece.text
                self._ends = piece.ends
        elif role is Role.ORNAMENT:
            if self._text and not self._gap:
                self._text += piece.text
                self._ends = piece.ends
            else:
                self._begin(piece, start, end, confidence)
        elif role is Role.GAP:
            self._gap = True
            self._wait(start, confidence)
        elif role is Role.BYTE:
            self._take_byte(piece.value, start, end, confidence)
        elif role is Role.LANGUAGE:
            self.language, self._gap = piece.text, True
        elif role is Role.MIXED:
            for part in piece.parts:
                self._take(part, start, end, confidence)

    def _begin(self, piece: Piece, start: Seconds, end: Seconds, confidence: float) -> None:
        self._complete()
        waiting = self._gap and self._since >= 0 and piece.role is not Role.OPEN
        self._text, self._end, self._ends = piece.text, end, piece.ends
        self._start = self._since if waiting else start
        self._confidence = min(confidence, self._doubt) if waiting else confidence
        self._gap, self._since, self._doubt = False, -1.0, 1.0

    def _complete(self) -> None:
        if self._text:
            self.stable += (self._word(),)
            self._text = ""

    def _word(self) -> Word:
        return Word(self._text, self._start, self._end, self._confidence)

    def _wait(self, start: Seconds, confidence: float) -> None:
        if self._since < 0:
            self._since = start
        self._doubt = min(self._doubt, confidence)

    def _take_byte(self, value: int, start: Seconds, end: Seconds, confidence: float) -> None:
        if self._bytes is None:
            self._bytes = _UTF8("replace")
        self._wait(start, confidence)
        self._last = end
        letters = self._bytes.decode(bytes((value,)))
        self._spell(letters)
        if letters and self._bytes.getstate()[0]:  # this byte broke the letter before and begins the next
            self._since, self._doubt = start, confidence

    def _end_bytes(self) -> None:
        rest = self._bytes.decode(b"", final=True) if self._bytes is not None else ""
        self._bytes = None
        self._spell(rest)

    def _spell(self, letters: str) -> None:
        """Letters that came as bytes, as if each were a piece; white space counts as the mark does."""
        start, confidence = self._since, self._doubt
        for letter in letters:
            self._take(_letter(WORD_MARK if letter.isspace() else letter), start, self._last, confidence)
            self._since, self._doubt = -1.0, 1.0
