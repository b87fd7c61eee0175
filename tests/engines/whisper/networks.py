"""Small Whisper networks with random weights, ours and the reference's, that say varied things and come to an end."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.utils import logging

from voxfleet.engines.whisper.arena import Arena
from voxfleet.engines.whisper.continuous import Continuous, Decoded
from voxfleet.engines.whisper.decoding import Decoding
from voxfleet.engines.whisper.entries import Entry
from voxfleet.engines.whisper.layout import Heads, Shape, Special
from voxfleet.engines.whisper.model import Whisper

logging.set_verbosity_error()
torch.set_num_threads(1)

SHAPE = Shape(32, 2, 2, 2, 2, 64, 64, mels=80, vocabulary=60, source=50, target=64)
SPECIAL = Special(
    start=41, end=40, transcribe=45, translate=46, previous=47, no_speech=48, no_timestamps=49, timestamps=50,
    languages={"en": 42, "de": 43, "ro": 44}, suppressed=(3, 41, 45, 46, 47, 48, 49), suppressed_first=(5, 40),
)  # fmt: skip
HEAD = (41, 42, 45, 49)
HEADS = ((0, 1), (1, 0))
END = 0.7
"""How much likelier the end is than other tokens."""


def reference(seed: int, shape: Shape = SHAPE, special: Special = SPECIAL) -> WhisperForConditionalGeneration:
    """Attentive weights, and an end that comes now and then."""
    config = WhisperConfig(
        vocab_size=shape.vocabulary, num_mel_bins=shape.mels, d_model=shape.hidden, init_std=0.3,
        encoder_layers=shape.encoder_layers, encoder_attention_heads=shape.encoder_heads,
        encoder_ffn_dim=shape.encoder_ff, decoder_layers=shape.decoder_layers,
        decoder_attention_heads=shape.decoder_heads, decoder_ffn_dim=shape.decoder_ff,
        max_source_positions=shape.source, max_target_positions=shape.target, pad_token_id=special.end,
        bos_token_id=special.end, eos_token_id=special.end, decoder_start_token_id=special.start,
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    torch.manual_seed(seed)
    model: WhisperForConditionalGeneration = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        likely = model.model.decoder.embed_tokens.weight[special.end].normal_(std=0.3)  # the reference has none
        model.model.decoder.layer_norm.bias += END * likely / likely.norm()
    return model


def ours(theirs: WhisperForConditionalGeneration, shape: Shape = SHAPE) -> Whisper:
    """The same weights."""
    model = Whisper(shape)
    weights = {key: value for key, value in theirs.state_dict().items() if key != "proj_out.weight"}
    model.load_state_dict(weights)
    return model.eval().to(theirs.dtype)


def encoded(seed: int, rows: int, shape: Shape = SHAPE, dtype: torch.dtype = torch.float64) -> Tensor:
    """Windows as an encoder might leave them: (rows, source, hidden)."""
    return torch.randn(rows, shape.source, shape.hidden, generator=torch.Generator().manual_seed(seed)).to(dtype)


def entry(prefix: Sequence[int] = (), draft: Sequence[int] = (), limit: int = 40, prompt: Sequence[int] = ()) -> Entry:
    """What the decoder begins with."""
    head = (SPECIAL.previous, *prompt, *HEAD) if prompt else HEAD
    return Entry(head, len(head) - len(HEAD), tuple(prefix), tuple(draft), min(SHAPE.target, len(head) + limit))


class Bench:
    """A decoder with slots, that decodes whatever is given to it."""

    def __init__(
        self, model: Whisper, slots: int = 4, heads: Heads = HEADS, special: Special = SPECIAL, as_on_gpu: bool = False
    ) -> None:
        """`as_on_gpu`: several steps at a time, of fixed sizes, while the host looks at those before."""
        self.arena = Arena(model.shape, slots, heads, model.dtype, "cpu")
        self.decoding = Decoding(model, self.arena, special)
        self.found: dict[int, Decoded] = {}
        self.desk = (
            Continuous(self.decoding, self._leave, burst=4, ahead=1, padded=True)
            if as_on_gpu
            else Continuous(self.decoding, self._leave)
        )

    def _leave(self, leaving: Sequence[Decoded]) -> None:
        for one in leaving:
            assert one.key not in self.found
            self.found[one.key] = one

    def poison(self) -> None:
        """Fill everything with what must not be read."""
        for tensor in (*self.arena._rows(), *self.arena._caches()):
            if tensor.is_floating_point():
                tensor.fill_(float("nan"))

    def run(self, entries: Sequence[Entry], windows_btd: Tensor, group: int = 0) -> list[Decoded]:
        """All of them, `group` at a time (0 = as many as there are slots)."""
        self.found.clear()
        with torch.inference_mode():
            waiting = list(range(len(entries)))
            while waiting or self.desk.live:
                size = min(group or self.arena.slots, self.desk.free, len(waiting))
                if size:
                    entering, waiting = waiting[:size], waiting[size:]
                    self.decoding.remember(self.desk.live, windows_btd[entering])
                    self.desk.enter([(key, entries[key]) for key in entering])
                self.desk.advance()
        return [self.found[key] for key in range(len(entries))]


def generated(
    theirs: WhisperForConditionalGeneration, mel_ft: Tensor, prompt: Sequence[int] = (), most: int = 30, beams: int = 1
) -> tuple[int, ...]:
    """What the reference says of one window, (mels, frames), the end left out; its own forced start and suppression."""
    config: Any = theirs.generation_config
    config.lang_to_id = {f"<|{code}|>": token for code, token in SPECIAL.languages.items()}
    config.task_to_id = {"transcribe": SPECIAL.transcribe, "translate": SPECIAL.translate}
    config.is_multilingual, config.no_timestamps_token_id = True, SPECIAL.no_timestamps
    config.prev_sot_token_id, config.return_timestamps = SPECIAL.previous, False
    silent = sorted({*SPECIAL.suppressed, *range(SPECIAL.end + 1, SHAPE.vocabulary)})
    prompt_ids = torch.tensor([SPECIAL.previous, *prompt]) if prompt else None
    tokens = theirs.generate(
        mel_ft[None], language="en", task="transcribe", prompt_ids=prompt_ids, max_new_tokens=most, num_beams=beams,
        suppress_tokens=silent, begin_suppress_tokens=list(SPECIAL.suppressed_first), do_sample=False,
    )[0].tolist()  # fmt: skip
    start = tokens.index(SPECIAL.start) + len(HEAD) if SPECIAL.start in tokens else 0
    body = tokens[start:]
    return tuple(body[: body.index(SPECIAL.end)] if SPECIAL.end in body else body)
