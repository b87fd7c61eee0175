"""How the digits model learns: batches from a second process, look-ahead drawn per batch, spans first, then the lattice.

For the first part of the steps a linear layer on the encoder names the digit under the newer half of each span, frame by
frame; RNNT alone stays on a plateau of blanks. That layer is thrown away at the end.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import NemotronAsrStreamingFeatureExtractor, NemotronAsrStreamingForRNNT
from transformers.models.nemotron_asr_streaming.feature_extraction_nemotron_asr_streaming import LOG_ZERO_GUARD_VALUE

from .loss import rnnt_loss
from .network import BLANK, FIRST, FRAME, LOOKAHEADS, processor, untrained
from .speech import RATE, Audio, Clip, Speech, Utterance

IGNORED = -100
SHARES = (0.15, 0.25, 0.25, 0.2, 0.15)  # how often each of LOOKAHEADS is drawn


@dataclass(frozen=True, slots=True)
class Batch:
    """Log-mel features and what they say."""

    features: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    lengths: torch.Tensor
    frames: torch.Tensor  # per encoder frame: a digit's token, blank, or IGNORED


@dataclass(frozen=True, slots=True)
class Plan:
    """One training run."""

    steps: int
    batch: int = 24
    rate: float = 2e-3
    warmup: int = 300
    spans_until: float = 0.4  # share of the steps
    averaging: float = 0.998
    seed: int = 1


def batch_of(utterances: list[Utterance], extract: NemotronAsrStreamingFeatureExtractor) -> Batch:
    """Features, labels and frame targets of some utterances."""
    features, mask = log_mel([u.samples for u in utterances], extract)
    frames = features.shape[1] // 2 + 1
    frames = (frames // 2 + 1) // 2 + 1
    most = max(1, *(len(u.spans) for u in utterances))
    labels = torch.full((len(utterances), most), FIRST)
    targets = torch.full((len(utterances), frames), BLANK)
    for row, utterance in enumerate(utterances):
        for place, (digit, start, end) in enumerate(utterance.spans):
            labels[row, place] = FIRST + digit
            first, middle = math.ceil(start / FRAME), math.ceil((start + 0.55 * (end - start)) / FRAME)
            last = max(middle + 1, int((end + 0.06) / FRAME) + 1)
            targets[row, first:middle] = IGNORED
            targets[row, middle:last] = FIRST + digit
        targets[row, int(len(utterance.samples) / RATE / FRAME) + 1 :] = IGNORED
    lengths = torch.tensor([len(u.spans) for u in utterances])
    return Batch(features, mask, labels, lengths, targets)


def log_mel(samples: list[Audio], extract: NemotronAsrStreamingFeatureExtractor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the reference's extractor makes of the samples (to 1e-4), in a third of its time."""
    lengths = torch.tensor([len(row) for row in samples])
    audio = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in samples], batch_first=True)
    audio = torch.cat([audio[:, :1], audio[:, 1:] - extract.preemphasis * audio[:, :-1]], dim=1)
    audio.masked_fill_(torch.arange(audio.shape[1]) >= lengths[:, None], 0.0)
    margin = (extract.n_fft - extract.win_length) // 2
    padded = torch.nn.functional.pad(audio, (extract.n_fft // 2 - margin,) * 2)
    windows = padded.unfold(1, extract.win_length, extract.hop_length)
    windows = windows * torch.hann_window(extract.win_length, periodic=False)
    power = torch.view_as_real(torch.fft.rfft(windows, extract.n_fft)).square().sum(-1)
    features = torch.log(power @ extract.mel_filters.T + LOG_ZERO_GUARD_VALUE)
    mask = torch.arange(features.shape[1]) < (lengths // extract.hop_length)[:, None]
    return features * mask[..., None], mask


class Drawn(IterableDataset[Batch]):
    """Batches without end; neighbours in length share a batch, so little of it is padding."""

    def __init__(self, clips: list[Clip], size: int, seed: int) -> None:
        self._clips, self._size, self._seed = clips, size, seed

    def __iter__(self) -> Iterator[Batch]:
        os.nice(5)
        torch.set_num_threads(1)
        speech = Speech(self._clips, self._seed)
        extract = processor().feature_extractor
        order = torch.Generator().manual_seed(self._seed)
        while True:
            drawn = sorted((speech.draw() for _ in range(self._size * 8)), key=lambda u: len(u.samples))
            for i in torch.randperm(8, generator=order).tolist():
                yield batch_of(drawn[i * self._size : (i + 1) * self._size], extract)


class Training:
    """A run that can be saved and taken up again: network, span layer, optimiser, averaged weights, step."""

    def __init__(self, clips: list[Clip], plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.step = plan, 0
        self.model: NemotronAsrStreamingForRNNT = untrained()
        self.model.encoder.subsampling.to(memory_format=torch.channels_last)  # three times as fast on a CPU
        self.spans = torch.nn.Linear(self.model.encoder.config.hidden_size, BLANK + 1)
        self._parameters = [*self.model.parameters(), *self.spans.parameters()]
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=plan.rate, betas=(0.9, 0.98), weight_decay=1e-2, fused=True
        )
        self.averaged = {name: value.clone() for name, value in self.model.state_dict().items()}
        self._clips = clips

    def save(self, path: Path) -> None:
        """Everything needed to go on, written whole or not at all."""
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "spans": self.spans.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "averaged": self.averaged,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a saved run."""
        state = torch.load(path, weights_only=True)
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.spans.load_state_dict(state["spans"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.averaged = state["averaged"]

    def run(self, every: int, rest: Callable[[Training], None]) -> None:
        """Train to the plan's last step; `rest` is called each `every` steps and at the end."""
        plan = self.plan
        data = Drawn(self._clips, plan.batch, plan.seed * 1_000_003 + self.step)
        batches = iter(DataLoader(data, batch_size=None, num_workers=1, prefetch_factor=16))
        lookaheads = torch.Generator().manual_seed(plan.seed + self.step)
        began, first, losses = time.monotonic(), self.step, [0.0, 0.0]
        self.model.train()
        while self.step < plan.steps:
            lookahead = LOOKAHEADS[int(torch.multinomial(torch.tensor(SHARES), 1, generator=lookaheads))]
            parts = self._learn(next(batches), lookahead)
            losses = [0.98 * kept + 0.02 * new for kept, new in zip(losses, parts, strict=True)]
            if self.step % 50 == 0:
                scale = 1 / (1 - 0.98 ** (self.step - first))
                pace = (time.monotonic() - began) / (self.step - first)
                line = f"step {self.step} spans {losses[0] * scale:.3f} lattice {losses[1] * scale:.3f} {pace:.3f} s"
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            if self.step % every == 0 or self.step == plan.steps:
                self.model.train(False)
                rest(self)
                self.model.train()

    def _learn(self, batch: Batch, lookahead: int) -> tuple[float, float]:
        """One step; the two losses before it."""
        plan = self.plan
        done = self.step / plan.steps
        rate = plan.rate * min(1.0, (self.step + 1) / plan.warmup) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        features = _masked_bands(batch.features)
        heard = self.model.get_audio_features(features, batch.mask, num_lookahead_tokens=lookahead)
        frames = heard.attention_mask.sum(-1).long()
        named = self.spans(heard.last_hidden_state)
        targets = batch.frames[:, : named.shape[1]]
        weights = torch.ones(BLANK + 1)
        weights[BLANK] = 0.4
        span_loss = torch.nn.functional.cross_entropy(
            named.flatten(0, 1), targets.flatten(), weights, ignore_index=IGNORED
        )
        spans_only = done < plan.spans_until * 0.4
        lattice_loss = torch.zeros(())
        if not spans_only:
            lattice_loss = self._lattice(heard.pooler_output, batch, frames)
        span_weight = 1.0 if done < plan.spans_until else 0.1
        loss = span_weight * span_loss + lattice_loss
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, 2.0)
        if torch.isfinite(norm):
            self._optimiser.step()
        self.step += 1
        keep = min(plan.averaging, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.values()), list(self.model.state_dict().values()), 1 - keep)
        return float(span_loss.detach()), float(lattice_loss.detach())

    def _lattice(self, encoded: torch.Tensor, batch: Batch, frames: torch.Tensor) -> torch.Tensor:
        before = torch.nn.functional.pad(batch.labels, (1, 0), value=BLANK)
        predicted = self.model.decoder(before)
        logits = self.model.joint(predicted[:, None], encoded[:, :, None])
        return rnnt_loss(logits, batch.labels, frames, batch.lengths, BLANK).mean() / 4


def _masked_bands(features: torch.Tensor) -> torch.Tensor:
    """Up to two bands of mels of each row silenced, in half of the rows (SpecAugment without time)."""
    rows, _, mels = features.shape
    silenced = torch.zeros(rows, mels, dtype=torch.bool)
    at = torch.arange(mels)
    for _ in range(2):
        width = torch.randint(0, 18, (rows, 1)) * (torch.rand(rows, 1) < 0.5)
        start = torch.randint(0, mels, (rows, 1))
        silenced |= (at >= start) & (at < start + width)
    return features.masked_fill(silenced[:, None], -8.0)
