"""Bookkeeping of turns and ring is, whatever arrives in whatever pieces, that of the plain streams of samples."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfleet.engines.port import END_OF_TURN, Increments
from voxfleet.engines.transducer.turns import FRAME, LOOKBACK, NO_END, REACH, Turns, Writes, frames_of

CHUNKS = (1, 2, 4, 7, 14)
NEVER = 10**9


@dataclass(slots=True)
class Stream:
    """What one place was given, as one long array: sample i of the stream has the number i % 30,011."""

    received: int = 0
    ends: list[int] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    """Samples and frames of every turn that was closed."""

    def piece(self, length: int) -> NDArray[np.int16]:
        samples = np.arange(self.received, self.received + length) % 30_011
        self.received += length
        return samples.astype(np.int16)

    def turn(self) -> tuple[int, int]:
        """Where the present turn begins, and what is known of its end."""
        begin = ([0, *self.ends])[len(self.told)]
        return begin, self.ends[len(self.told)] if len(self.ends) > len(self.told) else NO_END


class Bench:
    """Turns over a ring that is an array, and the streams they are about."""

    def __init__(self, places: int, capacity: int, refresh: int = NEVER) -> None:
        self.turns = Turns(places, capacity, refresh)
        self.capacity = capacity
        self.ring: NDArray[np.int16] = np.full((places, capacity), -1, np.int16)
        self.streams = [Stream() for _ in range(places)]
        self.frames = [0] * places

    def begin(self, place: int) -> None:
        self.turns.begin(place)
        self.streams[place], self.frames[place] = Stream(), 0

    def hear(self, *rows: tuple[int, int, bool]) -> None:
        """Rows of (place, samples, the turn ends here). The caller's memory is used again at once."""
        pieces = []
        for place, length, ends in rows:
            stream = self.streams[place]
            pieces.append(stream.piece(length))
            if ends:
                stream.ends.append(stream.received)
        samples = np.concatenate(pieces)
        given_ = Increments(
            np.array([place for place, _, _ in rows], np.uint32),
            np.array([length for _, length, _ in rows], np.uint32),
            np.array([END_OF_TURN if ends else 0 for _, _, ends in rows], np.uint8),
            samples,
        )
        self._write(self.turns.hear(given_))
        samples.fill(-2)

    def work(self, places: list[int], chunk: int) -> bool:
        """One pass over these places and the closing of turns that are through; whether there was anything to do."""
        at = np.array(places, np.int64)
        ready = self.turns.ready(at, chunk)
        coming = self.turns.next(at, chunk)
        for k, place in enumerate(coming.places.tolist()):
            numbers = (int(column[k]) for column in (coming.first, coming.count, coming.limit, coming.origin))
            self._check_pass(place, chunk, *numbers)
            self.frames[place] += int(coming.count[k])
        self.turns.advance(coming, np.zeros(len(coming.places), np.int64))
        self._write(self.turns.refill())
        closed = self.turns.ended(at)
        for place in at[closed].tolist():
            self._close(place)
        assert ready.tolist() == [place in coming.places for place in places] or (closed & ready).any()
        return bool(coming.places.size or closed.any())

    def _write(self, writes: Writes) -> None:
        begin = 0
        for place, start, length in zip(writes.places, writes.starts, writes.lengths, strict=True):
            columns = np.arange(start, start + length) % self.capacity
            self.ring[place, columns] = writes.samples[begin : begin + length]
            begin += int(length)
        assert begin == len(writes.samples)

    def _check_pass(self, place: int, chunk: int, first: int, count: int, limit: int, origin: int) -> None:
        """The ring holds every sample these frames are made of, and no frame is given before it is complete."""
        begin, end = self.streams[place].turn()
        assert origin == begin
        assert first == self.frames[place]
        needed = origin + FRAME * (first + count - 1) + REACH
        if limit < 1 << 40:
            assert origin + limit == end
            needed = min(needed, end)
            assert count == chunk or first + count == frames_of(np.array([limit]))[0]
        else:
            assert count == chunk
        assert needed <= self.streams[place].received
        wanted = np.arange(max(origin, origin + FRAME * first - LOOKBACK), needed)
        assert (self.ring[place, wanted % self.capacity] == wanted % 30_011).all(), "audio that is not there"

    def _close(self, place: int) -> None:
        begin, end = self.streams[place].turn()
        assert self.turns.over(place) == end - begin
        assert self.turns.number[place] == len(self.streams[place].told)
        self.streams[place].told.append((end - begin, self.frames[place]))
        self.frames[place] = 0
        self.turns.close(place)

    def check_all_told(self, place: int) -> None:
        stream = self.streams[place]
        lengths = np.diff([0, *stream.ends]).tolist()
        assert stream.told == [(length, int(frames_of(np.array([length]))[0])) for length in lengths]
        assert not self.turns.ready(np.array([place]), CHUNKS[-1]).any()


