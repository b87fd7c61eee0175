"""Whisper on one device as an engine for live speech."""

from collections.abc import Sequence

from voxfleet.engines.port import EngineInfo
from voxfleet.engines.whisper.loading import Loading, Machine, load_model
from voxfleet.engines.whisper.recogniser import WhisperTranscriber
from voxfleet.engines.windowed.engine import WindowedEngine
from voxfleet.engines.windowed.policy import policy_named, rise_and_meet
from voxfleet.errors import SettingsError, nearest
from voxfleet.wire.options import Task

CHUNKS = (400, 1_000, 2_000)
"""Cadences in ms: how often a turn is decoded, by how busy the device is."""


class WhisperEngine(WindowedEngine):
    """A model folder in the Hugging Face layout, in PyTorch."""

    transcriber: WhisperTranscriber

    def __init__(
        self,
        model: str,
        places: int = 0,
        device: str = "cpu",
        precision: str = "",
        encoder_context: str = "padded",
        policy: str = "agreement",
        task: str = "transcribe",
        chunks: Sequence[int] = (),
        threads: int = 0,
        rows: int = 0,
    ) -> None:
        """Load it; returns when it can be used.

        `model`: a folder, or random:NAME for a shape of layout.SHAPES with random weights. `places`: 0 = as many as suit
        the device. `device`: cpu, cuda or cuda:N. `precision`: float32, bfloat16, float16, or int8 for weights of 8 bits;
        empty = bfloat16 on a GPU, float32 on a CPU. `encoder_context`: padded or silence_tail. `policy`: agreement or
        attention, what settles a word. `task`: transcribe, or translate to say English to everybody. `chunks`: cadences
        in ms, rising, each dividing the last. `threads` of a CPU: 0 = all this process may use. `rows`: windows decoded
        at once; 0 = as suits the device.
        Raises SettingsError with what is wrong and what to do.
        """
        if task not in list(Task):
            raise SettingsError(f"task '{task}' is unknown{nearest(task, Task)}; known: {', '.join(Task)}")
        cadences = tuple(chunks) or CHUNKS
        if not rise_and_meet(cadences):
            listed = ", ".join(map(str, cadences))
            raise SettingsError(f"chunks {listed}: they must rise, and each must divide the last one (ms)")
        chosen = policy_named(policy)
        loading = load_model(model, Machine(device, precision, encoder_context, places, rows, threads))
        if task == Task.TRANSLATE and not loading.multilingual:
            loading.transcriber.close()
            raise SettingsError(f"{loading.name} hears English only, so there is nothing to translate")
        self.loading: Loading = loading
        info = EngineInfo(
            name=loading.name,
            languages=loading.languages,
            places=loading.places,
            chunk_ms=cadences,
            lane_batch=loading.slots,
            translates=loading.multilingual,
            device=loading.device_name,
        )
        super().__init__(loading.transcriber, info, chosen, translate=task == Task.TRANSLATE)

    def rehearse(self, tokens_per_second: float = 3.3, changing: int = 2) -> None:
        """For measurements with random weights: say so many tokens, of which the last ones change from decode to decode."""
        self.transcriber.rehearse(tokens_per_second, changing)
