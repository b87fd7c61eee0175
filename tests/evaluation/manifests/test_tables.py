"""Tables and JSON lines: what becomes an item, what is refused and under which code."""

import json
from collections import Counter

import pytest

from tests.evaluation.manifests.shared import AUDIO, needs_audio, sound, written
from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.items import Item
from voxfleet.evaluation.manifests.read import read_manifest


@needs_audio
def test_the_shared_manifest():
    manifest = read_manifest(AUDIO / "MANIFEST.tsv", language="en")
    assert manifest.form == "tsv"
    assert len(manifest.items) == 286
    assert Counter(bad.code for bad in manifest.bad) == {"not_audio": 3}
    assert {bad.where for bad in manifest.bad} == {f"MANIFEST.tsv line {line}" for line in (83, 84, 85)}
    assert sum(item.reference is None for item in manifest.items) == 10
    assert all(item.reference != "" for item in manifest.items)
    first = manifest.items[0]
    assert first.id == "libri-other/1688-142285-0000.flac"
    assert first.reference is not None
    assert first.reference.startswith("there's iron they say")
    assert set(first.columns) == {"source", "licence"}
    assert {item.language for item in manifest.items} == {"en"}


def test_every_column_finds_its_place(tmp_path):
    audio = sound(tmp_path / "calls/a.wav", 1, 2)
    table = "file\ttranscript\tStart\tend\tchannel\tlanguage\tkind\tcall\tspeaker\tcodec\n"
    table += 'calls/a.wav\the said "no\t0.25\t0.75\tB\tro\tspeech\tc1\tana\tg711\n'
    manifest = read_manifest(written(tmp_path / "m.tsv", table))
    assert manifest.bad == ()
    assert manifest.items == (
        Item(
            id="calls/a.wav#0.25-0.75#channel1",
            audio=audio,
            reference='he said "no',
            start=0.25,
            end=0.75,
            channel=1,
            language="ro",
            kind="speech",
            columns={
                "channel": "B",
                "language": "ro",
                "kind": "speech",
                "call": "c1",
                "speaker": "ana",
                "codec": "g711",
            },
        ),
    )


@pytest.mark.parametrize("audio", ["file", "path", "audio", "audio_filepath", "wav"])
@pytest.mark.parametrize("text", ["transcript", "text", "reference", "sentence"])
def test_other_names_of_columns(tmp_path, audio, text):
    sound(tmp_path / "a.wav")
    (item,) = read_manifest(written(tmp_path / "m.csv", f'{audio},{text}\na.wav,"yes, sir"\n')).items
    assert item.reference == "yes, sir"
    assert item.columns == {}


