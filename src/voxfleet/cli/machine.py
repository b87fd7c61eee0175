"""What this machine can run of the models that are networks: its processors and cards, what is fetched, and what would fit.

torch is asked in a process of its own: it takes seconds to load, and may fail in ways that end a process.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from voxfleet.cli.check import Check, Status
from voxfleet.engines.transducer import layout, sizes
from voxfleet.errors import SettingsError
from voxfleet.serving import backend, catalog, snapshot
from voxfleet.serving.catalog import ModelEntry
from voxfleet.serving.entry import CTRANSLATE2, Form

TORCH_SECONDS = 120.0
BF16, FP32 = 2, 4
"""Bytes per value."""
CPU_BF16 = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")
"""Flags of processors that multiply bf16 faster than fp32, best first."""

_ASK_TORCH = """
import json, torch
cards = []
for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
    free, total = torch.cuda.mem_get_info(number)
    cards.append({"name": torch.cuda.get_device_name(number), "free": free, "total": total})
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda or "", "cards": cards}))
"""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU as torch sees it. Memory in bytes."""

    name: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Torch:
    """What torch says of itself and of this machine."""

    version: str
    cuda: str
    """The CUDA it was built for; '' = none."""
    cards: tuple[Card, ...]


def checks() -> Iterator[Check]:
    """Cards, the libraries that compute networks, the processor's precisions, and each network."""
    gpus = _gpus()
    yield gpus
    torch, found = _torch(gpu_there=gpus.status is Status.OK and not gpus.found.startswith("none"))
    yield found
    yield _ctranslate2()
    yield _precisions()
    entries = [entry for entry in catalog.models() if entry.folder is not None]
    for entry in entries:
        if entry.form is Form.TRANSDUCER:
            yield model_check(entry, torch.cards if torch is not None else ())
    yield from whisper_checks([entry for entry in entries if entry.form is not Form.TRANSDUCER])


def _gpus() -> Check:
    command = shutil.which("nvidia-smi")
    if command is None:
        return Check("gpu", Status.OK, "none; the embedded model needs none")
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("gpu", Status.WARN, f"nvidia-smi does not answer: {error}", "check the NVIDIA driver")
    if answer.returncode:
        return Check("gpu", Status.WARN, (answer.stdout + answer.stderr).strip()[:200], "check the NVIDIA driver")
    return Check("gpu", Status.OK, "; ".join(answer.stdout.strip().splitlines()) or "none")


