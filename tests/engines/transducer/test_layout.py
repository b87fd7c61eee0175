"""A model folder is described exactly as the reference reads it, or refused with file and key."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run

import pytest

from tests.engines.transducer.conftest import TAGS, _need
from voxfleet.engines.transducer.languages import DEFAULT_PROMPTS, PUBLISHED, Languages
from voxfleet.engines.transducer.layout import SHAPES, FeatureShape, Layout
from voxfleet.errors import LanguageNotSupported, SettingsError

Edited = Callable[..., Path]


def test_reads_what_the_reference_saved(tiny_folder: Path, tiny_prompt_folder: Path) -> None:
    plain, prompted = Layout.read(tiny_folder), Layout.read(tiny_prompt_folder)
    assert plain.shape == SHAPES["tiny"]
    assert plain.model_type == "nemotron_asr_streaming"
    assert plain.features == FeatureShape(16_000, 32, 512, 400, 160, 0.97, "float32")
    assert plain.features.frame == pytest.approx(0.08)
    assert plain.languages() == ("en-US",)
    assert plain.prompt_of("en") == 0
    assert prompted.shape == SHAPES["tiny-prompt"]
    assert prompted.languages() == tuple(sorted(TAGS))
    assert prompted.prompt_of("auto") == 15
    assert len(prompted.vocabulary()) == 513


def test_absent_keys_have_the_defaults_of_the_reference(tmp_path: Path, tiny_prompt_folder: Path) -> None:
    transformers = _need("transformers")
    for kind in (transformers.NemotronAsrStreamingConfig, transformers.Nemotron3_5AsrConfig):
        saved = kind(encoder_config={"num_mel_bins": 80})
        folder = tmp_path / saved.model_type
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": saved.model_type}))
        (folder / "preprocessor_config.json").write_text("{}")
        (folder / "tokenizer.json").symlink_to(tiny_prompt_folder / "tokenizer.json")
        layout, encoder = Layout.read(folder), saved.encoder_config
        features = transformers.NemotronAsrStreamingFeatureExtractor()
        shape = layout.shape
        assert (shape.hidden, shape.layers, shape.heads) == (
            encoder.hidden_size,
            encoder.num_hidden_layers,
            encoder.num_attention_heads,
        )
        assert (shape.ff, shape.conv_kernel, shape.subsampling_channels) == (
            encoder.intermediate_size,
            encoder.conv_kernel_size,
            encoder.subsampling_conv_channels,
        )
        assert (shape.mels, shape.left) == (encoder.num_mel_bins, encoder.sliding_window - 1)
        assert (shape.scale_input, shape.attention_bias, shape.convolution_bias) == (
            encoder.scale_input,
            encoder.attention_bias,
            encoder.convolution_bias,
        )
        assert (shape.vocabulary, shape.blank, shape.max_symbols) == (
            saved.vocab_size,
            saved.blank_token_id,
            saved.max_symbols_per_step,
        )
        assert (shape.decoder_hidden, shape.decoder_layers) == (saved.decoder_hidden_size, saved.num_decoder_layers)
        assert (shape.prompts, shape.prompt_hidden, shape.default_prompt) == (
            getattr(saved, "num_prompts", 0),
            getattr(saved, "prompt_intermediate_size", 0),
            getattr(saved, "default_prompt_id", 0),
        )
        assert shape.lookaheads == (0, 1, 6, 13)
        assert layout.features == FeatureShape(
            features.sampling_rate,
            features.feature_size,
            features.n_fft,
            features.win_length,
            features.hop_length,
            features.preemphasis,
            features.mel_filters_dtype,
        )
        bins = shape.subsampled_bins()[-1]
        assert bins * shape.subsampling_channels == encoder.subsampling_out_hidden_size


def test_default_prompts_are_those_of_the_reference() -> None:
    _need("transformers")
    from transformers.models.nemotron3_5_asr.processing_nemotron3_5_asr import DEFAULT_PROMPT_DICTIONARY

    assert DEFAULT_PROMPTS == DEFAULT_PROMPT_DICTIONARY
    assert set(PUBLISHED.split()) <= DEFAULT_PROMPTS.keys()
    assert len(set(PUBLISHED.split())) == 40


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("config.json", {"model_type": "whisper"}, "model_type 'whisper' is not a transducer"),
        ("config.json", {"model_type": "nemotron_asr_streamin"}, "did you mean 'nemotron_asr_streaming'?"),
        ("config.json", {"model_type": ...}, "known: nemotron3_5_asr, nemotron_asr_streaming"),
        ("config.json", {"hidden_act": "gelu"}, "hidden_act is 'gelu'; this engine computes only 'relu'"),
        ("config.json", {"encoder_config__hidden_act": "relu"}, "encoder_config.hidden_act is 'relu'"),
        ("config.json", {"encoder_config__subsampling_factor": 4}, "encoder_config.subsampling_factor is 4"),
        ("config.json", {"encoder_config__subsampling_conv_kernel_size": 5}, "subsampling_conv_kernel_size is 5"),
        ("config.json", {"encoder_config__subsampling_conv_stride": 1}, "subsampling_conv_stride is 1"),
        ("config.json", {"encoder_config__num_attention_heads": 5}, "must be even and divide into"),
        ("config.json", {"encoder_config__hidden_size": "32"}, "got `str` - at `$.encoder_config.hidden_size`"),
        ("config.json", {"encoder_config__num_hidden_layers": 0}, ">= 1 - at `$.encoder_config.num_hidden_layers`"),
        ("config.json", {"encoder_config__sliding_window": 13}, "sliding_window 13 remembers fewer frames"),
        ("config.json", {"encoder_config__num_mel_bins": 80}, "32 mel bands (feature_size)"),
        ("config.json", {"blank_token_id": 513}, "blank_token_id 513 lies beyond vocab_size 513"),
        ("config.json", {"default_prompt_id": 16}, "default_prompt_id 16 lies beyond num_prompts 16"),
        ("config.json", {"num_prompts": 8}, "default_prompt_id 15 lies beyond num_prompts 8"),
        ("processor_config.json", {"feature_extractor__sampling_rate": 8000}, "sampling_rate is 8000 Hz"),
        ("processor_config.json", {"feature_extractor__win_length": 513}, "win_length 513 is longer than n_fft 512"),
        ("processor_config.json", {"feature_extractor__mel_filters_dtype": "int8"}, "mel_filters_dtype is 'int8'"),
        ("processor_config.json", {"feature_extractor": ...}, "has no feature_extractor"),
        ("processor_config.json", {"supported_num_lookahead_tokens": []}, "supported_num_lookahead_tokens is empty"),
        ("processor_config.json", {"supported_num_lookahead_tokens": [-1]}, ">= 0 - at `$.supported_num_lookahead_"),
        ("processor_config.json", {"prompt_dictionary": {"ro-RO": 16}}, "prompt_dictionary gives 'ro-RO' slot 16"),
        ("processor_config.json", {"prompt_dictionary": {"ro-RO": "0"}}, "at `$.prompt_dictionary[...]`"),
    ],
)
def test_faults_name_file_and_key(
    tiny_prompt_folder: Path, edited: Edited, file: str, change: dict[str, object], says: str
) -> None:
    folder = edited(tiny_prompt_folder, file, **change)
    with pytest.raises(SettingsError) as error:
        Layout.read(folder)
    assert says in str(error.value)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "processor_config.json"])
def test_a_missing_file_is_named(tiny_folder: Path, edited: Edited, file: str) -> None:
    folder = edited(tiny_folder, "config.json")
    (folder / file).unlink()
    with pytest.raises(SettingsError, match=f"{file} is missing"):
        Layout.read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_type": "nemotron_asr_streaming", "vocab_size": 1}}', "\xff"])
def test_a_broken_file_is_named(tiny_folder: Path, edited: Edited, text: str) -> None:
    folder = edited(tiny_folder, "config.json")
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"config\.json"):
        Layout.read(folder)


def test_no_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no model folder"):
        Layout.read(tmp_path / "absent")


def test_older_folders_keep_lookaheads_in_the_encoder(tiny_folder: Path, edited: Edited) -> None:
    edited(tiny_folder, "processor_config.json", supported_num_lookahead_tokens=...)
    folder = edited(tiny_folder, "config.json", encoder_config__supported_num_lookahead_tokens=[3, 0, 6, 13])
    assert Layout.read(folder).shape.lookaheads == (0, 3, 6, 13)


def test_features_may_be_in_a_file_of_their_own(tiny_folder: Path, edited: Edited) -> None:
    folder = edited(tiny_folder, "processor_config.json", feature_extractor=...)
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 32, "preemphasis": None}))
    layout = Layout.read(folder)
    assert layout.features.preemphasis == 0.0
    assert layout.shape == SHAPES["tiny"]


def test_a_model_without_prompts_can_name_its_languages(tiny_folder: Path, edited: Edited) -> None:
    layout = Layout.read(edited(tiny_folder, "config.json", languages=["de-DE"]))
    assert layout.languages() == ("de-DE",)
    assert layout.prompt_of("de-AT") == 0
    with pytest.raises(LanguageNotSupported, match="model 'tiny0' does not hear 'en', only de-DE"):
        layout.prompt_of("en")


@pytest.mark.parametrize(
    ("asked", "tag", "slot"),
    [
        ("ro", "ro-RO", 20),
        ("ro-RO", "ro-RO", 20),
        ("RO_ro", "ro-RO", 20),
        ("ro-MD", "ro-RO", 20),
        ("mo", "ro-RO", 20),
        ("mo-MD", "ro-RO", 20),
        ("ru-MD", "ru-RU", 11),
        ("uk", "uk-UA", 19),
        ("en", "en-US", 0),
        ("en-GB", "en-GB", 1),
        ("en-IN", "en-US", 0),
        ("es", "es-US", 3),
        ("es-ES", "es-ES", 2),
        ("pt", "pt-PT", 13),
        ("fr-CA", "fr-CA", 100),
        ("ja", "ja-JP", 10),
        ("zh", "zh-CN", 4),
        ("no", "nb-NO", 103),
        ("nn", "nn-NO", 104),
        ("iw", "he-IL", 64),
        ("auto", "auto", 101),
    ],
)
def test_a_callers_tag_finds_its_slot(asked: str, tag: str, slot: int) -> None:
    languages = Languages.of(DEFAULT_PROMPTS)
    assert languages.tag(asked) == tag
    assert languages.prompt(asked) == slot


@pytest.mark.parametrize("asked", ["", "-", "haw-US", "sr-RS", "xx", "autos", "r"])
def test_languages_it_does_not_promise_are_refused(asked: str) -> None:
    with pytest.raises(LanguageNotSupported):
        Languages.of(DEFAULT_PROMPTS).prompt(asked, "nemotron-3.5")


def test_every_published_language_is_its_own_slot() -> None:
    languages = Languages.of(DEFAULT_PROMPTS)
    assert {languages.prompt(tag): tag for tag in languages.tags} == {
        DEFAULT_PROMPTS[tag]: tag for tag in languages.tags
    }
    assert all(languages.tag(tag.lower()) == tag for tag in languages.tags)


def test_a_model_with_other_slots_hears_what_it_names() -> None:
    languages = Languages.of({"sr": 7, "sr-RS": 7, "ro": 2, "auto": 3})
    assert languages.tags == ("ro", "sr-RS")
    assert (languages.prompt("sr"), languages.prompt("ro-MD"), languages.prompt("auto")) == (7, 2, 3)
    assert Languages.of({"ro-RO": 1}, default_prompt=9).prompt("auto") == 9


def test_reading_a_layout_needs_no_torch(tiny_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from voxfleet.engines.transducer.layout import Layout; "
        "Layout.read(Path(sys.argv[1])).vocabulary(); "
        "print(sorted({'torch', 'transformers', 'tokenizers', 'safetensors'} & sys.modules.keys()))"
    )
    done = run([sys.executable, "-c", code, str(tiny_folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
