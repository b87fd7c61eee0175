"""What an order of files asks of a private server, and where its transcripts go."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_end_to_end import write_wav
from tests.server import REPOSITORY
from voxfleet.audio.recording import read_recording
from voxfleet.cli import exits
from voxfleet.cli.transcribe import Order, Result, private_settings
from voxfleet.errors import BadAudio
from voxfleet.settings import Settings, WorkerSettings


def order(*files: Path, jobs: int = 2, live: bool = False, model: str | None = None, style: str = "text") -> Order:
    return Order(files=files, style=style, output=Path("out"), live=live, jobs=jobs, model=model)


def places(settings: Settings) -> list[int]:
    return [worker.places for worker in settings.workers]


def test_a_private_server_has_a_place_for_each_channel_that_can_be_open(tone: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no audio")
    assert places(private_settings(Settings(), order(tone))) == [2]
    assert places(private_settings(Settings(), order(tone, tone, tone))) == [4]
    assert places(private_settings(Settings(), order(broken, tone, jobs=8))) == [3]
    assert places(private_settings(Settings(), order(tone, tone, live=True))) == [2]


def test_places_and_models_that_were_set_stay(tone: Path) -> None:
    mine = Settings(workers=(WorkerSettings(model="embedded", places=7, options={"processes": 1}),))
    assert private_settings(mine, order(tone, model="embedded")).workers == mine.workers
    other = private_settings(mine, order(tone, model="python:a:B")).workers
    assert [(worker.model, worker.options) for worker in other] == [("python:a:B", {})]


def test_a_private_server_takes_any_port_of_this_machine_only(tone: Path) -> None:
    gateway = private_settings(Settings(), order(tone)).gateway
    assert (gateway.host, gateway.port) == ("127.0.0.1", 0)


def test_transcripts_are_named_after_their_files() -> None:
    assert order(style="srt").target(Path("calls/monday.wav")) == Path("out/monday.srt")
    assert order(style="text").target(Path("calls/monday.flac")) == Path("out/monday.txt")


def test_a_failed_file_says_why() -> None:
    told = Result(Path("x.wav"), error=BadAudio("there is no audio in it")).document("en")
    assert told == {
        "file": "x.wav",
        "ok": False,
        "error": {"code": "bad_audio", "message": "undecodable audio: there is no audio in it"},
    }


def test_a_translation_is_english_whatever_is_spoken(tone: Path) -> None:
    spoken = Order(files=(tone,), style="json", output=None, language="ro")
    assert (spoken.written_in, spoken.options(read_recording(tone)).translate) == ("ro", False)
    translated = Order(files=(tone,), style="json", output=None, language="ro", translate=True)
    options = translated.options(read_recording(tone))
    assert (translated.written_in, options.language, options.translate) == ("en", "ro", True)


@pytest.mark.slow
def test_files_are_translated_on_demand(voxfleet: Run, tmp_path: Path) -> None:
    call = write_wav(tmp_path / "call.wav", 4.0, channels=1)
    config = tmp_path / "voxfleet.toml"
    config.write_text('[[workers]]\nmodel = "python:tests.gateway.test_translation:Interpreter"\n')
    arguments = ("transcribe", call, "--config", config, "--language", "ro", "--json")
    told = {}
    for task in ((), ("--translate",)):
        done = voxfleet(*arguments, *task, PYTHONPATH=str(REPOSITORY))
        assert done.returncode == exits.OK, done.stderr
        (told[task],) = json.loads(done.stdout)["files"]
    said, translated = told.values()
    assert (said["task"], said["language"], set(said["text"].split())) == ("transcribe", "ro", {"ro-as-said"})
    assert (translated["task"], translated["language"]) == ("translate", "en")
    assert set(translated["text"].split()) == {"ro-translated"}


@pytest.mark.slow
def test_a_model_that_cannot_translate_says_so(voxfleet: Run, tmp_path: Path) -> None:
    call = write_wav(tmp_path / "call.wav", 2.0, channels=1)
    done = voxfleet("transcribe", call, "--translate")
    assert done.returncode != exits.OK
    assert "model 'embedded' can't translate" in done.stderr
