"""A recorded file over HTTP: against the real server, and against answers no good server gives."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.server import FAKE, serving
from voxfleet.audio.pcm import wav
from voxfleet.client import ConnectionFailed, RemoteError
from voxfleet.client.recorded import RecordedOptions, transcribe

NOISE = wav(np.random.default_rng(1).normal(0, 0.2, 32_000).astype(np.float32), 16_000)


async def test_a_file_comes_back_as_text_with_segments(tmp_path: Path) -> None:
    workers = [{"model": FAKE, "places": 1, "options": {"script": "ana are mere", "whole": True, "languages": ["ro"]}}]
    with serving(tmp_path, vad={"model": "level"}, workers=workers) as server:
        found = await transcribe(server.url, NOISE, RecordedOptions(language="ro"))
        assert found.text == "ana are mere"
        assert found.segments[0].end > found.segments[0].start
        with pytest.raises(RemoteError) as refusal:
            await transcribe(server.url, NOISE, RecordedOptions(language="fi"))
        assert refusal.value.remote_code == "language_not_supported"
        with pytest.raises(RemoteError) as unknown:
            await transcribe(server.url, NOISE, RecordedOptions(model="no-such-model"))
        assert unknown.value.remote_code == "model_not_found"
        server.at_rest()


class Answers(BaseHTTPRequestHandler):
    status = 200
    body = b"{}"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Not to the test's output."""


@pytest.fixture
def answers() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (503, b'{"error": {"message": "full", "code": "at_capacity"}}', "at_capacity"),
        (500, b"<html>oops</html>", "http_500"),
        (429, b'{"error": {"message": "slow down", "code": null}}', "http_429"),
    ],
)
async def test_a_refusal_carries_its_code(answers: str, status: int, body: bytes, code: str) -> None:
    Answers.status, Answers.body = status, body
    with pytest.raises(RemoteError) as refusal:
        await transcribe(answers, NOISE, RecordedOptions())
    assert refusal.value.remote_code == code
    assert refusal.value.retry_after == 7.0


async def test_what_is_no_transcript_is_no_connection(answers: str) -> None:
    Answers.status, Answers.body = 200, b"not json"
    with pytest.raises(ConnectionFailed, match="no transcript"):
        await transcribe(answers, NOISE, RecordedOptions())
    with pytest.raises(ConnectionFailed, match="no server"):
        await transcribe("http://127.0.0.1:9", NOISE, RecordedOptions())
