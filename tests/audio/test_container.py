"""Files: every format, whole and in pieces, cut off, broken, hostile. Made with FFmpeg's own encoders in the test."""

import threading

import numpy as np
import pytest

from tests.audio.recordings import file_of, tones
from voxfleet.audio.container import ContainerDecoder, decode_file
from voxfleet.errors import BadAudio, MessageTooBig

FILES = {
    "wav": (16_000, 1, "wav", "pcm_s16le", {}),
    "wav-stereo": (16_000, 2, "wav", "pcm_s16le", {}),
    "wav-24-bit": (44_100, 2, "wav", "pcm_s24le", {}),
    "wav-float-5.1": (16_000, 6, "wav", "pcm_f32le", {}),
    "wav-mulaw": (8_000, 1, "wav", "pcm_mulaw", {}),
    "flac": (16_000, 1, "flac", "flac", {}),
    "mp3": (44_100, 2, "mp3", "libmp3lame", {}),
    "ogg-opus": (48_000, 2, "ogg", "libopus", {}),
    "m4a": (16_000, 1, "mp4", "aac", {}),
    "m4a-fragments": (16_000, 1, "mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "webm": (48_000, 1, "webm", "libopus", {}),
}
EXACT = {"wav": 2e-5, "wav-stereo": 2e-5, "wav-24-bit": 1e-6, "wav-float-5.1": 1e-7, "flac": 2e-5}
SECONDS = 1.7


def made(name):
    rate, channels, format_name, codec, options = FILES[name]
    samples = tones(rate, channels, SECONDS)
    return samples, rate, file_of(samples, rate, format_name, codec, **options)


def in_pieces(data, size):
    with ContainerDecoder() as decoder:
        parts = [decoder.feed(data[start : start + size]) for start in range(0, len(data), size)]
        parts.append(decoder.finish())
        return np.concatenate([part for part in parts if len(part)]), decoder


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "decode"]


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file(name):
    samples, rate, data = made(name)
    decoded, found_rate = decode_file(data)
    assert found_rate == rate
    assert decoded.dtype == np.float32
    assert decoded.shape[1] == samples.shape[1]
    assert abs(len(decoded) - len(samples)) < 0.15 * rate
    if name in EXACT:
        assert np.abs(decoded - samples).max() <= EXACT[name]
    for channel in range(samples.shape[1]):
        spectrum = np.abs(np.fft.rfft(decoded[:rate, channel]))
        assert abs(int(spectrum.argmax()) - (440 + 110 * channel)) <= 2 or channel == 3  # the fourth of 5.1 is the bass


@pytest.mark.parametrize("size", [200, 4096, 10_000_000])
@pytest.mark.parametrize("name", FILES)
def test_in_pieces_is_as_whole(name, size):
    _, rate, data = made(name)
    whole, _ = decode_file(data)
    got, decoder = in_pieces(data, size)
    assert (decoder.channels, decoder.sample_rate) == (whole.shape[1], rate)
    assert not decoder.truncated
    if name == "mp3":  # its last frame's padding is only known to who can look at the end of the file
        assert 0 <= len(got) - len(whole) < 1152
        got = got[: len(whole)]
    assert np.array_equal(got, whole)


@pytest.mark.parametrize("name", ["wav-mulaw", "m4a-fragments", "webm"])
def test_byte_by_byte_is_as_whole(name):
    _, _, data = made(name)
    got, _ = in_pieces(data, 1)
    assert np.array_equal(got, decode_file(data)[0])


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"m4a"}))
def test_audio_comes_before_the_file_ends(name):
    _, rate, data = made(name)
    samples = tones(rate, FILES[name][1], 6.0)
    data = file_of(samples, rate, *FILES[name][2:4], **FILES[name][4])
    with ContainerDecoder() as decoder:
        early = decoder.feed(data[: len(data) * 2 // 3])
        assert rate < len(early) < len(samples)
        assert decoder.sample_rate == rate


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"m4a"}))
def test_a_file_that_breaks_off_gives_what_it_holds(name):
    _, rate, data = made(name)
    cut = data[: len(data) * 3 // 5 + 1]
    got, _ = in_pieces(cut, 1000)
    whole, _ = decode_file(cut)
    assert 0.4 * rate < len(got) < 1.5 * rate
    assert abs(len(got) - len(whole)) < 1152


@pytest.mark.parametrize("name", ["wav-stereo", "wav-mulaw", "m4a-fragments"])
def test_a_cut_in_the_middle_of_a_packet_is_noticed(name):
    _, _, data = made(name)
    _, decoder = in_pieces(data[: len(data) * 3 // 5 + 1], 1000)
    assert decoder.truncated


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\x00" * 5000, b"this is not audio " * 500, bytes(range(256)) * 40])
def test_rubbish_is_refused_in_words(data):
    with pytest.raises(BadAudio, match=r"undecodable audio: .{10}"):
        decode_file(data)
    with pytest.raises(BadAudio, match=r"undecodable audio: .{10}"):
        in_pieces(data, 100)


def test_an_index_that_never_came_is_refused():
    _, _, data = made("m4a")
    with pytest.raises(BadAudio):
        in_pieces(data[: len(data) // 2], 500)


@pytest.mark.parametrize(("format_name", "codec"), [("wav", "pcm_s16le"), ("flac", "flac")])
def test_a_file_without_a_sample_is_refused(format_name, codec):
    data = file_of(tones(16_000, 1, 0.0), 16_000, format_name, codec)
    with pytest.raises(BadAudio):
        decode_file(data)
    with pytest.raises(BadAudio):
        in_pieces(data, 50)


def test_a_playlist_does_not_open_what_it_names(tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(made("wav")[2])
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    concat = f"ffconcat version 1.0\nfile '{secret}'\n".encode()
    for data in (playlist, concat):
        with pytest.raises(BadAudio):
            decode_file(data)


def test_eight_channels_are_kept_more_are_refused():
    assert decode_file(file_of(tones(8_000, 8, 0.2), 8_000, "wav", "pcm_s16le"))[0].shape == (1600, 8)
    header = bytearray(file_of(tones(8_000, 1, 0.9), 8_000, "wav", "pcm_s16le"))
    header[22:24] = (9).to_bytes(2, "little")
    header[32:34] = (18).to_bytes(2, "little")
    with pytest.raises(BadAudio, match="9 channels"):
        decode_file(bytes(header))


def test_what_must_be_kept_is_bounded():
    _, _, data = made("m4a")
    with ContainerDecoder(max_bytes=4000) as decoder:
        for start in range(0, 4000, 500):
            assert len(decoder.feed(data[start : start + 500])) == 0
        with pytest.raises(MessageTooBig):
            decoder.feed(data[4000:4500])
    with pytest.raises(MessageTooBig):
        decode_file(made("wav")[2], max_samples=1000)


@pytest.mark.parametrize("fed", [0, 5, 100, 20_000])
def test_close_always_ends_the_thread(fed):
    _, _, data = made("wav-stereo")
    decoder = ContainerDecoder()
    decoder.feed(data[:fed])
    decoder.close()
    decoder.close()
    with pytest.raises(BadAudio):
        decoder.feed(b"more")


def test_a_file_on_disk(tmp_path):
    samples, _, data = made("wav")
    path = tmp_path / "call.wav"
    path.write_bytes(data)
    assert np.abs(decode_file(path)[0] - samples).max() < 2e-5
    with pytest.raises(FileNotFoundError):
        decode_file(tmp_path / "missing.wav")
