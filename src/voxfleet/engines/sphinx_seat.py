"""How PocketSphinx is used: one decoder per seat, one stream at a time, a turn after another.

A turn's words depend on nothing but that turn's audio: feature extraction starts anew for every turn, and audio goes in
by blocks of fixed size, however it arrived. So a replayed turn says what the first one said.
"""

from collections.abc import Iterable
from typing import Any

from voxfleet.engines.sphinx_messages import Feed, Said, TurnHeard

BYTES_PER_SECOND = 32_000
BLOCK = 640
"""Bytes (20 ms) given to a decoder at a time. Live mean normalisation moves at block borders, so they must not vary."""

MOST_AT_ONCE = 20 * BLOCK
"""Bytes (0.4 s) of an open turn decoded per step: the held-back second is caught up with over several steps, so that
neighbours need not wait for all of it."""

QUIET = 200
"""Peak to peak of a quiet block (-50 dBFS): a turn begins for the decoder where it is louder."""

LEAD = 15 * BLOCK
"""Bytes of quiet (0.3 s) kept before that; the rest of it is never decoded."""

MEANS_OVER = BYTES_PER_SECOND
"""Bytes of speech (1 s) that are awaited, so that decoding starts with cepstral means that fit speaker and level.
WER on 25 mixed clips, the same that this was chosen on: 41 % with them, 43 % with the means of the whole turn,
58 % with the usual fixed start."""

CAREFUL: dict[str, Any] = {"fwdflat": False, "maxwpf": 5, "maxhmmpf": 5000, "loglevel": "FATAL"}
"""One pass with few words per frame: half the cost of the default and a final within some 40 ms of CPU."""

QUICK: dict[str, Any] = {**CAREFUL, "maxhmmpf": 2500, "topn": 2, "wbeam": 1e-20, "pbeam": 1e-40}
"""Fewer states per frame and narrower beams: about half the cost again, and steadier (no step takes much longer than
another), for some three points of WER on read speech."""

GRAMMAR_WIP = 1e-3
"""Word insertion penalty with a grammar: the usual fault there is a spurious short word at the edges."""

_TINY = "#JSGF V1.0;\ngrammar tiny;\npublic <tiny> = a;\n"


