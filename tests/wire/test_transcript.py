"""The written forms of a transcript, to the character."""

import json
from itertools import pairwise

import pytest

from voxfleet.speech import Final, Word
from voxfleet.wire.native import FinalMessage, WordMessage
from voxfleet.wire.transcript import Format, Line, cues, document, full_text, lines_of, render


def final(
    channel: int, turn: int, start: float, text: str, step: float = 0.5, confidence: float | None = None
) -> Final:
    words = tuple(
        Word(word, start + i * step, start + (i + 1) * step, confidence) for i, word in enumerate(text.split())
    )
    end = start + len(words) * step
    return Final(channel, turn, max(start - 0.3, 0), end + 0.5, words, end)


HELLO = final(0, 0, 1.0, "hello there")
REPLY = final(1, 0, 2.5, "good morning")


def test_lines_are_sorted_by_time_whatever_the_order_of_finals() -> None:
    later = final(0, 1, 4.0, "how are you")
    assert [line.text for line in lines_of([later, REPLY, HELLO])] == ["hello there", "good morning", "how are you"]


def test_empty_finals_are_left_out() -> None:
    assert lines_of([Final(0, 0, 1.0, 2.0, (), 1.5)]) == ()


def test_a_line_spans_its_words_and_not_the_silence_around_them() -> None:
    (line,) = lines_of([HELLO])
    assert (line.start, line.end) == (1.0, 2.0)


def test_messages_and_events_give_the_same_lines() -> None:
    message = FinalMessage(
        0, 0, 0.7, 2.5, "hello there", [WordMessage("hello", 1.0, 1.5), WordMessage("there", 1.5, 2.0)]
    )
    assert lines_of([message]) == lines_of([HELLO])


def test_a_message_without_words_keeps_its_own_times() -> None:
    assert lines_of([FinalMessage(0, 0, 0.7, 2.5, "hello there")]) == (Line(0, 0.7, 2.5, "hello there"),)


def test_text_is_one_line_a_turn() -> None:
    assert render(Format.TEXT, lines_of([HELLO])) == "hello there\n"


def test_text_names_channels_where_there_are_several() -> None:
    assert render(Format.TEXT, lines_of([HELLO, REPLY])) == "channel 0: hello there\nchannel 1: good morning\n"
    named = render(Format.TEXT, lines_of([HELLO, REPLY]), labels={0: "agent", 1: ""})
    assert named == "agent: hello there\ngood morning\n"


def test_json_is_the_text_alone() -> None:
    assert json.loads(render(Format.JSON, lines_of([HELLO, REPLY]))) == {"text": "hello there good morning"}


def test_verbose_json_has_everything_known_and_nothing_else() -> None:
    sure = final(0, 0, 1.0, "héllo", confidence=0.87654321)
    assert json.loads(render(Format.VERBOSE_JSON, lines_of([sure]), language="en-US", duration=3.25)) == {
        "task": "transcribe",
        "language": "en-US",
        "duration": 3.25,
        "text": "héllo",
        "segments": [{"id": 0, "start": 1.0, "end": 1.5, "text": "héllo", "channel": 0}],
        "words": [{"word": "héllo", "start": 1.0, "end": 1.5, "confidence": 0.8765, "channel": 0}],
    }


def test_document_labels_several_channels_and_takes_the_last_end_as_duration() -> None:
    told = document(lines_of([HELLO, REPLY]))
    assert [segment["label"] for segment in told["segments"]] == ["channel 0", "channel 1"]
    assert told["duration"] == 3.5
    assert document(())["duration"] == 0.0


def test_srt() -> None:
    assert render(Format.SRT, lines_of([HELLO, final(0, 1, 3661.0015, "an hour later")])) == (
        "1\n00:00:01,000 --> 00:00:02,000\nhello there\n\n2\n01:01:01,002 --> 01:01:02,502\nan hour later\n"
    )


def test_srt_with_channels() -> None:
    assert render(Format.SRT, lines_of([HELLO, REPLY]), labels={0: "agent", 1: "customer"}) == (
        "1\n00:00:01,000 --> 00:00:02,000\nagent: hello there\n\n"
        "2\n00:00:02,500 --> 00:00:03,500\ncustomer: good morning\n"
    )


def test_vtt() -> None:
    assert render(Format.VTT, lines_of([HELLO])) == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nhello there\n"


def test_vtt_names_voices_and_escapes() -> None:
    odd = final(1, 0, 2.0, "a<b &c")
    assert render(Format.VTT, lines_of([HELLO, odd]), labels={0: "agent", 1: "R&D"}) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v agent>hello there\n\n"
        "00:00:02.000 --> 00:00:03.000\n<v R&amp;D>a&lt;b &amp;c\n"
    )


@pytest.mark.parametrize(("style", "nothing"), [(Format.TEXT, ""), (Format.SRT, ""), (Format.VTT, "WEBVTT\n")])
def test_nothing_said_is_an_empty_transcript(style: Format, nothing: str) -> None:
    assert render(style, ()) == nothing


def test_long_turns_are_cut_into_cues_that_fit_a_screen_and_lose_no_word() -> None:
    long = final(0, 0, 0.0, " ".join(f"word{i}" for i in range(60)), step=0.4)
    cut = cues(lines_of([long]))
    assert len(cut) > 3
    assert full_text(cut) == long.text
    for cue in cut:
        assert cue.end - cue.start <= 7.0 + 1e-9
        assert len(cue.text) <= 2 * 42
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(cut))


def test_rows_of_a_cue_are_wrapped_between_words() -> None:
    text = "the quick brown fox jumps over the lazy dog and goes home"
    srt = render(Format.SRT, lines_of([final(0, 0, 0.0, text, step=0.1)]))
    assert srt.split("\n")[2:4] == ["the quick brown fox jumps over the lazy", "dog and goes home"]


def test_a_word_longer_than_a_cue_stays_whole() -> None:
    slow = Final(0, 0, 0.0, 9.5, (Word("well", 0.0, 9.0), Word("yes", 9.0, 9.4)), 9.4)
    assert [cue.text for cue in cues(lines_of([slow]))] == ["well", "yes"]


def test_a_label_counts_as_part_of_a_subtitle() -> None:
    text = " ".join(["abcdefghi"] * 8)
    srt = render(Format.SRT, lines_of([final(0, 0, 0.0, text, step=0.1)]), labels={0: "customer service"})
    blocks = srt.strip().split("\n\n")
    assert len(blocks) == 2
    assert all(len(block.split("\n")) <= 4 and "customer service: " in block for block in blocks)
