"""The models this version knows by name: what each is good for, where it comes from, and what is honest to say of it.

Word errors of Whisper are those of the Open ASR Leaderboard (means of its English short-form sets; long recordings where
that is said; `en_shortform.csv` and `en_longform.csv` as of 2026-08-21). Its streams on a CPU were measured with weights of
noise in the real shapes, int8, every buffer of up to 10 s padded to 30 s and decoded anew each second: a floor, not what
the engine reaches.
"""

from typing import Any

from voxfleet.engines.transducer.languages import PUBLISHED
from voxfleet.engines.whisper.languages import ENGLISH, WHISPER, codes, offered
from voxfleet.serving import snapshot
from voxfleet.serving.entry import PYTORCH, RUNTIMES, SPHINX, Form, ModelEntry
from voxfleet.speech import AUTO

HUB_SIZE = 2_550_000_000
"""Bytes of 0.64 billion weights in fp32, as such models are published; half of it where they come in bf16."""

EMBEDDED_NOTE = (
    "PocketSphinx, US English only: works out of the box, demo quality. It gets most words of read speech wrong "
    "(LibriSpeech test-other: 62 % WER at its best offline, 71 % live with ten streams on two cores). "
    "Closed vocabularies (--grammar) work. Use a Whisper, Parakeet or Nemotron engine for real dictation."
)
NEMOTRON_NOTE = (
    "The model to use for live speech on a GPU: punctuation, capitals, 80 ms to 1.12 s of delay. Of its 40 locales 19 are "
    "called ready for transcription by the publisher, 13 (Romanian among them) broadly covered, 8 in need of fine-tuning. "
    "On a CPU it hears a few streams per core."
)
NEMOTRON_SPEECH_NOTE = (
    "English only, with punctuation and capitals; by its model card 6.9 % word errors over eight English sets at 1.12 s of "
    "delay, 8.4 % at 80 ms. Where nothing but English is spoken. On a CPU it hears a few streams per core."
)
DIGITS_NOTE = (
    "Our own network of 1.5 million weights that knows ten words, zero to nine; what else is said becomes digits or nothing. "
    "Four speakers taught it; others were not measured. For tests and demonstrations of the engine, not for callers."
)
MANY = "About a hundred languages, far from equally well; for Romanian no figure can be cited. "
TRANSLATES = "Can translate into English. "
INVENTS = " Whisper invents text in silence and noise: the guards against it are no cure. Figures: Open ASR Leaderboard, 2026-08."


def models() -> tuple[ModelEntry, ...]:
    """Every model this version knows by name."""
    return (
        ModelEntry(
            name="embedded",
            summary="PocketSphinx with the model inside its wheel; no download",
            languages=("en", "en-US"),
            note=EMBEDDED_NOTE,
            licence="BSD",
            runtimes=(SPHINX,),
        ),
        _fetched(
            name="nemotron-3.5",
            summary="NVIDIA Nemotron 3.5 ASR streaming, 0.6 B: 40 locales and automatic language",
            languages=(*PUBLISHED.split(), AUTO),
            note=NEMOTRON_NOTE,
            licence="OpenMDW-1.1",
            repository="nvidia/nemotron-3.5-asr-streaming-0.6b",
            shape="nemotron-3.5-0.6b",
            form=Form.TRANSDUCER,
            size=HUB_SIZE,
        ),
        _fetched(
            name="nemotron-speech",
            summary="NVIDIA Nemotron Speech streaming, 0.6 B: English",
            languages=("en", "en-US"),
            note=NEMOTRON_SPEECH_NOTE,
            licence="NVIDIA Open Model License",
            repository="nvidia/nemotron-speech-streaming-en-0.6b",
            shape="nemotron-speech-0.6b",
            form=Form.TRANSDUCER,
            size=HUB_SIZE,
        ),
        *_small_whispers(),
        *_large_whispers(),
        ModelEntry(
            name="digits",
            summary="spoken English digits, a small transducer that comes with Voxfleet; no download",
            languages=("en", "en-US"),
            note=DIGITS_NOTE,
            licence="CC-BY-SA-4.0",
            runtimes=(PYTORCH,),
            form=Form.TRANSDUCER,
            size=3_030_000,
            folder=snapshot.shipped_folder("digits"),
        ),
    )


