"""A stream's way to its engine: it takes a place, finds another when that is lost, and moves when its worker leaves.

The session says what must be fed to whom; this holds the tracks. At most two at a time: the one in use, and one that
either waits to take over at the end of the turn or finishes the turns it has heard. Runs on the event loop.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from time import monotonic

import structlog

from voxfleet.cluster.journal import Happening
from voxfleet.cluster.pool import Pool
from voxfleet.cluster.track import Track
from voxfleet.engines.port import EngineInfo, TrackOptions
from voxfleet.errors import EngineError, EngineFailed, EngineLost, VoxfleetError
from voxfleet.settings import GatewaySettings
from voxfleet.speech import Hypothesis
from voxfleet.streams.effects import Effect, Feed
from voxfleet.streams.session import Session
from voxfleet.telemetry.metrics import GatewayMetrics

log = structlog.get_logger()

RETRY_SECONDS = 0.1
"""Between two searches for a place, where nothing is heard of the workers meanwhile."""
MOST_LOSSES = 5
"""Tracks that may be lost at the same audio: it may be the audio that kills them, and the next worker with it."""
MOVE_STEP = 0.25
"""Seconds between two looks at whether a moving stream has come to the end of its turn."""
MOST_PATIENCE = 60.0
"""Seconds of silence at most that a stream whose tracks keep falling silent accepts before it tries another."""


class Ear:
    """The listener of one track: knows which seat speaks."""

    def __init__(self, seating: "Seating", seat: int) -> None:
        self._seating = seating
        self._seat = seat

    def learn(self, hypothesis: Hypothesis) -> None:
        self._seating.learn(hypothesis, self._seat)

    def lost(self, error: EngineError) -> None:
        self._seating.lost(self._seat, error)

    def leave(self, deadline: float) -> None:
        self._seating.leave(self._seat, deadline)


class Seating:
    """The tracks of one stream. `apply` carries out a session's effects; it gives those about tracks back to us."""

    def __init__(
        self,
        session: Session,
        pool: Pool,
        model: str | None,
        options: TrackOptions,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        apply: Callable[[Iterable[Effect]], None],
        learned: Callable[[Hypothesis, int], None],
    ) -> None:
        """`learned` is told every hypothesis with the seat it comes from."""
        self.info: EngineInfo
        self._session = session
        self._pool = pool
        self._model = model
        self._options = options
        self._settings = settings
        self._metrics = metrics
        self._apply = apply
        self._learned = learned
        self._tracks: dict[int, Track] = {}
        self._seat = -1
        """The newest seat that was given out."""
        self._waiting: int | None = None
        """The seat of a track that takes over at the end of the turn."""
        self._task: asyncio.Task[None] | None = None
        """Looks for a place; at most one at a time."""
        self._closed = False
        self._owed = False
        """Whether the engine was given something that it has not answered."""
        self._quiet_since = monotonic()
        """Clock time of the engine's last word, or of the first audio that it has not answered since."""
        self._patience = settings.silence_seconds
        self._mute: set[str] = set()
        """Workers whose tracks of this stream fell silent."""
        self._from = ""
        """The worker whose place was lost or is left."""
        self._lost_at: float | None = None
        self._lost_heard = 0.0
        self._losses = 0
        """Tracks lost since any of them got further than the first one."""

    async def open(self, near: str = "") -> None:
        """Take the first place. Raises what Pool.open raises."""
        seat, track = await self._taken(near=near)
        self._sit(seat, track)

    @property
    def worker(self) -> str:
        """The worker that hears the stream now, by the pool's key; '' while there is none."""
        track = self._tracks.get(self._session.seat)
        return track.worker if track is not None else ""

    @property
    def recovering(self) -> bool:
        """Whether a track was lost and no other has got as far yet."""
        return self._lost_at is not None

    def close(self) -> None:
        """Give everything back. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        if self._tracks:
            self._pool.done()
        for seat in tuple(self._tracks):
            self.let_go(seat)
        self._apply, self._learned = _ignore, _ignore  # nothing leads back to the channel: it is freed when it ends

    # ---- effects of the session -------------------------------------------------------------------------------

    def feed(self, effect: Feed) -> None:
        """Audio for the track in its seat."""
        if (track := self._tracks.get(effect.seat)) is not None:
            if not self._owed:
                self._owed, self._quiet_since = True, monotonic()
            track.hear(effect.samples, end_of_turn=effect.end_of_turn)
        if self._waiting is not None:
            self._check_moved()

    def let_go(self, seat: int) -> None:
        """The track in this seat is not needed any more."""
        track = self._tracks.pop(seat, None)
        if track is not None:
            track.close()

    def reseat(self) -> None:
        """The stream has no track: take the one that waits to take over, or look for another."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._sit(waiting, self._tracks[waiting])
        else:
            self._start(self._find())

    # ---- from the tracks --------------------------------------------------------------------------------------

    def learn(self, hypothesis: Hypothesis, seat: int) -> None:
        self._quiet_since = monotonic()
        self._learned(hypothesis, seat)
        self._owed = self._session.outstanding
        if self._lost_at is not None and (self._session.heard > self._lost_heard or not self._session.outstanding):
            self._recovered()

    def lost(self, seat: int, error: EngineError) -> None:
        """The track in this seat ended without us."""
        track = self._tracks.pop(seat, None)
        if track is None or self._closed:
            return
        if seat == self._waiting:
            self._waiting = None
        log.debug("track_lost", worker=track.worker, code=error.code)
        self._replay(seat, track.worker, Happening.REPLAYED)

    def leave(self, seat: int, deadline: float) -> None:
        """The worker of the track in this seat is leaving: be gone by the deadline (monotonic clock)."""
        if self._closed or seat not in self._tracks:
            return
        if seat == self._waiting:
            self._waiting = None
            self.let_go(seat)
            self._apply(self._session.lost_track(seat))
        elif self._task is None or deadline < float("inf"):
            self._start(self._move(seat, deadline))

    def check(self, now: float) -> None:
        """Called about once a second: a track that was given speech and says nothing for too long counts as lost."""
        seat = self._session.seat
        track = self._tracks.get(seat)
        if track is None or not self._owed or now - self._quiet_since < self._patience:
            return
        self._patience = min(self._patience * 2, MOST_PATIENCE)
        self._quiet_since = now
        log.warning("track_silent", worker=track.worker)
        self._mute.add(track.worker)
        self._pool.fell_silent(track.worker)
        self.let_go(seat)
        self._replay(seat, track.worker, Happening.SILENT)

    # ---- finding places ---------------------------------------------------------------------------------------

    async def _taken(self, near: str = "", avoid: str = "") -> tuple[int, Track]:
        self._seat += 1
        seat = self._seat
        track = await self._pool.open(
            self._model,
            self._options,
            Ear(self, seat),
            near=near,
            avoid=frozenset({avoid, *self._mute} - {""}),
            displaced=bool(avoid),
        )
        if track.ended:  # lost again before we were told that it was there
            raise EngineLost(track.worker)
        self._tracks[seat] = track
        return seat, track

    def _sit(self, seat: int, track: Track) -> None:
        self.info = track.info
        self._quiet_since = monotonic()
        context = min(track.info.context, self._settings.replay_context)
        self._apply(self._session.seated(seat, context))
        if self._lost_at is not None and not self._session.outstanding:
            self._recovered()

    def _replay(self, seat: int, worker: str, why: Happening) -> None:
        """The track in this seat was lost or taken away: what it was still expected to say, another will."""
        heard = self._session.heard
        effects = self._session.lost_track(seat)
        if not effects:
            return
        if self._lost_at is None:
            self._lost_at, self._lost_heard, self._losses = monotonic(), heard, 0
        self._losses += 1
        if self._losses > MOST_LOSSES:
            log.warning("stream_loses_every_track", worker=worker)
            self._apply(self._session.give_up(EngineFailed(f"it lost {MOST_LOSSES} tracks at the same audio")))
            return
        self._from = worker
        self._pool.journal.note(why, worker)
        self._metrics.replays.inc()
        self._apply(effects)

    async def _find(self) -> None:
        """Look for a place until there is one, or patience ends and the stream with it."""
        until = monotonic() + self._settings.reseat_seconds
        with self._pool.displacing():
            while True:
                try:
                    seat, track = await self._taken(avoid=self._from)
                    break
                except VoxfleetError as error:
                    if monotonic() > until:
                        log.warning("stream_not_reseated", code=error.code, worker=self._from)
                        self._apply(self._session.give_up(EngineLost(self._from)))
                        return
                    await self._pool.change(RETRY_SECONDS)
        self._sit(seat, track)

    async def _move(self, seat: int, deadline: float) -> None:
        """Be heard elsewhere from the next turn on; shortly before the deadline, from where we are, by replay."""
        worker = self._tracks[seat].worker
        latest = deadline - self._settings.handover_seconds
        while seat in self._tracks:
            armed = self._waiting is not None or self._session.seat != seat or await self._take_over(worker)
            if deadline == float("inf"):
                return  # nobody is in a hurry
            left = latest - monotonic()
            if armed and left <= 0:
                self.let_go(seat)
                self._replay(seat, worker, Happening.REPLAYED)
                return
            await (asyncio.sleep(min(left, MOVE_STEP)) if armed else self._pool.change(RETRY_SECONDS))

    async def _take_over(self, worker: str) -> bool:
        """A place elsewhere for the turns to come; False where there is none now."""
        try:
            seat, track = await self._taken(avoid=worker)
        except VoxfleetError:
            return False
        if track.worker == worker:
            self.let_go(seat)
            return False
        self._waiting, self._from = seat, worker
        self._apply(self._session.move(seat))
        self._check_moved()
        return True

    def _check_moved(self) -> None:
        if self._session.seat == self._waiting:
            self.info = self._tracks[self._session.seat].info
            self._waiting = None
            self._pool.journal.note(Happening.MOVED, self._from)
            self._metrics.moves.inc()

    def _recovered(self) -> None:
        assert self._lost_at is not None
        now = monotonic()
        self._metrics.recovery.observe(now - self._lost_at, now)
        self._lost_at = None

    def _start(self, work: Coroutine[None, None, None]) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self._task is task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("seating_broke", error=repr(error))
            self._apply(self._session.give_up(EngineLost(self.worker or "unknown")))


def _ignore(*_: object) -> None:
    """What a closed stream does with news."""
