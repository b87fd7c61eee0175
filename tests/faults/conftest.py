"""What every fault did to the callers, one line of JSON for each comparison, where FAULTS_REPORT names a file."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.account import compared


@pytest.fixture(autouse=True)
def reported(request: pytest.FixtureRequest) -> Iterator[None]:
    compared.clear()
    yield
    if report := os.environ.get("FAULTS_REPORT"):
        with Path(report).open("a") as lines:
            for found in compared:
                lines.write(json.dumps({"test": request.node.name} | found.json()) + "\n")
