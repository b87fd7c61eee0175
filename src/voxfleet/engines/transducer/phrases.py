"""Which words a stream expects, and how its decoding is leaned towards them: a trie of tokens per place, walked on the
device.

Every emitted label moves a row to a node of its trie: to the child it names, else to a first token of that name, else to
the root; blanks move nothing. Tokens that go on from there, and those a phrase begins with, have their weight added to
their logits. Only a frame at which the network itself says something is leaned: weights choose between labels and
never against the blank, so no phrase is heard in silence, however heavy, and none is heard earlier than it was said.
What a label scores stays the network's own probability of it.

As no weight is negative, the likeliest label after leaning is the network's own or the best one of the trie: no row of
the whole vocabulary has to be touched, and a row without phrases is decoded as if there were none anywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.engines.transducer.sizes import PHRASE_NODES
from voxfleet.engines.transducer.tokens import Vocabulary
from voxfleet.errors import BadRequest
from voxfleet.wire.phrases import Phrase

CAPACITY = PHRASE_NODES
"""Nodes of one trie: a hundred names in two spellings of ten pieces, as a vocabulary of 1,024 pieces spells them."""
KEPT = 256
"""Tries kept, so that the thousandth call with the same phrases costs nothing."""
TOKEN, PARENT, WEIGHT = range(3)
"""Rows of a trie as it lies on the device."""
ROOT, NOWHERE = 0, -1
OTHER_LETTERS = str.maketrans("şţŞŢ", "șțȘȚ")
"""Romanian as old keyboards write it, with cedillas, and as it is."""


@dataclass(frozen=True, slots=True)
class Trie:
    """Nodes 1..n, first the children of the root (0), level by level. All arrays have shape (n,): node i + 1 is reached
    from node `parents[i]` by the token `tokens[i]`, to whose logit `weights[i]` is added there."""

    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.tokens)

    @staticmethod
    def of(spelled: Iterable[tuple[Sequence[int], float]]) -> "Trie":
        """Of phrases as tokens, none of them empty, with their weights; where phrases share tokens the heavier counts."""
        ids: dict[tuple[int, ...], int] = {}
        weights: dict[tuple[int, ...], float] = {}
        for tokens, weight in spelled:
            for length in range(1, len(tokens) + 1):
                path = tuple(tokens[:length])
                weights[path] = max(weight, weights.get(path, 0.0))
        paths = sorted(weights, key=len)
        for path in paths:
            ids[path] = len(ids) + 1
        return Trie(
            np.array([path[-1] for path in paths], np.int32),
            np.array([ids.get(path[:-1], ROOT) for path in paths], np.int32),
            np.array([weights[path] for path in paths], np.float32),
        )


class Speller:
    """Makes tries of phrases, as one vocabulary spells them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.trie = lru_cache(KEPT)(self._trie)
        """The trie of these phrases. Raises BadRequest where one can't be spelled, or where they are too many pieces."""

    def _trie(self, phrases: tuple[Phrase, ...]) -> Trie:
        trie = Trie.of((tokens, phrase.weight) for phrase in phrases for tokens in self._spelled(phrase.text))
        if len(trie) > CAPACITY:
            raise BadRequest(
                f"the phrases take {len(trie)} pieces of this model's spelling, of which a stream may have {CAPACITY}: "
                "give fewer or shorter ones"
            )
        return trie

    def _spelled(self, text: str) -> list[list[int]]:
        found = [self._vocabulary.encode(form) for form in forms(text)]
        whole = [tokens for tokens in found if tokens and not any(map(self._is_silent, tokens))]
        if not whole:
            raise BadRequest(f"the phrase '{text}' can't be spelled with what this model writes: leave it out")
        return whole

    def _is_silent(self, token: int) -> bool:
        return token >= len(self._vocabulary) or self._vocabulary.is_special(token)


def forms(text: str) -> list[str]:
    """How a model may write a phrase: as it was given, begun with a capital, and all small."""
    found = [text, text[:1].upper() + text[1:], text.lower()]
    return list(dict.fromkeys(found + [form.translate(OTHER_LETTERS) for form in found]))


