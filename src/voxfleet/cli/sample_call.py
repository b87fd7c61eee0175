"""The call that comes with the package: a support call of two synthetic voices, and what is said in it."""

import json
from dataclasses import dataclass
from importlib.resources import as_file, files

from voxfleet.audio.recording import Recording, read_recording
from voxfleet.speech import Seconds


@dataclass(frozen=True, slots=True)
class ScriptTurn:
    """One turn of the script."""

    channel: int
    speaker: str
    start: Seconds
    end: Seconds
    text: str


@dataclass(frozen=True, slots=True)
class SampleCall:
    """The recording and its script."""

    title: str
    speakers: tuple[str, ...]
    """By channel."""
    turns: tuple[ScriptTurn, ...]
    recording: Recording

    def said(self, channel: int) -> str:
        """Everything one speaker says."""
        return " ".join(turn.text for turn in self.turns if turn.channel == channel)


def load_sample_call() -> SampleCall:
    """The sample call from the installed package."""
    folder = files("voxfleet.cli") / "sample"
    script = json.loads((folder / "call.json").read_text(encoding="utf-8"))
    with as_file(folder / "call.flac") as path:
        recording = read_recording(path, live=True)
    turns = tuple(ScriptTurn(**turn) for turn in script["turns"])
    return SampleCall(script["title"], tuple(script["speakers"]), turns, recording)
