"""Spans of speech against ends that are known: synthetic phrases, spoken digits in silence, and no speech at all."""

import time

import numpy as np
import pytest

from tests.evaluation.sound.recordings import shared_items, sound_of
from voxfleet.audio.level import LevelListener
from voxfleet.audio.resample import resample_file
from voxfleet.evaluation.sound.spans import MERGED, cut_out, merged, spans_of_many, speech_spans, total
from voxfleet.evaluation.sound.synthetic import comfort_noise, voice


def between(sound: np.ndarray, rate: int, before: float = 0.5, after: float = 0.5) -> np.ndarray:
    dice = np.random.default_rng(1)
    return np.concatenate(
        [comfort_noise(round(before * rate), dice), sound, comfort_noise(round(after * rate), dice)]
    ).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_ends_of_known_phrases_are_found_to_ten_milliseconds(rate):
    lengths = np.random.default_rng(2).uniform(0.4, 2.0, 40)
    clips = [
        between(voice(round(length * rate), rate, np.random.default_rng(number)), rate)
        for number, length in enumerate(lengths)
    ]
    found = spans_of_many(clips, rate)
    late = [spans[-1][1] - 0.5 - length for spans, length in zip(found, lengths, strict=True) if spans]
    assert len(late) >= 38
    assert abs(float(np.median(late))) <= 0.015
    assert np.mean(np.abs(late) <= 0.02) >= 0.85
    if rate == 16_000:
        early = [abs(spans[0][0] - 0.5) for spans in found if spans]
        assert float(np.median(early)) <= 0.02


def test_the_end_of_a_spoken_digit_is_where_its_sound_ends():
    late = []
    clips, ends = [], []
    for item in shared_items("fsdd/")[::4]:
        samples, rate = sound_of(item)
        clip = resample_file(samples, rate)
        levels = 10 * np.log10(np.mean(clip[: len(clip) // 80 * 80].reshape(-1, 80) ** 2, axis=1) + 1e-12)
        audible = np.flatnonzero(levels > np.percentile(levels, 98) - 30)
        ends.append(0.5 + (audible[-1] + 1) * 0.005)
        clips.append(between(clip, 16_000))
    for spans, end in zip(spans_of_many(clips, 16_000), ends, strict=True):
        assert spans, "a digit is speech"
        late.append(spans[-1][1] - end)
    assert abs(float(np.median(late))) <= 0.01
    assert np.mean(np.abs(late) <= 0.035) >= 0.9


def test_every_shared_recording_has_speech_and_many_at_once_are_as_one_by_one(capsys):
    clips = []
    for item in shared_items():
        samples, rate = sound_of(item)
        clips.append(resample_file(samples, rate))
    seconds = sum(map(len, clips)) / 16_000
    began = time.process_time()
    found = spans_of_many(clips, 16_000)
    spent = time.process_time() - began
    with capsys.disabled():
        print(f"\n{len(clips)} clips, {seconds:.0f} s: {spent:.2f} s of processor, {spent / seconds:.4f} of real time")
    assert all(found)
    assert 0.6 < sum(map(total, found)) / seconds < 0.95
    for at in (0, 50, 120, 275):
        alone = speech_spans(clips[at], 16_000)
        assert len(alone) == len(found[at])
        assert np.allclose(alone, found[at], atol=0.035)  # sums in another order: one frame may fall otherwise
    for spans, clip in zip(found, clips, strict=True):
        ends = [0.0, *(end for _, end in spans)]
        assert all(start - end >= MERGED - 1e-9 for end, (start, _) in list(zip(ends, spans, strict=False))[1:])
        assert all(0 <= start < end <= len(clip) / 16_000 for start, end in spans)


def test_silence_and_nothing_have_no_spans():
    rate = 16_000
    assert speech_spans(np.zeros(3 * rate, np.float32), rate) == []
    assert speech_spans(comfort_noise(3 * rate, np.random.default_rng(1)), rate) == []
    assert speech_spans(np.empty(0, np.float32), rate) == []
    assert spans_of_many([], rate) == []
    assert speech_spans(np.zeros(10, np.float32), 44_100) == []


def test_other_rates_are_heard_too():
    sound = between(voice(48_000, 48_000, np.random.default_rng(1)), 48_000)
    ((_, end),) = merged(speech_spans(sound, 48_000), gap=0.5)
    assert end == pytest.approx(1.5, abs=0.02)


def test_a_listener_of_ones_own():
    sound = between(voice(16_000, 16_000, np.random.default_rng(1)), 16_000)
    ((start, end),) = spans_of_many([sound], 16_000, LevelListener())[0]
    assert start == pytest.approx(0.5, abs=0.015)
    assert end == pytest.approx(1.5, abs=0.015)


def test_short_gaps_are_filled():
    assert merged([(0.0, 1.0), (1.05, 2.0), (2.2, 3.0)]) == [(0.0, 2.0), (2.2, 3.0)]
    assert merged([]) == []
    assert total([(0.0, 2.0), (2.2, 3.0)]) == pytest.approx(2.8)
    assert list(cut_out(np.arange(10, dtype=np.float32), 10, [(0.1, 0.3), (0.8, 1.5)])) == [1, 2, 8, 9]
