"""Tokens: what was signed reads back as it was, and nothing else is ever taken for one."""

import base64
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.errors import BadValue, ResumeRefused
from voxfleet.speech import SAMPLE_RATE, SPEECH_FRAME
from voxfleet.wire import native
from voxfleet.wire.resume import MAX_TOKEN, WARM_UP, Checkpoint, Mark, Signer

SIGNER = Signer(b"secret", 120.0)
NOW = 1_790_000_000.5

counts = st.integers(0, 2**40)
checkpoints = st.builds(
    Checkpoint,
    session=st.text(string.hexdigits, max_size=32),
    issued=st.floats(NOW - 120, NOW + 1e9),
    marks=st.lists(st.builds(Mark, counts, counts, st.booleans()), min_size=1, max_size=8).map(tuple),
    flushes=counts,
    turns=counts,
    words=counts,
    partials=counts,
)


@given(checkpoints)
def test_what_was_signed_reads_back(checkpoint: Checkpoint) -> None:
    token = SIGNER.sign(checkpoint)
    assert SIGNER.read(token, NOW) == checkpoint
    assert len(token) <= MAX_TOKEN
    assert native.resume_token({"resume": token}) == token
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")


@given(checkpoints, st.data())
def test_a_changed_bit_or_a_missing_end_is_refused(checkpoint: Checkpoint, data: st.DataObject) -> None:
    token = SIGNER.sign(checkpoint)
    at = data.draw(st.integers(0, len(token) - 1))
    changed = token[:at] + chr(ord(token[at]) ^ 1 << data.draw(st.integers(0, 6))) + token[at + 1 :]
    for wrong in (changed, token[:at], token + "A", token + "=", " " + token):
        with pytest.raises(ResumeRefused):
            SIGNER.read(wrong, NOW)


@settings(max_examples=300)
@given(st.text(max_size=600) | st.binary(max_size=300).map(lambda b: base64.urlsafe_b64encode(b).decode().rstrip("=")))
def test_anything_else_is_refused_by_name(token: str) -> None:
    with pytest.raises(ResumeRefused, match="can't be resumed"):
        SIGNER.read(token, NOW)


def test_each_refusal_says_why() -> None:
    token = SIGNER.sign(Checkpoint("s", NOW, (Mark(0, 0),)))
    with pytest.raises(ResumeRefused, match="was not signed with this cluster's secret"):
        Signer(b"another", 120.0).read(token, NOW)
    with pytest.raises(ResumeRefused, match="older than 120 s"):
        SIGNER.read(token, NOW + 120.1)
    with pytest.raises(ResumeRefused, match="no resume token"):
        SIGNER.read("hello", NOW)
    newer = base64.urlsafe_b64encode(b"\x02" + bytes(40)).decode().rstrip("=")
    with pytest.raises(ResumeRefused, match="newer version"):
        SIGNER.read(newer, NOW)
    assert SIGNER.read(token, NOW - 3_600).session == "s"  # signed by a gateway whose clock is ahead
    with pytest.raises(ValueError, match="empty secret"):
        Signer(b"", 1.0)


def test_what_the_cluster_signed_in_another_layout_is_refused_too() -> None:
    body = b"\x01" + b"\x93\x01\x02\x03"
    token = base64.urlsafe_b64encode(body + SIGNER._mac(body)).decode().rstrip("=")
    with pytest.raises(ResumeRefused, match="something else"):
        SIGNER.read(token, NOW)


@given(checkpoints)
def test_audio_is_asked_for_from_a_whole_frame_before_the_least_settled_channel(checkpoint: Checkpoint) -> None:
    settled = min(mark.settled for mark in checkpoint.marks)
    sample = checkpoint.resume_sample
    assert sample % SPEECH_FRAME == 0
    assert sample == 0 or WARM_UP <= settled - sample < WARM_UP + SPEECH_FRAME
    assert 0 <= sample <= settled
    assert checkpoint.resume_from == sample / SAMPLE_RATE


def test_the_query_key() -> None:
    assert native.resume_token({}) is None
    assert native.resume_token({"resume": ""}) is None
    for wrong in ("x" * (MAX_TOKEN + 1), "a\nb", "é"):
        with pytest.raises(BadValue, match="resume"):
            native.resume_token({"resume": wrong})
    native.parse_query({"resume": "x"})
