"""`voxfleet bench engine`: one document on standard output, the table and the way there on standard error."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from voxfleet.cli import exits

QUICK = ("bench", "engine", "--shape", "tiny", "--random-weights", "--quick", "--chunks", "1120", "--streams", "1")


def test_prints_and_writes_one_document(voxfleet: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e '.[gpu]'")
    file = tmp_path / "deep" / "bench.json"
    done = voxfleet(*QUICK, "--seconds", "1", "--threads", "1", "--json", str(file))
    report = json.loads(done.stdout)
    assert json.loads(file.read_text()) == report
    assert done.returncode == (exits.OK if report["chunks"][0]["streams"] else exits.FAILED)
    assert report["model"] == "random:tiny"
    assert "random:tiny, float32, cpu, 1 threads" in done.stderr
    assert "1120" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--shape", "tiny"), "--random-weights"),
        ((), "--model"),
        (("--shape", "tiny", "--model", "x"), "--model"),
        (("--shape", "tiny", "--random-weights", "--chunks", "some"), "milliseconds"),
    ],
)
def test_what_is_missing_is_said(voxfleet: Run, options: tuple[str, ...], told: str) -> None:
    done = voxfleet("bench", "engine", *options)
    assert done.returncode == exits.USAGE
    assert told in done.stderr
    assert not done.stdout


def test_settings_that_cannot_be_met_are_one_sentence(voxfleet: Run) -> None:
    pytest.importorskip("torch", reason="needs torch: pip install -e '.[gpu]'")
    done = voxfleet("bench", "engine", "--shape", "tiny", "--random-weights", "--chunks", "100")
    assert done.returncode == exits.SETTINGS
    assert "chunks 100" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_whisper_is_measured_in_conversations(voxfleet: Run, tmp_path: Path) -> None:
    """As the issue's own command says it, small: how many, by whom they waited, and where the time went."""
    words = (
        "bench",
        "engine",
        "--engine",
        "whisper",
        "--shape",
        "micro",
        "--random-weights",
        "--quick",
        "--threads",
        1,
    )
    more = ("--speech", 0.5, "--decode-tokens-per-second", 3.3, "--streams", 2, "--seconds", 2, "--json", "w.json")
    done = voxfleet(*words, *more, "--encoder-context", "silence_tail")
    report = json.loads(done.stdout)
    (context,) = report["contexts"]
    assert done.returncode == (exits.OK if context["streams"] else exits.FAILED), done.stderr
    assert (report["benchmark"], report["shape"], context["encoder_context"]) == ("whisper", "micro", "silence_tail")
    assert json.loads((tmp_path / "w.json").read_text()) == report
    if context["held"] is not None:  # a busy machine may hold none
        held = context["held"]
        assert held["emission_ms"]["p95"] <= 2000
        assert 0 <= held["draft_tokens_accepted"] <= 1
        assert 1.0 < held["encoder_seconds_of_a_window"] < 15.0
    assert "micro" in done.stderr


def test_a_whisper_is_measured_by_shape_alone(voxfleet: Run) -> None:
    done = voxfleet("bench", "engine", "--engine", "whisper", "--model", "./somewhere")
    assert done.returncode == exits.USAGE
    assert "--shape" in done.stderr
