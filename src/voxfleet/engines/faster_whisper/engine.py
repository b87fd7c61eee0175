"""Whisper through CTranslate2 as an engine: how much of it a processor carries, and what it is built of."""

from collections.abc import Sequence
from pathlib import Path

from voxfleet.engines.cores import cores
from voxfleet.engines.faster_whisper.encoding import PADDED
from voxfleet.engines.faster_whisper.folder import Loaded, load
from voxfleet.engines.faster_whisper.transcriber import CPU_BATCH, GPU_BATCH, CTranslate2Transcriber
from voxfleet.engines.port import EngineInfo
from voxfleet.engines.whisper.languages import offered
from voxfleet.engines.windowed.engine import WindowedEngine
from voxfleet.engines.windowed.policy import policy_named, rise_and_meet
from voxfleet.errors import SettingsError
from voxfleet.wire.options import Task

CHUNKS = (1000, 2000)
"""Milliseconds between two decodes of a stream that speaks: more often than once a second costs a CPU too much."""
STREAMS = {True: {384: 3, 512: 1}, False: {384: 12, 512: 5, 768: 2}}
"""Places per core by the encoder's width (up to that of tiny, base, small) where half of the time is speech: with whole
windows, and with less. Tiny carried 0.9 and 4.1 streams per core that spoke all the time and were decoded every second
(int8, AVX2, benchmarks/whisper_cpu.py); twice that at half speech, and twice again at the slower cadence. Base and small
follow by their arithmetic. Others have one place, and are late."""


class FasterWhisperEngine(WindowedEngine):
    """A folder in CTranslate2's layout (model.bin, config.json, tokenizer.json), or in Hugging Face's, which is converted
    when it is first loaded."""

    def __init__(
        self,
        model: str,
        places: int = 0,
        device: str = "cpu",
        compute_type: str = "",
        encoder_context: str = PADDED,
        policy: str = "agreement",
        task: str = "transcribe",
        align: str = "",
        chunks: Sequence[int] = (),
        threads: int = 0,
        cache: str = "",
    ) -> None:
        """Load it; returns when it can be used.

        `places`: 0 = a cautious number for this machine. `device`: cpu, cuda or cuda:N. `compute_type`: CTranslate2's;
        empty = int8 on a CPU, float16 on a GPU. `encoder_context`: 'padded', every window as 30 s, as Whisper was taught;
        'silence_tail', what was heard with the encoding of silence behind it; 'heard', that alone. `policy`: 'agreement'
        or 'attention'. `task`: 'translate' says everything in English. `align`: whose words have times by attention,
        'exact', 'always' or 'never'; empty = as the policy needs. `chunks`: ms between decodes, rising, each dividing
        the last. `threads` of a CPU: 0 = all this process may use. `cache`: where a conversion is kept; empty = beside
        the model.
        Raises SettingsError with what is wrong and what to do.
        """
        if task not in list(Task):
            raise SettingsError(f"task '{task}' is unknown; known: {', '.join(Task)}")
        chunks = tuple(chunks) or CHUNKS
        if not rise_and_meet(chunks):
            raise SettingsError(f"chunks {list(chunks)}: milliseconds, rising, each dividing the last")
        decided = policy_named(policy)
        attends = policy == "attention"
        if attends and align not in ("", "always"):
            raise SettingsError("policy 'attention' settles words by their attention: it needs align 'always'")
        gpu = device != "cpu"
        workers = 1 if gpu else threads or cores()
        folder = Path(model).expanduser()
        precision = compute_type or ("float16" if gpu else "int8")
        loaded = load(folder, device, precision, workers, Path(cache).expanduser() if cache else None)
        transcriber = CTranslate2Transcriber(
            loaded, workers, encoder_context=encoder_context, align=align or ("always" if attends else "exact"), gpu=gpu
        )
        languages = loaded.special.languages
        info = EngineInfo(
            name=loaded.name,
            languages=offered(languages) if loaded.finds_language or not languages else tuple(sorted(languages)),
            places=places or (16 if gpu else advised_places(loaded, workers, encoder_context)),
            chunk_ms=chunks,
            lane_batch=GPU_BATCH if gpu else CPU_BATCH * workers,
            translates=bool(languages),
            device=device,
        )
        super().__init__(transcriber, info, decided, translate=task == Task.TRANSLATE)


def advised_places(loaded: Loaded, cores: int, context: str) -> int:
    """Streams that this many cores carry with room to spare."""
    known = STREAMS[context == PADDED]
    width = min((each for each in known if each >= loaded.hidden), default=0)
    return max(1, known.get(width, 0) * cores)
