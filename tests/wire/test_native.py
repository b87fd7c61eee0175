"""The native codec: whatever arrives is a command or a named error, and what is sent reads back as it was."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.client.dial import stream_url
from voxfleet.errors import AtCapacity, BadMessage, BadValue, CallerError
from voxfleet.speech import Final, Flushed, Partial, Settled, SpeechStarted, Word
from voxfleet.wire import native
from voxfleet.wire.commands import Audio, Configure, Finish, Flush, Ping
from voxfleet.wire.options import Encoding, StreamOptions

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
typed = st.dictionaries(st.sampled_from(["type", "id", "endpointing_ms", "interim", "x"]), json_values, max_size=4)
kinds = st.sampled_from(["configure", "flush", "finish", "ping", "sing", "", "final"])


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | json_values.map(json.dumps)
    | st.tuples(typed, kinds).map(lambda p: json.dumps(p[0] | {"type": p[1]}))
)
def test_any_text_is_a_command_or_a_bad_message(text: str) -> None:
    try:
        command = native.decode(text)
    except BadMessage as error:
        assert error.close_code == 1007  # noqa: PT017 - either outcome is right
        return
    assert isinstance(command, Configure | Flush | Finish | Ping)
    if isinstance(command, Configure) and command.endpointing_ms is not None:
        assert 100 <= command.endpointing_ms <= 3000


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*native.QUERY, "modell"]), st.text(max_size=12) | st.integers().map(str), max_size=5
    )
)
def test_any_query_is_options_or_a_named_error(query: dict[str, str]) -> None:
    try:
        options = native.parse_query(query)
    except CallerError as error:
        assert any(name in str(error) for name in query)  # noqa: PT017 - either outcome is right
        return
    assert options.channels in range(1, 9)
    assert 8_000 <= options.sample_rate <= 48_000
    assert options.endpointing_ms is None or 100 <= options.endpointing_ms <= 3_000


@pytest.mark.parametrize(
    ("name", "encoding"), [("linear16", "pcm16"), ("PCMU", "mulaw"), ("auto", "container"), ("alaw", "alaw")]
)
def test_the_fields_usual_names_of_encodings_are_understood(name: str, encoding: str) -> None:
    assert native.parse_query({"encoding": name}).encoding is Encoding(encoding)


def test_languages_are_tags_or_found_out() -> None:
    for tag in ("ro", "en-US", "zh-Hant-TW", "auto"):
        assert native.parse_query({"language": tag}).language == tag
    for tag in ("automatic", "AUTO", "e", "en-", "romanian", "auto-en", ""):
        with pytest.raises(BadValue, match="'language' must be a BCP-47 tag such as en or en-US, or auto"):
            native.parse_query({"language": tag})


def test_a_translation_is_asked_for_by_its_task() -> None:
    assert native.parse_query({"task": "translate", "language": "ro"}) == StreamOptions("ro", translate=True)
    assert native.parse_query({"task": "transcribe"}) == native.parse_query({"task": ""}) == StreamOptions()
    with pytest.raises(BadValue, match="'task' must be one of transcribe, translate, not 'Translate'"):
        native.parse_query({"task": "Translate"})
    for options in (StreamOptions(), StreamOptions("auto", translate=True)):
        asked = dict(parse_qsl(urlsplit(stream_url("ws://host", options)).query))
        assert native.parse_query(asked) == options
        assert ("task" in asked) == options.translate


def test_no_query_is_the_default() -> None:
    assert native.parse_query({}) == StreamOptions()
    assert [encoding.sample_bytes for encoding in Encoding] == [2, 4, 1, 1, 0]


WORDS = (Word("hello", 1.00049, 1.2, 0.5), Word("there", 1.2, 1.4))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (SpeechStarted(1, 4, 0.5), {"type": "speech_started", "channel": 1, "turn": 4, "at": 0.5}),
        (
            Partial(0, 1, 1.0, 2.0, WORDS[:1], WORDS[1:]),
            {
                "type": "partial",
                "channel": 0,
                "turn": 1,
                "start": 1.0,
                "end": 2.0,
                "stable": "hello",
                "unstable": "there",
            },
        ),
        (Flushed(0, 3), {"type": "flushed", "flush": 3}),
        (Settled(0, 1.5, 2.5, 3), {"type": "ack", "channel": 0, "settled": 1.5, "heard": 2.5}),
    ],
)
def test_events_as_messages(event: Any, expected: dict[str, Any]) -> None:
    text = native.encode(native.message_of(event))
    assert json.loads(text) == expected
    assert native.encode(native.decode_server(text)) == text


def test_tokens_travel_in_messages_and_are_left_out_where_there_are_none() -> None:
    ack = native.AckMessage(0, 4.0, 4.5, "token", 3.008)
    leave = native.ReconnectMessage("token", 3.008, "this gateway is leaving")
    limits = native.LimitsMessage(1, 10.0, 60.0, 30.0)
    ready = native.ReadyMessage("s", "m", "en", 1, 16_000, "pcm16", 100, 500, limits)
    resumed = native.ReadyMessage("s", "m", "en", 1, 16_000, "pcm16", 100, 500, limits, "token", 0.0)
    for message in (ack, leave, ready, resumed):
        assert native.decode_server(native.encode(message)) == message
    assert json.loads(native.encode(leave))["type"] == "reconnect"
    assert json.loads(native.encode(ack))["resume_from"] == 3.008
    assert not {"token", "resumed_from"} & set(json.loads(native.encode(ready)))
    assert json.loads(native.encode(resumed))["resumed_from"] == 0.0


def test_finals_with_and_without_words() -> None:
    final = Final(0, 1, 0.9, 2.0, WORDS, speech_end=1.5)
    with_words = json.loads(native.encode(native.message_of(final)))
    assert with_words["text"] == "hello there"
    assert with_words["words"] == [
        {"word": "hello", "start": 1.0, "end": 1.2, "confidence": 0.5},
        {"word": "there", "start": 1.2, "end": 1.4},
    ]
    assert with_words["speech_end"] == 1.5
    assert "words" not in json.loads(native.encode(native.message_of(final, words=False)))


def test_binary_is_audio_and_rubbish_of_a_server_is_named() -> None:
    assert native.decode(b"\0\1") == Audio(b"\0\1")
    with pytest.raises(BadMessage):
        native.decode_server('{"type":"nothing we know"}')


def test_the_schema_names_every_message_and_an_error_says_everything() -> None:
    tags = {
        d["properties"]["type"]["enum"][0]
        for d in native.schema()["$defs"].values()
        if "type" in d.get("properties", {})
    }
    assert {
        "configure",
        "flush",
        "finish",
        "ping",
        "ready",
        "partial",
        "final",
        "error",
        "done",
        "warning",
        "reconnect",
    } <= tags
    full = json.loads(native.encode(native.error_message(AtCapacity(7, retry_after=3.0))))
    assert full == {
        "type": "error",
        "code": "at_capacity",
        "message": "all 7 places are taken; try again in 3 s",
        "retryable": True,
        "retry_after": 3.0,
    }


def test_a_grammar_has_a_limit() -> None:
    with pytest.raises(BadValue, match="4096"):
        native.parse_query({"grammar": "x" * 5_000})
