"""What one step is made of: the launches of its pass, its dearest operators."""

from typing import Any

from torch.profiler import ProfilerActivity, profile

from voxfleet.engines.bench.closed import choir
from voxfleet.engines.transducer.engine import TransducerEngine
from voxfleet.engines.transducer.meter import MeteredRunner

DEAREST = 12
_LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")


def launches(engine: TransducerEngine, runner: MeteredRunner, rows: int, chunk_ms: int) -> dict[str, object]:
    """One step over so many rows under the profiler: what was launched, and what took longest."""
    gpu = runner.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if gpu else [])
    with choir(engine, rows, chunk_ms) as voices:
        for _ in range(2):
            voices.step()
        before = runner.launches, runner.bursts
        with profile(activities=activities, acc_events=True) as seen:
            voices.step()
        passes, bursts = runner.launches - before[0], runner.bursts - before[1]
    events: list[Any] = list(seen.events() or [])
    told: dict[str, object] = {"rows": rows, "passes": passes, "bursts": bursts}
    if gpu:
        told["device_kernels"] = sum(
            str(e.device_type).endswith("CUDA") and not e.name.startswith("Mem") for e in events
        )
        told["host_launches"] = sum(event.name in _LAUNCHES for event in events)
    else:
        told["operators"] = sum(_outermost(event) for event in events)
    return told | {"dearest": _dearest(seen, gpu=gpu)}


def _outermost(event: Any) -> bool:
    """An operator that no other operator called: what the host has to order by itself."""
    above = event.cpu_parent
    return str(event.name).startswith("aten::") and not (above is not None and str(above.name).startswith("aten::"))


def _dearest(seen: Any, *, gpu: bool) -> list[dict[str, object]]:
    own = "self_device_time_total" if gpu else "self_cpu_time_total"
    averages = sorted(seen.key_averages(), key=lambda each: -getattr(each, own))
    total = sum(getattr(each, own) for each in averages) or 1.0
    return [
        {
            "operator": each.key,
            "calls": each.count,
            "ms": round(getattr(each, own) / 1000, 2),
            "share": round(getattr(each, own) / total, 3),
        }
        for each in averages[:DEAREST]
    ]