def _torch(*, gpu_there: bool) -> tuple[Torch | None, Check]:
    if importlib.util.find_spec("torch") is None:
        advice = catalog.GPU_INSTALL if gpu_there else ""
        return None, Check(
            "torch",
            Status.OK,
            f"not installed; Nemotron models need it, and Whisper on a GPU: {catalog.GPU_INSTALL}",
            advice,
        )
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=TORCH_SECONDS, check=False
        )
        told = json.loads(answer.stdout.strip().splitlines()[-1])
        torch = Torch(told["version"], told["cuda"], tuple(Card(**card) for card in told["cards"]))
    except subprocess.TimeoutExpired:
        return None, Check("torch", Status.WARN, f"no answer within {TORCH_SECONDS:g} s", "check the NVIDIA driver")
    except (IndexError, ValueError, KeyError, TypeError):
        last = (answer.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return None, Check(
            "torch", Status.WARN, f"installed, does not run: {last[:200]}", "pip install --force-reinstall torch"
        )
    cards = "; ".join(
        f"cuda:{number} {card.name}, {card.free / 1e9:.0f} of {card.total / 1e9:.0f} GB free"
        for number, card in enumerate(torch.cards)
    )
    found = f"{torch.version}, {cards or 'no CUDA device'}"
    if gpu_there and not torch.cards:
        advice = (
            "install a torch built for CUDA: https://pytorch.org/get-started" if not torch.cuda else "check the driver"
        )
        return torch, Check("torch", Status.WARN, f"{found}, though there is a GPU", advice)
    return torch, Check("torch", Status.OK, found)


def _ctranslate2() -> Check:
    """Whether Whisper can be computed on the processor as it should be."""
    if CTRANSLATE2.missing:
        return Check("ctranslate2", Status.OK, f"not installed; Whisper on a CPU needs it: {CTRANSLATE2.install}")
    return Check("ctranslate2", Status.OK, version("ctranslate2"))


def _precisions() -> Check:
    """What the processor multiplies fast; asked of the system, not of torch."""
    flags = _cpu_flags()
    fast = next((flag for flag in CPU_BF16 if flag in flags), None)
    if fast is None:
        return Check("cpu precision", Status.OK, "fp32; this processor has no bf16 units, bf16 would be slower")
    return Check(
        "cpu precision", Status.OK, f'fp32, and bf16 with {fast}: --device cpu and the option precision = "bf16"'
    )


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    lines = (line.partition(":") for line in text.splitlines())
    return {flag for name, _, flags in lines if name.strip() in ("flags", "Features") for flag in flags.split()}


def model_check(entry: ModelEntry, cards: tuple[Card, ...]) -> Check:
    """Whether a transducer's files are here and whole, and how many places would fit on each card."""
    assert entry.folder is not None, "only models with files are looked at"
    try:
        shape = layout.Layout.read(entry.folder).shape if entry.downloaded else layout.SHAPES.get(entry.shape)
        if entry.folder.is_dir():
            catalog.check_files(entry)
    except SettingsError as error:
        return Check(
            entry.name, Status.WARN, str(error), f"voxfleet models pull {entry.name}" if entry.repository else ""
        )
    absent = "not downloaded" if entry.repository else f"its files are not at {entry.folder}"
    have = f"in {entry.folder}" if entry.downloaded else f"{absent} (about {snapshot.size_text(entry.size)})"
    if shape is None:
        return Check(entry.name, Status.OK, have)
    fits = [
        f"{name} ({memory / 1e9:.0f} GB): {_places(shape, memory)}"
        for name, memory in ((f"cuda:{number}", card.free) for number, card in enumerate(cards))
    ]
    if not fits:
        needed = sizes.bytes_needed(shape, 0, FP32, pass_frames=sizes.CPU_PASS_FRAMES)
        fits = [f"on the CPU in fp32 {snapshot.size_text(needed)} of memory and {_per_place(shape, FP32)} per place"]
    return Check(entry.name, Status.OK, f"{have}; {'; '.join(fits)}")


def whisper_checks(entries: Sequence[ModelEntry]) -> Iterator[Check]:
    """Each Whisper that is fetched: whether its files are whole, and what would compute it here; the others in one line."""
    absent = []
    for entry in entries:
        assert entry.folder is not None, "only models with files are looked at"
        if not entry.folder.is_dir():
            absent.append(entry.name)
            continue
        try:
            catalog.check_files(entry)
            chosen = backend.choose(entry.form or Form.WHISPER, {})
        except SettingsError as error:
            yield Check(entry.name, Status.WARN, str(error), f"voxfleet models pull {entry.name}")
        else:
            yield Check(entry.name, Status.OK, f"in {entry.folder}; {chosen.sentence}")
    if absent:
        yield Check("whisper", Status.OK, f"not downloaded: {', '.join(absent)}")


def _places(shape: layout.Shape, memory: int) -> str:
    within = sizes.places_within(shape, int(memory * sizes.FREE_SHARE), BF16)
    if not within:
        needed = sizes.bytes_needed(shape, 1, BF16)
        return (
            f"too little, one place in bf16 needs {snapshot.size_text(needed)} of the {sizes.FREE_SHARE:.0%} counted on"
        )
    return f"memory for about {rounded(within):,} places in bf16, {_per_place(shape, BF16)} each"


def _per_place(shape: layout.Shape, bytes_per_value: int) -> str:
    return snapshot.size_text(sizes.place_bytes(shape, bytes_per_value))


def rounded(number: int) -> int:
    """To two digits, downwards: an estimate shall look like one."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return number // step * step
