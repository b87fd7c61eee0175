"""What a Whisper is computed with: the library that suits the device, what the settings say, and why, in one sentence."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voxfleet.errors import SettingsError
from voxfleet.serving import cards, catalog
from voxfleet.serving.backend import Backend, choose
from voxfleet.serving.entry import CTRANSLATE2, PYTORCH, Form
from voxfleet.settings import WorkerSettings

needs_both = pytest.mark.skipif(bool(CTRANSLATE2.missing or PYTORCH.missing), reason="torch or ctranslate2 is missing")


@pytest.fixture(autouse=True)
def _cold(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the driver says is asked anew."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cards._no_cuda.cache_clear()
    yield
    cards._no_cuda.cache_clear()


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A driver's tool that names a card, before all others."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "GPU 0: NVIDIA Example (UUID: GPU-1)"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A torch of our own, built for a CUDA version ('' = none), before all others."""

    def place(cuda: str) -> None:
        torch = tmp_path / "site" / "torch"
        torch.mkdir(parents=True, exist_ok=True)
        (torch / "__init__.py").write_text("raise ImportError('never loaded')\n")
        built = f"'{cuda}'" if cuda else "None"
        (torch / "version.py").write_text(f"__version__ = '2.11.0'\ncuda: Optional[str] = {built}\nhip = None\n")
        monkeypatch.delitem(sys.modules, "torch", raising=False)  # the real one, where another test has loaded it
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return place


def sentence(**options: Any) -> str:
    return choose(Form.WHISPER, options).sentence


@needs_both
def test_without_a_card_it_is_ctranslate2_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert sentence() == "CTranslate2 int8 on the CPU, because no CUDA device is there"
    assert sentence(compute_type="float32") == "CTranslate2 float32 on the CPU, because no CUDA device is there"
    assert sentence(backend="pytorch") == "PyTorch on the CPU, because the option backend says so"


@needs_both
def test_a_card_that_torch_can_use_gets_pytorch(driver: Path, packages: Any) -> None:
    packages("12.8")
    assert sentence() == "PyTorch on cuda:0, because a CUDA device is there"
    assert sentence(precision="float16") == "PyTorch float16 on cuda:0, because a CUDA device is there"
    assert sentence(backend="pytorch") == "PyTorch on cuda:0, because the option backend says so"
    assert sentence(backend="ctranslate2") == "CTranslate2 int8 on the CPU, because the option backend says so"
    assert (
        sentence(backend="ctranslate2", device="cuda:1") == "CTranslate2 on cuda:1, because the option backend says so"
    )
    assert sentence(device="cpu") == "CTranslate2 int8 on the CPU, because the device is set to cpu"
    assert sentence(device="cuda:2") == "PyTorch on cuda:2, because the device is set to cuda:2"
    converted = choose(Form.CTRANSLATE2, {})
    assert (converted.backend, converted.device) == (Backend.CTRANSLATE2, "cpu")


@needs_both
def test_a_card_that_is_hidden_counts_for_nothing(driver: Path, packages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    packages("12.8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert sentence() == "CTranslate2 int8 on the CPU, because CUDA_VISIBLE_DEVICES hides every CUDA device"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert sentence() == "PyTorch on cuda:0, because a CUDA device is there"


@needs_both
def test_a_card_without_a_torch_for_it_is_pointed_out(driver: Path, packages: Any) -> None:
    packages("")
    assert sentence() == (
        "CTranslate2 int8 on the CPU, because there is a GPU, but the installed PyTorch is built without CUDA: "
        "https://pytorch.org/get-started"
    )


@pytest.mark.parametrize(
    ("hidden", "lines"),
    [
        (
            ("ctranslate2",),
            [
                "PyTorch on the CPU, because ctranslate2 is not installed: pip install 'voxfleet[whisper-cpu]'",
                "ok",
                "needs packages that are not installed (ctranslate2): pip install 'voxfleet[whisper-cpu]'",
            ],
        ),
        (
            ("torch",),
            [
                "CTranslate2 int8 on the CPU, because no CUDA device is there",
                "needs packages that are not installed (torch): pip install 'voxfleet[gpu]'",
                "ok",
            ],
        ),
        (
            ("torch", "ctranslate2"),
            [
                "CTranslate2 int8 on the CPU, because no CUDA device is there",
                "needs packages that are not installed (torch): pip install 'voxfleet[gpu]'",
                "needs packages that are not installed (ctranslate2): pip install 'voxfleet[whisper-cpu]'",
            ],
        ),
    ],
    ids=["no ctranslate2", "no torch", "neither"],
)
@needs_both
def test_what_is_not_installed_is_named_with_its_command(hidden: tuple[str, ...], lines: list[str]) -> None:
    """In a process whose imports can't find it: the choice, then what is said of each library where it is forced."""
    script = (
        "import sys\n"
        "class Hidden:\n"
        f"    def find_spec(self, name, path=None, target=None):\n        if name in {hidden!r}: raise ModuleNotFoundError\n"
        "import importlib.util as u\nreal = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name in {hidden!r} else real(name, *a)\n"
        "from voxfleet.errors import SettingsError\nfrom voxfleet.serving import backend\n"
        "from voxfleet.serving.entry import Form\n"
        "print(backend.choose(Form.WHISPER, {}).sentence)\n"
        "for forced in ('pytorch', 'ctranslate2'):\n"
        "    try: backend.check_runtime('m', backend.choose(Form.WHISPER, {'backend': forced})); print('ok')\n"
        "    except SettingsError as error: print(error)\n"
    )
    clean = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=clean)
    told = done.stdout.replace("CUDA_VISIBLE_DEVICES hides every CUDA device", "no CUDA device is there").splitlines()
    assert [line in found for line, found in zip(lines, told, strict=True)] == [True] * 3, told


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(SettingsError, match="backend 'ctranslate' is unknown; did you mean 'ctranslate2'"):
        choose(Form.WHISPER, {"backend": "ctranslate"})


def test_threads_are_shared_by_those_that_compute_on_the_cpu() -> None:
    assert catalog.computes_on_cpu(WorkerSettings(model="tiny", device="cpu"))
    assert not catalog.computes_on_cpu(WorkerSettings(model="tiny", device="cuda:0"))
    assert not catalog.computes_on_cpu(WorkerSettings(model="embedded"))
    assert catalog.computes_with(WorkerSettings(model="digits")) is None
    assert catalog.computes_with(WorkerSettings(model="python:a.b:C")) is None


def test_a_cut_context_comes_with_the_commands_that_judge_it() -> None:
    worker = WorkerSettings(model="tiny", options={"encoder_context": "silence_tail"})
    told = catalog.caution(worker, "http://127.0.0.1:8765")
    assert told.startswith('whisper-tiny: encoder_context = "silence_tail" is off by default')
    measure = "voxfleet evaluate --url http://127.0.0.1:8765 --audio MANIFEST --live --non-speech"
    assert f"`{measure} --report reports/silence_tail`" in told
    reports = "reports/padded/evaluation.json reports/silence_tail/evaluation.json"
    assert f"`voxfleet evaluate compare {reports} --gate wer,insertions,runaway`" in told
    assert "\n" not in told
    for usual in (WorkerSettings(model="tiny"), WorkerSettings(model="tiny", options={"encoder_context": "padded"})):
        assert catalog.caution(usual, "") == ""
    other = WorkerSettings(model="python:a.b:C", options={"encoder_context": "silence_tail"})
    assert catalog.caution(other, "") == ""


def test_looking_for_a_card_loads_no_torch() -> None:
    script = "import sys\nfrom voxfleet.serving import cards\ncards.no_cuda()\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
