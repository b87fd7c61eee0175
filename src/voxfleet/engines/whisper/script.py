"""What random weights are made to say, so that they can be timed: as many tokens as people say, most of them as before.

Without it a random network says nothing or never stops, and no draft is ever right.
"""

from collections.abc import Sequence

import numpy as np

from voxfleet.engines.windowed.transcriber import Window
from voxfleet.speech import SAMPLE_RATE


class Script:
    """Decides what is decoded of a window. The network does all its work; only what it says is put aside."""

    def __init__(
        self, words: Sequence[int], end: int, tokens_per_second: float = 3.3, changing: int = 2, seed: int = 0
    ) -> None:
        """`words`: tokens that each are a word. `end`: the end token. `changing`: tokens at the end of a draft that turn
        out to have been wrong."""
        self.tokens_per_second, self.changing = tokens_per_second, changing
        self._words, self._end = np.array(words), end
        self._draws = np.random.default_rng(seed)

    def __call__(self, window: Window) -> tuple[int, ...]:
        """What follows the prefix, to the end token."""
        wanted = round(self.tokens_per_second * len(window.samples) / SAMPLE_RATE) - len(window.prefix)
        kept = window.draft[: max(0, min(wanted, len(window.draft) - self.changing))]
        fresh = self._draws.choice(self._words, max(0, wanted - len(kept))).tolist()
        return (*kept, *fresh, self._end)
