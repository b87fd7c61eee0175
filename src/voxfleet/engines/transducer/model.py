"""The network: cache-aware FastConformer encoder, prediction network, joint network, language prompt.

The names of the parameters are the keys of the published checkpoints. A pass takes the next chunk of many streams, each
at its own position in its own turn, and finds and leaves their state in the rows of the arena. Source: the model cards of
nvidia/nemotron-speech-streaming-en-0.6b and nvidia/nemotron-3.5-asr-streaming-0.6b; relative positions as in
Transformer-XL (https://arxiv.org/abs/1901.02860), chunked attention as in https://arxiv.org/abs/2312.17279.

Shape suffixes: b rows, t mel or encoder frames, f mel bins, d hidden, h heads, s slots, v labels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxfleet.engines.transducer.arena import Arena, Batch
from voxfleet.engines.transducer.layout import Shape

KERNEL = 3
STRIDE = 2
"""Of every subsampling stage, in time and in frequency."""


@dataclass(frozen=True, slots=True)
class View:
    """What all layers of one pass need to know of its rows; made once."""

    row: Tensor
    begins: Tensor
    """(b, 1, 1): the turn begins here, nothing lies before."""
    slot: Tensor
    """(b, t): where the keys of these frames go."""
    seen: Tensor
    """(b * s,): where the keys of every slot come from, counting the slots of all rows; nowhere if it may not be seen."""
    distance: Tensor
    """(b, 1, t, s): index into the table of relative positions, of every query and slot."""
    mask: Tensor
    """(b, 1, t, s): 0 where a query may look, -inf elsewhere."""


class Subsampling(nn.Module):
    """Eight mel frames become one encoder frame: three causal convolutions of stride two."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        channels = shape.subsampling_channels
        self.conv_in = nn.Conv2d(1, channels, KERNEL, STRIDE)
        self.layers = nn.ModuleList(SubsamplingStage(channels) for _ in range(2))
        self.linear = nn.Linear(channels * shape.subsampled_bins()[-1], shape.hidden)

    def forward(self, mel_btf: Tensor, batch: Batch, arena: Arena) -> Tensor:
        """(b, 8 c + 1, f), beginning one frame before what is new, to (b, c, d)."""
        mels, before = batch.limit // 160, batch.first - 1
        stage_bctf = functional.relu(self.conv_in(_pad_bins(mel_btf.unsqueeze(1))))
        stage_bctf = stage_bctf * _within(stage_bctf, before * 4 + 1, mels // 2 + 1)
        valid = mels // 2 + 1
        begins = (batch.first == 0)[:, None, None, None]
        for scale, layer, cache in zip((2, 1), self.layers, arena.subsampling, strict=True):
            valid = valid // 2 + 1
            last = cache.index_select(0, batch.row).unsqueeze(2).masked_fill(begins, 0.0)
            cache.index_copy_(0, batch.row, stage_bctf[:, :, -1])
            stage_bctf = layer(torch.cat([last, stage_bctf], dim=2))
            stage_bctf = functional.relu(stage_bctf * _within(stage_bctf, before * scale + 1, valid))
        flat_btd: Tensor = self.linear(stage_bctf.transpose(1, 2).flatten(2))
        return flat_btd


class SubsamplingStage(nn.Module):
    """Depthwise with stride two, then pointwise."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(channels, channels, KERNEL, STRIDE, groups=channels)
        self.pointwise_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, stage_bctf: Tensor) -> Tensor:
        result: Tensor = self.pointwise_conv(self.depthwise_conv(_pad_bins(stage_bctf)))
        return result


def _pad_bins(stage_bctf: Tensor) -> Tensor:
    return functional.pad(stage_bctf, (KERNEL - 1, STRIDE - 1))


def _within(stage_bctf: Tensor, first: Tensor, valid: Tensor) -> Tensor:
    """1 for the frames from 0 to below `valid`, 0 for those before the turn and behind its end."""
    position = first[:, None] + torch.arange(stage_bctf.shape[2], device=first.device)
    inside = (position >= 0) & (position < valid[:, None])
    return inside[:, None, :, None].to(stage_bctf.dtype)


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.linear1 = nn.Linear(shape.hidden, shape.ff, bias=shape.attention_bias)
        self.linear2 = nn.Linear(shape.ff, shape.hidden, bias=shape.attention_bias)

    def forward(self, x_btd: Tensor) -> Tensor:
        result: Tensor = self.linear2(functional.silu(self.linear1(x_btd)))
        return result


class Attention(nn.Module):
    """Multi-head attention over the slots of a stream, with relative positions."""

    table: Tensor
    """(h, d / h, distances): projected relative positions, from the farthest ahead to the farthest behind."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden, self.heads = shape.hidden, shape.heads
        self.scale = (hidden // shape.heads) ** -0.5
        self.q_proj = nn.Linear(hidden, hidden, bias=shape.attention_bias)
        self.k_proj = nn.Linear(hidden, hidden, bias=shape.attention_bias)
        self.v_proj = nn.Linear(hidden, hidden, bias=shape.attention_bias)
        self.o_proj = nn.Linear(hidden, hidden, bias=shape.attention_bias)
        self.relative_k_proj = nn.Linear(hidden, hidden, bias=False)
        self.bias_u = nn.Parameter(torch.zeros(shape.heads, hidden // shape.heads))
        self.bias_v = nn.Parameter(torch.zeros(shape.heads, hidden // shape.heads))
        self.register_buffer("table", torch.zeros(0), persistent=False)

    def prepare(self, position_nd: Tensor) -> None:
        """Project the relative positions once: they depend on nothing but the distance."""
        self.table = self._split(self.relative_k_proj(position_nd)).permute(1, 2, 0).contiguous()

    def _split(self, x: Tensor) -> Tensor:
        """The last dimension by heads."""
        return x.view(*x.shape[:-1], self.heads, -1)

    def _seen(self, cache: Tensor, view: View) -> Tensor:
        found = cache.flatten(0, 1).index_select(0, view.seen)
        return self._split(found.view(len(view.row), cache.shape[1], -1)).transpose(1, 2)

    def forward(self, x_btd: Tensor, keys: Tensor, values: Tensor, view: View) -> Tensor:
        query_bthd = self._split(self.q_proj(x_btd))
        at = (view.row[:, None], view.slot)
        keys.index_put_(at, self.k_proj(x_btd))
        values.index_put_(at, self.v_proj(x_btd))
        key_bhsd, value_bhsd = self._seen(keys, view), self._seen(values, view)
        by_distance = (query_bthd + self.bias_v).transpose(1, 2) @ self.table
        bias_bhts = by_distance.gather(3, view.distance.expand(-1, self.heads, -1, -1)) * self.scale + view.mask
        heard_bhtd = functional.scaled_dot_product_attention(
            (query_bthd + self.bias_u).transpose(1, 2), key_bhsd, value_bhsd, attn_mask=bias_bhts, scale=self.scale
        )
        result: Tensor = self.o_proj(heard_bhtd.transpose(1, 2).flatten(2))
        return result


class Convolution(nn.Module):
    """Gated causal depthwise convolution over time."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden, bias = shape.hidden, shape.convolution_bias
        self.pointwise_conv1 = nn.Conv1d(hidden, 2 * hidden, 1, bias=bias)
        self.depthwise_conv = nn.Conv1d(hidden, hidden, shape.conv_kernel, groups=hidden, bias=bias)
        self.norm = nn.LayerNorm(hidden)
        self.pointwise_conv2 = nn.Conv1d(hidden, hidden, 1, bias=bias)

    def forward(self, x_btd: Tensor, cache: Tensor, view: View) -> Tensor:
        gated_btd = functional.glu(_pointwise(self.pointwise_conv1, x_btd), dim=-1)
        before_btd = cache.index_select(0, view.row).masked_fill(view.begins, 0.0)
        gated_btd = torch.cat([before_btd, gated_btd], dim=1)
        cache.index_copy_(0, view.row, gated_btd[:, -before_btd.shape[1] :])
        mixed_btd = self.norm(self.depthwise_conv(gated_btd.transpose(1, 2)).transpose(1, 2))
        return _pointwise(self.pointwise_conv2, functional.silu(mixed_btd))


def _pointwise(convolution: nn.Conv1d, x_btd: Tensor) -> Tensor:
    """A convolution of width one is a matrix product; as such it needs no transposition."""
    return functional.linear(x_btd, convolution.weight.squeeze(-1), convolution.bias)


class Layer(nn.Module):
    """One conformer block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.feed_forward1 = FeedForward(shape)
        self.self_attn = Attention(shape)
        self.conv = Convolution(shape)
        self.feed_forward2 = FeedForward(shape)
        self.norm_feed_forward1 = nn.LayerNorm(shape.hidden)
        self.norm_self_att = nn.LayerNorm(shape.hidden)
        self.norm_conv = nn.LayerNorm(shape.hidden)
        self.norm_feed_forward2 = nn.LayerNorm(shape.hidden)
        self.norm_out = nn.LayerNorm(shape.hidden)

    def forward(self, x_btd: Tensor, arena: Arena, index: int, view: View) -> Tensor:
        x_btd = x_btd + 0.5 * self.feed_forward1(self.norm_feed_forward1(x_btd))
        keys, values = arena.keys[index], arena.values[index]
        x_btd = x_btd + self.self_attn(self.norm_self_att(x_btd), keys, values, view)
        x_btd = x_btd + self.conv(self.norm_conv(x_btd), arena.convolution[index], view)
        x_btd = x_btd + 0.5 * self.feed_forward2(self.norm_feed_forward2(x_btd))
        result: Tensor = self.norm_out(x_btd)
        return result


class Encoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.subsampling = Subsampling(shape)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.scale = math.sqrt(shape.hidden) if shape.scale_input else 1.0

    def prepare(self, chunk: int) -> None:
        """Project the relative positions that chunks of up to `chunk` frames need."""
        weight = self.subsampling.linear.weight
        distance = torch.arange(1 - chunk, self.shape.left + chunk, device=weight.device, dtype=torch.float32)
        even = torch.arange(0, self.shape.hidden, 2, device=weight.device, dtype=torch.float32)
        angle = distance[:, None] * (1.0 / 10_000.0 ** (even / self.shape.hidden))
        position_nd = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).to(weight.dtype)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.self_attn.prepare(position_nd)

    def forward(self, mel_btf: Tensor, batch: Batch, arena: Arena) -> Tensor:
        x_btd = self.subsampling(mel_btf, batch, arena) * self.scale
        view = self._view(batch, arena, x_btd.shape[1], x_btd.dtype)
        for index, layer in enumerate(self.layers):
            x_btd = layer(x_btd, arena, index, view)
        result: Tensor = x_btd
        return result

    def _view(self, batch: Batch, arena: Arena, chunk: int, dtype: torch.dtype) -> View:
        """Slot s holds the newest frame f with f % slots == s; where that lies before `floor`, it is nobody's."""
        first, slots = batch.first[:, None], arena.slots
        offset = torch.arange(chunk, device=first.device)
        query = first + offset
        newest = first + chunk - 1
        held = newest - (newest - torch.arange(slots, device=first.device)) % slots
        oldest = torch.maximum(batch.floor, batch.first - self.shape.left // chunk * chunk)
        visible = (held >= oldest[:, None]) & (held < first + batch.frames[:, None])
        distance = query[:, :, None] - held[:, None, :] + (arena.chunk - 1)
        distance = distance.clamp(0, self.shape.left + 2 * arena.chunk - 2)
        every = batch.row[:, None] * slots + torch.arange(slots, device=first.device)
        mask = torch.zeros(visible.shape, dtype=dtype, device=first.device).masked_fill(~visible, float("-inf"))
        return View(
            row=batch.row,
            begins=(batch.first == 0)[:, None, None],
            slot=query % slots,
            seen=torch.where(visible, every, arena.nothing).flatten(),
            distance=distance.unsqueeze(1),
            mask=mask[:, None, None, :].expand(-1, -1, chunk, -1),
        )


class Prediction(nn.Module):
    """Label history in, prediction out: embedding, LSTM, projection."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden = shape.decoder_hidden
        self.embedding = nn.Embedding(shape.vocabulary, hidden)
        self.lstm = nn.LSTM(hidden, hidden, shape.decoder_layers, batch_first=True)
        self.decoder_projector = nn.Linear(hidden, hidden)

    def forward(
        self, label: Tensor, hidden: list[Tensor], cell: list[Tensor]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """One label per row, shape (b,), and the state after the labels before it."""
        x_bd = self.embedding(label)
        hidden, cell = list(hidden), list(cell)
        for index in range(len(hidden)):
            weights = [
                getattr(self.lstm, f"{name}_l{index}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            hidden[index], cell[index] = torch.lstm_cell(x_bd, (hidden[index], cell[index]), *weights)
            x_bd = hidden[index]
        return self.decoder_projector(x_bd), hidden, cell


class Joint(nn.Module):
    """How likely each label is, given a frame and a prediction."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head = nn.Linear(shape.decoder_hidden, shape.vocabulary)

    def forward(self, frame: Tensor, prediction: Tensor) -> Tensor:
        logits_v: Tensor = self.head(functional.relu(frame + prediction))
        return logits_v


class PromptProjector(nn.Module):
    """Tells the frames which language was asked for."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.hidden = shape.hidden
        self.linear_1 = nn.Linear(shape.hidden + shape.prompts, shape.prompt_hidden)
        self.linear_2 = nn.Linear(shape.prompt_hidden, shape.hidden)

    def forward(self, x_btd: Tensor, prompt: Tensor) -> Tensor:
        """A one-hot vector times a matrix is a column of it."""
        weight = self.linear_1.weight
        asked_bd = weight[:, self.hidden :].t().index_select(0, prompt)
        mixed = functional.linear(x_btd, weight[:, : self.hidden], self.linear_1.bias) + asked_bd[:, None, :]
        result: Tensor = self.linear_2(functional.relu(mixed))
        return result


class Transducer(nn.Module):
    """The whole network. `prepare` it once its weights are loaded."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.encoder_projector = nn.Linear(shape.hidden, shape.decoder_hidden)
        self.decoder = Prediction(shape)
        self.joint = Joint(shape)
        if shape.prompts:
            self.prompt_projector = PromptProjector(shape)

    @torch.inference_mode()
    def prepare(self, chunk: int) -> None:
        """Work out what does not change from pass to pass, for chunks of up to `chunk` frames."""
        self.eval()
        self.encoder.prepare(chunk)

    def encode(self, mel_btf: Tensor, batch: Batch, arena: Arena) -> Tensor:
        """The next frames of every row, (b, 8 c + 1, f) mel to (b, c, decoder_hidden); the caches move on."""
        x_btd = self.encoder(mel_btf, batch, arena)
        if self.shape.prompts:
            x_btd = self.prompt_projector(x_btd, batch.prompt)
        result: Tensor = self.encoder_projector(x_btd)
        return result
