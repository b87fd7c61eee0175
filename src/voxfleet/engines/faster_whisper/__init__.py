"""Whisper without a GPU: CTranslate2 on the cores of a CPU, many streams at a time."""

from voxfleet.engines.faster_whisper.engine import FasterWhisperEngine

__all__ = ["FasterWhisperEngine"]
