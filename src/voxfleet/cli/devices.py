"""Which workers a list of devices makes: one on each, called after its model and device; and how they share a CPU."""

from dataclasses import replace

from voxfleet.cli.supervisor import with_workers
from voxfleet.errors import SettingsError
from voxfleet.serving import catalog
from voxfleet.settings import Settings, WorkerSettings


def spread(settings: Settings, devices: str | None, workers: int | None) -> Settings:
    """The settings with a worker on each device of a list (`cuda:0,cuda:1`), or with so many workers like their only one.

    A single device may be had by several workers, several devices by one each. Places stay what they are: each worker's.
    Raises SettingsError for what names no device, for one named twice, and where several workers are listed already.
    """
    if devices is not None:
        settings, workers = _placed(settings, devices, workers)
    return _sharing(settings if workers is None else with_workers(settings, workers))


def _placed(settings: Settings, devices: str, workers: int | None) -> tuple[Settings, int | None]:
    """The only worker on these devices, and how often it is wanted there."""
    names = [name.strip() for name in devices.split(",")]
    for name in names:
        catalog.check_device(name)
        if names.count(name) > 1:
            raise SettingsError(f"--device names '{name}' twice")
    if len(settings.workers) > 1:
        raise SettingsError(
            f"--device {devices} places a single worker, but the settings list {len(settings.workers)}: "
            "give each its device there, or list only one"
        )
    (worker,) = settings.workers
    if len(names) > 1 and workers not in (None, len(names)):
        raise SettingsError(
            f"--device {devices} makes {len(names)} workers, one on each, not {workers}: leave --workers out"
        )
    placed = replace(settings, workers=tuple(_on(worker, name) for name in names))
    return placed, workers if len(names) == 1 else None


def _on(worker: WorkerSettings, device: str) -> WorkerSettings:
    options = {name: value for name, value in worker.options.items() if name != "device"}
    name = f"{worker.name or catalog.short_name(worker.model)}-{device.replace(':', '')}"
    return replace(worker, name=name, device=device, options=options)


def _sharing(settings: Settings) -> Settings:
    """Transducers take every processor they may use: several of them on the CPU get their part of the threads each."""
    on_cpu = [worker for worker in settings.workers if catalog.computes_on_cpu(worker)]
    if len(on_cpu) < 2:
        return settings
    threads = {"threads": max(1, catalog.usable_cores() // len(on_cpu))}
    return replace(
        settings,
        workers=tuple(
            replace(worker, options=threads | worker.options) if catalog.computes_on_cpu(worker) else worker
            for worker in settings.workers
        ),
    )
