"""POST /v1/audio/transcriptions with the real openai package, and what bad uploads get."""

import io
import json
import urllib.error
import urllib.request
import wave
from typing import Any

import openai
import pytest

from tests.server import Server
from tests.speech_audio import padded, spoken

TEXT = "the quick brown fox jumps over the lazy dog"


def wav(channels: int = 1) -> bytes:
    samples = padded(spoken(TEXT))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.repeat(channels).tobytes())
    return buffer.getvalue()


@pytest.fixture
def client(server: Server):
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


def test_every_response_format(client: openai.OpenAI) -> None:
    def ask(style: Any) -> Any:
        return client.audio.transcriptions.create(file=("call.wav", wav()), model="whisper-1", response_format=style)

    answer = ask("json")
    assert answer.text.startswith("w0 w1 w2")
    assert ask("text") == answer.text + "\n"
    assert "00:00:0" in ask("srt")
    assert ask("srt").startswith("1\n")
    assert ask("vtt").startswith("WEBVTT")
    verbose = ask("verbose_json")
    assert verbose.text == answer.text
    assert verbose.duration == pytest.approx(len(wav()) / 32_000, abs=0.1)
    assert verbose.segments[0].end <= verbose.duration
    assert [word.word for word in verbose.words] == answer.text.split()


def test_stereo_files_are_mixed_down(client: openai.OpenAI) -> None:
    mono, stereo = (
        client.audio.transcriptions.create(file=("call.wav", wav(channels)), model="fake", language="en").text
        for channels in (1, 2)
    )
    assert mono == stereo


def test_refusals_are_openai_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.audio.transcriptions.create(file=("call.wav", b"no audio in here at all" * 50), model="whisper-1")
    assert refusal.value.code == "bad_audio"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.audio.transcriptions.create(file=("call.wav", wav()), model="nova-3")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as language:
        client.audio.transcriptions.create(file=("call.wav", wav()), model="whisper-1", language="ro")
    assert language.value.code == "language_not_supported"
    with pytest.raises(openai.BadRequestError) as style:
        client.audio.transcriptions.create(file=("a.wav", wav()), model="whisper-1", response_format="diarized_json")
    assert style.value.param == "response_format"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "multipart/form-data; boundary=x", 400),
        (b"{}", "application/json", 400),
        (b"rubbish", "multipart/form-data", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="speed"\r\n\r\n9\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
    ],
    ids=["empty", "json", "no boundary", "unknown field", "text as file"],
)
def test_bad_forms_are_refused_by_name(server: Server, body: bytes, content_type: str, status: int) -> None:
    request = urllib.request.Request(
        server.url + "/v1/audio/transcriptions", body, {"Content-Type": content_type}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=10)
    with refusal.value as answer:
        assert answer.code == status
        error = json.load(answer)["error"]
    assert error["type"] == "invalid_request_error"
    assert error["code"]
    assert error["message"]
