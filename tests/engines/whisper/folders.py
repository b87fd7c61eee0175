"""Whisper folders as the reference saves them: real architecture, real tokenizer format, random weights, small."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voxfleet.engines.whisper.languages import WHISPER
from voxfleet.engines.whisper.layout import SHAPES, Shape, Special, numbered

TEXT = """
the quick brown fox jumps over the lazy dog. how can i help you today? please hold the line, thank you very much.
I would like to change my address; my number is 0 4 7 1, 2 5 6 8 and 3 9. Don't worry - it's all right! (yes) "no"
one two three four five six seven eight nine zero one two three four five six seven eight nine oh, one hundred
Well, what would you say to that? We were there yesterday, where they had been waiting for their money and papers.
Bună ziua, cu ce vă pot ajuta? Vă rugăm să așteptați puțin, mulțumesc. Numărul meu este trei, șapte, nouă, opt.
Aș dori să îmi schimb adresa și numărul de telefon; când pot veni la dumneavoastră? Într-o zi, poate mâine dimineață.
Could somebody please check the balance of my savings account before Friday? Certainly, give me a short moment.
Desigur, verific imediat contul dumneavoastră; între timp, spuneți-mi vă rog numele întreg și data nașterii.
你好，请问有什么可以帮您？谢谢。我想更改我的地址和电话号码。今天的天气很好，我们去公园吧。您的卡号是多少？请稍等。
"""
"""What the tokenizers learn from."""

ALIGNMENT = [[1, 0], [1, 1]]
LOUD = {
    "encoder_attn.q_proj": 2.5,
    "encoder_attn.k_proj": 2.5,
    "q_proj": 1.7,
    "k_proj": 1.7,
    "out_proj": 3.0,
    "fc2": 3.0,
    "embed_positions": 3.0,
}
"""How much stronger than usual the weights of some layers are drawn; the first name that fits a weight counts."""
END = 14.0
"""How much likelier the end is than any other token."""


def whisper_folder(path: Path, *, multilingual: bool = True, **sizes: int) -> Path:
    """A folder of the shape 'micro', or of other `sizes` (fields of Shape), in the layout of Hugging Face.

    English-only models have one word less, as the published ones do. A `vocabulary` must leave room for the special
    tokens and the 256 bytes, and be small enough for TEXT to fill.
    """
    torch, transformers = needed("torch"), needed("transformers")
    usual = {"vocabulary": SHAPES["micro"].vocabulary - (not multilingual) + (sizes.get("mels") == 128)}
    shape = replace(SHAPES["micro"], **(usual | sizes))
    special = numbered(shape, multilingual)
    tokenizer = _tokenizer(shape, special)
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path / "tokenizer.json"))
    config = transformers.WhisperConfig(
        vocab_size=shape.vocabulary,
        num_mel_bins=shape.mels,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.encoder_heads,
        decoder_attention_heads=shape.decoder_heads,
        encoder_ffn_dim=shape.encoder_ff,
        decoder_ffn_dim=shape.decoder_ff,
        d_model=shape.hidden,
        max_source_positions=shape.source,
        max_target_positions=shape.target,
        decoder_start_token_id=special.start,
        bos_token_id=special.end,
        eos_token_id=special.end,
        pad_token_id=special.end,
        begin_suppress_tokens=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = transformers.WhisperForConditionalGeneration(config)
        _enliven(model, special)
    model.generation_config = transformers.GenerationConfig(**_generation(shape, special, tokenizer))
    model.eval().save_pretrained(path)
    transformers.WhisperFeatureExtractor(feature_size=shape.mels).save_pretrained(path)
    return path


def needed(module: str) -> Any:
    """The module, or the test is skipped. Torch on one thread: networks so small gain nothing from more, and suffer."""
    import voxfleet.engines.network  # noqa: F401  what it sets must be set before torch is imported

    found = pytest.importorskip(module, reason=f"needs {module}: pip install -e '.[gpu]' transformers")
    if module == "torch":
        found.set_num_threads(1)
    elif module == "transformers":
        found.utils.logging.disable_progress_bar()
    return found


def _special_tokens(shape: Shape, special: Special) -> Mapping[str, int]:
    """Names by id, in Whisper's order, without the time stamps."""
    languages = WHISPER if shape.mels == 128 else WHISPER[:-1]
    names = ["endoftext", "startoftranscript", *languages, "translate", "transcribe", "startoflm", "startofprev"]
    names += ["nospeech", "notimestamps"]
    return {f"<|{name}|>": special.end + place for place, name in enumerate(names)}


