"""How tests run the command as a user does: a process of its own, without this machine's settings."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def voxfleet(tmp_path: Path) -> Run:
    """Run `voxfleet` with arguments; keyword arguments are environment variables."""

    def run(*arguments: object, timeout: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("VOXFLEET_")}
        return subprocess.run(
            [sys.executable, "-m", "voxfleet.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env=clean | {"COLUMNS": "120", "NO_COLOR": "1"} | environment,
            check=False,
        )

    return run
