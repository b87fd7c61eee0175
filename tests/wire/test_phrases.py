"""How callers write the phrases they expect: every text is phrases or an error that names what is wrong."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.client.dial import stream_url
from voxfleet.errors import BadValue
from voxfleet.wire import native
from voxfleet.wire.options import StreamOptions
from voxfleet.wire.phrases import LONGEST, MOST_PHRASES, MOST_WEIGHT, WEIGHT, Phrase, parse, write


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("", []),
        (" ", []),
        ("Voxfleet:3,Chișinău", [Phrase("Voxfleet", 3.0), Phrase("Chișinău", WEIGHT)]),
        ("  Ana   Popescu : 2.5 ", [Phrase("Ana Popescu", 2.5)]),
        ("12:30:1", [Phrase("12:30", 1.0)]),
        ("ratio a:b", [Phrase("ratio a:b")]),
        ("3", [Phrase("3")]),
        ("zero:0", [Phrase("zero", 0.0)]),
        ("a\u0306", [Phrase("ă")]),
        (",".join(["x" * LONGEST] * MOST_PHRASES), [Phrase("x" * LONGEST)] * MOST_PHRASES),
    ],
)
def test_phrases_are_read(text: str, phrases: list[Phrase]) -> None:
    assert parse(text) == tuple(phrases)
    assert native.parse_query({"phrases": text}).phrases == tuple(phrases)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Voxfleet,,Ana", "1 to 50 printable"),
        ("Voxfleet,", "1 to 50 printable"),
        (":3", "1 to 50 printable"),
        ("x" * (LONGEST + 1), "1 to 50 printable"),
        ("a\0b", "1 to 50 printable"),
        ("Voxfleet:11", "weights from 0 to 10, not 'Voxfleet:11'"),
        ("Voxfleet:-1", "weights from 0 to 10"),
        ("Voxfleet:nan", "weights from 0 to 10"),
        ("Voxfleet:inf", "weights from 0 to 10"),
        (",".join("x" * (MOST_PHRASES + 1)), "at most 100, parted by commas, not '101 phrases'"),
    ],
)
def test_what_is_no_phrase_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(BadValue, match=says) as refusal:
        parse(text)
    assert refusal.value.name == "phrases"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_phrases_or_a_named_error(text: str) -> None:
    try:
        phrases = parse(text)
    except BadValue as error:
        assert "phrases" in str(error)  # noqa: PT017 - either outcome is right
        return
    assert parse(write(phrases)) == phrases


@given(st.lists(st.tuples(st.text("ab :1é", min_size=1, max_size=9), st.sampled_from([0.0, 0.5, WEIGHT, MOST_WEIGHT]))))
def test_what_is_written_is_read_again(pairs: list[tuple[str, float]]) -> None:
    wanted = tuple(Phrase(" ".join(text.split()), weight) for text, weight in pairs if text.strip())[:MOST_PHRASES]
    assert parse(write(wanted)) == wanted


def test_a_comma_cannot_be_written() -> None:
    with pytest.raises(BadValue, match="without commas"):
        write([Phrase("Bucharest, Romania")])


def test_a_client_asks_as_the_server_reads() -> None:
    options = StreamOptions(phrases=(Phrase("Ana & Bo", 2.5), Phrase("Chișinău")))
    query = dict(parse_qsl(urlsplit(stream_url("ws://host", options)).query))
    assert native.parse_query(query) == options
    assert "phrases" not in stream_url("ws://host", StreamOptions())