LENGTHS = (0, 1, 159, 160, 199, 200, 1_279, 1_280, 1_480, 5_000, 9_000, 70_000)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("capacity", [20_000, 64_000])
def test_every_sample_is_heard_once_and_while_it_is_there(seed: int, capacity: int) -> None:
    draw, bench = random.Random(f"{seed}/{capacity}"), Bench(3, capacity)
    for _ in range(draw.randrange(2, 40)):
        match draw.choice(["hear", "hear", "work", "work", "begin"][: 5 if seed % 4 == 0 else 4]):
            case "hear":
                rows = draw.randrange(1, 6)
                bench.hear(*((draw.randrange(3), draw.choice(LENGTHS), draw.random() < 0.3) for _ in range(rows)))
            case "work":
                places, chunk = draw.sample(range(3), draw.randrange(1, 4)), draw.choice(CHUNKS)
                for _ in range(draw.randrange(1, 10)):
                    bench.work(places, chunk)
            case "begin":
                bench.begin(draw.randrange(3))
    bench.hear(*((place, 0, True) for place in range(3)))
    while bench.work([0, 1, 2], draw.choice(CHUNKS)):
        pass
    for place in range(3):
        bench.check_all_told(place)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_chunk_is_ready_with_its_last_sample_and_not_before(chunk: int) -> None:
    turns, at = Turns(1, 64_000, NEVER), np.array([0])
    complete = FRAME * (chunk - 1) + REACH
    bench = Bench(1, 64_000)
    bench.hear((0, complete - 1, False))
    assert not bench.turns.ready(at, chunk)[0]
    assert not bench.turns.next(at, chunk).places.size
    bench.hear((0, 1, False))
    assert bench.turns.ready(at, chunk)[0]
    assert bench.turns.next(at, chunk).count.tolist() == [chunk]
    assert not turns.ready(at, chunk)[0]


def test_a_turn_without_a_frame_is_ready_to_be_closed() -> None:
    bench = Bench(1, 64_000)
    for samples in (0, 1, 159):
        bench.hear((0, samples, True))
        assert bench.turns.ready(np.array([0]), 14)[0]
        assert not bench.turns.next(np.array([0]), 14).places.size
        assert bench.turns.over(0) == samples
        bench.work([0], 14)
    bench.check_all_told(0)


def test_a_replay_waits_and_is_taken_up_as_it_is_heard() -> None:
    """Pieces of one message that the ring has no room for belong to the caller no longer."""
    bench = Bench(2, 20_000)
    bench.hear((0, 15_000, False), (0, 15_000, False), (0, 15_000, True), (0, 7_000, True))
    bench.hear((1, 500, False), (0, 100, True))
    bench.hear((1, 500, True))
    while bench.work([0, 1], 4):
        pass
    bench.check_all_told(0)
    bench.check_all_told(1)


def test_a_new_stream_has_nothing_of_the_one_before() -> None:
    bench = Bench(1, 20_000)
    bench.hear((0, 50_000, True), (0, 50_000, False))
    bench.work([0], 7)
    bench.begin(0)
    assert not bench.turns.ready(np.array([0]), 1)[0]
    assert bench.turns.heard(0) == 0
    bench.hear((0, 3_000, True))
    while bench.work([0], 7):
        pass
    assert bench.streams[0].told == [(3_000, 4)]


@pytest.mark.parametrize("chunk", [1, 2, 14])
def test_state_is_made_anew_after_so_many_frames_without_a_word(chunk: int) -> None:
    """`spoke` is the frame after a word: the count begins there, and anew at every refreshment and every turn."""
    refresh, turns, at = 20, Turns(1, 10**6, 20), np.array([0])
    word_at = {3, 50, 51}
    silent, floor = 0, 0
    samples = np.zeros(FRAME * 120, np.int16)
    for _turn in range(2):
        given_ = np.array([0], np.uint32), np.array([len(samples)], np.uint32), np.array([1], np.uint8), samples
        turns.hear(Increments(*given_))
        silent = floor = 0
        while (coming := turns.next(at, chunk)).places.size:
            first, count = int(coming.first[0]), int(coming.count[0])
            assert coming.floor[0] == floor
            said = [frame for frame in range(first, first + count) if frame in word_at]
            turns.advance(coming, np.array([max(said, default=-1) + 1]))
            silent = first + count - (max(said) + 1) if said else silent + count
            if silent >= refresh:
                silent, floor = 0, first + count
        assert turns.over(0) == len(samples)
        assert floor > 50, "never refreshed after the last word"
        turns.close(0)


def test_what_was_heard_never_goes_back_and_never_exceeds_the_turn() -> None:
    bench, before = Bench(1, 64_000), 0
    for _ in range(30):
        bench.hear((0, 777, False))
        bench.work([0], 2)
        heard = bench.turns.heard(0)
        assert before <= heard <= bench.streams[0].received
        assert heard >= bench.streams[0].received - 2 * FRAME - 777
        before = heard
