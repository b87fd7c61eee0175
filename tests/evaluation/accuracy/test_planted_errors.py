"""Word errors planted between what an engine says and what the references claim come out exactly, through real processes."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cli.conftest import Run
from tests.evaluation.accuracy.clips import SCRIPT, burst, manifest
from tests.server import FAKE, Server, serving
from voxfleet.evaluation.report.document import schema

pytestmark = pytest.mark.slow

WORDS = SCRIPT.split()
OPTIONS = {"script": SCRIPT, "whole": True, "words_per_second": 10}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(
        tmp_path_factory.mktemp("server"),
        vad={"model": "level"},
        workers=[{"model": FAKE, "name": "fake", "places": 4, "options": OPTIONS}],
    ) as running:
        yield running


def planted() -> dict[str, str]:
    """What the references claim; the engine always says the script."""
    replaced = " ".join("zebra" if k in (2, 9) else word for k, word in enumerate(WORDS))
    return {
        "a-right": SCRIPT,
        "a-two-substituted": replaced,
        "b-one-added": " ".join(WORDS[:7] + WORDS[8:]),
        "b-three-left-out": " ".join([*WORDS[:4], "quartz", *WORDS[4:8], "quince", *WORDS[8:], "quill"]),
    }


def evaluated(voxfleet: Run, *arguments: object, code: int = 0) -> Any:
    done = voxfleet("evaluate", "--json", "--report", "-", *arguments)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def counts(words: Any) -> tuple[int, int, int, int]:
    return words["hits"], words["substitutions"], words["deletions"], words["insertions"]


def test_planted_errors_are_recovered_exactly_offline_and_live(voxfleet: Run, server: Server, tmp_path: Path) -> None:
    path = manifest(tmp_path, planted())
    document = evaluated(voxfleet, "--url", server.url, "--audio", path, "--endpointing-ms", "300,600", "--offline")
    jsonschema.validate(document, schema())
    assert [mode["mode"] for mode in document["modes"]] == [
        "offline",
        "live, endpointing 300 ms",
        "live, endpointing 600 ms",
    ]
    for mode in document["modes"]:
        by_item = {one["item"]: counts(one["words"]) for one in mode["items"]}
        assert by_item == {
            "a-right.wav": (15, 0, 0, 0),
            "a-two-substituted.wav": (13, 2, 0, 0),
            "b-one-added.wav": (14, 0, 0, 1),
            "b-three-left-out.wav": (15, 0, 3, 0),
        }
        assert counts(mode["words"]) == (57, 2, 3, 1)
        assert mode["words"]["rate"]["value"] == pytest.approx(6 / 62)
        by_speaker = {one["value"]: counts(one["words"]) for one in mode["slices"] if one["by"] == "speaker"}
        assert by_speaker == {"a": (28, 2, 0, 0), "b": (29, 0, 3, 1)}
    assert document["unit"] == "the column 'speaker'"
    assert [cost["points"]["value"] for cost in document["streaming_cost"]] == [0.0, 0.0]
    finals = [mode["latencies"][-1]["p50"]["value"] for mode in document["modes"][1:]]
    assert finals[1] - finals[0] == pytest.approx(0.3, abs=0.25), "the silence that ends a turn is in the latency"


def test_a_report_is_written_that_two_runs_can_be_compared_by(voxfleet: Run, server: Server, tmp_path: Path) -> None:
    path = manifest(tmp_path, planted() | {f"{letter}-more": SCRIPT for letter in "cdefgh"})
    for name in ("one", "two"):
        done = voxfleet("evaluate", "--url", server.url, "--audio", path, "--no-live", "--report", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "offline" in done.stdout
    done = voxfleet(
        "evaluate",
        "compare",
        tmp_path / "one/evaluation.json",
        tmp_path / "two/evaluation.json",
        "--report",
        tmp_path / "both",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not worse" in done.stdout
    assert (tmp_path / "both/comparison.html").exists()


def test_another_systems_text_is_scored_without_a_server(voxfleet: Run, tmp_path: Path) -> None:
    path = manifest(tmp_path, planted())
    texts = tmp_path / "theirs.tsv"
    texts.write_text("file\ttext\n" + "".join(f"{name}.wav\t{SCRIPT}\n" for name in planted()), encoding="utf-8")
    document = evaluated(voxfleet, "--audio", path, "--hypotheses", texts)
    assert [mode["mode"] for mode in document["modes"]] == ["theirs"]
    assert counts(document["modes"][0]["words"]) == (57, 2, 3, 1)
    texts.write_text(f"file\ttext\na-right.wav\t{SCRIPT}\n", encoding="utf-8")
    document = evaluated(voxfleet, "--audio", path, "--hypotheses", texts, code=1)
    assert [problem["code"] for problem in document["problems"]] == ["no_hypothesis"] * 3
    assert counts(document["modes"][0]["words"]) == (15, 0, 0, 0)


def test_channels_are_speakers_where_the_reference_tells_them_apart(
    voxfleet: Run, server: Server, tmp_path: Path
) -> None:
    pytest.importorskip("meeteval", reason="speaker scoring needs voxfleet[speakers]")
    pytest.importorskip("pyannote.metrics", reason="speaker scoring needs voxfleet[speakers]")
    burst(tmp_path / "call.wav", channels=2)
    path = tmp_path / "call.stm"
    path.write_text(f"call 1 anna 0.0 2.0 {SCRIPT}\ncall 1 ben 0.0 2.0 {SCRIPT}\n", encoding="utf-8")
    document = evaluated(voxfleet, "--url", server.url, "--audio", path, "--no-live")
    figures = {figure["name"]: figure for figure in document["modes"][0]["figures"]}
    assert figures["cpWER"]["figure"]["value"] == 0.0
    assert figures["cpWER"]["counts"]["words"] == 30
    assert figures["DER, collar 0.25 s each side, overlap scored"]["figure"]["value"] < 0.5


def test_bad_items_are_named_and_the_rest_is_counted(voxfleet: Run, server: Server, tmp_path: Path) -> None:
    path = manifest(tmp_path, {"a-right": SCRIPT, "b-gone": SCRIPT, "c-empty": "", "d-broken": SCRIPT})
    (tmp_path / "b-gone.wav").unlink()
    (tmp_path / "d-broken.wav").write_bytes(b"no audio")
    with path.open("a", encoding="utf-8") as file:
        file.write("too\tmany\tfields\there\n")
    document = evaluated(voxfleet, "--url", server.url, "--audio", path, "--no-live", code=1)
    codes = sorted(problem["code"] for problem in document["problems"])
    assert codes == ["bad_audio", "bad_row", "missing_audio", "no_reference"]
    assert counts(document["modes"][0]["words"]) == (15, 0, 0, 0)


def test_a_server_that_is_not_there_fails_every_item_by_name(voxfleet: Run, tmp_path: Path) -> None:
    path = manifest(tmp_path, {"a-right": SCRIPT, "b-right": SCRIPT})
    document = evaluated(voxfleet, "--url", "http://127.0.0.1:9", "--audio", path, code=1)
    assert [problem["code"] for problem in document["problems"]] == ["connection_failed"] * 4


def test_a_server_that_dies_midway_leaves_a_report_of_what_was_heard(voxfleet: Run, tmp_path: Path) -> None:
    with serving(
        tmp_path,
        exit_code=-signal.SIGKILL,
        vad={"model": "level"},
        workers=[{"model": FAKE, "places": 1, "options": OPTIONS}],
    ) as dying:
        path = manifest(tmp_path, {f"{letter}-right": SCRIPT for letter in "abcd"})

        def kill_when_two_were_heard() -> None:
            dying.wait(lambda status: status["streams"]["opened"] >= 3, 60)
            dying.process.kill()

        killer = threading.Thread(target=kill_when_two_were_heard)
        killer.start()
        document = evaluated(voxfleet, "--url", dying.url, "--audio", path, "--no-offline", "--streams", "1", code=1)
        killer.join()
        items = document["modes"][0]["items"]
        assert len(items) == 4
        heard = [one for one in items if one.get("hypothesis") is not None]
        assert 2 <= len(heard) < 4
        assert len(document["problems"]) == 4 - len(heard)
        assert {problem["code"] for problem in document["problems"]} == {"connection_failed"}
        assert counts(document["modes"][0]["words"]) == (15 * len(heard), 0, 0, 0)


def test_ctrl_c_writes_what_was_heard_and_says_that_it_is_partial(server: Server, tmp_path: Path) -> None:
    path = manifest(tmp_path, {f"{letter}-right": SCRIPT for letter in "abcdefgh"})
    opened = server.status()["streams"]["opened"]
    command = ["evaluate", "--url", server.url, "--audio", str(path), "--no-offline", "--streams", "1"]
    command = [sys.executable, "-m", "voxfleet.cli", *command, "--report", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        server.wait(lambda status: status["streams"]["opened"] >= opened + 3, 60)
        run.send_signal(signal.SIGINT)
        told = run.communicate(timeout=60)[0]
    assert run.returncode == 130
    assert "PARTIAL" in told
    document = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert document["about"]["partial"]
    items = document["modes"][0]["items"]
    assert 2 <= len(items) < 8
    assert counts(document["modes"][0]["words"]) == (15 * len(items), 0, 0, 0)
    assert "partial" in (tmp_path / "evaluation.html").read_text(encoding="utf-8").lower()
    server.at_rest()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--audio", "nowhere.tsv"], "nowhere.tsv"),
        (["--endpointing-ms", "50"], "100 to 3000"),
        (["--normaliser", "klingon"], "raw, english"),
        (["--noise", "babble:loud"], "noise"),
        (["--unit", "tenant"], "a column of the manifest"),
        (["--match", "nothing-like-it"], "part of the name"),
    ],
)
def test_a_wrong_option_is_named_before_anything_starts(voxfleet: Run, arguments: list[str], sentence: str) -> None:
    done = voxfleet("evaluate", *arguments)
    assert done.returncode not in (0, 130)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
