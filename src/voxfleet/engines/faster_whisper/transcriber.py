"""Windows to words with CTranslate2: encoded one by one on independent workers, decoded together.

Its decoder takes a batch only where the start of the transcript stands at the same position in every row, so prompts are
shortened to one of a few lengths. Transcripts that begin with given words are forced to, a token at a time, as CTranslate2
does it; it has no way to check a draft, so `Window.draft` is left alone. A transcript that does not end by itself is cut
at so many tokens per second of audio.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from math import log

import numpy as np

from voxfleet.engines.faster_whisper.encoding import PADDED, Encoded, Encoder, batch, positions, seconds
from voxfleet.engines.faster_whisper.folder import Loaded
from voxfleet.engines.whisper.languages import ENGLISH, of_token
from voxfleet.engines.whisper.spelling import spelled
from voxfleet.engines.windowed.policy import USUAL
from voxfleet.engines.windowed.transcriber import Spelled, Transcript, Window
from voxfleet.errors import EngineError, EngineFailed, LanguageNotSupported, SettingsError
from voxfleet.speech import Seconds

ALIGN = ("exact", "always", "never")
"""Whose words get times from attention, at the price of another pass of the decoder: those of windows that may settle
(`Window.exact`), of all, of none. The words of others are spread evenly over their audio."""
BEAM = 5
"""Hypotheses of a careful decode."""
PROMPTS = (0, 8, 16, 32, 64, 128, 220)
"""Lengths of a prompt, in tokens; a longer one loses its oldest."""
POSITION = 0.02
"""Seconds of an encoder position."""
CPU_BATCH, GPU_BATCH = 8, 32
"""Most windows in one call of the decoder: a CPU's caches hold no more."""
LEAST_BATCH = 4
"""Windows a call should keep when a batch is shared out: the decoder's costs hardly rise up to there."""
UNENDING = -5.0
"""Log probability of a transcript that had to be cut: no sound says so much."""
UNLIKELY = 1e-8
"""Least probability of a token whose logarithm is taken."""


@dataclass(slots=True)
class _Work:
    """One window on its way."""

    window: Window
    encoded: Encoded = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    language: str = ""
    prompt: list[int] = field(default_factory=list)
    """All that the decoder is given: what was said before, the start, the prefix."""
    start: tuple[int, ...] = ()
    limit: int = 0
    """Most tokens of prefix and transcript together."""
    tokens: list[int] = field(default_factory=list)
    """What was decoded, the prefix left out."""
    no_speech: float = 0.0
    log_probability: float = 0.0
    times: tuple[Sequence[Seconds], Sequence[Seconds], Sequence[float]] | None = None
    """Begin, end and logarithm of the probability of every token."""
    error: EngineError | None = None


