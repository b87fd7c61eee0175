"""Samples without a header: right values, any split, and what can't be samples is refused."""

from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.audio.decode import raw_decoder
from voxfleet.errors import BadAudio, BadValue

ENCODINGS = ("pcm16", "float32", "mulaw", "alaw")


def test_pcm16_spans_minus_one_to_one():
    samples = raw_decoder("pcm16", 16_000, 1).feed(np.array([-32768, -1, 0, 1, 32767], "<i2").tobytes())
    assert samples.dtype == np.float32
    assert samples[:, 0].tolist() == [-1.0, -1 / 32768, 0.0, 1 / 32768, 32767 / 32768]


@pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
def test_g711_is_what_ffmpeg_makes_of_all_256_codes(encoding):
    codes = bytes(range(256))
    codec: Any = av.CodecContext.create(f"pcm_{encoding}", "r")
    codec.sample_rate, codec.layout = 8_000, "mono"
    (frame,) = codec.decode(av.Packet(codes))
    theirs = frame.to_ndarray()[0].astype(np.float32) / 32768
    ours = raw_decoder(encoding, 8_000, 1).feed(codes)[:, 0]
    assert np.array_equal(ours, theirs)


@given(
    encoding=st.sampled_from(ENCODINGS),
    channels=st.integers(1, 3),
    frames=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 500), max_size=12),
    seed=st.integers(0, 99),
)
def test_any_split_gives_the_same_samples(encoding, channels, frames, cuts, seed):
    chance = np.random.default_rng(seed)
    count = frames * channels
    data = {
        "pcm16": chance.integers(-32768, 32767, count).astype("<i2"),
        "float32": chance.uniform(-1, 1, count).astype("<f4"),
    }.get(encoding, chance.integers(0, 256, count).astype(np.uint8)).tobytes()
    whole = raw_decoder(encoding, 8_000, channels).feed(data)
    assert whole.shape == (frames, channels)
    decoder = raw_decoder(encoding, 8_000, channels)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [decoder.feed(data[start:stop]) for start, stop in pairwise(edges)]
    assert np.array_equal(np.concatenate([*parts, decoder.finish()]), whole)


def test_channels_are_interleaved():
    samples = raw_decoder("pcm16", 8_000, 2).feed(np.array([1, 2, 3, 4], "<i2").tobytes())
    assert (samples * 32768).tolist() == [[1, 2], [3, 4]]


def test_bytes_of_half_a_sample_at_the_end_are_counted():
    decoder = raw_decoder("pcm16", 8_000, 2)
    assert len(decoder.feed(b"12345")) == 1
    with pytest.raises(BadAudio, match="1 bytes are left over"):
        decoder.finish()


@pytest.mark.parametrize("value", [np.nan, -np.nan])
def test_not_a_number_is_refused(value):
    with pytest.raises(BadAudio, match="not a number"):
        raw_decoder("float32", 8_000, 1).feed(np.array([0.1, value, 0.2], "<f4").tobytes())


def test_an_infinite_sample_is_refused():
    with pytest.raises(BadAudio):
        raw_decoder("float32", 8_000, 1).feed(np.array([0.1, np.inf], "<f4").tobytes())


def test_a_float_beyond_full_scale_is_cut():
    samples = raw_decoder("float32", 8_000, 1).feed(np.array([1e30, -3.0, 0.5], "<f4").tobytes())
    assert samples[:, 0].tolist() == [1.0, -1.0, 0.5]


@pytest.mark.parametrize(("encoding", "rate", "channels"), [("opus", 8_000, 1), ("pcm16", 0, 1), ("pcm16", 8_000, 0)])
def test_what_makes_no_sense_is_refused(encoding, rate, channels):
    with pytest.raises(BadValue):
        raw_decoder(encoding, rate, channels)
