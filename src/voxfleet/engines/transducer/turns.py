"""What audio every place was given, where its turns begin and end, and which frames of them come next. Numbers only.

A turn is cut into chunks of encoder frames from its first sample on, so what is said of it depends on its audio and on the
chunk sizes, never on how the audio arrived. Frame f of a turn is complete with sample 1280 f + 200; the last frames of a
turn that has ended need no more than its end: as many frames as the reference makes of a recording of that length.

Audio that the ring on the device has no room for (a replay, a recording) waits here, in order.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfleet.engines.port import END_OF_TURN, Increments

FRAME = 1_280
"""Samples from one encoder frame to the next."""
HOP = 160
REACH = 200
"""Samples behind the centre of a mel frame that it needs."""
LOOKBACK = FRAME + REACH + 1
"""Samples before frame f that are needed once more to compute it."""
UNENDING = 1 << 40
"""Samples of a turn that goes on."""
NO_END = -1

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Writes:
    """Rows to be written to the ring: row i belongs to `places[i]` and begins at absolute position `starts[i]`."""

    places: Ints
    starts: Ints
    lengths: Ints
    samples: NDArray[np.int16]

    def and_(self, other: "Writes") -> "Writes":
        """Both."""
        return Writes(
            np.concatenate([self.places, other.places]),
            np.concatenate([self.starts, other.starts]),
            np.concatenate([self.lengths, other.lengths]),
            np.concatenate([self.samples, other.samples]),
        )


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames to be worked on next, by place; arrays of shape (n,)."""

    places: Ints
    first: Ints
    count: Ints
    limit: Ints
    """Samples of the turn, UNENDING while it goes on."""
    origin: Ints
    floor: Ints

    def part(self, begin: int, end: int) -> "Frames":
        """Some of the places."""
        columns = (self.places, self.first, self.count, self.limit, self.origin, self.floor)
        return Frames(*(column[begin:end] for column in columns))


