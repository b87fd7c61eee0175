"""Clips are short, small, and sound like what went in."""

import base64
import io
import wave

import av
import numpy as np
import pytest

from voxfleet.evaluation.report import clips
from voxfleet.evaluation.report.clips import LONGEST, clip_uri

from .documents import tone


def heard(uri: str) -> tuple[np.ndarray, int]:
    """The samples of a clip, as a player decodes them."""
    body = base64.b64decode(uri.split(",", 1)[1])
    with av.open(io.BytesIO(body), mode="r") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    samples = np.concatenate(frames, axis=1)[0].astype(np.float64)
    return samples / (1 if abs(samples).max() <= 2 else 32_768), rate


def pitch(samples: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_clip_sounds_like_what_went_in(rate: int) -> None:
    uri = clip_uri(tone(440, 2.0, rate), rate)
    assert uri.startswith("data:audio/ogg;base64,")
    samples, played = heard(uri)
    assert len(samples) / played == pytest.approx(2.0, abs=0.1)
    assert pitch(samples, played) == pytest.approx(440, abs=3)
    assert 0.15 < abs(samples).max() < 0.5


def test_a_clip_is_small_and_its_length_bounded() -> None:
    rng = np.random.default_rng(1)
    noise = (0.1 * rng.standard_normal(90 * 16_000)).astype(np.float32)  # noise is the hardest to make small
    uri = clip_uri(noise, 16_000)
    samples, rate = heard(uri)
    assert len(samples) / rate == pytest.approx(LONGEST, abs=0.1)
    assert len(uri) / LONGEST < 5_000


def test_without_opus_a_clip_is_a_wav(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(samples: np.ndarray) -> bytes:
        raise av.codec.codec.UnknownCodecError("libopus")

    monkeypatch.setattr(clips, "_opus", absent)
    uri = clip_uri(tone(440), 16_000)
    with wave.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:audio/wav;base64,")))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 24_000)


def test_samples_beyond_full_scale_are_clipped() -> None:
    wild = np.array([2.0, -2.0, np.nan, np.inf] * 4_000, dtype=np.float32)
    samples, _ = heard(clip_uri(wild, 16_000))
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((2, 100), np.float32)])
def test_what_is_no_clip(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mono samples"):
        clip_uri(samples, 16_000)
