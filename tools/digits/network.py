"""What the little digits model is: the reference's cache-aware transducer at 1.5 M parameters, and its folder on disk.

Network, feature extractor, tokenizer and file layout are those of `transformers`; only the sizes are ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    NemotronAsrStreamingConfig,
    NemotronAsrStreamingEncoderConfig,
    NemotronAsrStreamingFeatureExtractor,
    NemotronAsrStreamingForRNNT,
    NemotronAsrStreamingProcessor,
    ParakeetTokenizer,
)

from .speech import RATE, WORDS

LOOKAHEADS = (0, 1, 3, 6, 13)
FRAME = 0.08  # seconds of audio per encoder frame
UNKNOWN, FIRST, BLANK = 0, 1, 11


def untrained() -> NemotronAsrStreamingForRNNT:
    """The network with its layers' own initialisation (the reference's, std 0.02, starves so small a network)."""
    encoder = NemotronAsrStreamingEncoderConfig(
        hidden_size=96,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=384,
        subsampling_conv_channels=32,
        num_mel_bins=128,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        layerdrop=0.0,
        sliding_window=71,
        default_num_lookahead_tokens=13,
    )
    config = NemotronAsrStreamingConfig(
        vocab_size=BLANK + 1,
        decoder_hidden_size=96,
        num_decoder_layers=1,
        encoder_config=encoder,
        pad_token_id=UNKNOWN,
        blank_token_id=BLANK,
    )
    model = NemotronAsrStreamingForRNNT(config)
    for module in model.modules():
        reset: Any = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
    return model


def processor() -> NemotronAsrStreamingProcessor:
    """Log-mel features and the vocabulary: <unk>, ten whole words with the word mark, <blank> last."""
    marked = ["<unk>", *(f"▁{word}" for word in WORDS), "<blank>"]
    tokens = Tokenizer(models.WordLevel({token: i for i, token in enumerate(marked)}, unk_token=marked[UNKNOWN]))
    tokens.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokens.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer = ParakeetTokenizer(  # type: ignore[no-untyped-call]
        tokenizer_object=tokens, unk_token=marked[UNKNOWN], pad_token=marked[UNKNOWN]
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<blank>"]})
    assert tokenizer.convert_tokens_to_ids("<blank>") == BLANK
    extractor = NemotronAsrStreamingFeatureExtractor(  # type: ignore[no-untyped-call]
        feature_size=128, sampling_rate=RATE, hop_length=160, n_fft=512, win_length=400, preemphasis=0.97
    )
    return NemotronAsrStreamingProcessor(  # type: ignore[no-untyped-call]
        extractor, tokenizer, supported_num_lookahead_tokens=list(LOOKAHEADS), default_num_lookahead_tokens=13
    )


def publish(model: NemotronAsrStreamingForRNNT, state: dict[str, torch.Tensor], folder: Path) -> None:
    """Write the folder as `save_pretrained` does, with `state` as the weights, in half precision."""
    copy = NemotronAsrStreamingForRNNT(model.config)
    copy.load_state_dict(state)
    copy.generation_config.decoder_start_token_id = BLANK
    copy.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    processor().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # written for its owner alone
