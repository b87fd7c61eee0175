"""Nothing a file can hold ends the reading with an error that has no name, and nothing in it goes uncounted."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.manifests.shared import CODES, sound, written
from voxfleet.evaluation.faults import BadManifest
from voxfleet.evaluation.manifests.read import attach_references, read_hypotheses, read_manifest

pytest.importorskip("meeteval", reason="the extra 'speakers' is not installed")

SUFFIXES = (".tsv", ".csv", ".json", ".jsonl", ".stm", ".ctm", ".rttm", ".seglst", ".txt", "")
WORDS = [
    *("a.wav", "b.wav", "gone.wav", "a.rttm", "a", "SPEAKER", "<NA>", "file", "text", "start", "speech", "noise", "A"),
    *(
        "0",
        "1",
        "2.5",
        "-1",
        "nan",
        "inf",
        "1e999",
        "9" * 5000,
        "²",
        "",
        " ",
        "\0",
        "\r",
        '"',
        "'",
        "\\",
        "|",
        ";;",
        "#",
    ),
    *("{", "}", "[", "]", ":", ",", "null", "\u2028", "\x85", "\ufeff", "ș", "\U0001f600", "..", "/", "<o,f0>"),
    *('"session_id"', '"audio_filepath"', '"a.wav"', '"words"', '"start_time"', '"end_time"', '"\\ud800"', '"text"'),
]
LINES = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=12).flatmap(
        lambda words: st.sampled_from(["\t".join(words), " ".join(words), "".join(words), ",".join(words)])
    ),
    max_size=8,
)
CONTENTS = st.one_of(
    st.tuples(
        st.sampled_from([b"", b"file\ttext\tstart\tend\tkind\n", b"file,text,duration\n"]),
        LINES.map("\n".join).map(str.encode),
    ).map(b"".join),
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=150, deadline=None)
@given(content=CONTENTS)
def test_any_file(suffix, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"list{suffix}"
        sound(Path(folder) / "a.wav", seconds=0.01)
        path.write_bytes(content)
        known = read_manifest(written(Path(folder) / "known.tsv", "file\na.wav\n"))
        for read in (read_manifest, lambda path: attach_references(known, path), read_hypotheses):
            try:
                found = read(path)
            except BadManifest:
                continue
            assert {bad.code for bad in found.bad} <= CODES
            for bad in found.bad:
                f"{bad.where} {bad.message}".encode()


@settings(max_examples=150, deadline=None)
@given(tables=st.lists(LINES.map("\n".join), min_size=4, max_size=4))
def test_any_kaldi_folder(tables):
    with tempfile.TemporaryDirectory() as folder:
        sound(Path(folder) / "a.wav", seconds=0.01)
        for name, table in zip(("wav.scp", "text", "segments", "reco2file_and_channel"), tables, strict=True):
            (Path(folder) / name).write_text(table, encoding="utf-8")
        try:
            found = read_manifest(Path(folder))
        except BadManifest:
            return
        assert {bad.code for bad in found.bad} <= CODES


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.lists(st.sampled_from(["a.wav", "b.wav", "x", "1", "-1", "", "nan"]), min_size=1, max_size=5)))
def test_every_row_is_an_item_or_bad(rows):
    lines = ["\t".join(row) for row in rows]
    counted = sum(bool(line.strip()) for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        sound(Path(folder) / "a.wav", seconds=0.01)
        path = written(Path(folder) / "m.tsv", "\n".join(["file\ttext\tstart\tend", *lines]))
        if not counted:
            with pytest.raises(BadManifest):
                read_manifest(path)
            return
        found = read_manifest(path)
    assert len(found.items) + len(found.bad) == counted
    assert len({item.id for item in found.items}) == len(found.items)
