"""What to decode next: when a window is due, where it begins, where it is cut. Pure; positions are samples of the turn.

A turn is decoded at two kinds of moments. At its *marks*, words settle and the window is cut: they lie one longest chunk
apart, at a phase that follows from the turn's own first samples, so the same audio is always decoded at the same marks
and says the same, live or replayed, on a quiet machine or a busy one; and many streams that begin at the same moment don't
all want their decodes at once. In between, as often as the scheduler's ladder says, everything heard so far is decoded for
a partial, which settles nothing.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.windowed.policy import Policy
from voxfleet.engines.windowed.transcriber import Spelled
from voxfleet.speech import SAMPLE_RATE, Seconds

PHASE_SAMPLES = SAMPLE_RATE // 10
"""Of a turn, from which its phase is made."""
PHASE_STEP = SAMPLE_RATE // 50
SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "؟", "।")


@dataclass(frozen=True, slots=True)
class Marks:
    """Where in a turn words may settle: `phase`, `phase + every`, `phase + 2 * every` and so on."""

    every: int
    phase: int

    @classmethod
    def of(cls, samples: NDArray[np.int16], every: int) -> "Marks":
        """Those of a turn that begins with these PHASE_SAMPLES samples."""
        steps = max(1, every // PHASE_STEP)
        return cls(every, (1 + zlib.crc32(samples[:PHASE_SAMPLES].tobytes()) % steps) * PHASE_STEP)

    def after(self, position: int) -> int:
        """The first mark beyond this position."""
        return self.phase + max(0, (position - self.phase) // self.every + 1) * self.every


def cut_after(settled: Sequence[Spelled], begin: Seconds, now: Seconds, longest: Seconds, policy: Policy) -> int:
    """How many settled words leave a window from `begin` to `now`; 0 = none.

    Cuts after the last settled sentence where the window is longer than `policy.trim_seconds`; after the last settled word
    where it would still be longer than `longest`, which leaves room until the next mark.
    """
    if now - begin <= min(policy.trim_seconds, longest):
        return 0
    old = [index for index, word in enumerate(settled) if word.word.end <= now - policy.recent_seconds]
    ends = [index for index in old if settled[index].word.text.endswith(SENTENCE_ENDS)]
    if ends and now - settled[ends[-1]].word.end <= longest:
        return ends[-1] + 1
    return old[-1] + 1 if old and now - begin > longest else 0


def forced(words: Sequence[Spelled], end: Seconds, policy: Policy) -> int:
    """How many words that nothing has settled must settle in a window that is full."""
    young = end - policy.recent_seconds
    return sum(1 for word in words if word.word.end <= young)