class Means:
    """Cepstral means of a piece of audio, by a decoder that knows one word and costs next to nothing."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def of(self, audio: bytes) -> str:
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(audio, True, True)
        self._decoder.end_utt()
        return str(self._decoder.get_cmn(True))


class Seat:
    """One decoder and the stream that has it now."""

    def __init__(self, means: Means, quick: bool) -> None:
        import pocketsphinx

        self._decoder = pocketsphinx.Decoder(**(QUICK if quick else CAREFUL))
        self._means = means
        self._tenancy = 0
        self._grammar = ""
        self._open = False
        self._rest = bytearray()
        """What the decoder has not had yet."""
        self._length = 0
        self._skipped = 0
        """Bytes of quiet before the speech that the decoder never gets."""
        self._quiet = 0
        """Bytes of `_rest` that are known to be quiet, at most LEAD."""
        self._onset = -1
        """Where in `_rest` the speech begins, or -1 as long as there is none."""

    def hear(self, feed: Feed) -> list[TurnHeard]:
        """The turns that end in this feed, in order, then the open one if it has any audio."""
        if feed.tenancy != self._tenancy:
            self._abandon()
            self._listen_for(feed.grammar)
            self._tenancy = feed.tenancy
        turns = []
        begin = 0
        for end in feed.ends:
            self._add(feed.audio[begin:end])
            turns.append(self._end())
            begin = end
        self._add(feed.audio[begin:])
        if self._length:
            words = self._words(posteriors=False) if self._open else []
            turns.append(TurnHeard(words, self._length // 2, final=False))
        return turns

    def forget(self) -> None:
        """After an error: whatever comes next is another stream."""
        self._tenancy = 0

    def _listen_for(self, grammar: str) -> None:
        decoder = self._decoder
        if grammar == self._grammar:
            return
        decoder.activate_search()
        if self._grammar:
            decoder.remove_search("grammar")
        self._grammar = ""
        if grammar:
            config = decoder.config
            dictation = config["bestpath"], config["wip"]
            config["bestpath"], config["wip"] = False, GRAMMAR_WIP
            try:
                decoder.add_jsgf_string("grammar", grammar)
            finally:
                config["bestpath"], config["wip"] = dictation
            self._grammar = grammar
            decoder.activate_search("grammar")

    def _add(self, audio: bytes) -> None:
        self._length += len(audio)
        self._rest += audio
        if not self._open:
            self._seek_onset()
            if self._onset >= 0 and len(self._rest) >= self._onset + MEANS_OVER:
                self._begin()
        if self._open:
            self._decode(min(len(self._rest) - len(self._rest) % BLOCK, MOST_AT_ONCE))

    def _seek_onset(self) -> None:
        """Find the first block that is not quiet, and drop what lies long before it."""
        while self._onset < 0 and len(self._rest) >= self._quiet + BLOCK:
            with memoryview(self._rest)[self._quiet : self._quiet + BLOCK].cast("h") as block:
                loud = max(block) - min(block) > QUIET
            if loud:
                self._onset = self._quiet
            elif self._quiet < LEAD:
                self._quiet += BLOCK
            else:
                del self._rest[:BLOCK]
                self._skipped += BLOCK

    def _begin(self) -> None:
        self._decoder.reinit_feat()
        self._decoder.set_cmn(self._means.of(bytes(self._rest[self._onset : self._onset + MEANS_OVER])))
        self._decoder.start_utt()
        self._open = True

    def _decode(self, count: int) -> None:
        """Give the decoder the first `count` bytes that it has not had."""
        for begin in range(0, count, BLOCK):
            self._decoder.process_raw(bytes(self._rest[begin : min(begin + BLOCK, count)]), False, False)
        del self._rest[:count]

    def _end(self) -> TurnHeard:
        words: list[Said] = []
        length = self._length
        if self._onset >= 0:
            if not self._open:
                self._begin()
            self._decode(len(self._rest))
            self._decoder.end_utt()
            words = self._words(posteriors=not self._grammar)
        self._clear()
        return TurnHeard(words, length // 2, final=True)

    def _words(self, posteriors: bool) -> list[Said]:
        return words_of(
            self._decoder.seg(), posteriors, self._skipped / BYTES_PER_SECOND, self._length / BYTES_PER_SECOND
        )

    def _abandon(self) -> None:
        if self._open:
            self._decoder.end_utt()
        self._clear()

    def _clear(self) -> None:
        self._open = False
        self._rest.clear()
        self._length = self._skipped = self._quiet = 0
        self._onset = -1


def words_of(segments: Iterable[Any] | None, posteriors: bool, skipped: float, length: float) -> list[Said]:
    """The spoken words of a segmentation, without silences, noises and the marks of pronunciation variants.

    Only the lattice of an ended dictation knows how sure a word is; elsewhere PocketSphinx's `prob` means nothing.
    """
    words = []
    for segment in segments or ():
        text = segment.word
        if not text or text[0] in "<[+(":
            continue
        if text.endswith(")"):
            text = text[: text.rindex("(")]
        confidence = min(1.0, max(0.0, segment.prob)) if posteriors else None
        start = min(length, skipped + segment.start_frame / 100)
        end = min(length, skipped + (segment.end_frame + 1) / 100)
        words.append(Said(text, round(start, 3), round(end, 3), confidence))
    return words


def light_decoder() -> Any:
    """A decoder without a language model, listening for one word."""
    import pocketsphinx

    decoder = pocketsphinx.Decoder(lm=None, bestpath=False, maxhmmpf=5000, loglevel="FATAL")
    decoder.add_jsgf_string("tiny", _TINY)
    decoder.activate_search("tiny")
    return decoder
