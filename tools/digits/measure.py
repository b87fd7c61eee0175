"""How many words the digits model gets wrong: strings of recordings it never heard, through the reference's `generate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import AutoModelForRNNT, AutoProcessor

from .speech import RATE, WORDS, Clip, Utterance, joined


def errors(expected: list[str], heard: list[str]) -> int:
    """Least number of words put in, left out or exchanged."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(expected, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def transcripts(folder: Path, utterances: list[Utterance], lookahead: int) -> list[str]:
    """What the published folder hears, decoded offline by `transformers`."""
    processor = AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    model = AutoModelForRNNT.from_pretrained(folder, dtype=torch.float32).eval()
    texts: list[str] = []
    for start in range(0, len(utterances), 16):
        samples = [u.samples for u in utterances[start : start + 16]]
        inputs = processor(samples, sampling_rate=RATE)
        inputs["num_lookahead_tokens"] = lookahead
        with torch.no_grad():
            output = model.generate(**inputs)
        # In a batch, `generate` goes on with the padding behind a row's last frame until the longest row ends: cut there.
        valid = model._get_output_attention_mask(inputs["attention_mask"]).sum(-1)
        own = output.durations.cumsum(-1) - output.durations < valid[:, None]
        heard = output.sequences.masked_fill(~own, model.config.blank_token_id)
        texts += processor.batch_decode(heard, skip_special_tokens=True)
    return texts


def report(folder: Path, tested: list[Clip], lookaheads: Iterable[int], seed: int = 7) -> str:
    """A line per speaker and look-ahead: word errors over words, WER."""
    lines = []
    for lookahead in lookaheads:
        wrong: Counter[str] = Counter()
        words: Counter[str] = Counter()
        for speaker in sorted({clip.speaker for clip in tested}):
            strings = joined([clip for clip in tested if clip.speaker == speaker], seed)
            for string, heard in zip(strings, transcripts(folder, strings, lookahead), strict=True):
                expected = [WORDS[digit] for digit, _, _ in string.spans]
                for name in (speaker, "all"):
                    wrong[name] += errors(expected, heard.split())
                    words[name] += len(expected)
        lines += [
            f"look-ahead {lookahead:2} {name:10} {wrong[name]:4} / {words[name]} = {wrong[name] / words[name]:.2%}\n"
            for name in words
        ]
    return "".join(lines)
