"""Noise is what it is called, and as loud as it is said to be."""

import numpy as np
import pytest

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.sound.noise import SPEECH_LEVEL, decibels, leveled, mixed, noise, rms
from voxfleet.evaluation.sound.spans import cut_out
from voxfleet.evaluation.sound.synthetic import voice

VOICES = [voice(16_000 * 2, 16_000, np.random.default_rng(seed)) for seed in range(4)]


def slope(sound: np.ndarray, rate: int = 16_000) -> float:
    """dB per octave between 100 Hz and 6.4 kHz."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / rate)
    bands = [10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].mean()) for low in 100 * 2.0 ** np.arange(6)]
    return float(np.polyfit(range(6), bands, 1)[0])


def test_white_is_flat_and_pink_falls_three_decibels_an_octave():
    assert slope(noise("white", 320_000, 16_000, np.random.default_rng(1))) == pytest.approx(0, abs=0.3)
    assert slope(noise("pink", 320_000, 16_000, np.random.default_rng(1))) == pytest.approx(-3, abs=0.3)


@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
def test_every_noise_has_unit_power_and_follows_from_its_dice(kind):
    made = [noise(kind, 50_001, 16_000, np.random.default_rng(seed), VOICES) for seed in (1, 1, 2)]
    assert rms(made[0]) == pytest.approx(1, abs=1e-3)
    assert made[0].dtype == np.float32
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_babble_is_several_voices_and_fuller_than_one():
    crowd = noise("babble", 160_000, 16_000, np.random.default_rng(1), VOICES)

    def unevenness(sound: np.ndarray) -> float:
        return float(np.std([decibels(rms(part)) for part in sound[: len(sound) // 800 * 800].reshape(-1, 800)]))

    assert unevenness(crowd) < 0.7 * unevenness(VOICES[0])


def test_babble_needs_voices():
    for voices in ([], [np.zeros(100, np.float32)], [np.empty(0, np.float32)]):
        with pytest.raises(BadOption, match="babble"):
            noise("babble", 100, 16_000, np.random.default_rng(1), voices)
    with pytest.raises(BadOption, match="white, pink, babble"):
        noise("brown", 100, 16_000, np.random.default_rng(1))


@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
@pytest.mark.parametrize("snr_db", [-5, 0, 10, 30])
def test_the_ratio_is_exact_inside_the_spans_of_speech(kind, snr_db):
    rate, spans = 16_000, [(1.0, 2.0), (4.0, 4.5)]
    clip = np.zeros(rate * 6, np.float32)
    clip[rate : 2 * rate] = VOICES[0][:rate]
    clip[4 * rate : round(4.5 * rate)] = VOICES[1][: rate // 2] * np.float32(0.5)
    sound = noise(kind, len(clip), rate, np.random.default_rng(7), VOICES[2:])
    both = mixed(clip, sound, rate, spans, snr_db)
    speech, added = cut_out(clip, rate, spans), cut_out(both - clip, rate, spans)
    assert decibels(rms(speech)) - decibels(rms(added)) == pytest.approx(snr_db, abs=0.1)


def test_speech_is_brought_to_its_level_and_silence_gets_the_noise_that_goes_with_it():
    rate, spans = 16_000, [(0.5, 1.5)]
    clip = np.zeros(2 * rate, np.float32)
    clip[rate // 2 : rate // 2 + rate] = VOICES[0][:rate] * np.float32(0.1)
    assert decibels(rms(cut_out(leveled(clip, rate, spans), rate, spans))) == pytest.approx(SPEECH_LEVEL, abs=0.01)
    silence = np.zeros(rate, np.float32)
    assert leveled(silence, rate, []) is silence
    sound = noise("white", rate, rate, np.random.default_rng(1))
    assert decibels(rms(mixed(silence, sound, rate, [], 10))) == pytest.approx(SPEECH_LEVEL - 10, abs=0.01)
