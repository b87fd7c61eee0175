"""The transducer engine on a machine that something else keeps busy: every step takes longer."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxfleet.engines.port import Heard
from voxfleet.engines.transducer.engine import TransducerEngine
from voxfleet.scheduling.work import Plan

DIGITS = Path(__file__).parents[2] / "models/digits"


class SlowedEngine(TransducerEngine):
    """The digits model; each step takes `step_seconds` longer than it would."""

    def __init__(self, places: int = 0, step_seconds: float = 0.0, **options: Any) -> None:
        super().__init__(str(DIGITS), places, **options)
        self._step_seconds = step_seconds

    def step(self, plan: Plan) -> Sequence[Heard]:
        time.sleep(self._step_seconds)
        return super().step(plan)
