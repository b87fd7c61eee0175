"""What doctor says this machine can run."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from voxfleet.cli import machine
from voxfleet.cli.check import Status
from voxfleet.cli.machine import Card
from voxfleet.serving.catalog import entry_of

H100 = Card("NVIDIA H100", 79_000_000_000, 85_000_000_000)
SMALL = Card("a small card", 2_000_000_000, 4_000_000_000)
TIGHT = Card("a tight card", 4_670_000_000, 6_000_000_000)


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXFLEET_MODELS", str(tmp_path / "models"))


def test_places_are_counted_on_every_card() -> None:
    check = machine.model_check(entry_of("nemotron-3.5"), (H100, SMALL, TIGHT))
    assert check.status is Status.OK
    assert check.found == (
        "not downloaded (about 2.55 GB); cuda:0 (79 GB): memory for about 8,600 places in bf16, 7.7 MB each; "
        "cuda:1 (2 GB): too little, one place in bf16 needs 4.12 GB of the 90% counted on; "
        "cuda:2 (5 GB): memory for about 11 places in bf16, 7.7 MB each"
    )


def test_without_a_card_the_memory_on_the_cpu_is_said() -> None:
    found = machine.model_check(entry_of("nemotron-speech"), ()).found
    assert "on the CPU in fp32 2.84 GB of memory and 18.4 MB per place" in found


def test_a_broken_folder_is_a_warning_with_the_command_that_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "nemotron-3.5"
    folder.mkdir(parents=True)
    check = machine.model_check(entry_of("nemotron-3.5"), ())
    assert check.status is Status.WARN
    assert "model.safetensors is missing" in check.found
    assert check.advice == "voxfleet models pull nemotron-3.5"


@pytest.mark.parametrize(("number", "rounded"), [(0, 0), (7, 7), (99, 99), (1_234, 1_200), (8_765, 8_700)])
def test_estimates_look_like_estimates(number: int, rounded: int) -> None:
    assert machine.rounded(number) == rounded


def test_fetched_whispers_are_looked_at_and_the_others_take_one_line(tmp_path: Path) -> None:
    names = ["whisper-tiny", "whisper-base", "distil-large-v3.5"]
    (tmp_path / "models" / "whisper-tiny").mkdir(parents=True)
    whole = tmp_path / "models" / "whisper-base"
    whole.mkdir()
    (whole / "model.safetensors").write_bytes(len(b"{}").to_bytes(8, "little") + b"{}")
    broken, fetched, others = machine.whisper_checks([entry_of(name) for name in names])
    assert (broken.name, broken.status, broken.advice) == (
        "whisper-tiny", Status.WARN, "voxfleet models pull whisper-tiny"
    )  # fmt: skip
    assert "model.safetensors is missing" in broken.found
    assert fetched.name == "whisper-base"
    assert f"in {whole}; " in fetched.found
    assert ", because " in fetched.found
    assert (others.name, others.status, others.found) == ("whisper", Status.OK, "not downloaded: distil-large-v3.5")


@pytest.mark.slow
def test_a_driver_and_a_torch_that_disagree(voxfleet: Run, tmp_path: Path) -> None:
    """A card that nvidia-smi names and torch, built without CUDA, can't use."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("torch sees cards here")
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "NVIDIA Example, 81559 MiB"\n')
    program.chmod(0o755)
    done = voxfleet("doctor", "--json", PATH=f"{tmp_path}:/usr/bin:/bin")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["gpu"]["found"] == "NVIDIA Example, 81559 MiB"
    assert checks["torch"]["status"] == "warn"
    assert "no CUDA device, though there is a GPU" in checks["torch"]["found"]
    assert {"nemotron-3.5", "nemotron-speech", "digits", "cpu precision", "ctranslate2", "whisper"} <= set(checks)
