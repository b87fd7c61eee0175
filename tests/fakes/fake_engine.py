"""An engine that hears nothing and says scripted words at the pace of the audio: thousands of places for almost no CPU.

What it says in a turn depends only on how much audio the turn has: word k lies between k and k + 1 word lengths, and is
said once the audio covers all of it. So replayed audio gives the same words, and every lost or doubled sample shows.
"""

import math
import random
import time
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.port import END_OF_TURN, EngineInfo, Heard, Increments, TrackOptions
from voxfleet.errors import BadGrammar, EngineFailed, LanguageNotSupported
from voxfleet.scheduling.places import Place, Places
from voxfleet.scheduling.work import Plan
from voxfleet.speech import SAMPLE_RATE, Hypothesis, Word, hears


class FakeEngine:
    """Implements the engine's port with real bookkeeping and no recognition.

    `script` is repeated where a turn is longer; without one the words are w0, w1, w2 and so on, anew in every turn.
    A word becomes stable `stable_after` seconds after its end.

    To fail on purpose (steps are counted from 1, 0 is never):
    `fail_on_step` raises EngineFailed on that step; `fail_place` with `fail_place_on_step` ends the first stream that
    is planned on the place of that index on that step or later; `mute_from_step` answers nothing from that step on;
    `step_seconds` is how long each step takes.

    `digest` adds a word to every final that tells the exact samples of the turn: one that is lost or doubled shows.

    To be measured: everything said of a turn is told `delay` seconds late (`planted_delay`: with `delay_sigma` a little or
    a lot later, by turn), as soon as a step of anybody comes by; nothing is said any more on the place of index
    `stalled_place` from its turn `stalled_from_turn` on; `whole` finals have every word of the script, however long
    the turn.
    """

    def __init__(
        self,
        places: int = 4,
        chunk_ms: Sequence[int] = (100,),
        words_per_second: float = 2.5,
        script: str = "",
        stable_after: float = 0.4,
        step_seconds: float = 0.0,
        languages: Sequence[str] = ("en",),
        grammars: bool = False,
        fail_on_step: int = 0,
        fail_place: int = -1,
        fail_place_on_step: int = 1,
        mute_from_step: int = 0,
        delay: float = 0.0,
        delay_sigma: float = 0.0,
        stalled_place: int = -1,
        stalled_from_turn: int = 0,
        whole: bool = False,
        digest: bool = False,
    ) -> None:
        self.info = EngineInfo(
            name="fake", languages=tuple(languages), places=places, chunk_ms=tuple(chunk_ms), grammars=grammars
        )
        self.steps = 0
        self.places = Places(places)
        self._script = script.split()
        self._per_second = words_per_second
        self._stable_after = stable_after
        self._step_seconds = step_seconds
        self._fail_on_step = fail_on_step
        self._fail_place = fail_place
        self._fail_place_on_step = fail_place_on_step
        self._mute_from_step = mute_from_step
        self._delay = delay
        self._delay_sigma = delay_sigma
        self._stalled_place = stalled_place
        self._stalled_from_turn = stalled_from_turn
        self._whole = whole
        self._digest = digest
        self._sums: NDArray[np.uint32] = np.zeros(places, np.uint32)
        """Checksums of the open turns' samples, by place."""
        self._taken = 0
        self._streams: NDArray[np.int64] = np.zeros(places, np.int64)
        """Which stream, in the order they came, has each place."""
        self._late: dict[Place, list[tuple[float, Heard]]] = {}
        """What waits to be told, with the earliest time, in order."""
        self._words: tuple[Word, ...] = ()
        self._heard: NDArray[np.int64] = np.zeros(places, np.int64)
        """Samples of the open turn, by place."""
        self._told: NDArray[np.int64] = np.zeros(places, np.int64)
        """How much of them the last partial covered."""
        self._turns: NDArray[np.int64] = np.zeros(places, np.int64)
        self._ended: dict[int, list[tuple[int, int]]] = {}
        """Lengths and checksums of turns that have ended and wait for their final, by place."""
        self._lost: set[int] = set()

    def take(self, options: TrackOptions) -> Place:
        if not hears(self.info.languages, options.language):
            raise LanguageNotSupported(options.language, self.info.name, self.info.languages)
        if options.grammar is not None and not self.info.grammars:
            raise BadGrammar("this engine takes none")
        place = self.places.take()
        self._heard[place.index] = self._told[place.index] = self._turns[place.index] = self._sums[place.index] = 0
        self._ended.pop(place.index, None)
        self._lost.discard(place.index)
        self._streams[place.index] = self._taken
        self._taken += 1
        return place

    def hear(self, increments: Increments) -> None:
        if self._digest:
            self._hear_exactly(increments)
            return
        after_ends = (np.flatnonzero(increments.flags & END_OF_TURN) + 1).tolist()
        lengths = increments.lengths.astype(np.int64)
        for begin, end in pairwise([0, *after_ends]):
            np.add.at(self._heard, increments.places[begin:end], lengths[begin:end])
            self._end_turn(int(increments.places[end - 1]))
        open_from = after_ends[-1] if after_ends else 0
        np.add.at(self._heard, increments.places[open_from:], lengths[open_from:])

    def ready(self, places: NDArray[np.uint32], chunk_ms: int) -> NDArray[np.bool_]:
        waiting = self._heard[places] - self._told[places] >= chunk_ms * SAMPLE_RATE // 1000
        ended = np.array([index in self._ended for index in places.tolist()], np.bool_)
        ready: NDArray[np.bool_] = waiting | ended
        return ready

    def step(self, plan: Plan) -> Sequence[Heard]:
        self.steps += 1
        if self._step_seconds:
            time.sleep(self._step_seconds)
        if self.steps == self._fail_on_step:
            raise EngineFailed(f"step {self.steps} was told to fail")
        if 0 < self._mute_from_step <= self.steps:
            return ()
        heard: list[Heard] = []
        for work in plan.works:
            if self.places.holds(work.place) and work.place.index not in self._lost:
                heard += self._listen(work.place)
        return self._told_late(heard) if self._delay else heard

    def free(self, place: Place) -> None:
        self.places.free(place)
        self._late.pop(place, None)

    def check(self) -> None:
        self.places.check()

    def close(self) -> None:
        """Nothing to release."""

    def _told_late(self, heard: Sequence[Heard]) -> list[Heard]:
        """Keep what is new for its time, give what has waited long enough."""
        now = time.monotonic()
        for outcome in heard:
            late = self._late.setdefault(outcome.place, [])
            stream = int(self._streams[outcome.place.index])
            due = now + planted_delay(self._delay, self._delay_sigma, stream, outcome.hypothesis.turn)
            late.append((max(due, late[-1][0]) if late else due, outcome))
        told: list[Heard] = []
        for late in self._late.values():
            while late and late[0][0] <= now:
                told.append(late.pop(0)[1])
        return told

    def _hear_exactly(self, increments: Increments) -> None:
        begin = 0
        rows = zip(increments.places.tolist(), increments.lengths.tolist(), increments.flags.tolist(), strict=True)
        for index, length, flags in rows:
            piece = increments.samples[begin : begin + length].tobytes()
            self._sums[index] = zlib.crc32(piece, int(self._sums[index]))
            self._heard[index] += length
            begin += length
            if flags & END_OF_TURN:
                self._end_turn(index)

    def _end_turn(self, index: int) -> None:
        self._ended.setdefault(index, []).append((int(self._heard[index]), int(self._sums[index])))
        self._heard[index] = self._told[index] = self._sums[index] = 0

    def _listen(self, place: Place) -> list[Heard]:
        index = place.index
        if index == self._fail_place and self.steps >= self._fail_place_on_step:
            self._lost.add(index)
            self._fail_place = -1
            return [Heard(place, error=EngineFailed(f"place {index} was told to fail"))]
        if index == self._stalled_place and self._turns[index] >= self._stalled_from_turn:
            return []
        heard = []
        for length, checksum in self._ended.pop(index, ()):
            hypothesis = self._hypothesis(int(self._turns[index]), length, final=True)
            if self._digest:
                told = Word(f"#{checksum:08x}", length / SAMPLE_RATE, length / SAMPLE_RATE)
                hypothesis = Hypothesis(hypothesis.turn, (*hypothesis.stable, told), (), hypothesis.heard, True)
            heard.append(Heard(place, hypothesis))
            self._turns[index] += 1
        if self._heard[index] > self._told[index]:
            self._told[index] = self._heard[index]
            heard.append(Heard(place, self._hypothesis(int(self._turns[index]), int(self._heard[index]), final=False)))
        return heard

    def _hypothesis(self, turn: int, samples: int, final: bool) -> Hypothesis:
        seconds = samples / SAMPLE_RATE
        said = len(self._script) if final and self._whole else self._count(seconds)
        settled = said if final else self._count(max(0.0, seconds - self._stable_after))
        while len(self._words) < said:
            self._words = self._lengthened()
        return Hypothesis(turn, self._words[:settled], self._words[settled:said], seconds, final)

    def _count(self, seconds: float) -> int:
        """Words whose whole length is covered; a millionth of a word makes up for rounding."""
        return int(seconds * self._per_second + 1e-6)

    def _lengthened(self) -> tuple[Word, ...]:
        begin = len(self._words)
        more = []
        for k in range(begin, begin + 256):
            text = self._script[k % len(self._script)] if self._script else f"w{k}"
            more.append(Word(text, k / self._per_second, (k + 1) / self._per_second, 1.0))
        return self._words + tuple(more)


def planted_delay(delay: float, sigma: float, stream: int, turn: int) -> float:
    """How late a turn is told: `delay` is the median, `sigma` the spread of its logarithm; drawn once for every turn."""
    return delay * math.exp(sigma * random.Random(f"{stream}/{turn}").gauss(0.0, 1.0)) if sigma else delay
