"""The files that describe a saved Whisper model, as they are spelled: keys and defaults of `transformers` (5.23).

An absent key has the default it has there; an unknown key is ignored, since these files carry much that is not ours.
What the values mean together is checked in `layout.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from voxfleet.engines.network.saved import decode
from voxfleet.errors import SettingsError
from voxfleet.speech import SAMPLE_RATE

Size = Annotated[int, Meta(ge=1)]
Index = Annotated[int, Meta(ge=0)]


class Decoding(Struct):
    """What decoding needs to know; in generation_config.json, in old folders in config.json."""

    decoder_start_token_id: int | None = None
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    forced_decoder_ids: list[tuple[int, int | None]] | None = None
    """Positions and the tokens forced there; how old folders say which tokens begin a transcript."""


class Generation(Decoding):
    """generation_config.json."""

    is_multilingual: bool | None = None
    lang_to_id: dict[str, Index] = {}
    task_to_id: dict[str, Index] = {}
    no_timestamps_token_id: Index | None = None
    alignment_heads: list[tuple[Index, Index]] | None = None

    @property
    def knows_whisper(self) -> bool:
        """Whether the file says anything of decoding at all; some that training programs wrote do not."""
        return bool(self.lang_to_id) or any(
            told is not None for told in (self.no_timestamps_token_id, self.suppress_tokens, self.begin_suppress_tokens)
        )


class Config(Decoding):
    """config.json."""

    model_type: str = ""
    d_model: Size = 384
    encoder_layers: Size = 4
    decoder_layers: Size = 4
    encoder_attention_heads: Size = 6
    decoder_attention_heads: Size = 6
    encoder_ffn_dim: Size = 1536
    decoder_ffn_dim: Size = 1536
    num_mel_bins: Size = 80
    vocab_size: Size = 51865
    max_source_positions: Size = 1500
    max_target_positions: Size = 448
    activation_function: str = "gelu"
    scale_embedding: bool = False
    tie_word_embeddings: bool = True


class FeatureExtractor(Struct):
    feature_size: Size = 80
    sampling_rate: int = SAMPLE_RATE
    hop_length: int = 160
    n_fft: int = 400
    do_normalize: bool | None = None


class _Processor(Struct):
    feature_extractor: FeatureExtractor | None = None


class _Kind(Struct):
    model_type: str = ""


class AddedToken(Struct):
    id: Index
    content: str
    special: bool = False


class _Model(Struct):
    vocab: dict[str, Index]


class Tokenizer(Struct):
    """tokenizer.json; the merges are read by the library `tokenizers` alone."""

    model: _Model
    added_tokens: list[AddedToken] = []


def config(folder: Path) -> Config:
    """Raises SettingsError if the file is missing or broken, or the model is no Whisper."""
    path = folder / "config.json"
    kind = decode(path, _Kind).model_type
    if kind != "whisper":
        raise SettingsError(f"{path}: model_type '{kind}' is no Whisper; this engine runs model_type 'whisper' alone")
    return decode(path, Config)


def generation(folder: Path) -> Generation | None:
    """None where the folder has no generation_config.json."""
    path = folder / "generation_config.json"
    return decode(path, Generation) if path.is_file() else None


def features(folder: Path) -> tuple[Path, FeatureExtractor] | None:
    """From a file of their own or nested in the processor's; None where the folder has neither."""
    alone, nested = folder / "preprocessor_config.json", folder / "processor_config.json"
    if alone.is_file():
        return alone, decode(alone, FeatureExtractor)
    found = decode(nested, _Processor).feature_extractor if nested.is_file() else None
    return None if found is None else (nested, found)


def tokenizer(folder: Path) -> Tokenizer:
    """Raises SettingsError, with the way out where only the older pair of files is there."""
    path = folder / "tokenizer.json"
    if not path.is_file() and (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        raise SettingsError(
            f'{path} is missing, but vocab.json and merges.txt are there; make it of them with: python -c "import '
            f"transformers; transformers.WhisperTokenizerFast.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    if not path.is_file():
        raise SettingsError(f"{path} is missing: without it the network's tokens have no letters")
    return decode(path, Tokenizer)


def alignment(folder: Path) -> Mapping[str, list[tuple[int, int]]]:
    """Ours: alignment heads by language, measured on that language; empty where nobody has."""
    path = folder / "alignment_heads.json"
    return decode(path, dict[str, list[tuple[Index, Index]]]) if path.is_file() else {}
