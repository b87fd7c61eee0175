"""Sounds without speech: that they are what they are called, by their spectra and levels, and no voice to Silero."""

import wave

import numpy as np
import pytest

from voxfleet.audio.pcm import pcm16
from voxfleet.evaluation.manifests.items import NON_SPEECH
from voxfleet.evaluation.sound.noise import decibels, rms
from voxfleet.evaluation.sound.nonspeech import suite, write
from voxfleet.evaluation.sound.spans import spans_of_many, total

SOUNDS = {rate: {sound.id: sound for sound in suite(rate)} for rate in (8000, 16_000)}


def peaks(samples: np.ndarray, rate: int, count: int) -> list[int]:
    """Hz of the strongest lines, ascending."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    found = []
    for _ in range(count):
        strongest = float(hertz[int(np.argmax(power))])
        found.append(round(strongest))
        power[np.abs(hertz - strongest) < 20] = 0
    return sorted(found)


def on_and_off(samples: np.ndarray, rate: int) -> list[float]:
    """Seconds of every tone and every pause in turn."""
    loud = np.abs(samples[: len(samples) // 80 * 80]).reshape(-1, 80).max(axis=1) > 0.02
    changes = np.flatnonzero(np.diff(loud.astype(int)))
    return [float(length) for length in np.diff(changes) * 80 / rate]


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_each_has_a_kind_a_length_and_a_level(rate):
    assert len(SOUNDS[rate]) == 13
    for sound in SOUNDS[rate].values():
        assert sound.kind in NON_SPEECH
        assert 20 <= len(sound.samples) / rate <= 30
        assert sound.samples.dtype == np.float32
        assert np.abs(sound.samples).max() < 0.9
        if sound.kind == "silence":
            assert decibels(rms(sound.samples)) <= -60
        else:
            assert -40 < decibels(rms(sound.samples)) < -18
    assert {sound.kind for sound in SOUNDS[rate].values()} == set(NON_SPEECH)


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_the_detector_of_speech_finds_none_in_any(rate):
    sounds = list(SOUNDS[rate].values())
    spans = spans_of_many([sound.samples for sound in sounds], rate)
    fired = {sound.id: total(found) for sound, found in zip(sounds, spans, strict=True) if found}
    assert fired == {}


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_signals_have_the_tones_and_cadences_of_the_standards(rate):
    sounds = SOUNDS[rate]
    assert peaks(sounds["ring-back-europe"].samples, rate, 1) == [425]
    assert peaks(sounds["busy-europe"].samples, rate, 1) == [425]
    assert peaks(sounds["ring-back-us"].samples, rate, 2) == [440, 480]
    assert peaks(sounds["mains-hum"].samples, rate, 3) == [50, 150, 250]
    assert on_and_off(sounds["ring-back-europe"].samples, rate)[:2] == pytest.approx([4.0, 1.0], abs=0.03)
    assert on_and_off(sounds["ring-back-us"].samples, rate)[:2] == pytest.approx([4.0, 2.0], abs=0.03)
    assert on_and_off(sounds["busy-europe"].samples, rate)[:2] == pytest.approx([0.5, 0.5], abs=0.03)
    keys = {697, 770, 852, 941, 1209, 1336, 1477, 1633}
    first_key = sounds["dtmf"].samples[: round(0.1 * rate)]
    low, high = peaks(np.pad(first_key, (0, rate)), rate, 2)
    assert min(abs(low - key) for key in keys) <= 3
    assert min(abs(high - key) for key in keys) <= 3
    fax = sounds["fax"].samples
    assert peaks(fax[: 7 * rate], rate, 1) == [1100]
    assert abs(peaks(fax[round(7.25 * rate) : round(7.6 * rate)], rate, 1)[0] - 2100) <= 3
    assert all(1550 < line < 1950 for line in peaks(fax[11 * rate :], rate, 3))


def test_music_has_notes_and_a_crowd_has_none():
    music = peaks(SOUNDS[16_000]["hold-music"].samples, 16_000, 6)
    semitones = [12 * np.log2(hertz / 440) for hertz in music]
    assert all(abs(note - round(note)) < 0.15 for note in semitones)
    power = np.abs(np.fft.rfft(SOUNDS[16_000]["crowd"].samples)) ** 2
    smooth = np.convolve(power, np.ones(600) / 600, "valid")  # over 20 Hz; below, from 100 to 400 Hz
    assert smooth.max() < 4 * np.median(smooth[3000:12_000])


def test_keys_are_short_and_apart():
    typing = SOUNDS[16_000]["keyboard"].samples
    loud = np.abs(typing[: len(typing) // 160 * 160]).reshape(-1, 160).max(axis=1) > 0.05
    strokes = int((np.diff(loud.astype(int)) == 1).sum())
    assert 100 < strokes < 400
    assert loud.mean() < 0.3


def test_the_suite_follows_from_its_seed():
    again, other = suite(8000), suite(8000, seed=2)
    for sound, same, different in zip(SOUNDS[8000].values(), again, other, strict=True):
        assert np.array_equal(sound.samples, same.samples)
        drawn = sound.id not in ("digital-silence", "ring-back-europe", "ring-back-us", "busy-europe")
        assert np.array_equal(sound.samples, different.samples) != drawn


def test_files_hold_what_the_suite_holds(tmp_path):
    items = write(tmp_path / "made" / "here", rate=8000)
    assert len({item.id for item in items}) == 13
    for item, sound in zip(items, SOUNDS[8000].values(), strict=True):
        assert item.reference == ""
        assert item.kind == sound.kind
        assert item.columns == {"sound": sound.id}
        with wave.open(str(item.audio)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
            assert file.readframes(file.getnframes()) == pcm16(sound.samples).tobytes()