def _tokenizer(shape: Shape, special: Special) -> Any:
    """A byte-level BPE of exactly `special.end` pieces, learnt from TEXT, and all the tokens of Whisper behind them."""
    tokenizers = needed("tokenizers")
    bytes_ = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = bytes_
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=special.end, initial_alphabet=bytes_.alphabet(), show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator(TEXT.splitlines(), trainer)
    assert tokenizer.get_vocab_size() == special.end, f"TEXT has only {tokenizer.get_vocab_size()} pieces"
    named = _special_tokens(shape, special)
    tokenizer.add_special_tokens(list(named))
    stamps = [f"<|{place * 0.02:.2f}|>" for place in range(1501)]
    tokenizer.add_tokens([tokenizers.AddedToken(stamp, normalized=False) for stamp in stamps])
    assert tokenizer.token_to_id("<|0.00|>") == special.timestamps
    assert tokenizer.get_vocab_size() == shape.vocabulary
    prefix = special.prefix("en", False)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=[*(tokenizer.id_to_token(token) for token in prefix), "$A", "<|endoftext|>"],
        special_tokens=[(tokenizer.id_to_token(token), token) for token in (*prefix, special.end)],
    )
    return tokenizer


def _generation(shape: Shape, special: Special, tokenizer: Any) -> dict[str, Any]:
    """generation_config.json as the published models have it: some punctuation and most special tokens suppressed."""
    named = _special_tokens(shape, special)
    silent = [tokenizer.token_to_id(letter) for letter in '"()-']
    values: dict[str, Any] = {
        "decoder_start_token_id": special.start,
        "bos_token_id": special.end,
        "eos_token_id": special.end,
        "pad_token_id": special.end,
        "begin_suppress_tokens": [tokenizer.token_to_id("Ġ"), special.end],
        "suppress_tokens": sorted([*silent, *special.suppressed]),
        "no_timestamps_token_id": special.no_timestamps,
        "prev_sot_token_id": special.previous,
        "is_multilingual": bool(special.languages),
        "alignment_heads": [pair for pair in ALIGNMENT if pair[0] < shape.decoder_layers],
        "max_initial_timestamp_index": 50,
        "max_length": shape.target,
        "return_timestamps": False,
    }
    if special.languages:
        values["lang_to_id"] = {name: named[name] for name in map("<|{}|>".format, WHISPER) if name in named}
        values["task_to_id"] = {"transcribe": special.transcribe, "translate": special.translate}
    return values


def _enliven(model: Any, special: Special) -> None:
    """Weights at which a network this small listens and speaks: texts of many lengths, different for every sound.

    Attention is sharp, and what attention and feed-forward layers say outweighs the token that went in. Its embedding
    is also what makes it come out, so half of the last normalisation is negative, else a token would repeat for ever.
    Single bytes, time stamps and languages are rare, and an end comes now and then.
    """
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name == "model.encoder.embed_positions.weight":
                continue
            if weight.dim() > 1:
                loud = next((loud for part, loud in LOUD.items() if part in name), 1.0)
                weight.normal_(0.0, loud * (1.0 if "embed" in name else weight[0].numel() ** -0.5))
            elif name.endswith("weight"):
                weight.uniform_(0.7, 1.3)
            else:
                weight.normal_(0.0, 0.1)
        decoder, last = model.model.decoder, model.model.decoder.layer_norm
        embedding = decoder.embed_tokens.weight
        embedding.mul_(embedding.shape[1] ** 0.5 / embedding.norm(dim=1, keepdim=True))
        embedding[:256].mul_(0.7)
        embedding[special.end + 1 :].mul_(0.5)
        last.weight[::2].neg_()
        last.bias.zero_().add_(END * embedding[special.end] / embedding.shape[1])


def edited(folder: Path, copy: Path, file: str, **changes: Any) -> Path:
    """A copy of a folder made of links, one of its files changed; the value `...` takes a key out."""
    if not copy.exists():
        copy.mkdir(parents=True)
        for path in folder.iterdir():
            (copy / path.name).symlink_to(path.resolve())
    values = json.loads((copy / file).read_text())
    (copy / file).unlink()
    for key, value in changes.items():
        if value is ...:
            values.pop(key)
        else:
            values[key] = value
    (copy / file).write_text(json.dumps(values))
    return copy
