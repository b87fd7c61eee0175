"""One turn of one place, from its first sample to its final: what to ask the recogniser, and what its answers mean.

Positions are samples and times seconds since the turn's first sample. A turn knows nothing of its stream.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.windowed.guards import credible
from voxfleet.engines.windowed.policy import Policy
from voxfleet.engines.windowed.sound import Sound
from voxfleet.engines.windowed.stabilize import Stabilizer, after
from voxfleet.engines.windowed.transcriber import Spelled, Transcript
from voxfleet.engines.windowed.window import PHASE_SAMPLES, Marks, cut_after, forced
from voxfleet.speech import SAMPLE_RATE, Hypothesis, Seconds, Word

FINAL_SECONDS = 0.1
"""Of sound; a turn with less has no word in it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the engine offers, in samples."""

    every: int
    """Between two marks."""
    window: int
    """Longest window of the recogniser."""
    keeps_prefix: bool


class Moment(Enum):
    """What a hypothesis is made for."""

    PARTIAL = 0
    MARK = 1
    """Words settle."""
    FINAL = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """A decode that is due: of the audio from `begin` to `end`."""

    begin: int
    end: int
    heard: int
    """Up to where the answer takes the turn's audio into account; silence behind `end` is not decoded."""
    moment: Moment
    exact: bool
    prompt: tuple[int, ...]
    prefix: tuple[int, ...]
    draft: tuple[int, ...]
    language: str
    """Empty = to be found."""

    @property
    def key(self) -> tuple[object, ...]:
        """Asks of one turn with the same key have the same answer."""
        return self.begin, self.end, self.prompt, self.prefix, self.language


