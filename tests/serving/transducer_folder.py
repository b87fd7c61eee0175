"""A real, tiny transducer as a folder on the disk: the architecture of the published ones, weights of noise."""

import json
from dataclasses import replace
from pathlib import Path


def save_tiny(folder: Path) -> Path:
    """Write it; needs torch and safetensors."""
    import torch
    from safetensors.torch import save_file

    from voxfleet.engines.transducer.layout import SHAPES
    from voxfleet.engines.transducer.model import Transducer

    shape = replace(SHAPES["tiny"], vocabulary=27, blank=26)
    with torch.random.fork_rng():
        torch.manual_seed(6)
        weights = {name: tensor.clone() for name, tensor in Transducer(shape).state_dict().items()}
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = {
        "hidden_size": shape.hidden, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "intermediate_size": shape.ff, "subsampling_conv_channels": shape.subsampling_channels,
        "num_mel_bins": shape.mels, "sliding_window": shape.left + 1,
    }  # fmt: skip
    config = {
        "model_type": "nemotron_asr_streaming", "vocab_size": shape.vocabulary, "blank_token_id": shape.blank,
        "decoder_hidden_size": shape.decoder_hidden, "num_decoder_layers": shape.decoder_layers,
        "encoder_config": encoder,
    }  # fmt: skip
    processor = {
        "feature_extractor": {"feature_size": shape.mels},
        "supported_num_lookahead_tokens": list(shape.lookaheads),
    }
    pieces = {f"▁{letter}": index for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    tokenizer = {"model": {"type": "BPE", "vocab": pieces, "merges": []}, "added_tokens": []}
    for name, content in (("config", config), ("processor_config", processor), ("tokenizer", tokenizer)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder
