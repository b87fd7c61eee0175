"""Kaldi's data folders."""

import pytest

from tests.evaluation.manifests.shared import sound, written
from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.read import read_manifest


@pytest.fixture
def folder(tmp_path):
    sound(tmp_path / "wav/one.wav", 1, 2)
    sound(tmp_path / "wav/two.wav")
    written(tmp_path / "wav.scp", "rec1 wav/one.wav\nrec2\twav/two.wav\n")
    return tmp_path


def test_recordings(folder):
    written(folder / "text", "rec1 hello there\nrec2\nrec9 nobody\n")
    written(folder / "utt2spk", "rec1 ana\n")
    written(folder / "utt2lang", "rec2 ro\n")
    manifest = read_manifest(folder, language="en")
    assert manifest.form == "kaldi"
    one, two = manifest.items
    assert (one.id, one.reference, one.language, one.columns) == ("rec1", "hello there", "en", {"speaker": "ana"})
    assert (two.id, two.reference, two.language, two.columns) == ("rec2", None, "ro", {})
    assert [(bad.where, bad.code) for bad in manifest.bad] == [("rec9", "missing_audio")]
    assert read_manifest(folder / "wav.scp").items[0].audio == folder / "wav/one.wav"


def test_segments_and_channels(folder):
    written(folder / "segments", "u1 rec1 0 0.5\nu2 rec1 0.5 -1\nu3 rec2 0.5 0.4\nu4 rec9 0 1\nu5 rec2\nu1 rec2 0 1\n")
    written(folder / "text", "u1 a\nu2 b\nu2 again\n")
    written(folder / "reco2file_and_channel", "rec1 one B\nrec2 two A\n")
    manifest = read_manifest(folder)
    assert [(item.id, item.start, item.end, item.channel, item.reference) for item in manifest.items] == [
        ("u1", 0.0, 0.5, 1, "a"),
        ("u2", 0.5, None, 1, "b"),
    ]
    assert [(bad.where, bad.code) for bad in manifest.bad] == [
        ("segments line 3", "bad_row"),
        ("segments line 4", "missing_audio"),
        ("segments line 5", "bad_row"),
        ("u1", "duplicate_id"),
        ("text line 3", "duplicate_id"),
    ]


def test_commands_are_refused_and_never_run(folder):
    trap = folder / "trap"
    written(folder / "wav.scp", f"r1 touch {trap} |\nr2 | touch {trap}\nr3 feats.ark:17\nr4\nr5 wav/two.wav\n")
    manifest = read_manifest(folder)
    assert [item.id for item in manifest.items] == ["r5"]
    assert [bad.code for bad in manifest.bad] == ["command_pipe", "command_pipe", "not_audio", "bad_row"]
    assert str(trap) in manifest.bad[0].message
    assert not trap.exists()


def test_an_empty_folder(tmp_path):
    written(tmp_path / "wav.scp", "")
    with pytest.raises(BadManifest, match="lists no recordings"):
        read_manifest(tmp_path)
