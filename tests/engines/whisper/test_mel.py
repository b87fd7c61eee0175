"""Log-mel frames against the reference feature extractor: its float64 version, and the one it uses beside torch."""

import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines.whisper.folders import needed
from voxfleet.engines.whisper.mel import filters, log_mel

AUDIO = Path(__file__).parents[3] / "../shared/audio"


@cache
def extractor(mels: int) -> Any:
    needed("torch")
    return needed("transformers").WhisperFeatureExtractor(feature_size=mels)


def exact(samples: NDArray[np.float32], mels: int, frames: int) -> NDArray[np.float64]:
    padded = np.pad(samples, (0, frames * 160 - len(samples)))
    return np.asarray(extractor(mels)._np_extract_fbank_features([padded], "cpu")[0])


def noise(count: int, loudness: float = 0.2, seed: int = 0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(count) * loudness).clip(-1, 1).astype(np.float32)


def tolerance(mels: int) -> float:
    """The lowest of 128 bands are made of one or two bins, where single precision shows."""
    return 1e-5 if mels == 80 else 3e-5


@pytest.mark.parametrize("mels", [80, 128])
def test_filters_are_the_references(mels: int) -> None:
    np.testing.assert_allclose(filters(mels), extractor(mels).mel_filters.T, atol=1e-7)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize(
    "count", [1, 2, 159, 160, 161, 199, 200, 201, 400, 1_000, 80_001, 479_760, 479_800, 479_840, 479_999, 480_000]
)
def test_noise_of_any_length_in_a_whole_window(mels: int, count: int) -> None:
    samples = noise(count)
    found = log_mel(samples, mels, 3000)
    assert found.shape == (mels, 3000)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact(samples, mels, 3000), atol=tolerance(mels), rtol=0)


@settings(deadline=None, max_examples=60)
@given(
    frames=st.integers(3, 200),
    share=st.floats(0, 1),
    loudness=st.sampled_from([1e-4, 0.01, 1.0]),
    seed=st.integers(0, 9),
)
def test_noise_in_a_window_of_any_length(frames: int, share: float, loudness: float, seed: int) -> None:
    samples = noise(int(frames * 160 * share), loudness, seed)
    np.testing.assert_allclose(log_mel(samples, 80, frames), exact(samples, 80, frames), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mels", [80, 128])
def test_silence(mels: int) -> None:
    for count in (0, 1, 5_000, 480_000):
        silence = log_mel(np.zeros(count, np.int16), mels, 3000)
        assert (silence == -1.5).all()
        np.testing.assert_array_equal(silence, exact(np.zeros(count, np.float32), mels, 3000))


@pytest.mark.parametrize("mels", [80, 128])
def test_speech_as_the_reference_hears_it(mels: int) -> None:
    clips = sorted(AUDIO.rglob("*.wav"))[::40]
    if not clips:
        pytest.skip("needs the recordings in shared/audio")
    for clip in clips:
        with wave.open(str(clip)) as file:
            if file.getframerate() != 16_000 or file.getnchannels() != 1 or file.getsampwidth() != 2:
                continue
            heard = np.frombuffer(file.readframes(min(file.getnframes(), 480_000)), np.int16)
        samples = (heard / 32_768).astype(np.float32)
        told = extractor(mels)(samples, sampling_rate=16_000, return_tensors="np").input_features[0]
        found = log_mel(samples, mels, 3000)
        np.testing.assert_allclose(found, exact(samples, mels, 3000), atol=tolerance(mels), rtol=0)
        np.testing.assert_allclose(found, told, atol=1e-4, rtol=0)  # computed in single precision too


def test_whole_numbers_are_the_same_sound() -> None:
    samples = (noise(40_000) * 32_767).astype(np.int16)
    same = (samples / 32_768).astype(np.float32)
    np.testing.assert_array_equal(log_mel(samples, 80, 300), log_mel(same, 80, 300))


def test_a_longer_window_adds_silence_alone() -> None:
    samples = noise(32_000)
    short, long = log_mel(samples, 80, 250), log_mel(samples, 80, 3000)
    np.testing.assert_array_equal(short, long[:, :250])
    assert (long[:, 202:] == long[0, -1]).all()


def test_sound_must_fit_into_its_window() -> None:
    with pytest.raises(AssertionError, match="1601 samples in a window of 10 frames"):
        log_mel(noise(1_601), 80, 10)
