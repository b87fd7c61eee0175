"""The commands that operate a fleet: `ps`, `drain`, `gateway` and `worker`, their options and the help that teaches them."""

from typing import TYPE_CHECKING, Annotated

import typer

from voxfleet.cli import terminal
from voxfleet.cli.options import AsJson, Config, Model, examples

if TYPE_CHECKING:
    from voxfleet.settings import Settings

LOCAL = "http://127.0.0.1:8765"
"""Where `voxfleet serve` listens unless it is told otherwise."""
WORKER_ADDRESS = "127.0.0.1:8766"

PS_EXAMPLES = examples(
    "voxfleet ps",
    "voxfleet ps --watch",
    "voxfleet ps --url http://asr.example:8765 --json",
)
DRAIN_EXAMPLES = examples(
    "voxfleet drain embedded-0",
    "voxfleet drain gpu-2 --seconds 60 --replace",
    "voxfleet drain --all --replace",
    "VOXFLEET_CLUSTER_SECRET=… voxfleet drain gpu-2 --url http://asr.example:8765",
)
GATEWAY_EXAMPLES = examples(
    "voxfleet gateway --worker 10.0.0.7:8766 --worker 10.0.0.8:8766",
    "voxfleet gateway --config fleet.toml --host 0.0.0.0 --name gateway-a",
    "voxfleet gateway --worker dns:workers.asr.svc.cluster.local:8766",
)
WORKER_EXAMPLES = examples(
    "voxfleet worker --model embedded --places 4",
    "voxfleet worker --config fleet.toml --name gpu-0 --listen 0.0.0.0:8766 --http 0.0.0.0:8080",
    "voxfleet worker --label gpu=h100 --label region=eu-west --label lifecycle=preemptible",
)

RunningUrl = Annotated[str, typer.Option("--url", envvar="VOXFLEET_URL", help="Any gateway of the fleet.")]


