"""Which chunk size the next step uses: larger under pressure, smaller when it is over, never in a flutter."""

PRESSURE = 1.0
"""A step that makes its works wait longer than one chunk is pressure: more audio arrives than is worked off."""
RELIEF = 0.35
"""Below this share of a chunk the smaller chunk would do as well."""
PATIENCE = 25
"""Steps in a row that must agree before the chunk changes."""


class Ladder:
    """The chunk sizes an engine offers, smallest first, and the rung in use. One rung = nothing to decide."""

    def __init__(self, chunk_ms: tuple[int, ...]) -> None:
        if not chunk_ms or sorted(set(chunk_ms)) != list(chunk_ms):
            raise ValueError(f"chunk sizes must rise: {chunk_ms}")
        self.rungs = chunk_ms
        self._rung = 0
        self._agreeing = 0

    @property
    def chunk_ms(self) -> int:
        return self.rungs[self._rung]

    def planned(self, ready: int, waited: float) -> None:
        """A step was planned for which `ready` works stood by and the oldest had waited `waited` seconds."""
        share = waited * 1000 / self.chunk_ms if ready else 0.0
        direction = 1 if share > PRESSURE else -1 if share < RELIEF else 0
        can_move = 0 <= self._rung + direction < len(self.rungs)
        if direction == 0 or not can_move:
            self._agreeing = 0
            return
        self._agreeing = self._agreeing + direction if self._agreeing * direction > 0 else direction
        if abs(self._agreeing) >= PATIENCE:
            self._rung += direction
            self._agreeing = 0
