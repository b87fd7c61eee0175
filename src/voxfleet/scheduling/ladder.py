"""Which chunk size the next step uses: larger under pressure, smaller when it is over, never in a flutter."""

PRESSURE = 1.0
"""A step that makes its works wait longer than one chunk is pressure: more audio arrives than is worked off."""
RELIEF = 0.35
"""Below this share of a chunk the smaller chunk would do as well."""
PATIENCE = 25
"""Steps in a row that must agree before the chunk changes, or"""
PATIENCE_SECONDS = 1.0
"""so many seconds of"""
PATIENCE_LONG = 4
"""at least so many steps in a row, where steps are long."""


class Ladder:
    """The chunk sizes an engine offers, smallest first, and the rung in use. One rung = nothing to decide."""

    def __init__(self, chunk_ms: tuple[int, ...]) -> None:
        if not chunk_ms or sorted(set(chunk_ms)) != list(chunk_ms):
            raise ValueError(f"chunk sizes must rise: {chunk_ms}")
        self.rungs = chunk_ms
        self.least_ms = chunk_ms[0]
        """The smallest chunk for which steps were measured to be fast enough; set by whoever measures."""
        self._rung = 0
        self._agreeing = 0
        self._since = 0.0

    @property
    def chunk_ms(self) -> int:
        return self.rungs[self._rung]

    def planned(self, ready: int, waited: float, now: float) -> None:
        """A step was planned at `now` for which `ready` works stood by; the oldest had waited `waited` seconds."""
        share = waited * 1000 / self.chunk_ms if ready else 0.0
        direction = self._direction(share)
        if direction == 0:
            self._agreeing = 0
            return
        if self._agreeing * direction <= 0:
            self._agreeing, self._since = 0, now
        self._agreeing += direction
        long = now - self._since >= PATIENCE_SECONDS and abs(self._agreeing) >= PATIENCE_LONG
        if long or abs(self._agreeing) >= PATIENCE:
            self._rung += direction
            self._agreeing = 0

    def _direction(self, share: float) -> int:
        """Where this step would go: 1 up, -1 down, 0 nowhere."""
        if share > PRESSURE or self.chunk_ms < self.least_ms:
            return 1 if self._rung + 1 < len(self.rungs) else 0
        if share < RELIEF and self._rung > 0 and self.rungs[self._rung - 1] >= self.least_ms:
            return -1
        return 0
