"""Model folders as the reference saves them: real architecture, real tokenizer, random weights, tiny."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxfleet.engines.transducer.layout import SHAPES, Shape

TEXT = """
the quick brown fox jumps over the lazy dog. how can i help you today? please hold the line, thank you.
I would like to change my address; my number is 0 4 7 1, 2 5 6 8 and 3 9. Don't worry - it's all right!
one two three four five six seven eight nine zero one two three four five six seven eight nine oh
Bună ziua, cu ce vă pot ajuta? Vă rugăm să așteptați puțin, mulțumesc. Numărul meu este trei, șapte, nouă.
Здравствуйте, чем я могу вам помочь? Спасибо, подождите минуту. Меня зовут Анна.
Bonjour ! Comment puis-je vous aider ? « Très bien », merci beaucoup.
你好，请问有什么可以帮您？谢谢。 こんにちは、ありがとうございます。カード番号
"""
"""What the tokenizers of the tiny models learn from."""

TAGS = ("en-US", "ro-RO", "ru-RU", "fr-FR", "zh-CN", "ja-JP")
PROMPTS = {tag: slot for slot, tag in enumerate(TAGS)} | {"en": 0, "ro": 1, "ru": 2, "fr": 3, "zh-ZH": 4, "auto": 15}
LOOKAHEADS = [13, 6, 3, 1, 0]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `nemotron_asr_streaming` of the shape 'tiny', saved by the reference."""
    return _saved(tmp_path_factory.mktemp("tiny"), SHAPES["tiny"])


