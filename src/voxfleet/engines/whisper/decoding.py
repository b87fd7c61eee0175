"""What the decoder does on the device: one pass over what a window begins with, then one token of all windows at a time.

The pass judges every token of the draft at once: each is right where the network, having seen all before it, says the same.
Up to the first that isn't, and that one corrected, the transcript is what decoding token by token would have said; the
rest of the draft is written over. So a right draft costs one pass, a wrong one nothing but the tokens it has too many.

Nothing here waits for the device, but for `languages`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.engines.whisper.arena import Arena
from voxfleet.engines.whisper.entries import Entry
from voxfleet.engines.whisper.layout import Special
from voxfleet.engines.whisper.model import Whisper, attend
from voxfleet.engines.whisper.sizes import JUDGED_AT_ONCE

LENGTHS = (32, 64, 128, 192, 256, 320, 384, 448)
"""Tokens a pass may have on a GPU: it is filled up to the next."""
BEGIN, START, FORCED, BODY, LIMIT, COLUMNS = range(6)
"""Columns before the tokens in what `enter` sends to the device."""
IMPOSSIBLE = 30.0
"""Natural logarithms below 1 at which a token that is never decoded is counted."""
FINISHED, ENDED, BROKEN, LENGTH, ACCEPTED, NO_SPEECH, NUMBERS = range(7)
"""Columns of `progress`; behind them the tokens, then their scores."""


class Decoding:
    """The decoder at work in an arena. Owned by one thread."""

    def __init__(self, model: Whisper, arena: Arena, special: Special) -> None:
        self.model, self.arena, self.special = model, arena, special
        device, shape = arena.device, model.shape
        silent = torch.zeros(shape.vocabulary)
        silent[list(special.suppressed)] = -torch.inf
        silent[special.end + 1 :] = -torch.inf  # neither timestamps nor other marks: what is decoded is text
        first = torch.zeros(shape.vocabulary)
        first[list(special.suppressed_first)] = -torch.inf
        self.silent, self.first = silent.to(device), first.to(device)
        """Added to the logits: always, and before the first token of a transcript."""
        self._languages = tuple(special.languages)
        self._language_tokens = torch.tensor(list(special.languages.values()), dtype=torch.int64, device=device)
        self._rows = torch.arange(arena.slots, device=device)
        self._positions = torch.arange(shape.target + 1, device=device)
        self._heads = [
            torch.tensor([head for layer, head in arena.heads if layer == number], dtype=torch.int64, device=device)
            for number in range(shape.decoder_layers)
        ]
        self._offsets = [sum(layer < number for layer, _ in arena.heads) for number in range(shape.decoder_layers)]

    def remember(self, first: int, encoded_btd: Tensor, tail: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        """Put encoded windows into the slots from `first` on. `tail`: keys and values (t, d) per layer of a whole
        window of silence, which stand for the positions that were not encoded."""
        arena, (rows, positions, _) = self.arena, encoded_btd.shape
        slots = slice(first, first + rows)
        for layer in range(self.model.shape.decoder_layers):
            keys, values = self.model.keys_and_values(layer, encoded_btd)
            arena.heard_keys[layer, slots, :positions] = keys
            arena.heard_values[layer, slots, :positions] = values
            if positions < arena.heard_keys.shape[2]:
                arena.heard_keys[layer, slots, positions:] = tail[layer][0][positions:]
                arena.heard_values[layer, slots, positions:] = tail[layer][1][positions:]

    def languages(self, first: int, count: int) -> list[str]:
        """The likeliest language of each window in the slots from `first` on; call it before `enter`."""
        tokens_bl = torch.full((count, 1), self.special.start, dtype=torch.int64, device=self.arena.device)
        known = self.model.decoder(tokens_bl, torch.zeros_like(tokens_bl), _Pass(self, first, count, 1))
        logits = self.model.decoder.logits(known[:, 0])[:, self._language_tokens]
        return [self._languages[index] for index in logits.argmax(1).tolist()]

    def enter(self, first: int, entries: Sequence[Entry]) -> None:
        """Begin to decode the windows that were put into the slots from `first` on."""
        arena, slots = self.arena, slice(first, first + len(entries))
        if any(entry.forced for entry in entries):
            arena.forced[slots] = self._to_device(_forced(entries, arena.target + 1))
        else:
            arena.forced[slots] = -1
        self._begin(first, self._to_device(_sent(entries, self._padded(entries))), max(len(e.body) for e in entries))

    def burst(self, rows: int, reach: int, steps: int) -> None:
        """So many more tokens of the windows in slots 0..rows, none of which gets beyond `reach` tokens by it."""
        for _ in range(steps):
            self._step(rows, reach)

    def progress(self, rows: int) -> Tensor:
        """How far the windows in slots 0..rows are: (rows, NUMBERS + 2 * (target + 1)) int32, in new memory."""
        arena, part = self.arena, slice(0, rows)
        numbers = [arena.finished, arena.ended, arena.broken, arena.length, arena.accepted]
        head = torch.stack([*(one[part].int() for one in numbers), arena.no_speech[part].view(torch.int32)], 1)
        return torch.cat([head, arena.tokens[part].int(), arena.scores[part].view(torch.int32)], 1)

    def open(self, first: int, tokens_bl: Tensor) -> Tensor:
        """What is known after each of the tokens that windows in the slots from `first` on begin with: (b, l, d)."""
        count, length = tokens_bl.shape
        slots = slice(first, first + count)
        self.arena.keys[:, slots, length:] = 0
        self.arena.values[:, slots, length:] = 0
        known_bld: Tensor = self.model.decoder(
            tokens_bl, self._positions[:length].expand(count, length), _Pass(self, first, count, length)
        )
        return known_bld

    def after(self, tokens_b1: Tensor, positions_b1: Tensor, reach: int) -> Tensor:
        """Logits after one more token, at these positions, of the windows in the first slots: (b, v)."""
        memory = _Step(self, len(tokens_b1), reach, positions_b1)
        return self.model.decoder.logits(self.model.decoder(tokens_b1, positions_b1, memory)[:, 0])

    # ---- the pass over what is known ----------------------------------------------------------------------------

    def _begin(self, first: int, sent: Tensor, most: int) -> None:
        """`sent`: see `_sent`; `most`: tokens of the longest prefix and draft."""
        arena, begin, tokens_bl = self.arena, sent[:, BEGIN], sent[:, COLUMNS:]
        count, length = tokens_bl.shape
        slots = slice(first, first + count)
        known_bld = self.open(first, tokens_bl)
        positions, offset_j = self._positions[:length], self._positions[: most + 1]
        at_bj = begin[:, None] + offset_j
        body_bj = offset_j < sent[:, BODY, None]
        forced_bj = arena.forced[slots].gather(1, at_bj.clamp_max(arena.target))
        given_bj = torch.where(body_bj, tokens_bl.gather(1, at_bj.clamp_max(length - 1)), forced_bj)
        judged_bjd = at(known_bld, (at_bj - 1).clamp_max(length - 1))
        said_bj, said_score_bj, given_score_bj = self._judged(judged_bjd, given_bj)
        said_bj = torch.where(forced_bj >= 0, forced_bj, said_bj)
        said_score_bj = torch.where((forced_bj >= 0) & ~body_bj, given_score_bj, said_score_bj)

        agreed_bj = (said_bj == given_bj) & (given_bj != self.special.end)
        right_bj = body_bj & (agreed_bj | (offset_j < sent[:, FORCED, None]))
        kept_b = right_bj.long().cumprod(1).sum(1)
        """Tokens of prefix and draft that stand."""
        new_b = said_bj.gather(1, kept_b[:, None])[:, 0]
        scores_bj = torch.where(offset_j < kept_b[:, None], given_score_bj, said_score_bj)
        sound_b = (scores_bj.isfinite() | (offset_j > kept_b[:, None])).all(1)
        stands_bl = positions < (begin + kept_b)[:, None]
        sound_b &= (known_bld.isfinite().all(2) | ~stands_bl).all(1)
        arena.tokens[slots, :length] = tokens_bl
        arena.scores[slots].scatter_(1, at_bj.clamp_max(arena.target), scores_bj)
        arena.accepted[slots] = kept_b - sent[:, FORCED]
        arena.broken[slots] = False
        arena.limit[slots] = sent[:, LIMIT]
        arena.length[slots] = begin + kept_b
        arena.finished[slots] = arena.ended[slots] = False
        started_bv = self.model.decoder.logits(at(known_bld, sent[:, START, None]))[:, 0]
        arena.no_speech[slots] = started_bv.softmax(1)[:, self.special.no_speech].float()
        self._append(slots, new_b, sound_b)

    def _judged(self, judged_bjd: Tensor, given_bj: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network says at each place, how sure it is, and how sure it would be of what was given."""
        count, places, _ = judged_bjd.shape
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        per = max(1, JUDGED_AT_ONCE // count)
        for place in range(0, places, per):
            logits_bjv = self.model.decoder.logits(judged_bjd[:, place : place + per]) + self.silent
            if place == 0:
                logits_bjv[:, 0] += self.first
            best, said = logits_bjv.max(-1)
            total = logits_bjv.logsumexp(-1)
            given = logits_bjv.gather(-1, given_bj[:, place : place + per, None].clamp_min(0))[..., 0]
            # A prefix may hold what is never decoded: its probability is 0, which breaks nothing.
            given = torch.where(given == -torch.inf, total - IMPOSSIBLE, given)
            found.append((said, (best - total).float(), (given - total).float()))
        said, scores, given = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return said, scores, given

    def _append(self, slots: slice, new_b: Tensor, sound_b: Tensor) -> None:
        """One more token, or the end, for those of the slots that are not finished."""
        arena = self.arena
        length = arena.length[slots]
        live = ~arena.finished[slots] & sound_b
        ends = live & (new_b == self.special.end)
        grows = live & ~ends
        old = arena.tokens[slots].gather(1, length[:, None])
        arena.tokens[slots].scatter_(1, length[:, None], torch.where(grows[:, None], new_b[:, None], old))
        arena.broken[slots] |= ~arena.finished[slots] & ~sound_b
        arena.ended[slots] |= ends
        length += grows
        arena.finished[slots] |= ends | (length >= arena.limit[slots]) | arena.broken[slots]

    # ---- a step -------------------------------------------------------------------------------------------------

    def _step(self, rows: int, reach: int) -> None:
        arena, slots = self.arena, slice(0, rows)
        length = arena.length[slots]
        last = (length - 1)[:, None]
        tokens_bl = arena.tokens[slots].gather(1, last)
        logits_bv = self.after(tokens_bl, last, reach) + self.silent
        best, said = logits_bv.max(1)
        score = (best - logits_bv.logsumexp(1)).float()
        forced = arena.forced[slots].gather(1, length[:, None])[:, 0]
        said = torch.where(forced >= 0, forced, said)
        old = arena.scores[slots].gather(1, length[:, None])[:, 0]
        new = torch.where(arena.finished[slots], old, score)
        arena.scores[slots].scatter_(1, length[:, None], new[:, None])
        self._append(slots, said, score.isfinite())

    # ---- between host and device --------------------------------------------------------------------------------

    def _padded(self, entries: Sequence[Entry]) -> int:
        longest = max(entry.length for entry in entries)
        if self.arena.device.type == "cpu":
            return longest
        return next((length for length in LENGTHS if longest <= length <= self.arena.target), self.arena.target)

    def _to_device(self, numbers: NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(numbers)
        if self.arena.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.arena.device, non_blocking=True)

    def keep_queries(self, layer: int, slots: slice | Tensor, at: slice | Tensor, query_bld: Tensor) -> None:
        """Those of the heads whose attention will be asked for."""
        arena, heads = self.arena, self._heads[layer]
        if not heads.numel():
            return
        offset = self._offsets[layer]
        kept = query_bld.view(*query_bld.shape[:2], self.model.shape.decoder_heads, -1).index_select(2, heads)
        if isinstance(at, Tensor):
            kept = kept[:, 0]
        arena.queries[slots, at, offset : offset + heads.numel()] = kept

    def rows(self, count: int) -> Tensor:
        """0, 1, ... on the device."""
        return self._rows[:count]

    def positions(self, count: int) -> Tensor:
        """0, 1, ... on the device."""
        return self._positions[:count]


class _Pass:
    """Memory of a pass that begins windows: all it attends to of their tokens is in the pass itself."""

    def __init__(self, decoding: Decoding, first: int, count: int, length: int) -> None:
        self._decoding, self._slots, self._length = decoding, slice(first, first + count), length
        self._heads = decoding.model.shape.decoder_heads

    def own(self, layer: int, query_bld: Tensor, key_bld: Tensor, value_bld: Tensor) -> Tensor:
        arena = self._decoding.arena
        # What is no number shows itself at its own place; here it would spoil even those who must not look at it.
        key_bld, value_bld = key_bld.nan_to_num(0.0, 0.0, 0.0), value_bld.nan_to_num(0.0, 0.0, 0.0)
        arena.keys[layer, self._slots, : self._length] = key_bld
        arena.values[layer, self._slots, : self._length] = value_bld
        return attend(query_bld, key_bld, value_bld, self._heads, causal=True)

    def heard(self, layer: int, query_bld: Tensor) -> Tensor:
        arena = self._decoding.arena
        self._decoding.keep_queries(layer, self._slots, slice(0, self._length), query_bld)
        keys, values = arena.heard_keys[layer, self._slots], arena.heard_values[layer, self._slots]
        return attend(query_bld, keys, values, self._heads)


class _Step:
    """Memory of a step: each window has one token, at a position of its own."""

    def __init__(self, decoding: Decoding, rows: int, reach: int, last_b1: Tensor) -> None:
        self._decoding, self._rows, self._reach = decoding, rows, reach
        self._heads = decoding.model.shape.decoder_heads
        self._at = decoding.rows(rows), last_b1[:, 0]
        self._seen = (decoding.positions(reach) <= last_b1)[:, None, None]

    def own(self, layer: int, query_bld: Tensor, key_bld: Tensor, value_bld: Tensor) -> Tensor:
        keys, values = self._decoding.arena.keys[layer], self._decoding.arena.values[layer]
        keys[self._at], values[self._at] = key_bld[:, 0], value_bld[:, 0]
        part = slice(0, self._rows), slice(0, self._reach)
        return attend(query_bld, keys[part], values[part], self._heads, seen=self._seen)

    def heard(self, layer: int, query_bld: Tensor) -> Tensor:
        arena, part = self._decoding.arena, slice(0, self._rows)
        self._decoding.keep_queries(layer, *self._at, query_bld)
        return attend(query_bld, arena.heard_keys[layer, part], arena.heard_values[layer, part], self._heads)


def _sent(entries: Sequence[Entry], length: int) -> NDArray[np.int64]:
    """One row per entry: its numbers, then its tokens, filled up with its last one."""
    sent = np.zeros((len(entries), COLUMNS + length), np.int64)
    for row, entry in zip(sent, entries, strict=True):
        row[:COLUMNS] = entry.begin, entry.start, len(entry.prefix), len(entry.body), entry.limit
        row[COLUMNS : COLUMNS + entry.length] = entry.head + entry.body
    return sent


def _forced(entries: Sequence[Entry], length: int) -> NDArray[np.int64]:
    forced = np.full((len(entries), length), -1, np.int64)
    for row, entry in zip(forced, entries, strict=True):
        begin = entry.begin + len(entry.prefix)
        row[begin : begin + len(entry.forced)] = entry.forced[: length - begin]
    return forced


def at(x_bld: Tensor, places_bj: Tensor) -> Tensor:
    """What is at these places of every row: (b, j, d)."""
    return x_bld.gather(1, places_bj[:, :, None].expand(-1, -1, x_bld.shape[2]))
