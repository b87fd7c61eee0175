"""What is generated and committed is what its source generates."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("script", "made"), [("protocol_page.py", "protocol.md"), ("report_schema.py", "report.schema.json")]
)
def test_documents_are_made_from_the_types(script: str, made: str) -> None:
    page = subprocess.run(
        [sys.executable, f"scripts/{script}"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert (REPOSITORY / "docs" / made).read_text() == page, "run `make docs`"


def test_the_links_code_is_made_from_its_proto(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    outputs = [f"--{kind}={tmp_path}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "src", *outputs, "src/voxfleet/cluster/link.proto"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    for name in ("link_pb2.py", "link_pb2.pyi", "link_pb2_grpc.py"):
        made = (tmp_path / "voxfleet" / "cluster" / name).read_text()
        assert (REPOSITORY / "src" / "voxfleet" / "cluster" / name).read_text() == made, "run `make proto`"
