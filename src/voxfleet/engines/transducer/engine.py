"""The engine for live speech on one device: cache-aware transducers, a pass over many streams at a time.

One thread owns the device. A step cuts what the planned places have heard into chunks, runs passes over as many rows as
the device likes, and turns their labels into words. While a pass runs, the next one is put together and the words of the
one before are spelled. State is made anew where a turn ends and after a long silence within one.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.port import EngineInfo, Heard, Increments, TrackOptions
from voxfleet.engines.transducer.arena import COLUMNS
from voxfleet.engines.transducer.layout import Layout
from voxfleet.engines.transducer.loading import Loading, Machine, load_folder, load_random
from voxfleet.engines.transducer.phrases import Speller
from voxfleet.engines.transducer.runner import FIRST, FLOOR, FRAMES, LIMIT, ORIGIN, PROMPT, ROW, Emissions, Pass
from voxfleet.engines.transducer.transcript import Transcript
from voxfleet.engines.transducer.turns import Frames, Turns, Writes
from voxfleet.errors import BadGrammar, EngineFailed, LanguageNotSupported
from voxfleet.scheduling.places import Place, Places
from voxfleet.scheduling.work import Plan
from voxfleet.speech import SAMPLE_RATE, Hypothesis, Seconds, Word, hears

FRAME_SECONDS = 0.08
"""Of an encoder frame; a chunk is look-ahead + 1 of them."""
FRAME_MS = 80
STEP_SECONDS = 2.24
"""Of audio a step works on per place: two of the longest chunks, so that a replay is a few steps, not one long one."""
REFRESH_SECONDS = 10.0
"""Silence in a turn after which its state is made anew: these models drift when nothing is said for long."""
RANDOM = "random:"
OVERFLOW = "the network's numbers overflowed in this stream"


class TransducerEngine:
    """A model folder in the Hugging Face layout, on one device."""

    def __init__(
        self,
        model: str,
        places: int = 0,
        device: str = "cpu",
        precision: str = "",
        chunks: Sequence[int] = (),
        threads: int = 0,
        frames_per_pass: int = 0,
        buckets: Sequence[int] = (),
    ) -> None:
        """Load it; returns when it can be used.

        `model`: a folder, or random:NAME for a shape of layout.SHAPES with random weights. `places`: 0 = as many as
        suit the device. `device`: cpu, cuda or cuda:N. `precision`: float32, bfloat16, float16 or int8 (CPU only);
        empty = bfloat16 on a GPU, float32 on a CPU. `chunks`: ms, rising; empty = from 160 ms up, as the model was
        trained. `threads` of a CPU: 0 = all this process may use. `frames_per_pass`: encoder frames a pass takes at
        most; `buckets`: rows a pass may have; empty = as suits the device.
        Raises SettingsError with what is wrong and what to do.
        """
        machine = Machine(device, precision, tuple(chunks), places, threads, frames_per_pass, tuple(buckets))
        if model.startswith(RANDOM):
            loading = load_random(model.removeprefix(RANDOM), machine)
        else:
            loading = load_folder(Layout.read(Path(model)), machine)
        self._set_up(loading)

    def _set_up(self, loading: Loading) -> None:
        count = loading.places
        self.runner = loading.runner
        self._loading = loading
        self._places = Places(count)
        self._turns = Turns(count, loading.ring.capacity, round(REFRESH_SECONDS / FRAME_SECONDS))
        self._prompts = np.zeros(count, np.int64)
        self._speller = Speller(loading.vocabulary)
        self._transcripts: list[Transcript | None] = [None] * count
        self._broken: set[int] = set()
        """Places for which the network said what is no number."""
        self.info = EngineInfo(
            name=loading.name,
            languages=loading.languages,
            places=count,
            chunk_ms=loading.chunk_ms,
            step_seconds=STEP_SECONDS,
            phrases=not loading.name.startswith(RANDOM),
            device=loading.device_name,
        )

    def take(self, options: TrackOptions) -> Place:
        if not hears(self.info.languages, options.language):
            raise LanguageNotSupported(options.language, self.info.name, self.info.languages)
        prompt = self._loading.prompt_of(options.language)
        if options.grammar is not None:
            raise BadGrammar(f"{self.info.name} hears open speech and takes no grammar")
        trie = self._speller.trie(options.phrases) if options.phrases else None
        place = self._places.take()
        self._turns.begin(place.index)
        self._prompts[place.index] = prompt
        if trie is not None:
            self.runner.phrases.put(place.index, trie)
        self._transcripts[place.index] = None
        return place

    def hear(self, increments: Increments) -> None:
        self._write(self._turns.hear(increments))

    def ready(self, places: NDArray[np.uint32], chunk_ms: int) -> NDArray[np.bool_]:
        return self._turns.ready(places.astype(np.int64), self._frames(chunk_ms))

    def step(self, plan: Plan) -> Sequence[Heard]:
        """As in the port. Passes over the same place follow one another; those of different places overlap."""
        chunk = self._frames(plan.chunk_ms)
        owners = {work.place.index: work.place for work in plan.works if self._places.holds(work.place)}
        places = np.array(sorted(owners), np.int64)
        said: list[Heard] = []
        touched: set[int] = set()
        for _ in range(max(1, round(STEP_SECONDS / FRAME_SECONDS) // chunk)):
            self._close_over(places, owners, said, touched)
            frames = self._turns.next(places, chunk)
            if not frames.places.size:
                break
            self._run(frames, chunk)
            touched.update(frames.places.tolist())
            self._write(self._turns.refill())
        self._close_over(places, owners, said, touched)
        said.extend(Heard(owners[index], error=EngineFailed(OVERFLOW)) for index in sorted(self._broken))
        touched -= self._broken
        self._broken.clear()
        said.extend(Heard(owners[index], self._hypothesis(index)) for index in sorted(touched))
        return said

    def free(self, place: Place) -> None:
        self._places.free(place)
        self._turns.begin(place.index)
        self.runner.phrases.clear(place.index)
        self._transcripts[place.index] = None

    def check(self) -> None:
        self._places.check()

    def close(self) -> None:
        self._transcripts.clear()
        self._loading.release()

    # ---- passes -------------------------------------------------------------------------------------------------

    def _frames(self, chunk_ms: int) -> int:
        """Encoder frames of a chunk: the largest we offer that is not longer than asked, or the smallest."""
        offered = [ms for ms in self.info.chunk_ms if ms <= chunk_ms]
        return (offered[-1] if offered else self.info.chunk_ms[0]) // FRAME_MS

    def _write(self, writes: Writes) -> None:
        if writes.places.size:
            places, lengths = writes.places.astype(np.uint32), writes.lengths.astype(np.uint32)
            self._loading.ring.write(places, writes.starts, lengths, writes.samples)

    def _run(self, frames: Frames, chunk: int) -> None:
        """All of these frames, in as many passes as it takes; the words of one are spelled while the next one runs."""
        size = self.runner.most_rows(chunk)
        before: tuple[Pass, Frames] | None = None
        for begin in range(0, len(frames.places), size):
            part = frames.part(begin, begin + size)
            started = self.runner.launch(self._columns(part), chunk)
            if before is not None:
                self._collect(*before)
            before = started, part
        if before is not None:
            self._collect(*before)

    def _columns(self, frames: Frames) -> NDArray[np.int64]:
        columns = np.empty((len(COLUMNS), len(frames.places)), np.int64)
        columns[ROW], columns[FIRST], columns[FRAMES] = frames.places, frames.first, frames.count
        columns[FLOOR], columns[LIMIT], columns[ORIGIN] = frames.floor, frames.limit, frames.origin
        columns[PROMPT] = self._prompts[frames.places]
        return columns

    def _collect(self, started: Pass, frames: Frames) -> None:
        emissions = self.runner.collect(started)
        spoke = np.zeros(len(frames.places), np.int64)
        for row in np.flatnonzero(emissions.count).tolist():
            spoke[row] = self._spell(row, emissions, frames) + 1
        self._turns.advance(frames, spoke)

    def _spell(self, row: int, emissions: Emissions, frames: Frames) -> int:
        """Add the labels of one row to its turn; the frame of the last one."""
        place, first = int(frames.places[row]), int(frames.first[row])
        transcript = self._transcripts[place]
        if transcript is None:
            transcript = self._transcripts[place] = Transcript(self._loading.vocabulary)
        count, seconds = int(emissions.count[row]), int(frames.limit[row]) / SAMPLE_RATE
        at = 0
        labels, offsets = emissions.labels[row, :count].tolist(), emissions.frames[row, :count].tolist()
        for label, offset, score in zip(labels, offsets, emissions.scores[row, :count].tolist(), strict=True):
            if not math.isfinite(score):
                self._broken.add(place)
                return at
            at = first + offset
            begin, end = min(at * FRAME_SECONDS, seconds), min((at + 1) * FRAME_SECONDS, seconds)
            transcript.add(label, begin, end, score)
        return at

    # ---- words --------------------------------------------------------------------------------------------------

    def _close_over(
        self, places: NDArray[np.int64], owners: dict[int, Place], said: list[Heard], touched: set[int]
    ) -> None:
        """Turns of which everything was worked on become final."""
        for index in places[self._turns.ended(places)].tolist():
            while index not in self._broken and (samples := self._turns.over(index)) is not None:
                transcript = self._transcripts[index]
                words = within(transcript.close(), samples / SAMPLE_RATE) if transcript is not None else ()
                language = (transcript.language if transcript is not None else None) or ""
                turn, heard = int(self._turns.number[index]), samples / SAMPLE_RATE
                said.append(Heard(owners[index], Hypothesis(turn, words, (), heard, final=True, language=language)))
                self._transcripts[index] = None
                self._turns.close(index)
                touched.discard(index)

    def _hypothesis(self, index: int) -> Hypothesis:
        transcript, turn = self._transcripts[index], int(self._turns.number[index])
        heard = self._turns.heard(index) / SAMPLE_RATE
        if transcript is None:
            return Hypothesis(turn, (), (), heard)
        return Hypothesis(turn, transcript.stable, transcript.unstable, heard)


def within(words: tuple[Word, ...], seconds: Seconds) -> tuple[Word, ...]:
    """The words of a turn of this length. A label can lie in a frame that reaches beyond the end of its turn, which
    nobody knew when it was said."""
    return tuple(
        word if word.end <= seconds else Word(word.text, min(word.start, seconds), seconds, word.confidence)
        for word in words
    )
