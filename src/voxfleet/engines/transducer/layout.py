"""What a model folder says about itself: one checked, frozen description, or an error that names file and key.

The layout is the one `transformers` saves (5.13 and later) for `nemotron_asr_streaming` and `nemotron3_5_asr`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxfleet.engines.transducer import saved
from voxfleet.engines.transducer.languages import DEFAULT_PROMPTS, Languages
from voxfleet.engines.transducer.tokens import Vocabulary
from voxfleet.errors import SettingsError
from voxfleet.speech import SAMPLE_RATE

SUBSAMPLING = 8
"""Mel frames per encoder frame; the only factor this family has."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a network; enough to build it, and to count its memory, without a file."""

    hidden: int
    layers: int
    heads: int
    ff: int
    conv_kernel: int
    """Frames the causal depthwise convolution sees: this one and `conv_kernel - 1` before."""
    subsampling_channels: int
    mels: int
    left: int
    """Encoder frames before the present chunk that attention sees."""
    scale_input: bool
    attention_bias: bool
    """Attention and feed-forward layers have biases."""
    convolution_bias: bool
    decoder_hidden: int
    decoder_layers: int
    vocabulary: int
    """Outputs of the joint network, the blank among them."""
    blank: int
    max_symbols: int
    """Tokens emitted per encoder frame at most."""
    prompts: int
    """Language slots; 0 = the network takes no language."""
    prompt_hidden: int
    default_prompt: int
    lookaheads: tuple[int, ...]
    """Supported right contexts in encoder frames, rising. A chunk is one frame more."""

    def subsampled_bins(self) -> tuple[int, int, int]:
        """Frequency bins after each of the three strided convolutions."""
        first = self.mels // 2 + 1
        second = first // 2 + 1
        return first, second, second // 2 + 1


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """How sound becomes log-mel frames. `window` and `hop` are in samples."""

    sample_rate: int
    mels: int
    n_fft: int
    window: int
    hop: int
    preemphasis: float
    """0 = none."""
    filter_dtype: str
    """'float32', 'bfloat16' or 'float16': what the filter bank and the window are rounded to before use."""

    @property
    def frame(self) -> float:
        """Seconds of one encoder frame."""
        return SUBSAMPLING * self.hop / self.sample_rate


@dataclass(frozen=True, slots=True)
class Layout:
    """A model folder that was found to be whole, but for the weights: those are checked as they are loaded."""

    folder: Path
    model_type: str
    shape: Shape
    features: FeatureShape
    heard: Languages

    @staticmethod
    def read(folder: Path) -> "Layout":
        """Raises SettingsError naming the file and key at fault."""
        if not folder.is_dir():
            raise SettingsError(f"there is no model folder {folder}")
        config = saved.config(folder / "config.json")
        processor, preprocessor = saved.processor(folder)
        shape, features = _shape(folder / "config.json", config, processor), _features(preprocessor)
        if features.mels != shape.mels:
            raise SettingsError(
                f"{folder}: the features have {features.mels} mel bands (feature_size), but the encoder of config.json "
                f"hears {shape.mels} (encoder_config.num_mel_bins)"
            )
        prompts = _prompts(folder / "processor_config.json", shape, processor)
        tokenizer = folder / "tokenizer.json"
        if not tokenizer.is_file():
            raise SettingsError(f"{tokenizer} is missing: without it the network's tokens have no letters")
        return Layout(
            folder, config.kind, shape, features, Languages.of(prompts, config.languages, shape.default_prompt)
        )

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"

    def vocabulary(self) -> Vocabulary:
        """The letters of every token this network emits. Raises SettingsError if some have none."""
        return Vocabulary.read(self.tokenizer, self.shape.vocabulary, self.shape.blank)

    def languages(self) -> tuple[str, ...]:
        """BCP-47 tags it hears; 'auto', which some also take, is not among them."""
        return self.heard.tags

    def prompt_of(self, language: str) -> int:
        """The language slot for what a caller asks; 0 where the network takes none. Raises LanguageNotSupported."""
        return self.heard.prompt(language, self.name)


def _require(path: Path, key: str, value: object, allowed: object) -> None:
    if value != allowed:
        raise SettingsError(f"{path}: {key} is {value!r}; this engine computes only {allowed!r}")


def _shape(path: Path, config: saved.Config, processor: saved.Processor) -> Shape:
    encoder = config.encoder_config or saved.Encoder()
    for key, value, allowed in (
        ("hidden_act", config.hidden_act, "relu"),
        ("encoder_config.hidden_act", encoder.hidden_act, "silu"),
        ("encoder_config.subsampling_factor", encoder.subsampling_factor, SUBSAMPLING),
        ("encoder_config.subsampling_conv_kernel_size", encoder.subsampling_conv_kernel_size, 3),
        ("encoder_config.subsampling_conv_stride", encoder.subsampling_conv_stride, 2),
    ):
        _require(path, key, value, allowed)
    if encoder.hidden_size % encoder.num_attention_heads or encoder.hidden_size % 2:
        raise SettingsError(
            f"{path}: encoder_config.hidden_size {encoder.hidden_size} must be even and divide into "
            f"num_attention_heads {encoder.num_attention_heads}"
        )
    if config.blank_token_id >= config.vocab_size:
        raise SettingsError(
            f"{path}: blank_token_id {config.blank_token_id} lies beyond vocab_size {config.vocab_size}"
        )
    if config.num_prompts and config.default_prompt_id >= config.num_prompts:
        raise SettingsError(
            f"{path}: default_prompt_id {config.default_prompt_id} lies beyond num_prompts {config.num_prompts}"
        )
    rising = _lookaheads(path, encoder, processor)
    if encoder.sliding_window - 1 < rising[-1]:
        raise SettingsError(
            f"{path}: encoder_config.sliding_window {encoder.sliding_window} remembers fewer frames than the largest "
            f"look-ahead, {rising[-1]}"
        )
    prompted = isinstance(config, saved.PromptedConfig)
    return Shape(
        hidden=encoder.hidden_size,
        layers=encoder.num_hidden_layers,
        heads=encoder.num_attention_heads,
        ff=encoder.intermediate_size,
        conv_kernel=encoder.conv_kernel_size,
        subsampling_channels=encoder.subsampling_conv_channels,
        mels=encoder.num_mel_bins,
        left=encoder.sliding_window - 1,
        scale_input=encoder.scale_input,
        attention_bias=encoder.attention_bias,
        convolution_bias=encoder.convolution_bias,
        decoder_hidden=config.decoder_hidden_size,
        decoder_layers=config.num_decoder_layers,
        vocabulary=config.vocab_size,
        blank=config.blank_token_id,
        max_symbols=config.max_symbols_per_step,
        prompts=config.num_prompts if prompted else 0,
        prompt_hidden=config.prompt_intermediate_size if prompted else 0,
        default_prompt=config.default_prompt_id if prompted else 0,
        lookaheads=rising,
    )


