"""`voxfleet evaluate compare` as a script meets it: what its gates let through is in the exit code."""

import json
from pathlib import Path

import pytest

from tests.evaluation.report.documents import load_report
from tests.evaluation.report.heard import ADDED, LOOP, MISHEARD, SAID, calls, heard_report
from voxfleet.cli import exits
from voxfleet.evaluation.report.document import to_json

from .conftest import Run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """B repairs a word of every recording and runs away in one: fewer errors in all, and yet a new way to fail."""
    texts = calls(40, text=MISHEARD, planted=MISHEARD)
    worse = calls(40, text=SAID, planted=LOOP, every=40)
    paths = tmp_path / "padded.json", tmp_path / "tail.json"
    for path, heard in zip(paths, (texts, worse), strict=True):
        path.write_bytes(to_json(heard_report(heard)))
    return paths


def test_a_named_gate_decides_the_exit_code(voxfleet: Run, files: tuple[Path, Path]) -> None:
    compare = ("evaluate", "compare", *files, "--report", "-")
    usual = voxfleet(*compare)
    assert usual.returncode == exits.OK, usual.stderr
    assert "gate        passed: wer better" in usual.stdout
    every = voxfleet(*compare, "--gate", "wer,runaway")
    assert every.returncode == exits.FAILED
    assert "gate        not passed: wer better, runaway undecided" in every.stdout
    assert "insertions " in usual.stdout, "every gate is shown, whichever is asked for"


def test_a_gate_that_can_not_be_judged_is_not_passed(voxfleet: Run, files: tuple[Path, Path]) -> None:
    done = voxfleet("evaluate", "compare", files[0], files[0], "--report", "-", "--gate", "wer,non-speech")
    assert done.returncode == exits.FAILED
    assert "non-speech not judged" in done.stdout


def test_an_identical_run_passes_all_and_the_document_has_them(voxfleet: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(to_json(heard_report(calls(12, planted=ADDED, every=3), silences={f"s{n}": "" for n in range(6)})))
    done = voxfleet(
        "evaluate", "compare", path, path, "--gate", "wer,insertions,runaway,non-speech", "--json", "--report", tmp_path
    )
    assert done.returncode == exits.OK, done.stderr
    told = json.loads(done.stdout)
    assert {gate["name"]: gate["verdict"] for gate in told["gates"]} == dict.fromkeys(
        ("wer", "insertions", "runaway", "non-speech"), "not worse"
    )
    assert json.loads((tmp_path / "comparison.json").read_bytes()) == told
    assert "passed" in done.stderr


def test_unknown_gates_are_refused_before_anything_is_read(voxfleet: Run, tmp_path: Path) -> None:
    done = voxfleet("evaluate", "compare", tmp_path / "no.json", tmp_path / "no.json", "--gate", "wer,cer")
    assert done.returncode == exits.USAGE
    assert "one of wer, insertions, runaway, non-speech" in " ".join(done.stderr.split())


def test_load_reports_have_no_gates(voxfleet: Run, tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    path.write_bytes(to_json(load_report(callers=20)))
    assert voxfleet("evaluate", "compare", path, path, "--report", "-").returncode == exits.OK
    done = voxfleet("evaluate", "compare", path, path, "--report", "-", "--gate", "wer")
    assert done.returncode == exits.USAGE
    assert "--gate must be left out for load reports" in " ".join(done.stderr.split())
