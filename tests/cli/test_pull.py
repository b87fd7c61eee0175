"""`voxfleet models`, `pull` and `verify` as a user runs them, against a small hub of our own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")
pytest.importorskip("safetensors")

from tests.cli.conftest import Run
from tests.server import until
from tests.serving.hub_server import COMMIT, REPOSITORY, WEIGHTS, Hub, hub_of, tiny_model
from voxfleet.cli import exits

pytestmark = pytest.mark.slow
MODEL = tiny_model()
BLOCK = 10 * 2**20


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_of(dict(MODEL)) as hub:
        yield hub


@pytest.fixture
def user(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """What the environment of a user's shell says."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "",
        "VOXFLEET_MODELS": str(tmp_path / "models"),
    }


def listed(voxfleet: Run, **environment: str) -> dict[str, dict[str, Any]]:
    done = voxfleet("models", "--json", **environment)
    assert done.returncode == exits.OK, done.stderr
    return {entry["name"]: entry for entry in json.loads(done.stdout)}


def test_from_nothing_to_a_verified_model(hub: Hub, user: dict[str, str], voxfleet: Run, tmp_path: Path) -> None:
    before = listed(voxfleet, **user)["nemotron-3.5"]
    assert (before["downloaded"], before["installed"]) == (False, False)
    assert before["pull"] == "voxfleet models pull nemotron-3.5"
    assert "not downloaded: voxfleet models pull nemotron-3.5" in voxfleet("models", **user).stdout

    done = voxfleet("models", "pull", "nemotron-3.5", **user)
    assert done.returncode == exits.OK, done.stderr
    assert f"{REPOSITORY} at {COMMIT[:12]}: 5 files, 24.0 MB" in done.stdout
    assert re.search(r"100%  24\.0 MB of 24\.0 MB", done.stdout)
    assert "voxfleet serve --model nemotron-3.5 --device cuda:0" in done.stdout
    folder = tmp_path / "models" / "nemotron-3.5"
    assert (folder / WEIGHTS).read_bytes() == MODEL[WEIGHTS]
    assert not (folder / "modeling.py").exists()

    assert listed(voxfleet, **user)["nemotron-3.5"]["downloaded"] is True
    assert "already here" in voxfleet("models", "pull", "nemotron-3.5", **user).stdout
    told = json.loads(voxfleet("models", "verify", "nemotron-3.5", "--json", **user).stdout)
    assert (told["verified"], told["revision"], told["folder"]) == (True, COMMIT, str(folder))

    with (folder / WEIGHTS).open("r+b") as file:
        file.seek(1_000)
        file.write(b"\x00\x01\x02")
    broken = voxfleet("models", "verify", folder, **user)
    assert broken.returncode == exits.SETTINGS
    assert f"{WEIGHTS} was changed" in broken.stderr


def test_a_whisper_comes_without_what_it_does_not_need(hub: Hub, user: dict[str, str], voxfleet: Run) -> None:
    """By any of its names; of weights in two precisions the smaller ones, of four formats safetensors."""
    hub.repository = "openai/whisper-large-v3"
    small = {name: content for name, content in tiny_model(1_000).items() if "/" not in name}
    config = json.dumps({"model_type": "whisper"}).encode()
    described = ("generation_config.json", "preprocessor_config.json", "tokenizer.json", "vocab.json")
    wanted = {"config.json": config, WEIGHTS: small[WEIGHTS]} | dict.fromkeys(described, b"{}")
    wanted["merges.txt"] = b"#version: 0.2\n"
    unwanted = (
        "pytorch_model.bin", "flax_model.msgpack", "tf_model.h5", "model.fp32-00001-of-00002.safetensors",
        "model.safetensors.index.fp32.json", "README.md",
    )  # fmt: skip
    hub.files = wanted | dict.fromkeys(unwanted, b"x")
    done = voxfleet("models", "pull", "large-v3", **user)
    assert done.returncode == exits.OK, done.stderr
    folder = Path(user["VOXFLEET_MODELS"]) / "whisper-large-v3"
    assert {file.name for file in folder.iterdir()} == {*wanted, "voxfleet-model.json"}
    assert done.stdout.rstrip().endswith("voxfleet serve --model whisper-large-v3")
    again = voxfleet("models", "pull", "openai/whisper-large-v3", "--offline", "--json", **user)
    assert json.loads(again.stdout)["serve"] == "voxfleet serve --model whisper-large-v3"


