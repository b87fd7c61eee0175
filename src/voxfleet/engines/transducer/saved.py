"""The files that describe a saved model, as they are spelled: keys and defaults of `transformers` (5.23).

An absent key has the default it has there; an unknown key is ignored, since these files carry much that is not ours.
What the values mean together is checked in `layout.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from voxfleet.engines.network.saved import decode
from voxfleet.errors import SettingsError, nearest
from voxfleet.speech import SAMPLE_RATE

Size = Annotated[int, Meta(ge=1)]
Index = Annotated[int, Meta(ge=0)]


class Encoder(Struct):
    hidden_size: Size = 1024
    num_hidden_layers: Size = 24
    num_attention_heads: Size = 8
    intermediate_size: Size = 4096
    hidden_act: str = "silu"
    attention_bias: bool = True
    convolution_bias: bool = True
    conv_kernel_size: Size = 9
    subsampling_factor: int = 8
    subsampling_conv_channels: Size = 256
    num_mel_bins: Size = 80
    subsampling_conv_kernel_size: int = 3
    subsampling_conv_stride: int = 2
    scale_input: bool = True
    sliding_window: Size = 71
    supported_num_lookahead_tokens: tuple[Index, ...] | None = None
    """Where folders saved before the processor had them keep them."""


class Config(Struct):
    """config.json of the English model: no language slots."""

    kind: ClassVar[str] = "nemotron_asr_streaming"
    vocab_size: Size = 1025
    decoder_hidden_size: Size = 640
    num_decoder_layers: Size = 2
    hidden_act: str = "relu"
    max_symbols_per_step: Size = 10
    encoder_config: Encoder | None = None
    blank_token_id: Index = 1024
    num_prompts: int = 0
    prompt_intermediate_size: Index = 0
    default_prompt_id: Index = 0
    languages: tuple[str, ...] = ()
    """Ours: the BCP-47 tags of a model trained for another language; `transformers` keeps and ignores it."""


class PromptedConfig(Config):
    kind: ClassVar[str] = "nemotron3_5_asr"
    vocab_size: Size = 13088
    blank_token_id: Index = 13087
    num_prompts: Size = 128
    prompt_intermediate_size: Size = 2048
    default_prompt_id: Index = 101


class FeatureExtractor(Struct):
    feature_size: Size = 80
    sampling_rate: int = SAMPLE_RATE
    hop_length: Size = 160
    n_fft: Size = 512
    win_length: Size = 400
    preemphasis: float | None = 0.97
    mel_filters_dtype: str = "float32"


class Processor(Struct):
    feature_extractor: FeatureExtractor | None = None
    supported_num_lookahead_tokens: tuple[Index, ...] | None = None
    prompt_dictionary: dict[str, int] | None = None


class _Kind(Struct):
    model_type: str = ""


_KINDS: Mapping[str, type[Config]] = {kind.kind: kind for kind in (Config, PromptedConfig)}
DEFAULT_LOOKAHEADS = (0, 1, 6, 13)
"""What `transformers` assumes where the processor names none."""


def config(path: Path) -> Config:
    """Raises SettingsError if the file is missing or broken, or the model is of another kind."""
    kind = decode(path, _Kind).model_type
    if kind not in _KINDS:
        known = nearest(kind, _KINDS) if kind else f"; known: {', '.join(sorted(_KINDS))}"
        raise SettingsError(f"{path}: model_type '{kind}' is not a transducer this engine knows{known}")
    return decode(path, _KINDS[kind])


def processor(folder: Path) -> tuple[Processor, tuple[Path, FeatureExtractor]]:
    """The processor's own settings and those of its feature extractor, nested there or in a file of their own."""
    path, alone = folder / "processor_config.json", folder / "preprocessor_config.json"
    found = decode(path, Processor) if path.is_file() else Processor()
    if found.feature_extractor is not None:
        return found, (path, found.feature_extractor)
    if not alone.is_file():
        where = "has no feature_extractor" if path.is_file() else "is missing"
        raise SettingsError(f"{path} {where}, and there is no {alone.name}: how to compute its features is unknown")
    return found, (alone, decode(alone, FeatureExtractor))
