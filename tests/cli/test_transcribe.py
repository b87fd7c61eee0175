"""What an order of files asks of a private server, and where its transcripts go."""

from pathlib import Path

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