def _small_whispers() -> tuple[ModelEntry, ...]:
    """Those a CPU can serve, or nearly."""
    return (
        _whisper(
            "tiny",
            "39 M",
            151_000_000,
            "The smallest: to try Whisper out, live on a CPU (two streams a core even in a bare loop). Its English-only "
            "twin gets 12.8 % of words wrong (LibriSpeech test-other 15.5 %); for this one none is cited.",
        ),
        _whisper(
            "base",
            "74 M",
            290_000_000,
            "For a CPU with a core to spare for each stream (0.9 streams a core in a bare loop). Its English-only twin gets "
            "10.3 % of words wrong (LibriSpeech test-other 10.4 %); for this one none is cited.",
        ),
        _whisper(
            "small",
            "244 M",
            967_000_000,
            "For a GPU, or a CPU with few streams (three cores for one in a bare loop). Its English-only twin gets 8.6 % of "
            "words wrong (LibriSpeech test-other 7.3 %); for this one none is cited.",
        ),
        _whisper(
            "medium",
            "769 M",
            3_060_000_000,
            "As large as turbo, with 24 decoder layers where that has 4: of use where fine-tuned weights are of this size, or "
            "to translate. No figure is cited. Not live on a CPU.",
        ),
    )


def _large_whispers() -> tuple[ModelEntry, ...]:
    """Those that want a GPU."""
    return (
        _whisper(
            "large-v3",
            "1.55 B",
            3_090_000_000,
            "The most accurate over many languages, and the dearest: 7.4 % of English words wrong (LibriSpeech test-other "
            "3.9 %), 4.8 % in the leaderboard's multilingual sets. Needs a GPU.",
            yue=True,
        ),
        _whisper(
            "turbo",
            "809 M",
            1_620_000_000,
            "The Whisper to use on a GPU: large-v3 with 4 of its 32 decoder layers; 7.8 % of English words wrong "
            "(LibriSpeech test-other 4.2 %), 5.6 % in the leaderboard's multilingual sets. Was not trained to translate: "
            "use another one for that. Not live on a CPU: a window of 30 s takes 15 s of a core.",
            translates=False,
            repository="openai/whisper-large-v3-turbo",
            licence="MIT",
            shape="large-v3-turbo",
            spellings=("large-v3-turbo", "whisper-large-v3-turbo"),
            yue=True,
        ),
        _fetched(
            name="distil-large-v3.5",
            summary="Distil-Whisper large v3.5, 756 M: English",
            languages=(ENGLISH,),
            note="English only: 7.2 % of words wrong (LibriSpeech test-other 5.0 %), on long recordings 11.7 % where turbo "
            f"has 11.0 %. Two decoder layers: half of turbo's. For a GPU; not live on a CPU.{INVENTS}",
            licence="MIT",
            repository="distil-whisper/distil-large-v3.5",
            shape="distil-large-v3",
            spellings=("whisper-distil-large-v3.5",),
            form=Form.WHISPER,
            size=1_510_000_000,
        ),
    )


def _whisper(
    name: str,
    weights: str,
    size: int,
    note: str,
    *,
    repository: str = "",
    licence: str = "Apache-2.0",
    shape: str = "",
    spellings: tuple[str, ...] = (),
    yue: bool = False,
    translates: bool = True,
) -> ModelEntry:
    """A multilingual Whisper; `yue` = it knows Cantonese as a language of its own, `translates` = it was trained to."""
    known = WHISPER if yue else WHISPER[:-1]
    return _fetched(
        name=f"whisper-{name}",
        summary=f"OpenAI Whisper {name}, {weights}: {len(known)} languages and automatic language",
        languages=offered(codes({tag: number for number, tag in enumerate(known)})),
        note=f"{MANY}{TRANSLATES if translates else ''}{note}{INVENTS}",
        licence=licence,
        repository=repository or f"openai/whisper-{name}",
        shape=shape or name,
        spellings=(name, *spellings),
        form=Form.WHISPER,
        size=size,
    )


def _fetched(*, name: str, form: Form, **facts: Any) -> ModelEntry:
    """A model that is fetched from the hub."""
    return ModelEntry(name=name, form=form, runtimes=RUNTIMES[form], folder=snapshot.models_folder() / name, **facts)