def ps(
    url: RunningUrl = LOCAL,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every second, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the gateways and workers of a running fleet, their load, and what happened to them lately."""

    def work() -> "terminal.Work":
        from voxfleet.cli.ps import ps as show

        return show(url, as_json=as_json, watch=watch)

    raise typer.Exit(terminal.run(work))


def drain(
    worker: Annotated[str | None, typer.Argument(metavar="NAME", help="As [cyan]voxfleet ps[/] shows it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every worker, one after another; with --replace.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", "-s", min=1, max=86_400, help="At most; default: the worker's own setting, 25."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Start it again once it has left.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is gone, or back.")] = True,
    url: RunningUrl = LOCAL,
    config: Config = None,
) -> None:
    """Let a worker leave without cutting anyone off: its streams go to other workers at the end of their turns.

    Streams still in a turn shortly before the deadline are replayed to another worker. Needs the cluster's secret
    (settings [cyan]cluster.secret[/]) unless none is set and the gateway runs on this machine.
    """
    if every == (worker is not None):
        raise typer.BadParameter("name one worker, or say --all", param_hint="NAME")
    if every and not replace:
        raise typer.BadParameter("without --replace no worker would be left", param_hint="--all")

    def work() -> "terminal.Work":
        from voxfleet.cli.drain import Leave
        from voxfleet.cli.drain import drain as let_go

        secret = terminal.load_settings(config).cluster.secret
        return let_go(url, secret, Leave(worker, seconds, replace=replace, wait=wait or every))

    raise typer.Exit(terminal.run(work))


def gateway(
    config: Config = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets everybody in.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="TCP port; 0 takes any free one.")
    ] = None,
    workers: Annotated[
        list[str] | None,
        typer.Option("--worker", metavar="ADDRESS", help="host:port, unix:/path or dns:name:port; may be given again."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Shown to operators.")] = None,
) -> None:
    """Run one gateway alone, for workers that were started elsewhere. For one machine there is [cyan]voxfleet serve[/].

    Links that leave this machine need TLS: see [cyan]cluster.tls_cert[/] and its neighbours in [cyan]voxfleet settings[/].
    """

    def work() -> int:
        from dataclasses import replace

        from voxfleet.cli.gateway_process import serve_alone
        from voxfleet.errors import SettingsError

        settings = terminal.load_settings(config)
        door = settings.gateway
        door = replace(
            door,
            host=door.host if host is None else host,
            port=door.port if port is None else port,
            name=door.name if name is None else name,
        )
        cluster = settings.cluster
        if workers:
            cluster = replace(cluster, workers=tuple(workers))
        if not cluster.workers:
            raise SettingsError("a gateway alone needs the addresses of its workers: --worker, or cluster.workers")
        return serve_alone(replace(settings, gateway=door, cluster=cluster), door.name)

    raise typer.Exit(terminal.run(work))


def worker(
    config: Config = None,
    model: Model = None,
    places: Annotated[
        int | None, typer.Option("--places", min=1, metavar="N", help="Streams it takes at once.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="DEVICE", help="What it computes on: cpu, cuda:0 and so on.")
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS", help="Where gateways reach it: host:port or unix:/path.")
    ] = WORKER_ADDRESS,
    name: Annotated[
        str | None, typer.Option("--name", help="Shown to operators; of several in the settings, the one to be.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="KEY=VALUE", help="What gateways may ask for; may be given again."),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Health, readiness, drain and metrics; default off."),
    ] = None,
) -> None:
    """Run one worker alone: one engine on one device, for gateways that were started elsewhere.

    SIGTERM drains it: its streams go to other workers before it ends.
    """
    given = _labels(labels or [])

    def work() -> int:
        from dataclasses import replace

        from voxfleet.cli.worker_process import serve_alone

        settings = terminal.load_settings(config)
        number = _number(settings, name, model)
        told = settings.workers[number]
        if model is not None and model != told.model:
            told = replace(told, model=model, device="", options={})
        told = replace(
            told,
            device=told.device if device is None else device,
            places=told.places if places is None else places,
            name=told.name if name is None else name,
            labels={**told.labels, **given},
            http=told.http if http is None else http,
        )
        every = (*settings.workers[:number], told, *settings.workers[number + 1 :])
        settings = replace(settings, workers=every)
        return serve_alone(settings, number, _worker_name(settings, number), listen)

    raise typer.Exit(terminal.run(work))


COMMANDS = ((gateway, GATEWAY_EXAMPLES), (worker, WORKER_EXAMPLES), (ps, PS_EXAMPLES), (drain, DRAIN_EXAMPLES))
"""In the order of the help, each with its examples."""


def _labels(texts: list[str]) -> dict[str, str]:
    """Raises BadParameter for what is no label."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise typer.BadParameter(f"'{text}' is not of the form key=value", param_hint="--label")
        pairs[key] = value
    return pairs


def _number(settings: "Settings", name: str | None, model: str | None) -> int:
    """Which of the workers in the settings this one is. Raises SettingsError where that is open."""
    from voxfleet.errors import SettingsError

    workers = settings.workers
    if len(workers) == 1:
        return 0
    fitting = [n for n, told in enumerate(workers) if name is not None and told.name == name]
    fitting = fitting or [n for n, told in enumerate(workers) if model is not None and told.model == model]
    if len(fitting) != 1:
        named = ", ".join(told.name or told.model for told in workers)
        raise SettingsError(f"the settings list several workers ({named}): say which one to be with --name")
    return fitting[0]


def _worker_name(settings: "Settings", number: int) -> str:
    """Its own name, or its model and this machine's name: distinct in a fleet of many machines."""
    import socket

    from voxfleet.cli.supervisor import worker_names

    if settings.workers[number].name:
        return worker_names(settings)[number]
    model = worker_names(settings)[number].rpartition("-")[0]
    machine = "".join(c if c.isalnum() or c in "-_." else "-" for c in socket.gethostname())
    return f"{model}-{machine}"[:40]