class PhraseBook:
    """The tries of all rows of an arena and where each row is in its own: tensors allocated once."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self._tries = torch.zeros(rows, 3, CAPACITY, dtype=torch.int32, device=device)
        self._tries[:, PARENT] = NOWHERE
        self._node = torch.zeros(rows, dtype=torch.int64, device=device)
        self._used = np.zeros(rows, np.int64)
        """Nodes of each row's trie; the host's own copy."""
        self._graphs = device.type == "cuda"

    @property
    def bytes_per_place(self) -> int:
        """Memory of one row."""
        return sum(tensor.element_size() * tensor[0].numel() for tensor in (self._tries, self._node))

    def put(self, row: int, trie: Trie) -> None:
        """What the stream of this row expects. Passes that were launched before don't see it."""
        packed = torch.zeros(3, CAPACITY, dtype=torch.int32, pin_memory=self._graphs)
        packed[PARENT] = NOWHERE
        for part, values in enumerate((trie.tokens, trie.parents, trie.weights.view(np.int32))):
            packed[part, : len(trie)] = torch.from_numpy(values)
        self._tries[row].copy_(packed, non_blocking=True)
        self._used[row] = len(trie)

    def clear(self, row: int) -> None:
        """The stream of this row expects nothing, or is gone."""
        if self._used[row]:
            self._tries[row, PARENT].fill_(NOWHERE)
            self._used[row] = 0

    def width(self, rows: NDArray[np.int64]) -> int:
        """Nodes a pass over these rows has to look at: 0 where nobody expects anything. Graphs have one other size."""
        most = int(self._used[rows].max(initial=0))
        return CAPACITY if most and self._graphs else most

    def begin(self, row: Tensor, fresh: Tensor) -> None:
        """New frames for these rows, (b,); fresh ones, (b,), have said nothing yet."""
        self._node.index_copy_(0, row, self._node.index_select(0, row).masked_fill(fresh, ROOT))

    def walk(self, row: Tensor, width: int) -> "Walk":
        """The tries of these rows, (b,), for one burst."""
        return Walk(self._tries[:, :, :width].index_select(0, row), self._node.index_select(0, row))

    def keep(self, row: Tensor, walk: "Walk") -> None:
        """Where the rows of a burst have got to."""
        self._node.index_copy_(0, row, walk.node)


class Walk:
    """Some rows in their tries, of n nodes each."""

    def __init__(self, tries: Tensor, node: Tensor) -> None:
        """`tries`: (b, 3, n); `node`: where they are, (b,)."""
        self.node = node
        self._tokens = tries[:, TOKEN].to(torch.int64)
        self._parents = tries[:, PARENT]
        self._weights = tries[:, WEIGHT].view(torch.float32)
        self._begin = self._parents == ROOT
        self._ids = torch.arange(1, self._tokens.shape[1] + 1, device=node.device)

    def _next(self) -> Tensor:
        """Which nodes come next, (b, n): children of where each row is, and of the root."""
        return self._begin | (self._parents == self.node[:, None])

    def lean(self, logits: Tensor, said: Tensor, blank: int) -> Tensor:
        """What is said once the phrases have had their say: `logits` (b, l, v) and their greatest, `said` (b, l)."""
        weights = torch.where(self._next(), self._weights, float("-inf"))
        expected = logits.gather(2, self._tokens[:, None].expand(-1, logits.shape[1], -1)).float()
        best, at = (expected + weights[:, None]).max(2)
        leans = (best > logits.gather(2, said[:, :, None])[:, :, 0]) & (said != blank)
        return torch.where(leans, self._tokens.gather(1, at), said)

    def follow(self, label: Tensor, emits: Tensor) -> None:
        """Move on by the labels, (b,), of the rows that emit, (b,). A child of the root has the smaller number."""
        reached = torch.where(self._next() & (self._tokens == label[:, None]), self._ids, ROOT).amax(1)
        self.node = torch.where(emits, reached, self.node)