def _lookaheads(path: Path, encoder: saved.Encoder, processor: saved.Processor) -> tuple[int, ...]:
    """The processor's word counts, then the encoder's."""
    named = processor.supported_num_lookahead_tokens
    if named is None:
        named = encoder.supported_num_lookahead_tokens
    if named is None:
        return saved.DEFAULT_LOOKAHEADS
    if not named:
        raise SettingsError(f"{path.parent}: supported_num_lookahead_tokens is empty: the network needs one at least")
    return tuple(sorted(set(named)))


def _features(found: tuple[Path, saved.FeatureExtractor]) -> FeatureShape:
    path, features = found
    if features.sampling_rate != SAMPLE_RATE:
        raise SettingsError(
            f"{path}: sampling_rate is {features.sampling_rate} Hz; engines are given {SAMPLE_RATE} Hz audio"
        )
    if features.win_length > features.n_fft:
        raise SettingsError(f"{path}: win_length {features.win_length} is longer than n_fft {features.n_fft}")
    if features.mel_filters_dtype not in ("float32", "bfloat16", "float16"):
        raise SettingsError(
            f"{path}: mel_filters_dtype is '{features.mel_filters_dtype}'; known: bfloat16, float16, float32"
        )
    return FeatureShape(
        sample_rate=features.sampling_rate,
        mels=features.feature_size,
        n_fft=features.n_fft,
        window=features.win_length,
        hop=features.hop_length,
        preemphasis=features.preemphasis or 0.0,
        filter_dtype=features.mel_filters_dtype,
    )


def _prompts(path: Path, shape: Shape, processor: saved.Processor) -> Mapping[str, int]:
    if not shape.prompts:
        return {}
    prompts = DEFAULT_PROMPTS if processor.prompt_dictionary is None else processor.prompt_dictionary
    inside = {tag: slot for tag, slot in prompts.items() if 0 <= slot < shape.prompts}
    if processor.prompt_dictionary is not None and len(inside) < len(prompts):
        tag = next(tag for tag in prompts if tag not in inside)
        raise SettingsError(
            f"{path}: prompt_dictionary gives '{tag}' slot {prompts[tag]}, beyond num_prompts {shape.prompts}"
        )
    return inside


SHAPES: Mapping[str, Shape] = {
    "nemotron-3.5-0.6b": Shape(
        hidden=1024, layers=24, heads=8, ff=4096, conv_kernel=9, subsampling_channels=256, mels=128, left=56,
        scale_input=False, attention_bias=False, convolution_bias=False, decoder_hidden=640, decoder_layers=2,
        vocabulary=13088, blank=13087, max_symbols=10, prompts=128, prompt_hidden=2048, default_prompt=101,
        lookaheads=(0, 1, 3, 6, 13),
    ),
    "nemotron-speech-0.6b": Shape(
        hidden=1024, layers=24, heads=8, ff=4096, conv_kernel=9, subsampling_channels=256, mels=128, left=70,
        scale_input=False, attention_bias=False, convolution_bias=False, decoder_hidden=640, decoder_layers=2,
        vocabulary=1025, blank=1024, max_symbols=10, prompts=0, prompt_hidden=0, default_prompt=0,
        lookaheads=(0, 1, 6, 13),
    ),
    "tiny": Shape(
        hidden=32, layers=2, heads=4, ff=64, conv_kernel=9, subsampling_channels=16, mels=32, left=28,
        scale_input=True, attention_bias=True, convolution_bias=True, decoder_hidden=24, decoder_layers=2,
        vocabulary=129, blank=128, max_symbols=10, prompts=0, prompt_hidden=0, default_prompt=0,
        lookaheads=(0, 1, 3, 6, 13),
    ),
    "tiny-prompt": Shape(
        hidden=32, layers=2, heads=4, ff=64, conv_kernel=9, subsampling_channels=16, mels=32, left=28,
        scale_input=False, attention_bias=False, convolution_bias=False, decoder_hidden=24, decoder_layers=2,
        vocabulary=513, blank=512, max_symbols=10, prompts=16, prompt_hidden=48, default_prompt=15,
        lookaheads=(0, 1, 3, 6, 13),
    ),
}  # fmt: skip
"""Networks known by name, for benchmarks with random weights and for tests.

The two large ones are the published checkpoints, whose left contexts differ (56 and 70 frames) and which, unlike the
defaults of `transformers`, have neither biases nor a scaled input. The tiny ones have, and have not.
"""
