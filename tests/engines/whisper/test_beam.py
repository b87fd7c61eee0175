"""Beam search says what the reference says with as many beams, several windows of different beginnings at a time."""

import pytest
import torch

from tests.engines.whisper.networks import SHAPE, Bench, encoded, entry, generated, ours, reference
from voxfleet.engines.whisper.beam import search

PROMPTS = ((), (7, 8, 9, 1), (30, 2))


@pytest.mark.parametrize("beams", [2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_beams_are_those_of_generate(seed: int, beams: int) -> None:
    theirs = reference(seed).double()
    model = ours(theirs)
    mel = torch.randn(3, SHAPE.mels, 2 * SHAPE.source, generator=torch.Generator().manual_seed(seed)).double()
    bench = Bench(model, slots=3 * beams)
    bench.poison()
    with torch.inference_mode():
        entries = [entry(prompt=prompt, limit=30) for prompt in PROMPTS]
        found = search(bench.decoding, model.encoder(mel), entries, beams)
    assert found == [generated(theirs, one, prompt, beams=beams) for one, prompt in zip(mel, PROMPTS, strict=True)]
    greedy = [generated(theirs, one, prompt) for one, prompt in zip(mel, PROMPTS, strict=True)]
    assert found != greedy


def test_one_beam_is_greedy_and_a_prefix_stands() -> None:
    model, windows = ours(reference(1).double()), encoded(1, 4)
    entries = [entry(), entry(prefix=(4, 9)), entry(prompt=(7,)), entry(prefix=(12,), limit=2)]
    bench = Bench(model, slots=4)
    with torch.inference_mode():
        found = search(bench.decoding, windows, entries, 1)
    assert found == [one.tokens for one in bench.run(entries, windows)]