class Turns:
    """Bookkeeping of `places` streams over a ring of `capacity` samples each. `refresh`: frames without a word after
    which the state of a turn is made anew."""

    def __init__(self, places: int, capacity: int, refresh: int) -> None:
        self._capacity = capacity
        self._refresh = refresh
        self._received: Ints = np.zeros(places, np.int64)
        """Samples the stream has brought; positions in a stream count from its first sample."""
        self._written: Ints = np.zeros(places, np.int64)
        """How many of them are in the ring."""
        self._origin: Ints = np.zeros(places, np.int64)
        """Where the present turn begins."""
        self._end: Ints = np.full(places, NO_END, np.int64)
        """Where it ends, if that is known."""
        self._ends: dict[int, deque[int]] = {}
        """Ends of later turns."""
        self._waiting: dict[int, deque[NDArray[np.int16]]] = {}
        """Audio that is not in the ring yet."""
        self.number: Ints = np.zeros(places, np.int64)
        """Of the present turn."""
        self.done: Ints = np.zeros(places, np.int64)
        """Frames of the present turn that were worked on."""
        self.floor: Ints = np.zeros(places, np.int64)
        """The frame its state begins with."""
        self._spoke: Ints = np.zeros(places, np.int64)
        """The frame after its last word, or after the last refreshment."""

    def begin(self, place: int) -> None:
        """Another stream has this place now."""
        for counter in (self._received, self._written, self._origin, self.number, self.done, self.floor, self._spoke):
            counter[place] = 0
        self._end[place] = NO_END
        self._ends.pop(place, None)
        self._waiting.pop(place, None)

    def hear(self, increments: Increments) -> Writes:
        """Take note of new audio; what of it goes into the ring now."""
        places, lengths = increments.places.astype(np.int64), increments.lengths.astype(np.int64)
        ends = (increments.flags & END_OF_TURN) != 0
        alone = len(places) < 2 or bool((np.diff(np.sort(places)) > 0).all())
        room = self._capacity - (self._written[places] - self._needed(places))
        if not alone:
            return self._queue(places, lengths, ends, increments.samples)
        direct = lengths <= room
        if self._waiting:
            direct &= ~np.isin(places, np.fromiter(self._waiting, np.int64))
        if direct.all():
            return self._pass_on(places, lengths, ends, increments.samples)
        theirs = np.repeat(direct, lengths)
        passed = self._pass_on(places[direct], lengths[direct], ends[direct], increments.samples[theirs])
        rest = ~direct
        return passed.and_(self._queue(places[rest], lengths[rest], ends[rest], increments.samples[~theirs]))

    def _pass_on(self, places: Ints, lengths: Ints, ends: NDArray[np.bool_], samples: NDArray[np.int16]) -> Writes:
        """Audio that goes straight into the ring, each place once."""
        starts = self._written[places]
        self._received[places] += lengths
        self._written[places] += lengths
        for place in places[ends].tolist():
            self._mark_end(place)
        return Writes(places, starts, lengths, samples)

    def _queue(self, places: Ints, lengths: Ints, ends: NDArray[np.bool_], samples: NDArray[np.int16]) -> Writes:
        """Audio that has to wait its turn; what of it goes into the ring now."""
        begin = 0
        for place, length, end in zip(places.tolist(), lengths.tolist(), ends.tolist(), strict=True):
            if length:
                self._waiting.setdefault(place, deque()).append(samples[begin : begin + length].copy())
                self._received[place] += length
            if end:
                self._mark_end(place)
            begin += length
        return self.refill()

    def refill(self) -> Writes:
        """What of the waiting audio has room in the ring now."""
        rows: list[tuple[int, int, NDArray[np.int16]]] = []
        for place in list(self._waiting):
            queue = self._waiting[place]
            while queue:
                at = int(self._written[place])
                room = self._capacity - (at - int(self._needed(np.array([place]))[0]))
                if room <= 0:
                    break
                piece = queue.popleft()
                if len(piece) > room:
                    queue.appendleft(piece[room:])
                    piece = piece[:room]
                rows.append((place, at, piece))
                self._written[place] += len(piece)
            if not queue:
                del self._waiting[place]
        places = np.array([place for place, _, _ in rows], np.int64)
        starts = np.array([at for _, at, _ in rows], np.int64)
        lengths = np.array([len(piece) for _, _, piece in rows], np.int64)
        samples = np.concatenate([piece for _, _, piece in rows]) if rows else np.zeros(0, np.int16)
        return Writes(places, starts, lengths, samples)

    def ready(self, places: Ints, chunk: int) -> NDArray[np.bool_]:
        """Which of these places have frames to be worked on, or a turn to be closed."""
        left, ended, _ = self._left(places)
        result: NDArray[np.bool_] = ended | (left >= chunk)
        return result

    def next(self, places: Ints, chunk: int) -> Frames:
        """The next chunk of those of these places that have one; fewer frames only where a turn ends."""
        left, ended, limit = self._left(places)
        count = np.where(left >= chunk, chunk, np.where(ended, left, 0))
        chosen = count > 0
        at = places[chosen]
        return Frames(at, self.done[at], count[chosen], limit[chosen], self._origin[at], self.floor[at])

    def advance(self, frames: Frames, spoke: Ints) -> None:
        """These frames were worked on; `spoke`: the frame after the last word in them, 0 = no word."""
        places = frames.places
        self.done[places] += frames.count
        self._spoke[places] = np.maximum(self._spoke[places], spoke)
        silent = places[self.done[places] - self._spoke[places] >= self._refresh]
        self.floor[silent] = self._spoke[silent] = self.done[silent]

    def ended(self, places: Ints) -> NDArray[np.bool_]:
        """Which of these places have a turn that ended and of which everything was worked on."""
        left, ended, _ = self._left(places)
        result: NDArray[np.bool_] = ended & (left == 0)
        return result

    def over(self, place: int) -> int | None:
        """Length of the present turn in samples, once all of it was worked on."""
        left, ended, limit = self._left(np.array([place]))
        return int(limit[0]) if ended[0] and left[0] == 0 else None

    def close(self, place: int) -> None:
        """The present turn is final: the next one begins."""
        self._origin[place] = self._end[place]
        ends = self._ends.get(place)
        self._end[place] = ends.popleft() if ends else NO_END
        self.number[place] += 1
        self.done[place] = self.floor[place] = self._spoke[place] = 0

    def heard(self, place: int) -> int:
        """Samples of the present turn that were worked on."""
        known = self._written[place] - self._origin[place]
        return int(min(known, max(0, self.done[place] * FRAME)))

    def _mark_end(self, place: int) -> None:
        if self._end[place] == NO_END:
            self._end[place] = self._received[place]
        else:
            self._ends.setdefault(place, deque()).append(int(self._received[place]))

    def _needed(self, places: Ints) -> Ints:
        """The earliest position that is needed once more. The last frames of a turn reach beyond its end: there the
        next turn begins."""
        needed = self._origin[places] + np.maximum(0, self.done[places] * FRAME - LOOKBACK)
        end = self._end[places]
        result: Ints = np.where(end == NO_END, needed, np.minimum(needed, end))
        return result

    def _left(self, places: Ints) -> tuple[Ints, NDArray[np.bool_], Ints]:
        """Complete frames that wait, whether the turn ends with them, and the samples of the turn."""
        end, written, origin = self._end[places], self._written[places], self._origin[places]
        ended = (end != NO_END) & (end <= written)
        known = np.where(ended, end, np.where(end != NO_END, np.minimum(end, written), written)) - origin
        going = np.where(known >= REACH, (known - REACH) // FRAME + 1, 0)
        left = np.where(ended, frames_of(known), going) - self.done[places]
        return left, ended, np.where(ended, known, UNENDING)


def frames_of(samples: Ints) -> Ints:
    """Encoder frames of a whole turn of so many samples: each of three stages of stride two rounds up."""
    mels = samples // HOP
    frames = mels
    for _ in range(3):
        frames = frames // 2 + 1
    result: Ints = np.where(mels > 0, frames, 0)
    return result
