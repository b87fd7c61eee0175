"""Every step of a telephone line: against FFmpeg's own G.711, against its mask, against its probabilities."""

from typing import Any

import av
import numpy as np
import pytest

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.sound.degrade import band_pass, companded, encoded, lost_packets, packet_loss


def tone(hertz: float, rate: int = 8000, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


def gain(hertz: float, rate: int) -> float:
    passed = band_pass(tone(hertz, rate), rate)[rate // 4 : -rate // 4]
    return float(20 * np.log10(np.sqrt(np.mean(passed**2)) * np.sqrt(2) + 1e-9))


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_band_of_a_telephone_passes_and_nothing_else(rate):
    assert all(abs(gain(hertz, rate)) < 0.05 for hertz in (450, 1000, 2000, 3200))
    assert gain(300, rate) == pytest.approx(-6, abs=0.3)
    assert gain(3400, rate) == pytest.approx(-6, abs=0.3)
    assert all(gain(hertz, rate) < -55 for hertz in (50, 150, 3600, 3900))


@pytest.mark.parametrize("count", [0, 1, 7, 8000])
def test_the_band_keeps_length_and_place(count):
    assert len(band_pass(np.ones(count, np.float32), 8000)) == count
    click = np.zeros(4000, np.float32)
    click[2000] = 1.0
    assert int(np.argmax(np.abs(band_pass(click, 8000)))) == 2000


def ffmpeg(law: str, samples: np.ndarray) -> bytes:
    codec: Any = av.CodecContext.create(f"pcm_{law}", "w")
    codec.sample_rate, codec.layout, codec.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for part in (frame, None) for packet in codec.encode(part))


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_companding_is_that_of_ffmpeg(law):
    every = np.arange(-32768, 32768, dtype=np.int16)
    ours = companded((every / 32768).astype(np.float32), law)
    assert ours.shape == every.shape
    by_ffmpeg = companded_bytes(law, ffmpeg(law, every))
    same = ours == by_ffmpeg
    assert same.mean() > 0.98
    # FFmpeg drops two bits before it looks the value up: beside a border it may take the neighbour, never more
    value = every / 32768
    assert np.all(np.abs(np.abs(ours - value) - np.abs(by_ffmpeg - value))[~same] <= 8 / 32768)
    assert np.all(np.abs(ours - value) <= np.abs(by_ffmpeg - value) + 1e-7), "each value is the nearest there is"


def companded_bytes(law: str, data: bytes) -> np.ndarray:
    codec: Any = av.CodecContext.create(f"pcm_{law}", "r")
    codec.sample_rate, codec.layout = 8000, "mono"
    frames = codec.decode(av.Packet(data))
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]) / np.float32(32768)


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_companding_twice_changes_nothing_more(law):
    once = companded(tone(440) * np.float32(0.5), law)
    assert np.array_equal(companded(once, law), once)
    assert len(encoded(once, law)) == len(once)
    noise = once - tone(440) * np.float32(0.5)
    assert 35 < 10 * np.log10(0.125 / np.mean(noise**2)) < 42  # dB: what G.711 is known for


@pytest.mark.parametrize(("loss", "burst"), [(0.02, None), (0.02, 3.0), (0.1, 1.0), (0.3, 5.0)])
def test_as_many_packets_are_lost_as_said_in_bursts_as_long_as_said(loss, burst):
    gone = lost_packets(400_000, loss, np.random.default_rng(5), burst)
    assert gone.mean() == pytest.approx(loss, rel=0.05)
    begins = np.flatnonzero(np.diff(np.r_[0, gone.astype(int)]) == 1)
    assert gone.sum() / len(begins) == pytest.approx(burst or 1 / (1 - loss), rel=0.05)


def test_more_loss_than_such_bursts_can_be_is_refused():
    with pytest.raises(BadOption):
        lost_packets(10, 0.8, np.random.default_rng(1), 1.0)


def test_a_lost_packet_is_repeated_and_fades():
    sound = np.ones(8000 * 20, np.float32)
    heard = packet_loss(sound, 8000, 0.2, seed=3, burst=6.0)
    packets = heard.reshape(-1, 160)
    whole = np.all(packets == 1.0, axis=1)
    gone = lost_packets(len(packets), 0.2, np.random.default_rng(3), 6.0)
    assert np.array_equal(whole, ~gone)
    first = next(at for at in range(1, len(gone) - 4) if not gone[at - 1] and gone[at : at + 4].all())
    assert np.all(np.diff(heard[first * 160 - 1 : (first + 3) * 160]) < 0)
    assert packets[first][0] == pytest.approx(1.0, abs=0.01)
    assert np.all(packets[first + 3] == 0.0)


def test_without_concealment_a_lost_packet_is_silence():
    heard = packet_loss(np.ones(8100, np.float32), 8000, 0.3, seed=1, conceal="zero")
    assert set(np.unique(heard)) == {0.0, 1.0}
    assert len(heard) == 8100


def test_losses_follow_from_the_seed():
    sound = tone(300)
    assert np.array_equal(packet_loss(sound, 8000, 0.2, seed=1), packet_loss(sound, 8000, 0.2, seed=1))
    assert not np.array_equal(packet_loss(sound, 8000, 0.2, seed=1), packet_loss(sound, 8000, 0.2, seed=2))
