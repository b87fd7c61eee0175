"""Whisper as a transcriber: windows in, transcripts out, as many at a time as there are slots.

Windows of one encoder length are encoded together, enter the decoder together, and leave it one by one. While slots are
free, more are encoded; then all are decoded until there is room for the next batch. Which windows share a batch changes
nothing of what they say.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from voxfleet.engines.whisper.align import Asked, Times, evenly, found, matrices, times
from voxfleet.engines.whisper.arena import Arena
from voxfleet.engines.whisper.beam import WIDTH, search
from voxfleet.engines.whisper.continuous import Continuous, Decoded
from voxfleet.engines.whisper.decoding import Decoding
from voxfleet.engines.whisper.entries import Entry, entry_of
from voxfleet.engines.whisper.hearing import POSITION, Hearing
from voxfleet.engines.whisper.languages import ENGLISH
from voxfleet.engines.whisper.layout import Heads, Special
from voxfleet.engines.whisper.meter import Meter
from voxfleet.engines.whisper.model import Whisper
from voxfleet.engines.whisper.script import Script
from voxfleet.engines.whisper.spelling import spelled
from voxfleet.engines.whisper.tokens import Vocabulary
from voxfleet.engines.windowed.transcriber import Transcript, Window
from voxfleet.errors import EngineError, EngineFailed, LanguageNotSupported
from voxfleet.speech import SAMPLE_RATE, Seconds

OVERFLOW = "the network's numbers overflowed in this window"
_SILENCE = np.zeros(0, np.int16)
TIMED_AT_ONCE = 64
"""Transcripts whose attention is kept until their times are worked out together."""


@dataclass(slots=True)
class _Ticket:
    """A window on its way through."""

    window: Window
    language: str
    entry: Entry
    positions: int
    decoded: Decoded | None = None
    times: Times | None = None


class WhisperTranscriber:
    """Owned by one thread, as is the device."""

    keeps_prefix = True

    def __init__(
        self,
        model: Whisper,
        special: Special,
        vocabulary: Vocabulary,
        heads: Mapping[str, Heads],
        device: torch.device,
        *,
        slots: int,
        encode_rows: int,
        encoder_context: str = "padded",
    ) -> None:
        """`heads`: alignment heads by language, those of all others under ''. `encode_rows`: windows that are encoded
        at the same time. Raises SettingsError."""
        self.script: Script | None = None
        """What is said instead of what the network says, for measurements."""
        self.device = device
        self._model, self._special, self._vocabulary, self._heads = model, special, vocabulary, heads
        self._hearing = Hearing(model, device, encoder_context)
        self._arena = Arena(model.shape, slots, tuple(sorted(set().union(*heads.values()))), model.dtype, device)
        self._decoding = Decoding(model, self._arena, special)
        self._desk = Continuous(self._decoding, self._leave)
        self._encode_rows = max(1, min(encode_rows, slots))
        self._meter = Meter(device)
        self._tickets: dict[int, _Ticket] = {}
        self._untimed: list[tuple[int, Asked, Tensor]] = []
        """Key, what was asked, and its row of a matrix."""
        self.window_seconds: Seconds = self._hearing.samples / SAMPLE_RATE

    @property
    def bytes_per_slot(self) -> int:
        """Memory of one window that is being decoded."""
        return self._arena.bytes_per_slot

    def counters(self) -> dict[str, float]:
        """What was done so far: see meter.Counters."""
        counted = self._meter.read()
        counted.steps = self._desk.steps
        return counted.as_dict()

    @torch.inference_mode()
    def transcribe(self, windows: Sequence[Window]) -> Sequence[Transcript | EngineError]:
        """As in the port."""
        outcomes: dict[int, Transcript | EngineError] = {}
        for key, window in enumerate(windows):
            try:
                self._tickets[key] = self._ticket(window)
            except (EngineError, LanguageNotSupported) as error:
                outcomes[key] = error if isinstance(error, EngineError) else EngineFailed(str(error))
        try:
            self._run()
            for key, ticket in self._tickets.items():
                outcomes[key] = self._outcome(ticket)
        finally:
            self._desk.clear()
            self._tickets.clear()
            self._untimed.clear()
        return [outcomes[key] for key in range(len(windows))]

    @torch.inference_mode()
    def warm(self) -> None:
        """Do everything once, so that no live window waits for plans and graphs. Does nothing on the CPU."""
        if self.device.type == "cpu":
            return
        self._desk.warm()
        lengths = {self._hearing.positions(seconds * SAMPLE_RATE) for seconds in range(round(self.window_seconds) + 1)}
        for positions in sorted(lengths):
            for rows in {1, self._encode_rows}:
                self._decoding.remember(0, self._hearing.encode([_SILENCE] * rows, positions), self._hearing.silence)
        self.transcribe([Window(_SILENCE, next(iter(self._special.languages), ENGLISH))])
        torch.cuda.synchronize(self.device)
        self._meter = Meter(self.device)

    def rehearse(self, tokens_per_second: float = 3.3, changing: int = 2) -> None:
        """For measurements with random weights: say words of this vocabulary at this pace, of which the last `changing`
        are others from decode to decode."""
        pieces = ((token, self._vocabulary.pieces(token)) for token in range(self._special.end))
        begin = [token for token, piece in pieces if piece.startswith(b" ") and piece[1:].isalpha()]
        self.script = Script(begin, self._special.end, tokens_per_second, changing)

    def close(self) -> None:
        """Give the device's memory back."""
        self._arena.release()
        self._hearing.silence.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    # ---- the way through ----------------------------------------------------------------------------------------

    def _ticket(self, window: Window) -> _Ticket:
        if len(window.samples) > self._hearing.samples:
            seconds = len(window.samples) / SAMPLE_RATE
            raise EngineFailed(
                f"a window of {seconds:.1f} s is longer than the {self.window_seconds:g} s of this model"
            )
        language = window.language or ("" if self._special.languages else ENGLISH)
        forced = self.script(window) if self.script is not None else ()
        # Whatever language is found, it takes one token.
        entry = entry_of(
            window, language or next(iter(self._special.languages)), self._model.shape, self._special, forced
        )
        return _Ticket(window, language, entry, self._hearing.positions(len(window.samples)))

    def _run(self) -> None:
        waiting = deque(self._batches())
        while waiting or self._desk.live:
            while waiting and self._fits(waiting[0]):
                self._enter(waiting.popleft())
            with self._meter.timed("decoder"):
                self._desk.advance()
        self._time()

    def _batches(self) -> list[list[int]]:
        """Keys of windows that are encoded together: of one length, live ones before recorded ones."""
        by_kind: dict[tuple[bool, int], list[int]] = {}
        for key, ticket in self._tickets.items():
            by_kind.setdefault((ticket.window.careful, ticket.positions), []).append(key)
        batches = []
        for (careful, _), keys in sorted(by_kind.items()):
            size = min(self._encode_rows, self._arena.slots // self._width) if careful else self._encode_rows
            batches += [keys[first : first + size] for first in range(0, len(keys), size)]
        return batches

    @property
    def _width(self) -> int:
        return min(WIDTH, self._arena.slots)

    def _fits(self, batch: Sequence[int]) -> bool:
        """Beams take the slots from 0 on, so recorded windows wait until nobody else is there."""
        return not self._desk.live if self._tickets[batch[0]].window.careful else len(batch) <= self._desk.free

    def _enter(self, batch: Sequence[int]) -> None:
        tickets = [self._tickets[key] for key in batch]
        counters, positions, first = self._meter.counters, tickets[0].positions, self._desk.live
        with self._meter.timed("encoder"):
            encoded = self._hearing.encode([ticket.window.samples for ticket in tickets], positions)
            self._decoding.remember(first, encoded, self._hearing.silence)
        counters.windows += len(batch)
        counters.positions += len(batch) * positions
        with self._meter.timed("decoder"):
            if not all(ticket.language for ticket in tickets):
                self._find_languages(first, tickets)
            if tickets[0].window.careful:
                self._search(encoded, tickets)
                self._decoding.remember(first, encoded, self._hearing.silence)
            self._desk.enter([(key, self._tickets[key].entry) for key in batch])

    def _find_languages(self, first: int, tickets: Sequence[_Ticket]) -> None:
        for ticket, language in zip(tickets, self._decoding.languages(first, len(tickets)), strict=True):
            if not ticket.language:
                ticket.language = language
                start = self._special.prefix(language, ticket.window.translate)
                ticket.entry = replace(ticket.entry, head=ticket.entry.head[: ticket.entry.start] + start)

    def _search(self, encoded: Tensor, tickets: Sequence[_Ticket]) -> None:
        """The best of several transcripts becomes the prefix of a decode that only times it."""
        tail = self._hearing.silence
        said = search(self._decoding, encoded, [ticket.entry for ticket in tickets], self._width, tail)
        for ticket, tokens in zip(tickets, said, strict=True):
            limit = max(ticket.entry.limit, ticket.entry.begin + len(tokens) + 1)
            end = (self._special.end,)
            ticket.entry = replace(ticket.entry, prefix=tokens, draft=(), limit=limit, forced=end)

    def _leave(self, leaving: Sequence[Decoded]) -> None:
        """Called while their slots are still theirs."""
        asked: list[tuple[int, Asked]] = []
        for one in leaving:
            ticket, counters = self._tickets[one.key], self._meter.counters
            ticket.decoded = one
            counters.tokens += len(one.tokens) - len(one.entry.prefix)
            counters.offered += len(one.entry.draft)
            counters.accepted += one.accepted
            heads = self._heads.get(ticket.language, self._heads[""])
            if heads and one.tokens and not one.broken:
                rows, frames = len(one.tokens) + one.ended, max(1, len(ticket.window.samples) // POSITION)
                asked.append((one.key, Asked(one.slot, one.entry.begin, rows, frames, heads)))
        if asked:
            matrix = matrices(self._arena, [one for _, one in asked])
            self._untimed += [(key, one, row) for (key, one), row in zip(asked, matrix, strict=True)]
        if len(self._untimed) >= TIMED_AT_ONCE:
            self._time()

    def _time(self) -> None:
        """Work out when the tokens of those who left were said."""
        if not self._untimed:
            return
        keys, asked, parts = zip(*self._untimed, strict=True)
        self._untimed.clear()
        rows, frames = max(one.rows for one in asked), max(one.frames for one in asked)
        whole = parts[0].new_zeros(len(parts), rows, frames)
        for row, part in zip(whole, parts, strict=True):
            row[: part.shape[0], : part.shape[1]] = part
        for key, one, (begins, most) in zip(keys, asked, found(whole, asked).tolist(), strict=True):
            decoded = self._tickets[key].decoded
            assert decoded is not None
            self._tickets[key].times = times(begins, most, len(decoded.tokens), one)

    def _outcome(self, ticket: _Ticket) -> Transcript | EngineError:
        decoded = ticket.decoded
        assert decoded is not None, "a window left no trace"
        if decoded.broken:
            return EngineFailed(OVERFLOW)
        tokens, old = decoded.tokens, len(ticket.window.prefix)
        said = ticket.times or evenly(len(tokens), len(ticket.window.samples) / SAMPLE_RATE)
        attended = None if said.attended is None else said.attended[old:]
        scores = decoded.scores[old : len(tokens)]
        words = spelled(
            self._vocabulary, tokens[old:], said.begins[old:], said.ends[old:], scores, attended, ticket.language
        )
        decoded_scores = decoded.scores[old:]
        mean = sum(decoded_scores) / len(decoded_scores) if decoded_scores else 0.0
        return Transcript(words, ticket.language, decoded.no_speech, mean)
