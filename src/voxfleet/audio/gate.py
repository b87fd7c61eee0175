"""Which frames can't be speech and need no model: an adaptive gate over levels, one row per stream, all rows at once.

The gate of a stream closes only where the model itself has heard no speech for a while, the noise is steady, and the
level is down at the floor learnt from frames the model called silence. It opens at the first frame above that floor.
The model then hears the frames before it first, so that its recurrent state is warm; frames kept from it have
probability 0.
What is decided about a frame depends on the frames before it in the same stream, and on nothing else.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.silero import Floats, Rows, SileroBatch, frame_length

_QUIET_FRAMES = 10
"""Frames in a row the model must call silence before the gate may close: 320 ms."""
_QUIET = 0.2
"""Probability below which a frame is silence for this purpose; sessions keep a turn open from 0.35."""
_MARGIN = 2.5
"""dB above the noise floor a frame may have and still be noise."""
_SILENT = -75.0
"""dB of full scale below which nothing is speech, whatever the floor: digital silence and its dither."""
_LOUD = -30.0
"""dB of full scale above which a floor isn't trusted: it may be music, or speech the model missed."""
_UP, _DOWN, _DRIFT = 0.15, 0.4, 0.01
"""Share of the way to a frame's level the floor moves: up, down, and while the gate is closed."""
_STEADY, _SPREAD = 4.0, 0.1
"""dB that silence may stray from its floor on average, over about ten frames, before the gate trusts it."""
_WARMING = 8
"""Frames the model hears before the one that opened the gate: 256 ms."""

_UNKNOWN = 99.0


class Listener(Protocol):
    """What gives probabilities: the model alone, or the model behind the gate."""

    def hear(self, frames: Floats, counts: Rows, rows: Rows, sample_rate: int) -> Floats:
        """Probabilities (n, k) of `frames` (n, k, samples); of row i only the first `counts[i]` of k are there."""
        ...

    def reset(self, row: int) -> None:
        """Makes a row ready for a new stream."""
        ...


class EnergyGate:
    """Levels and verdicts of up to `rows` streams. Knows nothing of the model; used by one thread."""

    def __init__(self, rows: int) -> None:
        self._floor = np.full((rows, 2), _UNKNOWN, np.float32)
        self._spread = np.zeros(rows, np.float32)
        self._quiet = np.zeros(rows, np.int32)
        self.closed = np.zeros(rows, bool)

    def reset(self, row: int) -> None:
        """Makes a row ready for a new stream, its gate open."""
        self._floor[row], self._spread[row], self._quiet[row], self.closed[row] = _UNKNOWN, 0.0, 0, False

    def keeps(self, levels: Floats, rows: Rows) -> NDArray[np.bool_]:
        """Which frames with `levels` (n, 2) dB of closed rows aren't worth the model's time."""
        floors = self._floor[rows]
        kept = _near(levels, floors)
        self._floor[rows[kept]] += _DRIFT * (levels[kept] - floors[kept])
        return kept

    def learn(self, probabilities: Floats, levels: Floats, rows: Rows) -> None:
        """What the model said of the frames it heard; opens and closes their gates."""
        silence = probabilities < _QUIET
        quiet = np.where(silence, self._quiet[rows] + 1, 0)
        self._quiet[rows] = quiet
        floors = self._floor[rows]
        off = np.where(floors == _UNKNOWN, np.float32(0.0), levels - floors)
        moved = levels - off + np.where(off < 0.0, np.float32(_DOWN), np.float32(_UP)) * off
        floors = np.where(silence[:, None], moved, floors)
        self._floor[rows] = floors
        spread = self._spread[rows]
        strayed = np.minimum(np.abs(off[:, 0]), 2 * _STEADY)
        spread += np.where(silence, np.float32(_SPREAD), np.float32(0.0)) * (strayed - spread)
        self._spread[rows] = spread
        trusted = (quiet >= _QUIET_FRAMES) & (spread <= _STEADY) & (floors[:, 0] <= _LOUD)
        self.closed[rows] = trusted & _near(levels, floors)


def _near(levels: Floats, floors: Floats) -> NDArray[np.bool_]:
    near = levels <= np.maximum(floors + np.float32(_MARGIN), np.float32(_SILENT))
    return near[:, 0] & near[:, 1]  # type: ignore[no-any-return]


