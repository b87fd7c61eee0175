"""Files of segments: as manifests, as references beside one, as hypotheses."""

import json

import pytest

from tests.evaluation.manifests.shared import AUDIO, needs_audio, sound, written
from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.items import Segment
from voxfleet.evaluation.manifests.read import attach_references, read_hypotheses, read_manifest
from voxfleet.evaluation.manifests.segments import read_sessions

pytest.importorskip("meeteval", reason="the extra 'speakers' is not installed")

STM = """;; a comment
talk 1 ana 2 3.5 <o,f0,female> good bye
talk 1 dan 0.5 1.5 hello
talk A dan 10 11
talk 1 inter_segment_gap 4 5 ignore_time_segment_in_scoring
other 1 dan 0 1 hi
talk 1 ana 3 2 backwards
talk 1 ana
"""
SPOKEN = (
    Segment("dan", 0.5, 1.5, "hello"),
    Segment("ana", 2.0, 3.5, "good bye"),
    Segment("dan", 10.0, 11.0, ""),
)


def seglst(path, *segments):
    names = ("session_id", "speaker", "start_time", "end_time", "words")
    return written(path, json.dumps([dict(zip(names, one, strict=True)) for one in segments]))


def table(folder, *rows):
    return read_manifest(written(folder / "m.tsv", "\n".join(["file\ttranscript\tstart\tend\tchannel", *rows])))


def test_stm_as_a_manifest(tmp_path):
    sound(tmp_path / "talk.flac")
    manifest = read_manifest(written(tmp_path / "m.stm", STM), language="en")
    assert manifest.form == "stm"
    (item,) = manifest.items
    assert (item.id, item.audio, item.reference) == ("talk", tmp_path / "talk.flac", "hello good bye")
    assert item.segments == SPOKEN
    assert [(bad.where, bad.code) for bad in manifest.bad] == [
        ("m.stm line 7", "bad_row"),
        ("m.stm line 8", "bad_row"),
        ("other", "missing_audio"),
    ]


def test_seglst_as_a_manifest(tmp_path):
    sound(tmp_path / "talk.wav")
    path = tmp_path / "m.json"
    entries = [
        {"session_id": "talk", "speaker": "b", "start_time": [1, 1.5], "end_time": [1.5, 2], "words": ["c", "d"]},
        {"session_id": "talk", "speaker": 0, "start_time": "0", "end_time": 1, "words": "a b"},
        {"session_id": "talk", "speaker": "b", "start_time": 5, "end_time": 4, "words": "x"},
        {"session_id": "talk", "speaker": "b", "start_time": 5, "words": "x"},
        {"session_id": "talk", "start_time": 5, "end_time": 6, "words": 7},
        7,
    ]
    manifest = read_manifest(written(path, json.dumps(entries)))
    assert manifest.form == "seglst"
    assert manifest.items[0].segments == (Segment("0", 0.0, 1.0, "a b"), Segment("b", 1.0, 2.0, "c d"))
    assert manifest.items[0].reference == "a b c d"
    assert [(bad.where, bad.code) for bad in manifest.bad] == [(f"m.json segment {n}", "bad_row") for n in (3, 4, 5, 6)]


@needs_audio
def test_the_shared_rttm():
    manifest = read_manifest(AUDIO / "MANIFEST.tsv")
    attached = attach_references(manifest, AUDIO / "diar/debug.development.rttm")
    items = {item.id: item for item in attached.items if item.segments}
    assert list(items) == ["diar/dev00.wav"]
    item = items["diar/dev00.wav"]
    assert len(item.segments) == 9
    assert item.segments[0] == Segment("MEE009", 1.44, 1.44 + 11.872, None)
    assert item.reference is None
    assert attached.bad == manifest.bad
    with pytest.raises(BadManifest, match="none of its sessions"):
        attach_references(manifest, AUDIO / "diar/debug.test.rttm")
    lines = (AUDIO / "diar/debug.train.rttm").read_text().splitlines()
    train = read_sessions(AUDIO / "diar/debug.train.rttm")
    assert sum(len(spoken) for spoken in train.spoken.values()) == len(lines)
    assert train.bad == ()


def test_references_beside_a_manifest(tmp_path):
    sound(tmp_path / "calls/talk.wav", seconds=12)
    sound(tmp_path / "calls/quiet.wav")
    manifest = table(tmp_path, "calls/talk.wav\told\t\t\t", "calls/quiet.wav\tkept\t\t\t")
    attached = attach_references(manifest, written(tmp_path / "r.stm", STM))
    talk, quiet = attached.items
    assert (talk.reference, talk.segments) == ("hello good bye", SPOKEN)
    assert quiet == manifest.items[1]
    assert [bad.code for bad in attached.bad] == ["bad_row", "bad_row"]


def test_words_of_a_ctm(tmp_path):
    sound(tmp_path / "talk.wav")
    ctm = "talk 1 0.9 0.2 there 0.8\ntalk 1 0.25 0.5 hello\ntalk 1 0.5 -1 no\ntalk 1 x 1 no\n"
    attached = attach_references(table(tmp_path, "talk.wav\t\t\t\t"), written(tmp_path / "r.ctm", ctm))
    (talk,) = attached.items
    assert talk.reference == "hello there"
    assert talk.segments[0] == Segment(None, 0.25, 0.75, "hello")
    assert [bad.where for bad in attached.bad] == ["r.ctm line 3", "r.ctm line 4"]


