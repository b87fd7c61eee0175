"""Reports as JSON: what is written is what was meant, and what the schema says."""

from pathlib import Path

import jsonschema
import msgspec
import pytest

from voxfleet.evaluation.faults import BadOption, BadReport
from voxfleet.evaluation.report.document import EvaluationReport, LoadReport, read_report, schema, to_json
from voxfleet.evaluation.report.write import write


@pytest.mark.parametrize("kind", ["load", "evaluation"])
def test_what_is_written_is_read_and_fits_the_schema(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    report = request.getfixturevalue(kind)
    facts, page = write(report, tmp_path / "new" / "folder", "run-1")
    assert read_report(facts) == report
    jsonschema.Draft202012Validator(schema()).validate(msgspec.json.decode(facts.read_bytes()))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in facts.parent.iterdir()) == ["run-1.html", "run-1.json"]


def test_the_schema_refuses_what_is_no_report(load: LoadReport) -> None:
    spoiled = msgspec.json.decode(to_json(load))
    spoiled["streams"]["offered"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(spoiled)


def test_a_report_is_replaced_whole(load: LoadReport, evaluation: EvaluationReport, tmp_path: Path) -> None:
    write(load, tmp_path, "run")
    facts, _ = write(evaluation, tmp_path, "run")
    assert read_report(facts) == evaluation
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_left_behind_where_writing_fails(load: LoadReport, tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(OSError, match=r"run\.json"):
        write(load, tmp_path, "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd"])
def test_a_name_is_no_path(name: str, load: LoadReport, tmp_path: Path) -> None:
    with pytest.raises(BadOption):
        write(load, tmp_path, name)


def test_a_file_that_is_no_report_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"type": "load", "format": "voxfleet-report/1"}')
    with pytest.raises(BadReport, match="missing required field"):
        read_report(path)
