"""Whether this machine has a GPU that the installed PyTorch can use, found out without loading PyTorch (seconds, 2 GB)."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from voxfleet.serving.entry import GPU_INSTALL

ANSWER_SECONDS = 20.0
UNUSED = "there is a GPU, but "
"""How a reason begins that a person can remove."""
_BUILT_FOR = re.compile(r"^cuda\b[^=]*=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)


def no_cuda() -> str:
    """Why no CUDA device can be used here, as the end of a sentence that begins with 'because'; '' = one can."""
    return _no_cuda(os.environ.get("PATH", ""), os.environ.get("CUDA_VISIBLE_DEVICES"))


@cache
def _no_cuda(path: str, visible: str | None) -> str:
    """As `no_cuda`, once for each environment: the driver may take a second to answer."""
    if visible is not None and visible.strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every CUDA device"
    if not _has_card(path):
        return "no CUDA device is there"
    built = torch_built_for()
    if built is None:
        return f"{UNUSED}PyTorch is not installed: {GPU_INSTALL}"
    if not built:
        return f"{UNUSED}the installed PyTorch is built without CUDA: https://pytorch.org/get-started"
    return ""


def _has_card(path: str) -> bool:
    """What the driver says; in containers without its tool, whether a device file is there."""
    command = shutil.which("nvidia-smi", path=path)
    if command is None:
        return any(file.name.removeprefix("nvidia").isdigit() for file in Path("/dev").glob("nvidia*"))
    try:
        answer = subprocess.run(
            [command, "-L"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "GPU" in answer.stdout


def _environment() -> Mapping[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def torch_built_for() -> str | None:
    """The CUDA version the installed PyTorch is built for: '' = none, None = it is not installed."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return None
    try:
        text = (Path(next(iter(found.submodule_search_locations))) / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    built = _BUILT_FOR.search(text)
    return built.group(1) if built else ""