def test_nothing_said_is_not_nothing_written_down(tmp_path):
    for name in "abcd":
        sound(tmp_path / f"{name}.wav")
    table = "file\ttranscript\tkind\na.wav\t\t\nb.wav\t\tspeech\nc.wav\t\tmusic\nd.wav\thello\tNoise\n"
    manifest = read_manifest(written(tmp_path / "m.tsv", table))
    assert [(item.id, item.reference, item.kind) for item in manifest.items] == [
        ("a.wav", None, "speech"),
        ("b.wav", None, "speech"),
        ("c.wav", "", "music"),
    ]
    assert [(bad.where, bad.code) for bad in manifest.bad] == [("m.tsv line 5", "bad_row")]
    assert "hello" in manifest.bad[0].message


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("gone.wav\thi\t\t", "missing_audio"),
        ("\thi\t\t", "bad_row"),
        ("a.wav\thi\t\t\tmore", "bad_row"),
        ("a.wav\thi", "bad_row"),
        ("a.wav\thi\t2\t1", "bad_row"),
        ("a.wav\thi\t1\t1", "bad_row"),
        ("a.wav\thi\t-1\t1", "bad_row"),
        ("a.wav\thi\tsoon\t", "bad_row"),
        ("a.wav\thi\tnan\t", "bad_row"),
        ("a.wav\thi\t\t1e999", "bad_row"),
        ("a.rttm\thi\t\t", "not_audio"),
        ("sox a.wav -t wav - |\thi\t\t", "command_pipe"),
        (f"{'x' * 5000}.wav\thi\t\t", "missing_audio"),
        ("a\0.wav\thi\t\t", "missing_audio"),
        ("good.wav\tagain\t\t", "duplicate_id"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_read(tmp_path, row, code):
    for name in ("a.wav", "good.wav", "after.wav"):
        sound(tmp_path / name)
    table = f"file\ttranscript\tstart\tend\ngood.wav\tyes\t\t\n{row}\nafter.wav\tyes\t\t\n"
    manifest = read_manifest(written(tmp_path / "m.tsv", table))
    assert [item.id for item in manifest.items] == ["good.wav", "after.wav"]
    assert [bad.code for bad in manifest.bad] == [code]
    assert len(manifest.bad[0].message) < 400


def test_windows_files_and_byte_order_marks(tmp_path):
    sound(tmp_path / "a.wav")
    (tmp_path / "m.tsv").write_bytes("\ufefffile\ttranscript\r\na.wav\tșapte\r\n\r\n".encode())
    (item,) = read_manifest(tmp_path / "m.tsv").items
    assert item.reference == "șapte"


def test_a_broken_quote_costs_its_row_only_where_it_ends(tmp_path):
    for name in "abc":
        sound(tmp_path / f"{name}.wav")
    table = 'file,text\na.wav,"x"y\nb.wav,"two\nlines"\nc.wav,"never closed\n'
    manifest = read_manifest(written(tmp_path / "m.csv", table))
    assert [(item.id, item.reference) for item in manifest.items] == [("b.wav", "two\nlines")]
    assert [(bad.where, bad.code) for bad in manifest.bad] == [("m.csv line 2", "bad_row"), ("m.csv line 5", "bad_row")]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.tsv", b"", "empty"),
        ("m.tsv", b"\n\n", "empty"),
        ("m.tsv", b"a.wav\thello\n", "must name the columns"),
        ("m.tsv", b"file\ttext\n", "lists no recordings"),
        ("m.tsv", b"file\ttext\ttext\n", "two columns"),
        ("m.tsv", b"file\ttext\na.wav\t\xff\n", "UTF-8"),
        ("m.jsonl", b"\n", "lists no recordings"),
        ("m.txt", b"just words\n", "no known form"),
        ("m.wav", b"RIFF", "a recording"),
        ("m.rttm", b"SPEAKER a 1 0 1 <NA> <NA> x <NA> <NA>\n", "attach"),
        ("m.json", b"[]", "no segments"),
        ("m.json", b"[{]", "not JSON"),
    ],
)
def test_what_is_no_manifest_at_all(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadManifest, match=says):
        read_manifest(tmp_path / name)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(BadManifest, match="No such file"):
        read_manifest(tmp_path / "gone.tsv")
    with pytest.raises(BadManifest, match="no file of this name"):
        read_manifest("a\0b.tsv")
    with pytest.raises(BadManifest, match=r"wav\.scp"):
        read_manifest(tmp_path)


def test_nemo(tmp_path):
    sound(tmp_path / "audio/a.wav")
    rows = [
        {"audio_filepath": "audio/a.wav", "text": "da", "duration": 1.0, "lang": "ro", "snr": 12.5, "far": False},
        {"audio_filepath": "audio/a.wav", "text": None, "offset": 0.5, "duration": 0.25, "words": ["da"], "x": None},
    ]
    broken = [
        "[1]",
        "{",
        '{"audio_filepath": NaN}',
        '{"audio_filepath": "\\ud800.wav"}',
        "[" * 100_000,
        '{"text": "x"}',
    ]
    path = written(tmp_path / "manifest.json", "\n".join([*(json.dumps(row) for row in rows), *broken]))
    manifest = read_manifest(path, language="en")
    assert manifest.form == "jsonl"
    one, two = manifest.items
    assert (one.id, one.reference, one.start, one.end, one.language) == ("audio/a.wav", "da", 0.0, 1.0, "ro")
    assert one.columns == {"lang": "ro", "snr": "12.5", "far": "false"}
    assert (two.id, two.reference, two.start, two.end) == ("audio/a.wav#0.5-0.75", None, 0.5, 0.75)
    assert two.language == "en"
    assert two.columns == {}
    assert [bad.code for bad in manifest.bad] == ["bad_row"] * len(broken)
    assert [bad.where for bad in manifest.bad] == [f"manifest.json line {line}" for line in range(3, 9)]


def test_paths_begin_at_the_audio_root(tmp_path):
    audio = sound(tmp_path / "clips/a.wav")
    path = written(tmp_path / "lists/m.tsv" if (tmp_path / "lists").mkdir() is None else tmp_path, "path\na.wav\n")
    assert [bad.code for bad in read_manifest(path).bad] == ["missing_audio"]
    assert read_manifest(path, audio_root=tmp_path / "clips").items[0].audio == audio


def test_a_table_without_its_suffix(tmp_path):
    sound(tmp_path / "a.wav")
    assert read_manifest(written(tmp_path / "list.txt", "file\ttext\na.wav\thi\n")).form == "tsv"
    assert read_manifest(written(tmp_path / "list", '{"audio": "a.wav"}\n')).form == "jsonl"