@pytest.fixture(scope="session")
def tiny_prompt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `nemotron3_5_asr` of the shape 'tiny-prompt', saved by the reference: byte pieces, language tags and prompts."""
    return _saved(tmp_path_factory.mktemp("tiny-prompt"), SHAPES["tiny-prompt"])


@pytest.fixture(scope="session")
def reference() -> Callable[[Path], Any]:
    """Opens a folder as the reference does: its model, fp32, for inference."""
    _need("torch")
    transformers = _need("transformers")
    opened: dict[Path, Any] = {}

    def open_(folder: Path) -> Any:
        if folder not in opened:
            kind = json.loads((folder / "config.json").read_text())["architectures"][0]
            opened[folder] = getattr(transformers, kind).from_pretrained(folder).float().eval()
        return opened[folder]

    return open_


@pytest.fixture(scope="session")
def reference_processor() -> Callable[[Path], Any]:
    """Opens a folder as the reference does: its processor."""
    transformers = _need("transformers")
    opened: dict[Path, Any] = {}

    def open_(folder: Path) -> Any:
        if folder not in opened:
            opened[folder] = transformers.AutoProcessor.from_pretrained(folder)
        return opened[folder]

    return open_


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """Copies a folder with links, one file of it changed: `edited(folder, "config.json", hidden_act="gelu")`.

    A dot in a key goes one level down ('encoder_config.hidden_size' is written encoder_config__hidden_size); the value
    `...` takes the key out.
    """

    def edit(folder: Path, file: str, **changes: Any) -> Path:
        copy = tmp_path / folder.name
        if not copy.exists():
            copy.mkdir()
            for path in folder.iterdir():
                (copy / path.name).symlink_to(path)
        values: Any = json.loads((copy / file).read_text())
        (copy / file).unlink()
        for key, value in changes.items():
            *above, last = key.split("__")
            inner = values
            for step in above:
                inner = inner[step]
            if value is ...:
                inner.pop(last)
            else:
                inner[last] = value
        (copy / file).write_text(json.dumps(values))
        return copy

    return edit


def _need(module: str) -> Any:
    """The module, or the test is skipped. Torch on one thread: networks so small gain nothing from more, and suffer."""
    found = pytest.importorskip(module, reason=f"needs {module}: pip install -e '.[gpu]' transformers")
    if module == "torch":
        found.set_num_threads(1)
    elif module == "transformers":
        found.utils.logging.disable_progress_bar()
    return found


def _saved(folder: Path, shape: Shape) -> Path:
    torch, transformers = _need("torch"), _need("transformers")
    encoder = {
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.ff,
        "attention_bias": shape.attention_bias,
        "convolution_bias": shape.convolution_bias,
        "conv_kernel_size": shape.conv_kernel,
        "subsampling_conv_channels": shape.subsampling_channels,
        "num_mel_bins": shape.mels,
        "sliding_window": shape.left + 1,
        "scale_input": shape.scale_input,
    }
    sizes = {
        "vocab_size": shape.vocabulary,
        "blank_token_id": shape.blank,
        "decoder_hidden_size": shape.decoder_hidden,
        "num_decoder_layers": shape.decoder_layers,
    }
    features = transformers.NemotronAsrStreamingFeatureExtractor(feature_size=shape.mels)
    tokenizer = _tokenizer(shape.blank, shape.prompts > 0)
    config: Any
    if shape.prompts:
        prompted = {
            "num_prompts": shape.prompts,
            "prompt_intermediate_size": shape.prompt_hidden,
            "default_prompt_id": shape.default_prompt,
        }
        config = transformers.Nemotron3_5AsrConfig(encoder_config=encoder, **sizes, **prompted)
        kind = transformers.Nemotron3_5AsrForRNNT
        processor = transformers.Nemotron3_5AsrProcessor(
            features,
            tokenizer,
            prompt_dictionary=PROMPTS,
            num_prompts=shape.prompts,
            supported_num_lookahead_tokens=LOOKAHEADS,
        )
    else:
        config = transformers.NemotronAsrStreamingConfig(encoder_config=encoder, **sizes)
        kind = transformers.NemotronAsrStreamingForRNNT
        processor = transformers.NemotronAsrStreamingProcessor(
            features, tokenizer, supported_num_lookahead_tokens=LOOKAHEADS
        )
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = kind(config)
        model.generation_config.decoder_start_token_id = shape.blank
        _enliven(model, shape, processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _enliven(model: Any, shape: Shape, processor: Any) -> None:
    """Weights at which a network this small listens and speaks: many tokens, many blanks, different for every sound.

    What the encoder tells the joint network of noise is brought to mean 0 and spread 1, else it is nearly constant.
    """
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, 1.0 if "embedding" in name else weight[0].numel() ** -0.5)
            elif name.endswith("weight"):
                weight.uniform_(0.7, 1.3)
            else:
                weight.normal_(0.0, 0.1)
        told: list[Any] = []
        hook = model.encoder_projector.register_forward_hook(lambda _module, _given, told_btd: told.append(told_btd))
        noise = torch.randn(32_000) * torch.rand(20).repeat_interleave(1_600)
        model.eval().generate(**processor(noise.numpy(), sampling_rate=16_000), max_new_tokens=250)
        hook.remove()
        mean, spread = told[0].mean((0, 1)), told[0].std((0, 1))
        model.encoder_projector.weight.div_(spread[:, None])
        model.encoder_projector.bias.sub_(mean).div_(spread)
        model.decoder.decoder_projector.weight.mul_(4.0)
        model.joint.head.weight.sub_(model.joint.head.weight.mean(1, keepdim=True)).mul_(4.0)
        model.joint.head.bias[shape.blank] = 14.0 if shape.prompts else 3.0


def _tokenizer(pieces: int, bytes_: bool) -> Any:
    """A BPE of exactly so many pieces, learnt from TEXT, as the reference converts it from SentencePiece.

    As in the published files, the padding token has the id of the network's blank and the blank one beyond it.
    """
    transformers, tokenizers = _need("transformers"), _need("tokenizers")
    lines = [line for line in TEXT.splitlines() if bytes_ or line.isascii()]
    metaspace = tokenizers.pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    learner = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    learner.pre_tokenizer = metaspace
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=2 * pieces, special_tokens=["<unk>"], show_progress=False)
    learner.train_from_iterator(lines, trainer)
    learnt = json.loads(learner.to_str())["model"]
    first = ["<unk>"]
    if bytes_:
        first += [f"<0x{value:02X}>" for value in range(256)] + [f"<{tag}>" for tag in TAGS]
    found = sorted(learnt["vocab"], key=learnt["vocab"].get)
    chosen = (first + [piece for piece in found if piece not in first])[:pieces]
    assert len(chosen) == pieces, f"TEXT has only {len(chosen)} pieces"
    vocabulary = {piece: id_ for id_, piece in enumerate(chosen)}
    merges = [tuple(pair) for pair in learnt["merges"] if "".join(pair) in vocabulary]
    merges = [pair for pair in merges if pair[0] in vocabulary and pair[1] in vocabulary]
    model = tokenizers.models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=bytes_)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = metaspace
    decoders = tokenizers.decoders
    spell = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), spell]) if bytes_ else spell
    return transformers.ParakeetTokenizer(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens={"blank_token": "<blank>"},
    )
