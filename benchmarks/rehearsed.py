"""A Whisper of a published shape with random weights that says as much as people do, to be served and loaded from outside.

voxfleet serve --config whisper.toml, with [[workers]] model = "python:benchmarks.rehearsed:RehearsedWhisper", and
[workers.options] shape = "tiny", encoder_context = "padded"
"""

from typing import Any

from voxfleet.engines.whisper.engine import WhisperEngine
from voxfleet.engines.whisper.loading import RANDOM


class RehearsedWhisper(WhisperEngine):
    """Its times are real, its text is not: see engines/whisper/script."""

    def __init__(
        self, shape: str = "tiny", tokens_per_second: float = 3.3, changing: int = 3, places: int = 0, **options: Any
    ) -> None:
        super().__init__(f"{RANDOM}{shape}", places=places, **options)
        self.rehearse(tokens_per_second, changing)
