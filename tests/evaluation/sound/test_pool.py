"""What lies in a pool: exactly what was read, filled up to whole frames, with its words and its spans."""

from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.sound.recordings import (
    shared_items,
    shared_pool,
    sound_of,
    worded_items,
    worded_pool,
    worded_sound,
)
from voxfleet.audio.pcm import pcm16
from voxfleet.evaluation.faults import BadManifest, BadOption
from voxfleet.evaluation.manifests.items import Item
from voxfleet.evaluation.sound.line import Line
from voxfleet.evaluation.sound.noise import decibels, rms
from voxfleet.evaluation.sound.pool import Pool
from voxfleet.evaluation.sound.spans import spans_of_many, speech_spans, total


@pytest.mark.parametrize("frame", [0.02, 0.1, 0.25])
def test_every_clip_begins_with_a_frame_and_is_filled_up_to_whole_ones(frame):
    pool = worded_pool([0.5, 0.73, 1.0], frame=frame)
    assert [clip.reference for clip in pool.clips] == ["words 0", "words 1", "words 2"]
    at = pool.silence_frames * pool.frame_samples
    for clip, seconds in zip(pool.clips, (0.5, 0.73, 1.0), strict=True):
        assert clip.first == at
        assert clip.seconds == pytest.approx(seconds)
        assert 0 <= clip.frames * frame - seconds < frame
        own = pool.samples[clip.first : clip.first + round(clip.seconds * 8000)]
        assert np.all(own == 3277)
        filling = pool.samples[clip.first + len(own) : clip.first + clip.frames * pool.frame_samples]
        assert len(filling) == 0 or 0 < np.abs(filling).max() < 100, "filled with the silence of a line, not with zeros"
        at += clip.frames * pool.frame_samples
    assert len(pool.samples) == at
    assert bytes(pool.sound) == pool.samples.tobytes()
    assert pool.seconds == pytest.approx(2.23)


def test_nobody_can_change_a_pool():
    pool = worded_pool([1.0])
    assert pool.sound.readonly
    with pytest.raises(ValueError, match="read-only"):
        pool.samples[0] = 1


def test_what_was_recorded_is_what_is_sent():
    item = shared_items("libri-other/")[0]
    samples, rate = sound_of(item)
    pool = Pool.load([item], sound_of, rate=rate)
    (clip,) = pool.clips
    assert np.array_equal(pool.samples[clip.first : clip.first + len(samples)], pcm16(samples))
    assert clip.spans == tuple(speech_spans(samples, rate))
    assert clip.reference == item.reference
    assert clip.item is item


def test_the_shared_recordings_make_a_pool():
    pool = shared_pool()
    assert len(pool.clips) == len(shared_items())
    assert pool.bad == ()
    assert pool.left_out == 0
    assert [clip.id for clip in pool.clips] == [item.id for item in shared_items()]
    assert pool.samples.nbytes < (pool.seconds + 60 + 0.1 * len(pool.clips)) * 16_000
    assert [pool.clips[at].frames for at in pool.by_length] == sorted(clip.frames for clip in pool.clips)


def test_spans_are_those_of_the_clean_sound_whatever_the_line():
    items = shared_items("libri-other/")[:6]
    clean = Pool.load(items, sound_of, rate=16_000)
    noisy = Pool.load(items, sound_of, rate=16_000, line=Line.parse("mulaw,loss=5%", "babble:0"))
    assert [clip.spans for clip in clean.clips] == [clip.spans for clip in noisy.clips]
    assert [clip.first for clip in clean.clips] == [clip.first for clip in noisy.clips]
    assert not np.array_equal(clean.samples, noisy.samples)


def test_a_telephone_in_a_wide_band_call_has_nothing_above_its_band():
    pool = Pool.load(shared_items("libri-other/")[:3], sound_of, rate=16_000, line=Line.parse("alaw", "white:20"))
    power = np.abs(np.fft.rfft(pool.samples[pool.clips[0].first :].astype(np.float64))) ** 2
    hertz = np.fft.rfftfreq(len(pool.samples) - pool.clips[0].first, 1 / 16_000)
    # below: what companding itself adds anywhere under 4 kHz
    assert power[hertz > 4100].sum() < 1e-5 * power.sum()
    assert power[hertz < 150].sum() < 1e-3 * power.sum()


def test_noise_is_as_loud_between_clips_as_in_them():
    pool = Pool.load(shared_items("libri-other/")[:8], sound_of, rate=16_000, line=Line.parse("mulaw", "white:10"))
    silence = pool.samples[: pool.silence_frames * pool.frame_samples].astype(np.float32) / np.float32(32768)
    assert decibels(rms(silence)) == pytest.approx(-36, abs=0.3)
    for clip in pool.clips:
        speech = np.concatenate(
            [pool.samples[clip.first + round(a * 16_000) : clip.first + round(b * 16_000)] for a, b in clip.spans]
        ).astype(np.float32)
        assert decibels(rms(speech / np.float32(32768))) == pytest.approx(-25.6, abs=0.4)  # speech and noise together


