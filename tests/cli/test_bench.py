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
