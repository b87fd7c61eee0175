"""Resampling: length, pitch, purity, any split, and how long live audio is held back."""

import numpy as np
import pytest

from voxfleet.audio.resample import Resampler, resample_file
from voxfleet.errors import BadValue

RATES = (8_000, 11_025, 22_050, 24_000, 44_100, 48_000)


def tone(rate, pitch=440.0, seconds=1.0):
    return np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def streamed(samples, rate, size, *, live):
    resampler = Resampler(rate, live=live)
    starts = range(0, len(samples), size)
    return np.concatenate([resampler.feed(samples[at : at + size], last=at + size >= len(samples)) for at in starts])


def decibels(samples, pitch):
    """Level at the pitch, and of the loudest elsewhere, relative to full scale."""
    middle = samples[4000:12000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) / len(middle) * 4
    at = round(pitch * len(middle) / 16_000)
    kept = spectrum[at - 3 : at + 4].max()
    spectrum[at - 3 : at + 4] = 0
    return 20 * np.log10(kept), 20 * np.log10(spectrum.max())


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("rate", RATES)
def test_length_and_pitch_stay(rate, live):
    result = streamed(tone(rate), rate, rate // 50, live=live)
    assert abs(len(result) - 16_000) <= 1
    assert result.dtype == np.float32
    kept, elsewhere = decibels(result, 440)
    assert abs(kept) < 0.1
    assert elsewhere < -65


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("rate", RATES)
def test_any_split_gives_the_same(rate, live):
    noise = np.random.default_rng(0).standard_normal(rate // 2).astype(np.float32) * 0.1
    whole = streamed(noise, rate, len(noise), live=live)
    for size in (7, 160, 1001):
        parts = streamed(noise, rate, size, live=live)
        assert len(parts) == len(whole)
        assert np.allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize(("rate", "most_ms"), [(8_000, 2.5), (24_000, 25), (44_100, 25), (48_000, 25)])
def test_live_audio_is_hardly_held_back(rate, most_ms):
    resampler, size, got, held = Resampler(rate, live=True), rate // 50, 0, []
    samples = tone(rate)
    for at in range(0, len(samples), size):
        got += len(resampler.feed(samples[at : at + size]))
        held.append(1000 * ((at + size) / rate - got / 16_000))
    assert max(held) <= most_ms


def test_what_is_above_the_new_band_is_gone():
    kept, _ = decibels(streamed(tone(48_000, 11_000), 48_000, 960, live=True), 5_000)  # where it would fold to
    assert kept < -90


def test_telephone_audio_gets_no_mirror_image():
    kept, elsewhere = decibels(streamed(tone(8_000, 3_300), 8_000, 160, live=True), 3_300)
    assert abs(kept) < 0.1
    assert elsewhere < -60


def test_the_right_rate_is_not_touched():
    samples = tone(16_000)
    assert Resampler(16_000, live=True).feed(samples) is samples
    assert resample_file(samples, 16_000) is samples


def test_a_file_keeps_its_channels():
    both = np.stack([tone(8_000, 440), tone(8_000, 880)], axis=1)
    result = resample_file(both, 8_000)
    assert result.shape == (16_000, 2)
    for channel, pitch in enumerate((440, 880)):
        assert abs(decibels(result[:, channel], pitch)[0]) < 0.1
    assert len(resample_file(both[:0], 8_000)) == 0


@pytest.mark.parametrize("rate", [0, -8_000, 3_000, 1_000_000])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(BadValue):
        Resampler(rate, live=True)
    with pytest.raises(BadValue):
        resample_file(tone(8_000), rate)