class CTranslate2Transcriber:
    """One model on one device; see `engines.windowed.transcriber.Transcriber`."""

    window_seconds: Seconds = 30.0
    keeps_prefix = True
    tokens_per_second = USUAL.tokens_per_second
    """Of audio, that a transcript may have at most, and"""
    tokens_at_least = USUAL.tokens_at_least
    """so many besides."""

    def __init__(
        self, loaded: Loaded, workers: int, *, encoder_context: str = PADDED, align: str = "exact", gpu: bool = False
    ) -> None:
        """`workers`: those the model was loaded with. `gpu`: batches are encoded at once, by one worker.

        Raises SettingsError for an unknown option.
        """
        if align not in ALIGN:
            raise SettingsError(f"align '{align}' is unknown; known: {', '.join(ALIGN)}")
        self.loaded = loaded
        self.window_seconds = loaded.source * POSITION
        self._model, self._special, self._workers = loaded.model, loaded.special, workers
        self._align = align if loaded.timed else "never"
        self._encoder = Encoder(loaded.model, loaded.source, encoder_context)
        self._batch, self._encoder_batch = (GPU_BATCH, GPU_BATCH) if gpu else (CPU_BATCH, 1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="whisper")

    def transcribe(self, windows: Sequence[Window]) -> Sequence[Transcript | EngineError]:
        """See the port. Languages are found where a window names none and the model knows several."""
        works = [_Work(window) for window in windows]
        self._run(self._encode, self._chunks(works, self._frames, self._encoder_batch))
        self._run(self._decode, self._chunks(works, _places, self._batch))
        spoken = [work for work in works if any(token < self._special.end for token in work.tokens)]
        timed = [work for work in spoken if self._times(work.window)]
        self._run(self._attend, self._chunks(timed, _starts, self._encoder_batch))
        return [work.error or self._transcript(work) for work in works]

    def close(self) -> None:
        self._pool.shutdown()
        self._model.unload_model()

    # ---- who works on what --------------------------------------------------------------------------------------

    def _chunks(self, works: Iterable[_Work], alike: Callable[[_Work], object], most: int) -> list[list[_Work]]:
        """Works that may share a call, in few calls: enough to keep the workers busy, none with more than `most`."""
        groups: dict[object, list[_Work]] = {}
        for work in works:
            if work.error is None:
                groups.setdefault(alike(work), []).append(work)
        chunks = []
        for group in groups.values():
            count = max(-(-len(group) // most), min(self._workers, len(group) // LEAST_BATCH))
            bounds = [index * len(group) // count for index in range(count + 1)]
            chunks += [group[begin:end] for begin, end in pairwise(bounds)]
        return sorted(chunks, key=len, reverse=True)

    def _run(self, call: Callable[[list[_Work]], None], chunks: Sequence[list[_Work]]) -> None:
        """All chunks, on all workers. Where a call fails each of its windows is tried alone: one that fails again is told."""

        def tried(chunk: list[_Work]) -> None:
            try:
                call(chunk)
            except (RuntimeError, ValueError, IndexError, MemoryError) as error:
                if len(chunk) == 1:
                    chunk[0].error = EngineFailed(f"CTranslate2: {error}")
                for work in chunk if len(chunk) > 1 else ():
                    tried([work])

        list(self._pool.map(tried, chunks))

    def _frames(self, work: _Work) -> int:
        return self._encoder.frames(len(work.window.samples))

    def _times(self, window: Window) -> bool:
        return self._align == "always" or (self._align == "exact" and (window.exact or window.careful))

    # ---- the passes ---------------------------------------------------------------------------------------------

    def _encode(self, chunk: list[_Work]) -> None:
        """Encode, find the language, and say how the transcript begins."""
        for work, encoded in zip(chunk, self._encoder.encode([work.window.samples for work in chunk]), strict=True):
            work.encoded, work.language = encoded, work.window.language
        unknown = [work for work in chunk if not work.language and self.loaded.finds_language]
        if unknown:
            found = self._model.detect_language(batch([work.encoded for work in unknown]))
            for work, languages in zip(unknown, found, strict=True):
                work.language = of_token(languages[0][0])
        for work in chunk:
            self._begin(work)

    def _begin(self, work: _Work) -> None:
        window, special = work.window, self._special
        language = work.language or ENGLISH
        try:
            work.start = special.prefix(language, window.translate)
        except LanguageNotSupported as error:
            work.error = EngineFailed(str(error))
            return
        if not special.languages or window.translate:
            work.language = ENGLISH
        length = max(each for each in PROMPTS if each <= len(window.prompt))
        before = [special.previous, *window.prompt[len(window.prompt) - length :]] if length else []
        work.prompt = [*before, *work.start, *window.prefix]
        room = self.loaded.target - len(before) - len(work.start) - 1  # the end has a position too
        least = len(window.prefix) + self.tokens_at_least
        work.limit = min(room, max(least, self.most_tokens(len(window.samples))))
        if len(window.prefix) >= room:
            work.error = EngineFailed(f"{len(window.prefix)} settled tokens leave no room for more in one window")

    def most_tokens(self, samples: int) -> int:
        """Where the transcript of a window of so much audio is cut, its prefix counted."""
        return self.tokens_at_least + int(self.tokens_per_second * seconds(samples))

    def _decode(self, chunk: list[_Work]) -> None:
        """One batch. CTranslate2 halves the length it is given, and counts the prefix."""
        first = chunk[0]
        before = len(first.prompt) - len(first.window.prefix) - 1
        limit = max(work.limit for work in chunk)
        results = self._model.generate(
            batch([work.encoded for work in chunk]),
            [work.prompt for work in chunk],
            beam_size=BEAM if first.window.careful else 1,
            max_length=max(2 * limit, limit + before),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=list(self._special.suppressed),
        )
        for work, result in zip(chunk, results, strict=True):
            said = result.sequences_ids[0]
            count = len(work.window.prefix)
            work.no_speech = result.no_speech_prob
            work.tokens = said[count : work.limit]
            ended = len(said) < work.limit
            # Its batch may have gone on with a transcript that was cut, so its score may be that of a longer one.
            work.log_probability = result.scores[0] * len(said) / (len(said) - count + 1) if ended else UNENDING

    def _attend(self, chunk: list[_Work]) -> None:
        """Times of tokens by the path that attention takes through the audio; and their probabilities, on the way."""
        special = self._special
        texts = [[each for each in (*work.window.prefix, *work.tokens) if each < special.end] for work in chunk]
        found = self._model.align(
            batch([work.encoded for work in chunk]),
            list(chunk[0].start[:-1]),  # it adds <|notimestamps|>
            texts,
            [2 * positions(len(work.window.samples)) for work in chunk],
        )
        for work, text, each in zip(chunk, texts, found, strict=True):
            path = np.array(each.alignments, np.int64).reshape(-1, 2)
            steps = np.searchsorted(path[:, 0], np.arange(len(text) + 1))
            times = path[np.minimum(steps, len(path) - 1), 1] * POSITION
            scores = [log(max(one, UNLIKELY)) for one in each.text_token_probs]
            skip = sum(token < special.end for token in work.window.prefix)
            work.times = times[skip:-1].tolist(), times[skip + 1 :].tolist(), scores[skip : len(text)]

    # ---- words --------------------------------------------------------------------------------------------------

    def _transcript(self, work: _Work) -> Transcript:
        tokens = [token for token in work.tokens if token < self._special.end]
        begins, ends, scores = work.times or self._spread(work, len(tokens))
        words: tuple[Spelled, ...] = spelled(
            self.loaded.vocabulary, tokens, begins, ends, scores, ends if work.times else None, work.language
        )
        return Transcript(words, work.language, work.no_speech, work.log_probability)

    def _spread(self, work: _Work, count: int) -> tuple[Sequence[Seconds], Sequence[Seconds], Sequence[float]]:
        """Tokens laid evenly over the audio, those of the prefix first; each as likely as their mean."""
        before = sum(token < self._special.end for token in work.window.prefix)
        each = seconds(len(work.window.samples)) / max(1, before + count)
        begins = [each * (before + index) for index in range(count)]
        return begins, [begin + each for begin in begins], [work.log_probability] * count


def _places(work: _Work) -> tuple[int, ...]:
    """The decoder takes works as one batch where audio and start of the transcript have the same positions."""
    return len(work.encoded), len(work.prompt) - len(work.window.prefix), work.window.careful


def _starts(work: _Work) -> tuple[int, ...]:
    """They are aligned together where transcripts begin alike."""
    return len(work.encoded), *work.start
