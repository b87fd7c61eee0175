"""The Whisper network: an encoder over whole windows, and a decoder that is told where its memory lies.

Parameters are named as in the checkpoints on Hugging Face. The decoder computes; which keys and values it sees, and where
new ones are kept, is the business of whoever calls it (`Memory`): a pass over many tokens and a step of one token differ
in nothing else. Shape suffixes: b rows, l tokens, t encoder positions, d hidden, h heads, v vocabulary.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxfleet.engines.whisper.layout import Shape

HALF_LIMIT = torch.finfo(torch.float16).max - 1_000
"""Activations of a float16 encoder are kept below it, as the reference does."""


class Memory(Protocol):
    """What a pass of the decoder attends to."""

    def own(self, layer: int, query_bld: Tensor, key_bld: Tensor, value_bld: Tensor) -> Tensor:
        """Keep keys and values, and attend to all tokens so far: (b, l, d)."""
        ...

    def heard(self, layer: int, query_bld: Tensor) -> Tensor:
        """Attend to the window: (b, l, d)."""
        ...


class Attention(nn.Module):
    """The projections around an attention."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.k_proj = nn.Linear(hidden, hidden, bias=False)
        self.v_proj = nn.Linear(hidden, hidden)
        self.q_proj = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, hidden)


class EncoderLayer(nn.Module):
    def __init__(self, hidden: int, heads: int, ff: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn = Attention(hidden)
        self.self_attn_layer_norm = nn.LayerNorm(hidden)
        self.fc1 = nn.Linear(hidden, ff)
        self.fc2 = nn.Linear(ff, hidden)
        self.final_layer_norm = nn.LayerNorm(hidden)

    def forward(self, x_btd: Tensor) -> Tensor:
        attention, y_btd = self.self_attn, self.self_attn_layer_norm(x_btd)
        seen = attend(attention.q_proj(y_btd), attention.k_proj(y_btd), attention.v_proj(y_btd), self.heads)
        x_btd = x_btd + attention.out_proj(seen)
        x_btd = x_btd + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x_btd))))
        return x_btd.clamp(-HALF_LIMIT, HALF_LIMIT) if x_btd.dtype is torch.float16 else x_btd


class Encoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden = shape.hidden
        self.conv1 = nn.Conv1d(shape.mels, hidden, 3, padding=1)
        self.conv2 = nn.Conv1d(hidden, hidden, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(shape.source, hidden)
        self.layers = nn.ModuleList(
            EncoderLayer(hidden, shape.encoder_heads, shape.encoder_ff) for _ in range(shape.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(hidden)

    def forward(self, mel_bft: Tensor) -> Tensor:
        """(b, mels, 2 * t), of any t up to the source positions, to (b, t, d)."""
        x_bdt = functional.gelu(self.conv2(functional.gelu(self.conv1(mel_bft))))
        x_btd = x_bdt.transpose(1, 2)
        x_btd = x_btd + self.embed_positions.weight[: x_btd.shape[1]]
        for layer in self.layers:
            x_btd = layer(x_btd)
        normed: Tensor = self.layer_norm(x_btd)
        return normed


class DecoderLayer(nn.Module):
    def __init__(self, hidden: int, ff: int) -> None:
        super().__init__()
        self.self_attn = Attention(hidden)
        self.self_attn_layer_norm = nn.LayerNorm(hidden)
        self.encoder_attn = Attention(hidden)
        self.encoder_attn_layer_norm = nn.LayerNorm(hidden)
        self.fc1 = nn.Linear(hidden, ff)
        self.fc2 = nn.Linear(ff, hidden)
        self.final_layer_norm = nn.LayerNorm(hidden)

    def forward(self, x_bld: Tensor, memory: Memory, number: int) -> Tensor:
        own, heard, y_bld = self.self_attn, self.encoder_attn, self.self_attn_layer_norm(x_bld)
        x_bld = x_bld + own.out_proj(memory.own(number, own.q_proj(y_bld), own.k_proj(y_bld), own.v_proj(y_bld)))
        query_bld = heard.q_proj(self.encoder_attn_layer_norm(x_bld))
        x_bld = x_bld + heard.out_proj(memory.heard(number, query_bld))
        fed: Tensor = self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x_bld))))
        return x_bld + fed


class Decoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden = shape.hidden
        self.embed_tokens = nn.Embedding(shape.vocabulary, hidden)
        self.embed_positions = nn.Embedding(shape.target, hidden)
        self.layers = nn.ModuleList(DecoderLayer(hidden, shape.decoder_ff) for _ in range(shape.decoder_layers))
        self.layer_norm = nn.LayerNorm(hidden)

    def forward(self, tokens_bl: Tensor, positions_bl: Tensor, memory: Memory) -> Tensor:
        """What is known after each of the tokens: (b, l, d)."""
        x_bld = self.embed_tokens(tokens_bl) + self.embed_positions(positions_bl)
        for number, layer in enumerate(self.layers):
            x_bld = layer(x_bld, memory, number)
        normed: Tensor = self.layer_norm(x_bld)
        return normed

    def logits(self, x_bld: Tensor) -> Tensor:
        """In float32, or float64 of a float64 network: half precision makes ties of what is not equal."""
        weight, x_nd = self.embed_tokens.weight, x_bld.flatten(0, -2)
        if x_nd.is_cuda and x_nd.dtype is not torch.float32:
            logits_nv = torch.mm(x_nd, weight.t(), out_dtype=torch.float32)
        else:
            logits_nv = functional.linear(x_nd, weight)
        if logits_nv.dtype is not torch.float64:
            logits_nv = logits_nv.float()
        return logits_nv.view(*x_bld.shape[:-1], -1)


class Parts(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape)


class Whisper(nn.Module):
    """Encoder and decoder; the checkpoints' `proj_out.weight` is `model.decoder.embed_tokens.weight` again."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Parts(shape)

    @property
    def encoder(self) -> Encoder:
        return self.model.encoder

    @property
    def decoder(self) -> Decoder:
        return self.model.decoder

    @property
    def dtype(self) -> torch.dtype:
        """Of activations and caches."""
        return self.model.decoder.embed_tokens.weight.dtype

    def keys_and_values(self, layer: int, encoded_btd: Tensor) -> tuple[Tensor, Tensor]:
        """What this layer of the decoder attends to in an encoded window, (b, t, d) each."""
        attention = self.model.decoder.layers[layer].encoder_attn
        assert isinstance(attention, Attention)
        return attention.k_proj(encoded_btd), attention.v_proj(encoded_btd)


def attend(
    query_bld: Tensor,
    key_bnd: Tensor,
    value_bnd: Tensor,
    heads: int,
    seen: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Attention of several heads: (b, l, d). `seen`: which keys may be seen, to be broadcast to (b, h, l, n)."""
    query, key, value = (x.view(*x.shape[:2], heads, -1).transpose(1, 2) for x in (query_bld, key_bnd, value_bnd))
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=causal)
    return out.transpose(1, 2).flatten(2)
