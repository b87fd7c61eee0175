"""The commands as processes: help, exit codes, what goes to which stream."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from voxfleet import __version__, settings
from voxfleet.cli import exits
from voxfleet.cli.settings_page import toml

COMMANDS = ("serve", "demo", "transcribe", "models", "doctor", "settings", "ps", "drain", "gateway", "worker")


def test_version(voxfleet: Run) -> None:
    assert voxfleet("--version").stdout == f"voxfleet {__version__}\n"


def test_help_names_every_command_and_exit_code(voxfleet: Run) -> None:
    text = voxfleet("--help").stdout
    for command in COMMANDS:
        assert command in text
    for code, meaning in exits.MEANINGS.items():
        assert re.search(rf"{code} +{re.escape(meaning)}", text)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_teaches_by_examples(voxfleet: Run, command: str) -> None:
    done = voxfleet(command, "--help")
    assert done.returncode == exits.OK
    assert "Examples" in done.stdout
    assert f"$ voxfleet {command}" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    """What makes help slow is imports; counting them can't flake as a stopwatch does."""
    script = (
        "import sys\n"
        "from voxfleet.cli.__main__ import app\n"
        "try: app(['--help'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'av', 'websockets', 'msgspec', 'grpc', 'starlette', 'onnxruntime', 'pocketsphinx', 'asyncio'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_wrong_usage(voxfleet: Run) -> None:
    for arguments in (("nonsense",), ("serve", "--port", "99999"), ("transcribe",), ("settings", "--json", "--toml")):
        done = voxfleet(*arguments)
        assert done.returncode == exits.USAGE, arguments
        assert done.stdout == ""
        assert done.stderr


def test_models_as_json(voxfleet: Run) -> None:
    done = voxfleet("models", "--json")
    (embedded,) = (entry for entry in json.loads(done.stdout) if entry["name"] == "embedded")
    assert embedded["installed"] is True
    assert embedded["languages"] == ["en", "en-US"]
    assert embedded["note"] in " ".join(voxfleet("models").stdout.split())


def test_doctor_finds_what_this_package_needs(voxfleet: Run) -> None:
    done = voxfleet("doctor", "--json")
    told = json.loads(done.stdout)
    states = {check["name"]: check["status"] for check in told["checks"]}
    assert states["packages"] == states["speech detection"] == states["embedded model"] == "ok"
    assert told["ok"] == ("fail" not in states.values())
    assert done.returncode == (exits.OK if told["ok"] else exits.FAILED)


def test_doctor_says_what_to_do_about_a_taken_port(voxfleet: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = voxfleet("doctor", VOXFLEET_GATEWAY_PORT=str(taken.getsockname()[1]))
    assert re.search(r"warn +port +127.0.0.1:\d+ can't be used", done.stdout)
    assert "voxfleet serve --port" in done.stdout


def test_settings_as_json_have_every_knob(voxfleet: Run) -> None:
    told = {knob["key"]: knob for knob in json.loads(voxfleet("settings", "--json").stdout)}
    assert set(told) == {knob.key for knob in settings.knobs(settings.Settings())}
    assert told["gateway.port"]["environment"] == "VOXFLEET_GATEWAY_PORT"


def test_secrets_are_shown_nowhere(voxfleet: Run) -> None:
    for arguments in (("settings",), ("settings", "--json")):
        done = voxfleet(*arguments, VOXFLEET_CLUSTER_SECRET="do-not-tell")
        assert "(set)" in done.stdout
        assert "do-not-tell" not in done.stdout + done.stderr


def test_settings_of_the_environment_are_shown_and_marked(voxfleet: Run) -> None:
    assert "(default 8765)" in voxfleet("settings", VOXFLEET_GATEWAY_PORT="9000").stdout


def test_a_wrong_setting_has_its_own_exit_code_and_names_the_nearest(voxfleet: Run) -> None:
    done = voxfleet("settings", VOXFLEET_GATEWAY_PROT="9000")
    assert done.returncode == exits.SETTINGS
    assert "did you mean 'VOXFLEET_GATEWAY_PORT'" in done.stderr
    assert done.stdout == ""


def test_a_missing_settings_file_is_named(voxfleet: Run) -> None:
    done = voxfleet("serve", "--config", "nowhere.toml")
    assert done.returncode == exits.SETTINGS
    assert "nowhere.toml" in done.stderr


CHANGED = {
    "gateway": {"port": 9000, "host": "0.0.0.0", "default_model": 'odd "name" \\ with\ttabs and ü'},
    "turn": {"speech_threshold": 0.25},
    "vad": {"gate": False},
    "workers": [
        {"model": "embedded", "places": 3},
        {"model": "python:a.b:C", "options": {"path": "/x", "deep": {"list": [1, 2.5, True], "a b": "c"}}},
    ],
}


@pytest.mark.parametrize("data", [{}, CHANGED])
def test_the_toml_of_settings_loads_back_to_the_same(tmp_path: Path, data: dict[str, object]) -> None:
    now = settings.from_dict(data)
    file = tmp_path / "voxfleet.toml"
    file.write_text(toml(now), encoding="utf-8")
    assert settings.load(file, {}) == now


def test_every_default_in_the_toml_is_the_default_when_its_comment_sign_is_removed(tmp_path: Path) -> None:
    lines = toml(settings.Settings()).splitlines()
    file = tmp_path / "voxfleet.toml"
    file.write_text("\n".join(re.sub(r"^#(?=\w+ = )", "", line) for line in lines), encoding="utf-8")
    assert settings.load(file, {}) == settings.Settings()
    assert sum(bool(re.match(r"\w+ = ", line)) for line in file.read_text().splitlines()) == len(
        list(settings.knobs(settings.Settings()))
    )


def test_the_printed_toml_is_taken_by_config(voxfleet: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(voxfleet("settings", "--toml", VOXFLEET_GATEWAY_PORT="9001").stdout)
    told = json.loads(voxfleet("settings", "--json", "--config", "mine.toml").stdout)
    assert {knob["key"]: knob["value"] for knob in told}["gateway.port"] == 9001


def test_no_server_at_the_url(voxfleet: Run, tmp_path: Path, tone: Path) -> None:
    done = voxfleet("transcribe", tone, "--url", "http://127.0.0.1:1")
    assert done.returncode == exits.NO_SERVER
    assert "no server answers" in done.stderr
    assert done.stdout == ""


def test_two_transcripts_never_overwrite_each_other(voxfleet: Run) -> None:
    done = voxfleet("transcribe", "a/call.wav", "b/call.mp3", "--output", "out")
    assert done.returncode == exits.USAGE
    assert "both" in done.stderr


def test_subtitles_of_several_files_need_a_folder(voxfleet: Run) -> None:
    assert voxfleet("transcribe", "a.wav", "b.wav", "--format", "srt").returncode == exits.USAGE
