"""The samples of an item."""

import numpy as np
import pytest

from tests.evaluation.manifests.shared import AUDIO, needs_audio, sound, written
from voxfleet.errors import BadAudio
from voxfleet.evaluation.manifests.audio import samples_of
from voxfleet.evaluation.manifests.items import Item
from voxfleet.evaluation.manifests.read import read_manifest


def test_channels_and_stretches(tmp_path):
    path = sound(tmp_path / "a.wav", 16384, -8192)
    both, rate = samples_of(Item("a", path, None))
    assert (rate, both.shape, str(both.dtype)) == (8000, (8000,), "float32")
    assert np.allclose(both, 0.125)
    left, _ = samples_of(Item("a", path, None, channel=0, start=0.25, end=0.5))
    assert left.shape == (2000,)
    assert np.allclose(left, 0.5)
    right, _ = samples_of(Item("a", path, None, channel=1, start=0.75, end=7.0))
    assert right.shape == (2000,)
    assert np.allclose(right, -0.25)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_rate_asked_for(tmp_path, rate):
    samples, given = samples_of(Item("a", sound(tmp_path / "a.wav", 8192), None), rate)
    assert (given, samples.shape, str(samples.dtype)) == (rate, (rate,), "float32")
    assert np.allclose(samples[rate // 4 : -rate // 4], 0.25, atol=1e-3)


def test_what_has_no_samples(tmp_path):
    path = sound(tmp_path / "a.wav")
    for item in (
        Item("a", path, None, channel=1),
        Item("a", path, None, start=1.0),
        Item("a", tmp_path / "gone.wav", None),
        Item("a", tmp_path, None),
        Item("a", written(tmp_path / "text.wav", "not audio" * 1000), None),
    ):
        with pytest.raises(BadAudio):
            samples_of(item)


@needs_audio
def test_real_recordings():
    items = {item.id: item for item in read_manifest(AUDIO / "MANIFEST.tsv").items}
    for name in ("libri-other/1688-142285-0000.flac", "misc/5703-47212-0000.hq.ogg", "diar/stereo_diarization.wav"):
        samples, rate = samples_of(items[name], 16000)
        assert rate == 16000
        assert len(samples) > 16000
        assert 0.001 < float(np.abs(samples).max()) <= 1.5
