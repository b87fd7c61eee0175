"""Calls: whole clips, exact text, exact times, the wanted share of speech, and bytes that are those of the pool."""

import timeit
from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.sound.recordings import shared_pool, worded_items, worded_pool, worded_sound
from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.manifests.items import Item
from voxfleet.evaluation.sound.calls import TAIL, CallScript, compose, script_of_clip
from voxfleet.evaluation.sound.pool import Pool
from voxfleet.evaluation.sound.spans import total

POOL = worded_pool([0.35, 0.4, 0.73, 1.0, 1.55, 2.0, 3.21, 5.0, 8.0, 12.0])


def sound(script: CallScript) -> bytes:
    return b"".join(script.frame(number) for number in range(script.frames))


@settings(max_examples=200, deadline=None)
@given(
    seconds=st.floats(0.1, 300),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_a_call_is_made_of_whole_clips_and_silence(seconds, share, seed):
    script = compose(POOL, seconds, Random(seed), share)
    assert script.frames == max(round(seconds / 0.1), 1)
    assert script.stretches[0].start == 0
    for before, after in pairwise(script.stretches):
        assert after.start == before.start + before.frames
    clips = [stretch for stretch in script.stretches if stretch.clip is not None]
    for stretch in script.stretches:
        assert stretch.frames > 0
        if stretch.clip is None:
            assert 0 <= stretch.sample <= (POOL.silence_frames - stretch.frames) * POOL.frame_samples
        else:
            assert stretch.frames == POOL.clips[stretch.clip].frames
            assert stretch.sample == POOL.clips[stretch.clip].first
    assert script.reference == " ".join(f"words {stretch.clip}" for stretch in clips)
    last = clips[-1].start + clips[-1].frames if clips else 0
    assert (script.frames - last) * 0.1 >= min(TAIL, script.seconds) - 1e-9
    for before, after in pairwise(clips):
        assert after.start - before.start - before.frames >= 3, "0.3 s between two clips"
    said = Counter(stretch.clip for stretch in clips)
    again = [POOL.clips[clip].frames for clip, times in said.items() if clip is not None and times > 1]
    unsaid = [clip.frames for number, clip in enumerate(POOL.clips) if number not in said]
    assert not again or all(frames > max(again) for frames in unsaid), "one comes again only where no other fits"
    spans = script.speech_spans
    assert all(0 <= start < end <= script.seconds for start, end in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_frames_put_together_are_the_clips_where_they_are_said_to_be():
    script = compose(POOL, 40, Random(3))
    heard = np.frombuffer(sound(script), "<i2")
    assert len(heard) == 40 * 8000
    assert len(script.clips) > 2
    covered = np.zeros(len(heard), bool)
    for placed in script.clips:
        at = round(placed.start * 8000)
        count = placed.clip.frames * POOL.frame_samples
        assert np.array_equal(heard[at : at + count], POOL.samples[placed.clip.first : placed.clip.first + count])
        covered[at : at + count] = True
    assert 0 < np.abs(heard[~covered].astype(int)).max() < 200
    assert 0 < np.abs(heard[-8000:].astype(int)).max() < 200, "a second of silence at the end"


def test_a_frame_is_not_a_copy_and_cannot_be_written_to():
    script = compose(POOL, 5, Random(1))
    frame = script.frame(0)
    assert (len(frame), frame.format, frame.readonly) == (1600, "B", True)
    assert np.shares_memory(np.frombuffer(frame, np.int16), POOL.samples)
    for number in (-1, script.frames):
        with pytest.raises(IndexError):
            script.frame(number)


def test_the_same_seed_is_the_same_call_and_another_is_another():
    calls = [sound(compose(POOL, 30, Random(seed))) for seed in (7, 7, *range(100, 160))]
    assert calls[0] == calls[1]
    assert len(set(calls)) == len(calls) - 1
    silent = [sound(compose(POOL, 30, Random(seed), 0.0)) for seed in range(20)]
    assert len(set(silent)) == 20, "even silence differs"


@pytest.mark.parametrize(("seconds", "share"), [(60, 0.45), (180, 0.45), (60, 0.2), (120, 0.6)])
def test_over_many_calls_the_share_of_speech_is_the_wanted_one(seconds, share):
    pool = shared_pool()
    scripts = [compose(pool, seconds, Random(seed), share) for seed in range(800)]
    met = [total(script.speech_spans) / script.seconds for script in scripts]
    assert float(np.mean(met)) == pytest.approx(share, abs=0.02)
    assert len({script.stretches for script in scripts}) == len(scripts)


def test_pauses_are_mostly_short_and_sometimes_long():
    pauses = []
    for seed in range(300):
        stretches = compose(POOL, 120, Random(seed)).stretches
        pauses += [stretch.frames * 0.1 for stretch in stretches[1:-1] if stretch.clip is None]
    assert float(np.percentile(pauses, 98)) > 3 * float(np.median(pauses))
    starts = [compose(POOL, 60, Random(seed)).clips[0].start for seed in range(200)]
    assert len(set(starts)) > 30, "callers don't begin together"


def test_a_clip_longer_than_the_call_is_passed_over():
    for seed in range(50):
        assert all(placed.clip.seconds <= 3 for placed in compose(POOL, 4, Random(seed), 0.9).clips)
    script = compose(worded_pool([5.0]), 3, Random(1))
    assert (script.clips, script.reference, script.speech_spans, script.frames) == ((), "", (), 30)


def test_a_small_pool_is_said_again():
    script = compose(worded_pool([1.0]), 30, Random(1))
    assert len(script.clips) > 5
    assert script.reference == " ".join(["words 0"] * len(script.clips))


def test_silence_longer_than_the_pools_goes_on():
    script = compose(POOL, 500, Random(1), 0.0)
    assert script.frames == 5000
    assert len(sound(script)) == 500 * 16_000


def test_one_unknown_reference_makes_that_of_the_call_unknown():
    items = worded_items([1.0, 1.0])
    items[1] = Item("unknown", items[1].audio, None, columns=items[1].columns)
    pool = Pool.load(items, worded_sound, rate=8000)
    assert script_of_clip(pool, 0).reference == "words 0"
    assert script_of_clip(pool, 1).reference is None
    assert compose(pool, 60, Random(1)).reference is None


@pytest.mark.parametrize(("lead", "tail"), [(0.3, 1.5), (0.0, 0.0), (0.25, 1.01), (1.0, 90.0)])
def test_one_clip_as_a_call(lead, tail):
    script = script_of_clip(POOL, 4, lead, tail)
    (placed,) = script.clips
    assert placed.clip is POOL.clips[4]
    assert lead <= placed.start + 1e-9 < lead + 0.1
    assert tail <= script.seconds - placed.start - placed.clip.frames * 0.1 + 1e-9 < tail + 0.1
    assert sound(script) == sound(script_of_clip(POOL, 4, lead, tail))


def test_spans_of_a_call_are_those_of_its_clips():
    pool = shared_pool()
    script = compose(pool, 90, Random(4))
    expected = [(placed.start + a, placed.start + b) for placed in script.clips for a, b in placed.clip.spans]
    assert np.allclose(script.speech_spans, expected)
    heard = np.frombuffer(sound(script), "<i2").astype(np.float32) / 32768
    within = np.concatenate([heard[round(a * 8000) : round(b * 8000)] for a, b in script.speech_spans])
    outside = np.ones(len(heard), bool)
    for a, b in script.speech_spans:
        outside[round(a * 8000) : round(b * 8000)] = False
    assert np.mean(within**2) > 30 * np.mean(heard[outside] ** 2)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_cannot_be(share):
    with pytest.raises(BadOption):
        compose(POOL, 10, Random(1), share)


def test_what_a_frame_and_a_call_cost(capsys):
    script = compose(shared_pool(), 60, Random(1))
    frame = min(timeit.repeat(lambda: [script.frame(k) for k in range(600)], number=10, repeat=5)) / 6000
    call = min(timeit.repeat(lambda: compose(script.pool, 60, Random(1)), number=20, repeat=3)) / 20
    with capsys.disabled():
        print(f"\na frame costs {frame * 1e6:.2f} µs, a call of 60 s {call * 1e3:.2f} ms")
    assert frame < 50e-6, "a slice, not a search or a copy: measured 0.3 µs, with room for a busy machine"