class Turn:
    """See the module. The owner tells it of audio and of its end, and carries out what `next` asks for."""

    __slots__ = (
        "_answer", "_bounds", "_draft", "_firm", "_first", "_known", "_marks", "_policy", "_recorded", "_said",
        "_stabilizer", "begin", "cut", "decoded", "end", "language", "number", "over", "received", "sound", "unstable",
    )  # fmt: skip

    def __init__(
        self, number: int, begin: int, bounds: Bounds, policy: Policy, language: str, *, recorded: bool = False
    ) -> None:
        """`begin`: stream position of its first sample. `language`: bare code, empty = to be found in every turn."""
        self.number = number
        self.begin = begin
        self.end: int | None = None
        """Length of the turn, once it has ended."""
        self.received = 0
        self.decoded = 0
        """What the last hypothesis takes into account."""
        self.cut = 0
        """Where its window begins."""
        self.language = language
        self.sound = Sound(policy.silence_dbfs)
        self.unstable: tuple[Spelled, ...] = ()
        self._firm: tuple[Spelled, ...] = ()
        """Of these, what the last mark left: what counts where a decode says nothing that can be believed."""
        self.over = False
        """All of it was decoded and it has ended: the hypothesis is final."""
        self._known = language != ""
        self._recorded = recorded
        self._bounds, self._policy = bounds, policy
        self._marks: Marks | None = None
        self._first: NDArray[np.int16] = np.zeros(0, np.int16)
        """As much of its begin as its marks follow from."""
        self._stabilizer = Stabilizer(policy.agreement, policy.attention)
        self._said: tuple[Spelled, ...] = ()
        """Settled words that left the window."""
        self._draft: tuple[int, ...] = ()
        self._answer: tuple[Ask, tuple[Spelled, ...]] | None = None
        """The last exact answer and what it answered."""

    # ---- what is due --------------------------------------------------------------------------------------------

    def hear(self, samples: NDArray[np.int16]) -> None:
        """More audio."""
        self.received += len(samples)
        self.sound.add(samples)
        if self._marks is None:
            self._first = np.concatenate((self._first, samples[:PHASE_SAMPLES]))
            if len(self._first) >= PHASE_SAMPLES:
                self._marks = Marks.of(self._first, self._bounds.every)

    @property
    def mark(self) -> int | None:
        """Where it settles next; None where that isn't known yet."""
        if self._recorded:  # nobody waits for its words: as few decodes as the window allows
            return self.cut + self._bounds.window - self._bounds.every
        return self._marks.after(self.decoded) if self._marks is not None else None

    def ready(self, chunk: int) -> bool:
        """Whether a step with chunks of so many samples has something to do."""
        if self.end is not None:
            return True
        mark = self.mark
        if mark is not None and self.received >= mark:
            return True
        return not self._recorded and self.received - self.decoded >= chunk

    def next(self, limit: int) -> Ask | None:
        """The decode that is due now and reaches no further than `limit`; None where none is, or none is needed.

        Moments at which there is nothing to decode pass by here; see `decoded` and `over`.
        """
        while True:
            moment, heard = self._due()
            if moment is None or heard > limit:
                return None
            ask = self._ask(heard, moment)
            known = self._answer if ask is not None else None
            if ask is not None and (known is None or known[0].key != ask.key):
                return ask
            self._take(heard, moment, known[1] if known is not None else None)
            if moment is not Moment.MARK:
                return None

    def _due(self) -> tuple[Moment | None, int]:
        """What the next hypothesis is made for, and how far it reaches."""
        if self.over:
            return None, 0
        mark = self.mark
        if mark is not None and mark <= self.received:
            return Moment.MARK, mark
        if self.end is not None:
            return Moment.FINAL, self.end
        return (Moment.PARTIAL, self.received) if self.received > self.decoded else (None, 0)

    def _ask(self, heard: int, moment: Moment) -> Ask | None:
        """The window for a hypothesis that reaches so far; None where it holds too little sound."""
        policy = self._policy
        least = FINAL_SECONDS if moment is Moment.FINAL else policy.least_seconds
        sound = self.sound.within(self.cut, heard)
        if sound is None or sound[1] - sound[0] < least * SAMPLE_RATE:
            return None
        margin = round(policy.margin * SAMPLE_RATE)
        enough = sound[1] + margin
        quiet = enough < heard
        settled = self._stabilizer.settled
        begin = max(self.cut, sound[0] - margin)
        return Ask(
            begin=begin,
            end=min(enough, heard, begin + self._bounds.window),
            heard=heard,
            moment=moment,
            exact=quiet or moment is not Moment.PARTIAL,
            prompt=self._prompt(sound[0] / SAMPLE_RATE),
            prefix=tuple(token for word in settled for token in word.tokens),
            draft=self._draft,
            language=self.language if self._known else "",
        )

    def _prompt(self, sound: Seconds) -> tuple[int, ...]:
        """What was said just before the window, whose first sound is there; nothing after a pause."""
        most = self._policy.prompt_tokens
        if not self._said or not most or sound - self._said[-1].word.end > self._policy.prompt_pause:
            return ()
        return tuple(token for word in self._said for token in word.tokens)[-most:]

    # ---- what was said ------------------------------------------------------------------------------------------

    def learn(self, ask: Ask, transcript: Transcript) -> None:
        """The answer to the last ask."""
        offset, end = ask.begin / SAMPLE_RATE, ask.heard / SAMPLE_RATE
        believed = credible(transcript, (ask.end - ask.begin) / SAMPLE_RATE, self._policy)
        if believed is None:
            words = self._firm if ask.exact else self.unstable
        else:
            words = tuple(_placed(word, offset) for word in believed)
            if not self._bounds.keeps_prefix:
                words = after(self._stabilizer.settled, words)
            words = _in_order(words, self._last_end(), end)
        if transcript.language and not self._known:
            self.language = transcript.language
            self._known = ask.moment is not Moment.PARTIAL and bool(words)
        if ask.exact:
            self._answer = ask, words
        self._take(ask.heard, ask.moment, words)

    def _take(self, heard: int, moment: Moment, words: tuple[Spelled, ...] | None) -> None:
        """The hypothesis reaches so far now; `words` follow the settled ones, None = nothing new was decoded."""
        self.decoded = heard
        if words is not None:
            self._believe(words)
        if moment is Moment.MARK:
            self._settle(heard / SAMPLE_RATE)
        self.over = moment is Moment.FINAL

    def _believe(self, words: tuple[Spelled, ...]) -> None:
        self.unstable = words
        self._draft = tuple(token for word in words for token in word.tokens)

    def _settle(self, now: Seconds) -> None:
        """At a mark: words settle, and the window is cut where it has grown long."""
        stabilizer, policy = self._stabilizer, self._policy
        if self.unstable != self._firm:  # a decode that can't be believed is no second opinion
            self._settled(stabilizer.learn(self.unstable, now))
        longest = 0.0 if self._recorded else (self._bounds.window - self._bounds.every) / SAMPLE_RATE
        begin = self.cut / SAMPLE_RATE
        count = cut_after(stabilizer.settled, begin, now, longest, policy)
        left = stabilizer.settled[count - 1].word.end if count else begin
        if now - left > longest:
            must = forced(self.unstable, now, policy)
            stabilizer.settle(self.unstable, must)
            self._settled(must)
            count = cut_after(stabilizer.settled, begin, now, longest, policy)
            left = stabilizer.settled[count - 1].word.end if count else begin
            left = left if now - left <= max(longest, policy.recent_seconds) else now - policy.recent_seconds
        self._said += stabilizer.cut(count)
        self.cut = max(self.cut, round(left * SAMPLE_RATE))
        self._firm = self.unstable

    def _settled(self, count: int) -> None:
        """So many words of the last decode have settled; it would say the rest again if it were told to begin with them."""
        if not count:
            return
        tokens = tuple(token for word in self.unstable[:count] for token in word.tokens)
        if self._answer is not None and self._answer[1] == self.unstable:
            ask = self._answer[0]
            self._answer = replace(ask, prefix=ask.prefix + tokens), self.unstable[count:]
        self._believe(self.unstable[count:])

    def _last_end(self) -> Seconds:
        settled = self._stabilizer.settled or self._said
        return settled[-1].word.end if settled else 0.0

    def hypothesis(self) -> Hypothesis:
        """What is believed now."""
        stable = tuple(word.word for word in (*self._said, *self._stabilizer.settled))
        unstable = tuple(word.word for word in self.unstable)
        heard = self.decoded / SAMPLE_RATE
        if not self.over:
            return Hypothesis(self.number, stable, unstable, heard)
        language = self.language if stable or unstable else ""
        return Hypothesis(self.number, stable + unstable, (), heard, final=True, language=language)


def _placed(word: Spelled, offset: Seconds) -> Spelled:
    attended = None if word.attended is None else word.attended + offset
    return replace(word, word=word.word.moved(offset), attended=attended)


def _in_order(words: tuple[Spelled, ...], begin: Seconds, end: Seconds) -> tuple[Spelled, ...]:
    """The same words with times that never run backwards and stay between `begin` and `end`."""
    placed = []
    for each in words:
        word = each.word
        start = min(max(word.start, begin), end)
        stop = min(max(word.end, start), end)
        placed.append(replace(each, word=Word(word.text, start, stop, word.confidence)))
        begin = stop
    return tuple(placed)
