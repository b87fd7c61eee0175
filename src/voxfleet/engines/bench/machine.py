"""Where, when and with what a measurement was made: processor, card, driver, versions, date, commit, who else was at work."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def heading(benchmark: str) -> dict[str, Any]:
    """What every report begins with."""
    import torch

    return {
        "benchmark": benchmark,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _commit(),
        "command": " ".join(["python", *sys.orig_argv[1:]]).replace(str(Path.cwd()), "."),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "vector_units": torch.backends.cpu.get_cpu_capability(),
        },
        "others_before": others(),
    }


def card(index: int) -> dict[str, object]:
    """A CUDA device and its driver."""
    import torch

    properties = torch.cuda.get_device_properties(index)
    return {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "multiprocessors": properties.multi_processor_count,
        "driver": _answer("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", f"--id={index}"),
    }


def others() -> dict[str, object]:
    """How busy the machine is with other things: the load averages, and what takes more than a tenth of a core."""
    lines = (_answer("ps", "-eo", "pid,pcpu,comm", "--no-headers", "--sort=-pcpu") or "").splitlines()
    busy = []
    for line in lines[:6]:
        pid, share, name = line.split(None, 2)
        if float(share) > 10 and int(pid) not in (os.getpid(), os.getppid()):
            busy.append(f"{name} {share} %")
    return {"load_average": [round(value, 2) for value in os.getloadavg()], "processes": busy}


def _commit() -> str | None:
    """The commit of the source tree this package lies in; with a + where it was changed since."""
    folder = str(Path(__file__).parent)
    commit = _answer("git", "-C", folder, "rev-parse", "--short=12", "HEAD")
    changed = commit and _answer("git", "-C", folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if changed else commit


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _answer(*command: str) -> str | None:
    """The first lines of what a program prints; None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
