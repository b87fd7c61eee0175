"""What is read from a Whisper folder, old or new, whole or not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.whisper.folders import ALIGNMENT, edited, needed, whisper_folder
from voxfleet.engines.whisper.languages import WHISPER
from voxfleet.engines.whisper.layout import SHAPES, Layout, numbered, random_layout
from voxfleet.errors import LanguageNotSupported, SettingsError
from voxfleet.speech import AUTO, bare_language, hears


def without(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).unlink()
    return folder


def test_a_folder_of_the_reference(tiny_folder: Path) -> None:
    layout = Layout.read(tiny_folder)
    assert (layout.folder, layout.name) == (tiny_folder, "micro")
    assert layout.shape == SHAPES["micro"]
    told = json.loads((tiny_folder / "generation_config.json").read_text())
    special = layout.special
    assert special.prefix("en", False) == (701, told["lang_to_id"]["<|en|>"], told["task_to_id"]["transcribe"], 806)
    assert special.prefix("ro-MD", True) == (701, told["lang_to_id"]["<|ro|>"], told["task_to_id"]["translate"], 806)
    assert list(special.suppressed) == told["suppress_tokens"]
    assert list(special.suppressed_first) == told["begin_suppress_tokens"]
    assert layout.heads("en") == tuple(map(tuple, ALIGNMENT))


@pytest.mark.parametrize("name", ["tiny_folder", "tiny_english_folder"])
def test_ids_are_those_of_the_references_tokenizer(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    special = Layout.read(folder).special
    token = needed("transformers").WhisperTokenizer.from_pretrained(folder).convert_tokens_to_ids
    assert special.start == token("<|startoftranscript|>")
    assert special.end == token("<|endoftext|>")
    assert special.transcribe == token("<|transcribe|>")
    assert special.translate == token("<|translate|>")
    assert special.previous == token("<|startofprev|>")
    assert special.no_speech == token("<|nospeech|>")
    assert special.no_timestamps == token("<|notimestamps|>")
    assert special.timestamps == token("<|0.00|>")
    for language in special.languages:
        whisper = {"nb": "no", "jv": "jw"}.get(language, language)
        assert special.languages[language] == token(f"<|{whisper}|>")
    assert len(special.languages) == (99 if name == "tiny_folder" else 0)


def test_published_models_are_numbered_as_they_are() -> None:
    """Ids from the generation_config.json of openai/whisper-tiny, -large-v3 and -tiny.en."""
    _, tiny, _ = random_layout("tiny")
    assert (tiny.end, tiny.start, tiny.no_timestamps, tiny.timestamps) == (50257, 50258, 50363, 50364)
    assert (tiny.translate, tiny.transcribe, tiny.previous, tiny.no_speech) == (50358, 50359, 50361, 50362)
    assert tiny.languages["ro"] == 50284
    _, large, _ = random_layout("large-v3")
    assert (large.end, large.translate, large.transcribe, large.no_timestamps) == (50257, 50359, 50360, 50364)
    assert (large.languages["yue"], large.languages["en"]) == (50358, 50259)
    _, english, _ = random_layout("tiny.en")
    assert (english.end, english.start, english.no_timestamps) == (50256, 50257, 50362)
    assert english.prefix("ro", True) == (50257, 50362)


def test_shapes_are_whole() -> None:
    for name, shape in SHAPES.items():
        special = numbered(shape, not name.endswith(".en"))
        assert special.timestamps + 1501 == shape.vocabulary
        assert shape.hidden % shape.encoder_heads == 0
        assert (shape.source, shape.target) == (1500, 448)
    assert SHAPES["large-v3-turbo"].encoder_layers == 32
    assert SHAPES["large-v3-turbo"].decoder_layers == 4


def test_an_english_only_folder(tiny_english_folder: Path) -> None:
    layout = Layout.read(tiny_english_folder)
    assert layout.languages() == ("en",)
    assert layout.special.prefix("ro", True) == (700, 805)
    assert layout.special.languages == {}


def test_every_tag_of_a_language_finds_its_token(tiny_folder: Path) -> None:
    layout = Layout.read(tiny_folder)
    assert layout.languages()[-1] == AUTO
    tags = "mo ro_RO no nb nb-NO nn iw he jw jv-ID cmn zh-Hans-CN fil tl in id ji yi haw en-US"
    for tag in (*tags.split(), *WHISPER[:-1]):
        assert hears(layout.languages(), tag), tag
        assert layout.special.prefix(tag, False)[1] == layout.special.languages[bare_language(tag)]
    assert layout.special.prefix("no", False) != layout.special.prefix("nn", False)
    assert not hears(layout.languages(), "yue")
    with pytest.raises(LanguageNotSupported, match="does not hear 'yue'"):
        layout.special.prefix("yue", False)


def test_the_family_of_large_v3(tmp_path: Path) -> None:
    layout = Layout.read(whisper_folder(tmp_path / "v3", mels=128, decoder_layers=1))
    assert (layout.shape.mels, layout.shape.decoder_layers, len(layout.special.languages)) == (128, 1, 100)
    assert layout.special.prefix("yue", False)[1] == layout.special.translate - 1


def test_without_generation_config_the_tokens_tell(tiny_folder: Path, tmp_path: Path) -> None:
    whole = Layout.read(tiny_folder)
    folder = edited(
        tiny_folder, tmp_path / "bare", "config.json", suppress_tokens=[1, 7], begin_suppress_tokens=[220, 700]
    )
    bare = Layout.read(without(folder, "generation_config.json"))
    assert (bare.special.suppressed, bare.special.suppressed_first) == ((1, 7), (220, 700))
    assert bare.special.languages == whole.special.languages
    assert bare.special.prefix("ro", True) == whole.special.prefix("ro", True)
    assert bare.heads("ro") == ()


def test_a_generation_config_that_says_nothing_of_whisper_leaves_it_to_config(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = edited(tiny_folder, tmp_path / "stub", "config.json", suppress_tokens=[1, 7], begin_suppress_tokens=[220])
    without(folder, "generation_config.json")
    (folder / "generation_config.json").write_text(json.dumps({"_from_model_config": True, "eos_token_id": 700}))
    assert (Layout.read(folder).special.suppressed, Layout.read(folder).special.suppressed_first) == ((1, 7), (220,))


def test_otherwise_generation_config_decides_alone_as_in_the_reference(tiny_folder: Path, tmp_path: Path) -> None:
    edited(tiny_folder, tmp_path / "new", "config.json", suppress_tokens=[1, 7])
    folder = edited(
        tiny_folder, tmp_path / "new", "generation_config.json", suppress_tokens=..., begin_suppress_tokens=[]
    )
    assert (Layout.read(folder).special.suppressed, Layout.read(folder).special.suppressed_first) == ((), ())


@pytest.mark.parametrize(("forced", "languages"), [([[1, 805]], 0), ([[1, 702], [2, 802], [3, 806]], 99), (None, 99)])
def test_old_folders_tell_english_only_by_what_they_force(
    tiny_folder: Path, tmp_path: Path, forced: list[list[int]] | None, languages: int
) -> None:
    folder = edited(tiny_folder, tmp_path / "old", "config.json", forced_decoder_ids=forced)
    assert len(Layout.read(without(folder, "generation_config.json")).special.languages) == languages


def test_tokens_beyond_the_network_are_not_suppressed(tiny_folder: Path, tmp_path: Path) -> None:
    folder = edited(tiny_folder, tmp_path / "own", "generation_config.json", suppress_tokens=[-1, 3, 2307, 2308, 50360])
    assert Layout.read(folder).special.suppressed == (3, 2307)


def test_time_stamps_may_be_without_names(tiny_folder: Path, tmp_path: Path) -> None:
    folder = edited(tiny_folder, tmp_path / "early", "tokenizer.json")
    file = json.loads((folder / "tokenizer.json").read_text())
    file["added_tokens"] = [added for added in file["added_tokens"] if added["id"] < 807]
    next(added for added in file["added_tokens"] if added["id"] == 805)["content"] = "<|nocaptions|>"
    (folder / "tokenizer.json").write_text(json.dumps(file))
    layout = Layout.read(folder)
    assert (layout.special.timestamps, layout.special.no_speech) == (807, 805)
    assert layout.vocabulary().is_special(2307)


def test_alignment_heads_of_a_language(tiny_folder: Path, tmp_path: Path) -> None:
    folder = edited(tiny_folder, tmp_path / "heads", "config.json")
    (folder / "alignment_heads.json").write_text('{"ro-RO": [[0, 1]], "jw": []}')
    layout = Layout.read(folder)
    assert layout.heads("ro") == layout.heads("mo-MD") == ((0, 1),)
    assert layout.heads("jv") == ()
    assert layout.heads("en") == tuple(map(tuple, ALIGNMENT))
    (folder / "alignment_heads.json").write_text('{"ro": [[2, 1]]}')
    with pytest.raises(SettingsError, match=r"alignment_heads\.json: 'ro' names head \[2, 1\], but the decoder has 2"):
        Layout.read(folder)


def test_alignment_heads_of_another_network_are_unknown(tiny_folder: Path, tmp_path: Path) -> None:
    folder = edited(tiny_folder, tmp_path / "distil", "generation_config.json", alignment_heads=[[1, 0], [10, 3]])
    assert Layout.read(folder).heads("en") == ()


def test_features_may_be_nested_or_missing(tiny_folder: Path, tmp_path: Path) -> None:
    folder = without(edited(tiny_folder, tmp_path / "nested", "config.json"), "preprocessor_config.json")
    assert Layout.read(folder).shape.mels == 80
    (folder / "processor_config.json").write_text('{"feature_extractor": {"feature_size": 128}}')
    with pytest.raises(SettingsError, match=r"processor_config\.json: the features have 128 mel bands"):
        Layout.read(folder)


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("config.json", {"model_type": "nemotron_asr_streaming"}, "model_type 'nemotron_asr_streaming' is no Whisper"),
        ("config.json", {"model_type": ...}, "model_type '' is no Whisper"),
        ("config.json", {"activation_function": "relu"}, "activation_function is 'relu'; this engine computes only"),
        ("config.json", {"scale_embedding": True}, "scale_embedding is True"),
        ("config.json", {"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ("config.json", {"decoder_attention_heads": 5}, "d_model 64 must divide into decoder_attention_heads 5"),
        ("config.json", {"d_model": "64"}, "got `str` - at `$.d_model`"),
        ("config.json", {"decoder_layers": 0}, ">= 1 - at `$.decoder_layers`"),
        ("config.json", {"num_mel_bins": 128}, "the features have 80 mel bands"),
        ("config.json", {"vocab_size": 803}, "token 806, beyond vocab_size 803"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "sampling_rate is 8000; this engine computes only 16000"),
        ("preprocessor_config.json", {"n_fft": 512}, "n_fft is 512"),
        ("preprocessor_config.json", {"hop_length": 320}, "hop_length is 320"),
        ("preprocessor_config.json", {"do_normalize": True}, "do_normalize is True"),
        ("generation_config.json", {"no_timestamps_token_id": 700}, "806 in tokenizer.json but 700 in generation_"),
        ("generation_config.json", {"lang_to_id": {"<|ro|>": 702}}, "<|ro|> is token 727 in tokenizer.json but 702"),
        ("generation_config.json", {"lang_to_id": ["<|ro|>"]}, "at `$.lang_to_id`"),
        (
            "generation_config.json",
            {"alignment_heads": [[1]]},
            "expected `array` of length 2 - at `$.alignment_heads[0]`",
        ),
        ("tokenizer.json", {"added_tokens": []}, "has no token <|endoftext|>"),
    ],
)
def test_faults_name_file_and_key(
    tiny_folder: Path, tmp_path: Path, file: str, change: dict[str, Any], says: str
) -> None:
    folder = edited(tiny_folder, tmp_path / "faulty", file, **change)
    with pytest.raises(SettingsError) as error:
        Layout.read(folder)
    assert says in str(error.value)
    assert str(folder) in str(error.value)


def test_a_missing_file_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    folder = without(edited(tiny_folder, tmp_path / "part", "config.json"), "tokenizer.json")
    with pytest.raises(SettingsError, match=r"tokenizer\.json is missing: without it the network's tokens have no"):
        Layout.read(folder)
    without(folder, "config.json")
    with pytest.raises(SettingsError, match=r"config\.json is missing: this is no model folder"):
        Layout.read(folder)
    with pytest.raises(SettingsError, match="there is no model folder"):
        Layout.read(tmp_path / "absent")


def test_the_advice_for_folders_of_the_older_pair_of_files_helps(tiny_folder: Path, tmp_path: Path) -> None:
    whole = Layout.read(tiny_folder)
    folder = edited(tiny_folder, tmp_path / "older", "config.json")
    file = json.loads((folder / "tokenizer.json").read_text())
    without(folder, "tokenizer.json")
    (folder / "vocab.json").write_text(json.dumps(file["model"]["vocab"]))
    (folder / "merges.txt").write_text("\n".join(map(" ".join, file["model"]["merges"])))
    added = {one["content"]: one["id"] for one in file["added_tokens"]}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(
        SettingsError, match=r"vocab\.json and merges\.txt are there; make it of them with: python"
    ) as error:
        Layout.read(folder)
    command = str(error.value).partition("with: python -c ")[2].strip('"')
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", command], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    made = Layout.read(folder)
    assert made.special == whole.special
    assert made.vocabulary().decode(whole.vocabulary().encode(" vă rog")) == " vă rog"


def test_reading_a_folder_needs_no_network_library(tiny_folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from voxfleet.engines.whisper.layout import Layout;"
        "from voxfleet.engines.whisper import mel, spelling;"
        f"Layout.read(Path({str(tiny_folder)!r})).vocabulary().decode([300]);"
        "print([name for name in ('torch', 'transformers', 'tokenizers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