def test_ctrl_c_keeps_what_was_fetched(hub: Hub, user: dict[str, str], voxfleet: Run, tmp_path: Path) -> None:
    hub.cuts, hub.stall = [BLOCK + 5_000], True
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VOXFLEET_", "HF_"))}
    command = [sys.executable, "-m", "voxfleet.cli", "models", "pull", "nemotron-3.5"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean | user)
    signal.signal(signal.SIGINT, before)
    with process:
        assert hub.stalled.wait(60)
        part = tmp_path / "models" / f"nemotron-3.5.{COMMIT[:12]}.part" / WEIGHTS
        until(lambda: part.stat().st_size, lambda size: size >= BLOCK)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == exits.INTERRUPTED, errors
    assert "Traceback" not in errors
    hub.stall = False
    hub.asked.clear()
    done = voxfleet("models", "pull", "nemotron-3.5", **user)
    assert done.returncode == exits.OK, done.stderr
    assert "are here already" in done.stdout
    (asked,) = hub.ranges()
    assert int(asked.removeprefix("bytes=").removesuffix("-")) >= BLOCK
    assert (tmp_path / "models" / "nemotron-3.5" / WEIGHTS).read_bytes() == MODEL[WEIGHTS]


def test_any_repository_of_that_layout_into_any_folder(
    hub: Hub, user: dict[str, str], voxfleet: Run, tmp_path: Path
) -> None:
    hub.repository = "our-company/tuned"
    done = voxfleet("models", "pull", "our-company/tuned", "--to", "here", "--revision", COMMIT, "--json", **user)
    assert done.returncode == exits.OK, done.stderr
    told = json.loads(done.stdout)
    assert told["serve"] == f"voxfleet serve --model {tmp_path / 'here'}"
    assert (told["fetched"], told["files"][WEIGHTS]["size_bytes"]) == (True, len(MODEL[WEIGHTS]))
    hub.down = True
    again = voxfleet("models", "pull", "our-company/tuned", "--to", "here", "--revision", COMMIT, "--json", **user)
    assert json.loads(again.stdout)["fetched"] is False


@pytest.mark.parametrize(
    ("arguments", "change", "code", "sentence"),
    [
        (("nemotron-3.5",), {"down": True}, exits.NO_SERVER, "answered 503"),
        (("nemotron-3.5",), {"gated": True}, exits.SETTINGS, "is gated: accept its terms at"),
        (("nemotron-3.5",), {"repository": "x/y"}, exits.SETTINGS, "there is no model"),
        (("nemotron-3.5", "--revision", "v9"), {}, exits.SETTINGS, "has no revision 'v9'"),
        (("nemotron-3.5", "--offline"), {}, exits.SETTINGS, "can't be fetched offline"),
        (("nemotron-3",), {}, exits.SETTINGS, "did you mean 'nemotron-3.5'"),
        (("embedded",), {}, exits.SETTINGS, "needs no download"),
    ],
)
def test_what_can_go_wrong_is_one_sentence(
    hub: Hub,
    user: dict[str, str],
    voxfleet: Run,
    arguments: tuple[str, ...],
    change: dict[str, Any],
    code: int,
    sentence: str,
) -> None:
    for name, value in change.items():
        setattr(hub, name, value)
    done = voxfleet("models", "pull", *arguments, **user)
    assert done.returncode == code
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (Path(user["VOXFLEET_MODELS"]) / "nemotron-3.5").exists()


def test_the_library_offline_switch_is_heeded(hub: Hub, user: dict[str, str], voxfleet: Run) -> None:
    done = voxfleet("models", "pull", "nemotron-3.5", HF_HUB_OFFLINE="1", **user)
    assert done.returncode == exits.SETTINGS
    assert "(--offline or HF_HUB_OFFLINE)" in done.stderr
    assert hub.asked == []


def test_verify_says_what_it_needs(user: dict[str, str], voxfleet: Run, tmp_path: Path) -> None:
    absent = voxfleet("models", "verify", "nemotron-speech", **user)
    assert (absent.returncode, "is not downloaded" in absent.stderr) == (exits.SETTINGS, True)
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(__file__, mine / "config.json")
    foreign = voxfleet("models", "verify", mine, **user)
    assert (foreign.returncode, "was not fetched by voxfleet" in foreign.stderr) == (exits.SETTINGS, True)


def test_help_of_the_commands_teaches_by_examples(voxfleet: Run) -> None:
    for command in ("pull", "verify"):
        done = voxfleet("models", command, "--help")
        assert done.returncode == exits.OK
        assert f"$ voxfleet models {command}" in done.stdout
