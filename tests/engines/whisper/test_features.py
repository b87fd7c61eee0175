"""Log-mel frames made on the device are the reference processor's."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from voxfleet.engines.whisper.features import LogMel
from voxfleet.engines.whisper.mel import log_mel


def noise(samples: int, seed: int, loud: float = 0.1) -> NDArray[np.float32]:
    draws = np.random.default_rng(seed)
    tone = np.sin(np.arange(samples) * 0.05 * (1 + seed))
    return np.asarray((loud * (tone + 0.3 * draws.standard_normal(samples))).clip(-1, 1), np.float32)


@pytest.mark.parametrize("mels", [80, 128])
def test_a_batch_equals_the_reference(mels: int) -> None:
    """From nothing to a full window, loud beside quiet; rubbish behind each one's end."""
    lengths = [0, 1, 159, 200, 16_000, 70_001, 479_900, 480_000]
    rows = [noise(length, seed, 10.0 ** -(seed % 4)) for seed, length in enumerate(lengths)]
    audio = torch.full((len(rows), max(lengths)), 0.7)
    for row, samples in zip(audio, rows, strict=True):
        row[: len(samples)] = torch.from_numpy(samples)
    extract = WhisperFeatureExtractor(feature_size=mels)
    made = LogMel(mels).to(torch.bfloat16)(audio, torch.tensor(lengths), 3_000)
    assert made.dtype is torch.float32
    for row, samples in zip(made, rows, strict=True):
        padded = np.zeros(480_000, np.float32)
        padded[: len(samples)] = samples
        expected = extract(padded, sampling_rate=16_000, return_tensors="np").input_features[0]
        assert np.abs(row.numpy() - expected).max() < 1e-5


def test_fewer_frames_are_the_first_ones() -> None:
    audio, lengths = torch.from_numpy(np.stack([noise(40_000, 1), noise(40_000, 2)])), torch.tensor([40_000, 12_345])
    mel = LogMel(80)
    whole = mel(audio, lengths, 3_000)
    for frames in (100, 252, 400, 3_000):
        assert torch.equal(mel(audio, lengths, frames), whole[:, :, :frames])


def test_it_equals_what_is_made_without_torch() -> None:
    samples = (noise(50_000, 3) * 32_767).astype(np.int16)
    made = LogMel(80)(torch.from_numpy(samples / np.float32(32_768))[None], torch.tensor([50_000]), 3_000)[0]
    assert np.abs(made.numpy() - log_mel(samples, 80, 3_000)).max() < 1e-5