class GatedSilero:
    """A Listener: the gate before the model. Used by one thread."""

    def __init__(self, rows: int) -> None:
        self._model = SileroBatch(rows)
        self._gate = EnergyGate(rows)
        self._past = np.zeros((rows, _WARMING, frame_length(16_000)), np.float32)
        self._kept = np.zeros(rows, np.int64)
        self.frames = 0
        """Frames given so far."""
        self.heard = 0
        """Frames the model has worked on so far, those before an opening gate included."""

    def hear(self, frames: Floats, counts: Rows, rows: Rows, sample_rate: int) -> Floats:
        """See Listener. Every round moves each stream one frame on, and the model hears all it must in one call."""
        probabilities = np.zeros(frames.shape[:2], np.float32)
        levels = _levels(frames)
        self.frames += int(counts.sum())
        at = np.zeros(len(rows), np.intp)
        warming = np.zeros(len(rows), np.int64)
        todo = np.flatnonzero(counts)
        while len(todo):
            live = self._let_pass(frames, levels, at, warming, todo, rows)
            if len(live):
                given = frames[live, at[live]]
                cold = warming[live] > 0
                if cold.any():
                    self._put_past(given, cold, warming, live, rows)
                said = self._model.step(given, rows[live], sample_rate)
                self.heard += len(live)
                now = live[~cold]
                self._gate.learn(said[~cold], levels[now, at[now]], rows[now])
                probabilities[now, at[now]] = said[~cold]
                at[now] += 1
            todo = todo[at[todo] < counts[todo]]
        return probabilities

    def reset(self, row: int) -> None:
        """See Listener."""
        self._model.reset(row)
        self._gate.reset(row)
        self._kept[row] = 0

    def _let_pass(
        self, frames: Floats, levels: Floats, at: Rows, warming: NDArray[np.int64], todo: Rows, rows: Rows
    ) -> Rows:
        """Which of `todo` have a frame for the model in this round. Frames of the others are remembered and passed."""
        closed = self._gate.closed[rows[todo]]
        shut = todo[closed]
        if not len(shut):
            return todo
        kept = self._gate.keeps(levels[shut, at[shut]], rows[shut])
        still, opening = shut[kept], shut[~kept]
        past = rows[still]
        self._past[past, self._kept[past] % _WARMING, : frames.shape[2]] = frames[still, at[still]]
        self._kept[past] += 1
        at[still] += 1
        warming[opening] = np.minimum(self._kept[rows[opening]], _WARMING)
        self._gate.closed[rows[opening]] = False
        return np.concatenate([todo[~closed], opening])

    def _put_past(
        self, given: Floats, cold: NDArray[np.bool_], warming: NDArray[np.int64], live: Rows, rows: Rows
    ) -> None:
        """Gives streams whose gate has just opened the oldest frame kept from the model and not caught up on yet."""
        late = live[cold]
        past = rows[late]
        given[cold] = self._past[past, (self._kept[past] - warming[late]) % _WARMING, : given.shape[1]]
        warming[late] -= 1
        self._kept[past[warming[late] == 0]] = 0


class UngatedSilero:
    """A Listener: the model alone. Used by one thread."""

    def __init__(self, rows: int, *, published: bool = False) -> None:
        self._model = SileroBatch(rows, published=published)
        self.frames = 0
        self.heard = 0

    def hear(self, frames: Floats, counts: Rows, rows: Rows, sample_rate: int) -> Floats:
        """See Listener."""
        probabilities = np.zeros(frames.shape[:2], np.float32)
        for at in range(frames.shape[1]):
            live = np.flatnonzero(counts > at)
            probabilities[live, at] = self._model.step(frames[live, at], rows[live], sample_rate)
        self.frames += int(counts.sum())
        self.heard = self.frames
        return probabilities

    def reset(self, row: int) -> None:
        """See Listener."""
        self._model.reset(row)


def _levels(frames: Floats) -> Floats:
    """dB of full scale (n, k, 2) of the louder half of each frame: all of it, and its high end, where an "s" begins.

    The high end is the difference between neighbours, and its power that of both less twice their product.
    """
    count, each, length = frames.shape
    halves = frames.reshape(-1, 2, length // 2)
    power = np.empty((2, len(halves), 2), np.float32)
    power[0] = np.vecdot(halves, halves)
    power[1] = 2.0 * (power[0] - np.vecdot(halves[:, :, 1:], halves[:, :, :-1]))
    power[1] -= halves[:, :, 0] ** 2 + halves[:, :, -1] ** 2
    loudest = np.maximum(power.max(axis=2) * np.float32(2.0 / length), np.float32(1e-9))
    levels = np.maximum(10.0 * np.log10(loudest), np.float32(_SILENT))
    return levels.T.reshape(count, each, 2)  # type: ignore[no-any-return]
