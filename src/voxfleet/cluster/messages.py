"""Our values as messages of the link and back; the columns of a tick are little-endian arrays."""

import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.pcm import pcm16
from voxfleet.cluster import link_pb2 as pb
from voxfleet.engines.port import EngineInfo, Increments, TrackOptions
from voxfleet.errors import CapacityError, EngineError, VoxfleetError, by_code
from voxfleet.scheduling.places import Place
from voxfleet.speech import Hypothesis, Samples, Word
from voxfleet.wire.phrases import Phrase

KEY = np.dtype("<u8")
LENGTH = np.dtype("<u4")
SAMPLE = np.dtype("<i2")


class LinkError(VoxfleetError):
    """The other end of the link sent something it may not send."""


class Columns:
    """The increments of one link while they gather; a row is appended per call, nothing is converted until `fill`."""

    def __init__(self) -> None:
        self._rows: deque[tuple[int, Samples, int]] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, place: int, samples: Samples, flags: int) -> None:
        self._rows.append((place, samples, flags))

    def drop(self, place: int) -> None:
        """Forget the rows of a place that was given back: a long replay may still be waiting here."""
        self._rows = deque(row for row in self._rows if row[0] != place)

    def fill(self, tick: pb.Tick, most_samples: int) -> None:
        """Move rows into the message, in order, until they hold `most_samples`; what does not fit goes with the next
        tick. A row that is larger than that is cut."""
        rows, room = [], most_samples
        while self._rows and room > 0:
            place, samples, flags = row = self._rows.popleft()
            if samples.size > room:
                row = place, samples[:room], 0
                self._rows.appendleft((place, samples[room:], flags))
            rows.append(row)
            room -= samples.size
        tick.places = np.array([place for place, _, _ in rows], KEY).tobytes()
        tick.lengths = np.array([samples.size for _, samples, _ in rows], LENGTH).tobytes()
        tick.flags = bytes([flags for _, _, flags in rows])
        if room < most_samples:
            tick.samples = pcm16(np.concatenate([samples for _, samples, _ in rows if samples.size])).tobytes()


def increments_of(tick: pb.Tick) -> tuple[NDArray[np.uint64], Increments] | None:
    """The keys of the places and the increments of a tick, without a copy; None if it has no rows.

    Raises LinkError where the columns disagree: such a tick must not be scattered anywhere.
    """
    if not tick.places:
        return None
    if len(tick.places) % KEY.itemsize or len(tick.lengths) % LENGTH.itemsize or len(tick.samples) % SAMPLE.itemsize:
        raise LinkError("a column of a tick is cut in mid-value")
    keys = np.frombuffer(tick.places, KEY)
    lengths = np.frombuffer(tick.lengths, LENGTH)
    flags = np.frombuffer(tick.flags, np.uint8)
    samples = np.frombuffer(tick.samples, SAMPLE)
    if not keys.size == lengths.size == flags.size or int(lengths.sum()) != samples.size:
        raise LinkError(
            f"columns of a tick disagree: {keys.size} places, {lengths.size} lengths, {flags.size} flags, "
            f"{samples.size} samples for {int(lengths.sum())}"
        )
    indices = (keys & np.uint64(0xFFFF_FFFF)).astype(np.uint32)
    return keys, Increments(indices, lengths, flags, samples)


def only(increments: Increments, rows: NDArray[np.bool_]) -> Increments:
    """The increments of these rows alone."""
    samples = increments.samples[np.repeat(rows, increments.lengths)]
    return Increments(increments.places[rows], increments.lengths[rows], increments.flags[rows], samples)


def open_of(request: int, options: TrackOptions) -> pb.Open:
    return pb.Open(
        request=request,
        language=options.language,
        grammar=options.grammar,
        recorded=options.recorded,
        phrases=[pb.Phrase(text=phrase.text, weight=phrase.weight) for phrase in options.phrases],
        translate=options.translate,
    )


def options_of(message: pb.Open) -> TrackOptions:
    grammar = message.grammar if message.HasField("grammar") else None
    phrases = tuple(Phrase(phrase.text, phrase.weight) for phrase in message.phrases)
    return TrackOptions(message.language, grammar, phrases, translate=message.translate, recorded=message.recorded)


def welcome_of(worker: str, info: EngineInfo, labels: Mapping[str, str]) -> pb.Welcome:
    return pb.Welcome(
        worker=worker,
        model=info.name,
        languages=info.languages,
        chunk_ms=info.chunk_ms,
        word_times=info.word_times,
        grammars=info.grammars,
        phrases=info.phrases,
        translates=info.translates,
        device=info.device,
        advice=info.advice,
        places=info.places,
        finds_endpoints=info.finds_endpoints,
        context=info.context,
        labels=labels,
        pid=os.getpid(),
        host=socket.gethostname(),
    )


def info_of(message: pb.Welcome) -> EngineInfo:
    return EngineInfo(
        name=message.model,
        languages=tuple(message.languages),
        places=message.places,
        chunk_ms=tuple(message.chunk_ms),
        finds_endpoints=message.finds_endpoints,
        word_times=message.word_times,
        grammars=message.grammars,
        phrases=message.phrases,
        translates=message.translates,
        context=message.context,
        device=message.device,
        advice=message.advice,
    )


def heard_of(place: Place, hypothesis: Hypothesis) -> pb.Heard:
    return pb.Heard(
        place=place.key,
        turn=hypothesis.turn,
        stable=_messages_of(hypothesis.stable),
        unstable=_messages_of(hypothesis.unstable),
        heard=hypothesis.heard,
        final=hypothesis.final,
        language=hypothesis.language,
    )


def hypothesis_of(message: pb.Heard) -> Hypothesis:
    stable, unstable = _words_of(message.stable), _words_of(message.unstable)
    return Hypothesis(message.turn, stable, unstable, message.heard, message.final, message.language)


def refused_of(request: int, error: VoxfleetError) -> pb.Refused:
    return pb.Refused(request=request, code=error.code, message=str(error), retry_after=error.retry_after)


def failed_of(place: Place, error: EngineError) -> pb.Failed:
    return pb.Failed(place=place.key, code=error.code, message=str(error))


def error_of(message: pb.Refused | pb.Failed) -> VoxfleetError:
    """The error a worker spoke of, as the class of our tree its code names."""
    kind = by_code(message.code) or EngineError
    error = kind.__new__(kind)
    Exception.__init__(error, message.message)
    if isinstance(message, pb.Refused) and message.HasField("retry_after"):
        error.retry_after = message.retry_after
    elif isinstance(error, CapacityError):
        error.retry_after = 5.0
    return error


def _messages_of(words: Sequence[Word]) -> list[pb.Word]:
    return [pb.Word(text=w.text, start=w.start, end=w.end, confidence=w.confidence) for w in words]


def _words_of(messages: Sequence[pb.Word]) -> tuple[Word, ...]:
    return tuple(Word(m.text, m.start, m.end, m.confidence if m.HasField("confidence") else None) for m in messages)
