"""A Whisper folder with weights of noise, served as a user serves it: what computes it, what is said of it, live calls."""

import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="the folder is made by it")
pytest.importorskip("ctranslate2", reason="needs pip install 'voxfleet[whisper-cpu]'")

from tests.cli.conftest import Run
from tests.cli.test_end_to_end import write_wav
from tests.server import Server, serving
from voxfleet.cli import exits
from voxfleet.client import StreamOptions, connect
from voxfleet.wire import native

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.engines.whisper.folders import whisper_folder

    return whisper_folder(tmp_path_factory.mktemp("models") / "micro")


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The samples of six seconds of speech."""
    return write_wav(tmp_path_factory.mktemp("audio") / "call.wav", 6.0, channels=1).read_bytes()[44:]


async def heard(server: Server, call: bytes, **options: Any) -> list[native.FinalMessage]:
    """The finals of a live call; it ends with `done`."""
    async with connect(server.url, StreamOptions(**options)) as stream:
        assert stream.ready.model == "micro"
        for begin in range(0, len(call), 3_200):
            await stream.send(call[begin : begin + 3_200])
        await stream.finish()
        messages = [message async for message in stream]
    finals = [message for message in messages if isinstance(message, native.FinalMessage)]
    assert isinstance(messages[-1], native.DoneMessage)
    assert messages[-1].finals == len(finals) > 0
    return finals


def lines_after_the_address(server: Server, count: int) -> list[str]:
    assert server.process.stdout is not None
    return [server.process.stdout.readline().rstrip("\n") for _ in range(count)]


@pytest.mark.parametrize("backend", ["ctranslate2", "pytorch"])
async def test_a_folder_of_noise_is_served_live(tmp_path: Path, folder: Path, call: bytes, backend: str) -> None:
    worker = {"model": str(folder), "device": "cpu", "places": 4, "options": {"threads": 1}}
    why = "the device is set to cpu"
    if backend == "pytorch":
        worker["options"] = {"threads": 1, "backend": "pytorch"}
        why = "the option backend says so"
    with serving(tmp_path, supervisor={"ready_seconds": 110.0}, workers=[worker]) as server:
        name = {"ctranslate2": "CTranslate2 int8", "pytorch": "PyTorch"}[backend]
        assert lines_after_the_address(server, 1) == [f"micro: {name} on the CPU, because {why}"]
        (chosen,) = server.events("engine_chosen")
        assert (chosen["model"], chosen["backend"], chosen["device"], chosen["why"]) == ("micro", backend, "cpu", why)
        assert {"en", "ro", "auto"} <= set(server.get("/v1/models")["data"][0]["languages"])
        await heard(server, call)
        finals = await heard(server, call, language="auto", translate=True)
        assert all(final.language for final in finals if final.words)
        told = _posted(server, "translations", call)
        assert (told["task"], told["language"]) == ("translate", "en")
        assert _posted(server, "transcriptions", call)["language"] != "auto"


async def test_a_cut_context_is_served_with_a_warning(tmp_path: Path, folder: Path, call: bytes) -> None:
    worker = {"model": str(folder), "device": "cpu", "places": 2, "options": {"encoder_context": "silence_tail"}}
    with serving(tmp_path, supervisor={"ready_seconds": 110.0}, workers=[worker]) as server:
        lines_after_the_address(server, 1)
        await heard(server, call)
        (warning,) = [line for line in server.log.read_text().splitlines() if line.startswith("micro: encoder_context")]
        assert f"voxfleet evaluate --url {server.url} --audio MANIFEST --live" in warning


def test_an_option_of_the_other_library_is_refused_with_the_name_of_this_one(
    voxfleet: Run, tmp_path: Path, folder: Path
) -> None:
    config = tmp_path / "voxfleet.toml"
    config.write_text(f'[[workers]]\nmodel = "{folder}"\ndevice = "cpu"\n[workers.options]\nprecision = "float32"\n')
    done = voxfleet("serve", "--port", "0", "--config", config)
    assert done.returncode == exits.SETTINGS
    assert "options of engine 'micro (ctranslate2)': " in done.stderr.splitlines()[-1]
    assert "'precision'" in done.stderr.splitlines()[-1]


def _posted(server: Server, what: str, call: bytes) -> dict[str, Any]:
    """A file, posted as a browser's form."""
    import wave

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(call)
    parts = [
        b'name="response_format"\r\n\r\nverbose_json',
        b'name="file"; filename="a.wav"\r\n\r\n' + buffer.getvalue(),
    ]
    body = b"".join(b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--x--\r\n"
    request = urllib.request.Request(
        f"{server.url}/v1/audio/{what}", body, {"Content-Type": "multipart/form-data; boundary=x"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))
