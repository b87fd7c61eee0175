"""Greedy transducer decoding of many rows at once, each with a frame pointer of its own.

One iteration looks at the next few frames of every row, skips the blank ones, and emits at most one label per row. How many
iterations a row needs is known only when it is through, and asking the device would make it wait; so iterations come in
bursts of a fixed number, all state between bursts lies in the arena, and the host, which reads the labels at the end of a
step anyway, orders another burst for the few rows that are not through.

Greedy means: the most likely label at each step, at most `max_symbols` per frame, as the published models are evaluated.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from voxfleet.engines.transducer.arena import Arena, Batch
from voxfleet.engines.transducer.model import Transducer
from voxfleet.engines.transducer.phrases import PhraseBook, Walk


@dataclass(slots=True)
class _Rows:
    """The working state of one burst, gathered from the arena."""

    prediction: Tensor
    hidden: list[Tensor]
    cell: list[Tensor]
    pointer: Tensor
    symbols: Tensor
    count: Tensor
    walk: Walk | None
    """None where no row of the batch expects any phrase."""


class Decoder:
    """Decodes what `begin` was given, burst by burst. `look`: frames of a row that one iteration judges together."""

    def __init__(self, model: Transducer, arena: Arena, look: int) -> None:
        self.look = max(1, min(look, arena.chunk))
        self._model = model
        self._arena = arena
        self._blank = model.shape.blank
        self._most = model.shape.max_symbols
        start = torch.full((1,), self._blank, device=arena.prediction.device)
        nothing = [torch.zeros_like(each[:1]) for each in arena.hidden]
        with torch.inference_mode():
            said, hidden, cell = model.decoder(start, nothing, nothing)
        self.phrases = PhraseBook(arena.scratch + 1, arena.prediction.device)
        self._start = (said, hidden, cell)
        """The prediction before the first label, (1, d)."""

    def begin(self, encoded: Tensor, batch: Batch) -> None:
        """New frames, (b, c, d), of which `batch.frames` count; a row at its floor has said nothing yet."""
        arena, row = self._arena, batch.row
        fresh = (batch.first == batch.floor)[:, None]
        said, hidden, cell = self._start
        kept = [arena.prediction, *arena.hidden, *arena.cell]
        for cache, start in zip(kept, [said, *hidden, *cell], strict=True):
            cache.index_copy_(0, row, torch.where(fresh, start, cache.index_select(0, row)))
        zero = torch.zeros_like(batch.frames)
        for counter in (arena.pointer, arena.symbols, arena.count):
            counter.index_copy_(0, row, zero)
        arena.valid.index_copy_(0, row, batch.frames)
        self.phrases.begin(row, fresh[:, 0])
        arena.encoded[:, : encoded.shape[1]].index_copy_(0, row, encoded)

    def burst(self, row: Tensor, iterations: int, width: int = 0) -> None:
        """So many iterations for these rows, (b,). Rows that are through stay as they are. `width`: of their phrases."""
        arena = self._arena
        rows = _Rows(
            prediction=arena.prediction.index_select(0, row),
            hidden=[each.index_select(0, row) for each in arena.hidden],
            cell=[each.index_select(0, row) for each in arena.cell],
            pointer=arena.pointer.index_select(0, row),
            symbols=arena.symbols.index_select(0, row),
            count=arena.count.index_select(0, row),
            walk=self.phrases.walk(row, width) if width else None,
        )
        valid = arena.valid.index_select(0, row)
        for _ in range(iterations):
            self._iterate(row, valid, rows)
        arena.prediction.index_copy_(0, row, rows.prediction)
        for index in range(len(rows.hidden)):
            arena.hidden[index].index_copy_(0, row, rows.hidden[index])
            arena.cell[index].index_copy_(0, row, rows.cell[index])
        arena.pointer.index_copy_(0, row, rows.pointer)
        arena.symbols.index_copy_(0, row, rows.symbols)
        arena.count.index_copy_(0, row, rows.count)
        if rows.walk is not None:
            self.phrases.keep(row, rows.walk)

    def _iterate(self, row: Tensor, valid: Tensor, rows: _Rows) -> None:
        arena = self._arena
        ahead = rows.pointer[:, None] + torch.arange(self.look, device=row.device)
        frames = arena.encoded[row[:, None], ahead.clamp(max=arena.chunk - 1)]
        logits = self._model.joint(frames, rows.prediction[:, None])
        said = logits.argmax(-1)
        if rows.walk is not None:
            said = rows.walk.lean(logits, said, self._blank)
        speaks = (said != self._blank) & (ahead < valid[:, None])
        emits = speaks.any(1)
        skipped = torch.where(emits, speaks.to(torch.int64).argmax(1), self.look)
        at = skipped.clamp(max=self.look - 1)[:, None]
        frame = torch.minimum(rows.pointer + skipped, valid)
        symbols = torch.where(frame > rows.pointer, 0, rows.symbols)
        label = torch.where(emits, said.gather(1, at)[:, 0], self._blank)
        chosen = logits.gather(1, at[:, :, None].expand(-1, -1, logits.shape[2]))[:, 0].float()
        self._write(row, rows.count, label, frame, chosen)
        symbols = symbols + emits
        forced = symbols >= self._most
        rows.symbols = torch.where(forced, 0, symbols)
        rows.pointer = frame + forced
        rows.count = rows.count + emits
        self._predict(label, emits[:, None], rows)
        if rows.walk is not None:
            rows.walk.follow(label, emits)

    def _write(self, row: Tensor, count: Tensor, label: Tensor, frame: Tensor, logits: Tensor) -> None:
        """Rows that emit nothing write into their next free entry, which does not count."""
        arena, at = self._arena, (row, count)
        score = (logits.gather(1, label[:, None])[:, 0] - logits.logsumexp(1)).exp()
        arena.labels.index_put_(at, label.int())
        arena.label_frames.index_put_(at, frame.int())
        arena.label_scores.index_put_(at, score)

    def _predict(self, label: Tensor, emits: Tensor, rows: _Rows) -> None:
        said, hidden, cell = self._model.decoder(label, rows.hidden, rows.cell)
        rows.prediction = torch.where(emits, said, rows.prediction)
        rows.hidden = [torch.where(emits, new, old) for new, old in zip(hidden, rows.hidden, strict=True)]
        rows.cell = [torch.where(emits, new, old) for new, old in zip(cell, rows.cell, strict=True)]
