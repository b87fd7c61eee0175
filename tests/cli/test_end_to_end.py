"""The commands that need a server, with a real one: gateway and workers as processes, PocketSphinx in them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from voxfleet.cli import exits
from voxfleet.cli.sample_call import load_sample_call
from voxfleet.evaluation.wer import score

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 17 s of the sample call, both channels, as a file: three turns of each speaker at most."""
    return write_wav(tmp_path_factory.mktemp("audio") / "call.wav", 17.0)


def write_wav(path: Path, seconds: float, channels: int = 2) -> Path:
    import wave

    recording = load_sample_call().recording
    samples = recording.samples[: round(seconds * recording.sample_rate), :channels]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(recording.sample_rate)
        file.writeframes(np.ascontiguousarray(samples).tobytes())
    return path


def test_the_sample_call_is_what_its_script_says() -> None:
    call = load_sample_call()
    assert call.speakers == ("agent", "customer")
    assert call.recording.channels == 2
    assert call.recording.sample_rate == 16_000
    assert 30 <= call.recording.seconds <= 45
    rate = call.recording.sample_rate
    for turn in call.turns:
        assert 0 < turn.start < turn.end < call.recording.seconds
        spoken = call.recording.samples[round(turn.start * rate) : round(turn.end * rate), turn.channel]
        assert np.sqrt(np.mean(spoken.astype(np.float64) ** 2)) > 300
    assert any(a.end > b.start for a, b in zip(call.turns, call.turns[1:], strict=False)), "one turn cuts in"


def test_demo_as_json_is_one_document_of_true_figures(voxfleet: Run) -> None:
    done = voxfleet("demo", "--json")
    assert done.returncode == exits.OK, done.stderr
    told = json.loads(done.stdout)
    assert told["words"]["said"] == 107
    assert told["wer"] < 0.3
    assert 1.0 <= told["real_time_factor"] < 1.5
    assert {segment["label"] for segment in told["transcript"]["segments"]} == {"agent", "customer"}
    starts = [segment["start"] for segment in told["transcript"]["segments"]]
    assert starts == sorted(starts)
    assert told["emission_latency"]["count"] == len(told["transcript"]["words"])
    assert told["final_latency"]["p50"] >= told["endpointing_ms"] / 1000 - 0.2
    assert re.search(r"agent +… ", done.stderr)
    assert re.search(r"customer +\w", done.stderr)


def test_transcribe_writes_text_by_time_with_channels(voxfleet: Run, agent: Path) -> None:
    done = voxfleet("transcribe", agent)
    assert done.returncode == exits.OK, done.stderr
    lines = done.stdout.splitlines()
    assert {line.split(":")[0] for line in lines} == {"channel 0", "channel 1"}
    assert lines[0].startswith("channel 0: thank you for calling")
    assert "call.wav" in done.stderr


def test_transcribe_is_faster_than_real_time_and_as_good_as_live(voxfleet: Run, agent: Path) -> None:
    (fast,) = json.loads(voxfleet("transcribe", agent, "--json").stdout)["files"]
    (live,) = json.loads(voxfleet("transcribe", agent, "--json", "--live").stdout)["files"]
    assert fast["ok"]
    assert live["ok"]
    assert fast["channels"] == 2
    assert live["seconds_taken"] >= 17.0
    assert score(live["text"], fast["text"]).rate is not None
    assert (score(live["text"], fast["text"]).rate or 0.0) < 0.2


def test_one_bad_file_does_not_stop_the_others(voxfleet: Run, agent: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"this is not audio")
    done = voxfleet("transcribe", tmp_path / "bad.wav", tmp_path / "absent.wav", agent, "--json")
    assert done.returncode == exits.FAILED
    told = json.loads(done.stdout)
    assert [file["ok"] for file in told["files"]] == [False, False, True]
    assert told["failed"] == 2
    assert "bad.wav" in done.stderr


def test_subtitles_go_to_a_folder(voxfleet: Run, agent: Path, tmp_path: Path) -> None:
    done = voxfleet("transcribe", agent, "--format", "vtt", "--output", tmp_path / "out")
    assert done.returncode == exits.OK, done.stderr
    assert done.stdout == ""
    text = (tmp_path / "out" / "call.vtt").read_text()
    assert text.startswith("WEBVTT\n\n00:00:00.")
    assert "<v channel 0>thank you" in text


def test_a_model_nobody_knows_is_a_wrong_setting(voxfleet: Run, agent: Path) -> None:
    done = voxfleet("transcribe", agent, "--model", "embeded")
    assert done.returncode == exits.SETTINGS
    assert "did you mean 'embedded'" in done.stderr


def test_a_language_it_does_not_hear_is_refused(voxfleet: Run, agent: Path) -> None:
    done = voxfleet("transcribe", agent, "--language", "ro")
    assert done.returncode == exits.REFUSED
    assert "does not hear 'ro'" in done.stderr


def test_more_channels_than_places_are_refused(voxfleet: Run, agent: Path, tmp_path: Path) -> None:
    config = tmp_path / "small.toml"
    config.write_text("[[workers]]\nplaces = 1\n")
    done = voxfleet("transcribe", agent, "--live", "--config", config)
    assert done.returncode == exits.REFUSED
    assert "place" in done.stderr


def test_doctor_hears_a_sentence(voxfleet: Run) -> None:
    told = json.loads(voxfleet("doctor", "--full", "--json").stdout)
    (heard,) = (check for check in told["checks"] if check["name"] == "recognition")
    assert heard["status"] == "ok", heard


def test_ctrl_c_stops_the_command_and_its_server() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VOXFLEET_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "voxfleet.cli", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "…" in line:
            break
    children = children_of(process.pid)
    assert children
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == exits.INTERRUPTED
    assert "Traceback" not in errors
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.1)


def hear_ctrl_c() -> None:
    """What runs in the background of a script inherits a deaf ear for Ctrl-C; a user's terminal gives none."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children_of(pid: int) -> list[int]:
    """Its child processes."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found