def test_bad_items_are_named_and_the_rest_goes_on():
    said: list[tuple[int, int]] = []
    missing = Item("gone", Path("gone.wav"), "x")

    def sound(item: Item):
        if item.id == "gone":
            raise FileNotFoundError("no such file: gone.wav")
        return worded_sound(item)

    items = [*worded_items([1.0, -1.0, 0.5, 0.0]), missing]
    pool = Pool.load(items, sound, rate=8000, progress=lambda done, of: said.append((done, of)))
    assert [clip.id for clip in pool.clips] == ["clip-0", "clip-2"]
    assert sorted((bad.where, bad.code) for bad in pool.bad) == [
        ("clip-1", "bad_audio"),
        ("clip-3", "bad_audio"),
        ("gone", "unreadable"),
    ]
    assert said[0] == (0, 10)
    assert said[-1] == (10, 10)
    assert said == sorted(said)


def test_a_pool_of_nothing_is_refused():
    with pytest.raises(BadManifest, match="clip-0: undecodable"):
        Pool.load(worded_items([-1.0]), worded_sound, rate=8000)
    with pytest.raises(BadManifest, match="there are none"):
        Pool.load([], worded_sound, rate=8000)
    with pytest.raises(BadManifest, match="longer than the 2 s"):
        Pool.load(worded_items([5.0]), worded_sound, rate=8000, limit_seconds=2)


def test_no_more_is_kept_than_the_limit_and_the_seed_chooses():
    items = worded_items([1.0] * 40)
    pools = [Pool.load(items, worded_sound, rate=8000, limit_seconds=10, seed=seed) for seed in (1, 1, 2)]
    kept = [[clip.id for clip in pool.clips] for pool in pools]
    assert kept[0] == kept[1] != kept[2]
    for pool, ids in zip(pools, kept, strict=True):
        assert pool.seconds == 10
        assert pool.left_out == 30
        assert ids == sorted(ids, key=lambda name: int(name.split("-")[1])), "in the manifest's order"


def test_no_limit_keeps_all():
    assert len(Pool.load(worded_items([1.0] * 40), worded_sound, rate=8000, limit_seconds=None).clips) == 40


def test_where_the_manifest_says_that_nobody_speaks_there_are_no_spans():
    speech = shared_items("libri-other/")[0]
    music = Item("music", speech.audio, "", kind="music")
    pool = Pool.load([music, speech], sound_of, rate=16_000)
    assert pool.clips[0].spans == ()
    assert pool.clips[1].spans != ()
    assert pool.clips[0].speech == pool.clips[0].seconds


@pytest.mark.parametrize(("rate", "frame"), [(44_100, 0.1), (8000, 0.0), (8000, 5.0), (16_000, 0.03333), (8000, -0.1)])
def test_rates_and_frames_that_cannot_be(rate, frame):
    with pytest.raises(BadOption):
        Pool.load(worded_items([1.0]), worded_sound, rate=rate, frame=frame)


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_synthetic_pool_has_exact_spans_and_is_heard_as_speech(rate):
    pool = Pool.synthetic(rate, clips=24)
    assert len({clip.id for clip in pool.clips}) == 24
    clips = []
    for clip in pool.clips:
        sent = pool.samples[clip.first : clip.first + clip.frames * pool.frame_samples]
        samples = np.asarray(sent / 32768, np.float32)
        clips.append(samples)
        assert clip.reference is None
        assert clip.spans[0][0] == 0.0
        assert clip.spans[-1][1] == pytest.approx(clip.seconds)
        loud = np.abs(samples) > 0.02
        for start, end in clip.spans:
            assert loud[round(start * rate) : round(end * rate)].mean() > 0.2
        for (_, end), (start, _) in zip(clip.spans, clip.spans[1:], strict=False):
            assert not loud[round(end * rate) : round(start * rate)].any()
    heard = sum(total(found) for found in spans_of_many(clips, rate))
    assert heard / sum(total(clip.spans) for clip in pool.clips) == pytest.approx(1.0, abs=0.15)


def test_a_synthetic_pool_follows_from_its_seed():
    pools = [Pool.synthetic(8000, clips=5, seed=seed, line=Line.parse("mulaw", "babble:10")) for seed in (1, 1, 2)]
    assert np.array_equal(pools[0].samples, pools[1].samples)
    assert pools[0].samples.tobytes() != pools[2].samples.tobytes()
