"""8-bit products are close to the exact ones, and a stream's are the same whoever shares its pass."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.engines.hearing import SHARED, read_wav
from voxfleet.engines.port import END_OF_TURN, Increments, TrackOptions
from voxfleet.engines.transducer.engine import TransducerEngine
from voxfleet.engines.transducer.quantised import Int8Linear
from voxfleet.scheduling.work import Plan, Urgency, Work

DIGITS = Path(__file__).parents[3] / "models/digits"


@pytest.fixture
def linear() -> nn.Linear:
    torch.manual_seed(3)
    return nn.Linear(96, 160)


@torch.inference_mode()
def test_close_to_the_exact_product(linear: nn.Linear) -> None:
    x = torch.randn(4, 7, 96) * torch.logspace(-3, 3, 7)[:, None]
    exact, found = linear(x) - linear.bias, Int8Linear(linear)(x) - linear.bias
    assert found.shape == exact.shape
    errors = (found - exact).norm(dim=-1) / exact.norm(dim=-1)
    assert errors.max() < 0.04  # of every row, loud or quiet


@torch.inference_mode()
def test_rows_do_not_hear_each_other(linear: nn.Linear) -> None:
    quantised = Int8Linear(linear)
    x = torch.randn(64, 1, 96)
    x[17] *= 1e4
    together = quantised(x)
    for row in (0, 17, 63):
        assert torch.equal(quantised(x[row : row + 1]), together[row : row + 1])


@torch.inference_mode()
def test_silence_is_the_bias(linear: nn.Linear) -> None:
    assert torch.equal(Int8Linear(linear)(torch.zeros(2, 3, 96)), linear.bias.expand(2, 3, -1))
    unbiased = nn.Linear(96, 8, bias=False)
    assert torch.equal(Int8Linear(unbiased)(torch.zeros(2, 96)), torch.zeros(2, 8))


def transcribed(engine: TransducerEngine, audio: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> list[str]:
    place = engine.take(TrackOptions())
    lengths, flags = np.array([len(audio)], np.uint32), np.array([END_OF_TURN], np.uint8)
    engine.hear(Increments(np.array([place.index], np.uint32), lengths, flags, audio))
    words: list[str] | None = None
    while words is None:
        for heard in engine.step(Plan((Work(place, Urgency.FINAL, 0.0, 0.0),), 560)):
            if heard.hypothesis.final:
                words = [word.text for word in heard.hypothesis.words]
    engine.free(place)
    return words


def test_digits_are_the_same_text() -> None:
    """Thirty strings of four recorded digits: what int8 hears differs in one word of a hundred at most."""
    if not (DIGITS / "model.safetensors").is_file():
        pytest.skip("models/digits is not there")
    clips = sorted((SHARED / "fsdd").glob("*.wav"))
    if not clips:
        pytest.skip("shared/audio is not beside the checkout")
    pause = np.zeros(3_200, np.int16)
    spoken = [read_wav(path) for path in clips]
    strings = [
        np.concatenate([part for n in range(4) for part in (spoken[(31 * s + 7 * n) % len(spoken)], pause)])
        for s in range(30)
    ]
    texts = []
    for precision in ("float32", "int8"):
        engine = TransducerEngine(str(DIGITS), places=1, precision=precision, threads=1)
        texts.append([transcribed(engine, audio) for audio in strings])
        engine.close()
    exact, quantised = texts
    words = sum(map(len, exact))
    assert words > 90
    differing = sum(
        a != b for one, other in zip(exact, quantised, strict=True) for a, b in zip(one, other, strict=False)
    )
    differing += sum(abs(len(one) - len(other)) for one, other in zip(exact, quantised, strict=True))
    assert differing <= 0.01 * words