def test_a_stretch_gets_the_segments_in_its_middle_on_its_own_clock(tmp_path):
    sound(tmp_path / "talk.wav", seconds=12)
    manifest = table(tmp_path, "talk.wav\t\t0\t1.75\t", "talk.wav\t\t1.75\t3.25\t")
    first, second = attach_references(manifest, written(tmp_path / "r.stm", STM)).items
    assert first.segments == (Segment("dan", 0.5, 1.5, "hello"),)
    assert second.segments == (Segment("ana", 0.25, 1.5, "good bye"),)
    assert second.reference == "good bye"


@pytest.mark.parametrize("names", ["AB", "12", "01"])
def test_a_channel_gets_its_own_segments(tmp_path, names):
    sound(tmp_path / "call.wav", 1, 2)
    manifest = table(tmp_path, "call.wav\t\t\t\t0", "call.wav\t\t\t\t1", "call.wav\t\t\t\t")
    stm = f"call {names[0]} x 0 1 left\ncall {names[1]} y 1 2 right\n"
    left, right, both = attach_references(manifest, written(tmp_path / "r.stm", stm)).items
    assert (left.reference, right.reference, both.reference) == ("left", "right", "left right")


def test_other_files_are_no_references(tmp_path):
    sound(tmp_path / "a.wav")
    manifest = table(tmp_path, "a.wav\t\t\t\t")
    with pytest.raises(BadManifest, match="read from"):
        attach_references(manifest, written(tmp_path / "r.txt", "a hello"))
    with pytest.raises(BadManifest, match="no segments"):
        attach_references(manifest, written(tmp_path / "r.stm", ";; only this\n"))


def test_hypotheses_of_every_form(tmp_path):
    sound(tmp_path / "calls/a.wav", seconds=4)
    (item, cut) = table(tmp_path, "calls/a.wav\tx\t\t\t", "calls/a.wav\tx\t1\t2\t").items
    files = {
        "h.tsv": "file\thypothesis\tstart\tend\ncalls/a.wav\thello there\t\t\ncalls/a.wav\tthere\t1\t2\n",
        "h.csv": "id,text\na,hello there\ncalls/a.wav#1.0-2.0,there\n",
        "h.jsonl": '{"audio_filepath": "calls/a.wav", "text": "said", "pred_text": "hello there"}\n'
        '{"audio_filepath": "calls/a.wav", "pred_text": "there", "offset": 1, "duration": 1}\n',
        "text": "a hello there\ncalls/a.wav#1.0-2.0 there\n",
    }
    for name, content in files.items():
        heard = read_hypotheses(written(tmp_path / name, content))
        assert heard.bad == ()
        assert (heard.of(item), heard.of(cut)) == ("hello there", "there"), name
        assert len(heard) == 2
    assert dict(read_hypotheses(tmp_path)) == {"a": "hello there", "calls/a.wav#1.0-2.0": "there"}
    ctm = read_hypotheses(written(tmp_path / "h.ctm", "a 1 0 0.5 hello\na 1 1.25 0.5 there\n"))
    assert ctm.of(item) == (Segment(None, 0.0, 0.5, "hello"), Segment(None, 1.25, 1.75, "there"))
    assert ctm.of(cut) == (Segment(None, 0.25, 0.75, "there"),)
    assert ctm["a"] == ctm.of(item)
    listed = read_hypotheses(seglst(tmp_path / "h.json", ("calls/a", "s", 0, 1, "hello")))
    assert listed.of(item) == (Segment("s", 0.0, 1.0, "hello"),)


def test_what_is_wrong_with_hypotheses(tmp_path):
    content = "file\ttext\na.wav\thello\na.wav\tagain\n\tnothing\nb.wav\n"
    heard = read_hypotheses(written(tmp_path / "h.tsv", content))
    assert dict(heard) == {"a.wav": "hello"}
    assert [bad.code for bad in heard.bad] == ["duplicate_id", "bad_row", "bad_row"]
    with pytest.raises(BadManifest, match="nothing in it"):
        read_hypotheses(written(tmp_path / "h.jsonl", ""))
    with pytest.raises(BadManifest, match="No such file"):
        read_hypotheses(tmp_path / "gone")


def test_a_session_named_like_the_item_is_on_the_items_clock(tmp_path):
    sound(tmp_path / "talk.wav", seconds=12)
    manifest = read_manifest(written(tmp_path / "m.csv", "id,file,start,end\nu1,talk.wav,5,7\nu2,talk.wav,5,7\n"))
    stm = "u1 1 x 0.5 1 mine\ntalk 1 x 5.5 6 recorded\n"
    mine, cut = attach_references(manifest, written(tmp_path / "r.stm", stm)).items
    assert mine.segments == (Segment("x", 0.5, 1.0, "mine"),)
    assert cut.segments == (Segment("x", 0.5, 1.0, "recorded"),)


def test_a_recording_may_be_named_with_its_suffix(tmp_path):
    audio = sound(tmp_path / "talk.wav")
    (item,) = read_manifest(written(tmp_path / "m.stm", "talk.wav 1 x 0 1 hello\n")).items
    assert (item.id, item.audio) == ("talk.wav", audio)
