"""One stream's way to its engine, and who is told what comes back."""

from typing import Protocol

from voxfleet.cluster.messages import Columns
from voxfleet.engines.port import END_OF_TURN, EngineInfo
from voxfleet.errors import EngineError
from voxfleet.speech import Hypothesis, Samples


class Line(Protocol):
    """What a track needs of its link."""

    key: str
    columns: Columns

    def forget(self, place: int) -> None: ...


class Listener(Protocol):
    """Who a track speaks to. Called on the event loop, never concurrently; must not block."""

    def learn(self, hypothesis: Hypothesis) -> None: ...

    def lost(self, error: EngineError) -> None:
        """The track ended without being closed; nothing more comes from it."""
        ...

    def leave(self, deadline: float) -> None:
        """The track should be given up for one elsewhere, by this time on the monotonic clock: its worker is leaving."""
        ...


class Track:
    """One stream's way to its engine. `hear` never blocks; how far audio may run ahead is its driver's rule."""

    def __init__(self, line: Line, place: int, info: EngineInfo, listener: Listener) -> None:
        self.info = info
        self.worker = line.key
        """Which worker, by the pool's key."""
        self.ended = False
        """Closed, failed or lost: its place may belong to somebody else by now, so nothing is sent to it any more."""
        self.listener = listener
        self._line = line
        self._place = place

    def hear(self, samples: Samples, *, end_of_turn: bool = False) -> None:
        """Send audio with the next tick; nothing happens once the track has ended."""
        if not self.ended:
            self._line.columns.add(self._place, samples, END_OF_TURN if end_of_turn else 0)

    def close(self) -> None:
        """Give the place back. Nothing is heard from the track afterwards; closing twice does nothing."""
        if not self.ended:
            self._line.forget(self._place)
