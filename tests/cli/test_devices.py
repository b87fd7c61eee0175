"""One worker per device: which settings it makes, and what a real server does and says."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.server import FAKE, REPOSITORY, serving
from voxfleet.cli import exits
from voxfleet.cli.devices import spread
from voxfleet.cli.supervisor import worker_names
from voxfleet.errors import SettingsError
from voxfleet.serving import catalog
from voxfleet.settings import Settings, WorkerSettings

needs_torch = pytest.mark.skipif(
    bool(catalog.entry_of("digits").missing), reason="torch, safetensors or tokenizers are missing"
)
BROKEN = "python:tests.cli.test_devices:Broken"


def of(**worker: object) -> Settings:
    return Settings(workers=(WorkerSettings(**worker),))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a space in its name."""
    from tests.serving.transducer_folder import save_tiny

    return save_tiny(tmp_path_factory.mktemp("models") / "tiny model")


def test_one_worker_per_device_with_all_its_settings() -> None:
    settings = of(
        model="nemotron-3.5", places=500, options={"precision": "bfloat16", "device": "cpu"}, drain_seconds=9.0
    )
    made = spread(settings, "cuda:0, cuda:1,cuda:2", None)
    assert worker_names(made) == ["nemotron-3.5-cuda0", "nemotron-3.5-cuda1", "nemotron-3.5-cuda2"]
    assert [worker.device for worker in made.workers] == ["cuda:0", "cuda:1", "cuda:2"]
    for worker in made.workers:
        assert (worker.places, worker.drain_seconds, worker.options) == (500, 9.0, {"precision": "bfloat16"})
    assert worker_names(spread(of(model="nemotron-3.5", name="desk"), "cuda:1", None)) == ["desk-cuda1"]


def test_a_single_device_can_be_shared_and_several_can_not() -> None:
    shared = spread(of(model="nemotron-3.5"), "cuda:0", 2)
    assert worker_names(shared) == ["nemotron-3.5-cuda0-0", "nemotron-3.5-cuda0-1"]
    assert {worker.device for worker in shared.workers} == {"cuda:0"}
    assert len(spread(of(model="nemotron-3.5"), "cuda:0,cuda:1", 2).workers) == 2
    with pytest.raises(SettingsError, match="makes 2 workers, one on each, not 3"):
        spread(of(model="nemotron-3.5"), "cuda:0,cuda:1", 3)


def test_workers_on_one_cpu_share_its_threads() -> None:
    each = max(1, catalog.usable_cores() // 2)
    assert [w.options for w in spread(of(model="digits"), "cpu", 2).workers] == [{"threads": each}] * 2
    assert [w.options for w in spread(of(model="digits"), None, 2).workers] == [{"threads": each}] * 2
    assert [w.options for w in spread(of(model="digits", options={"threads": 7}), None, 2).workers] == [
        {"threads": 7}
    ] * 2
    assert [w.options for w in spread(of(model="tiny"), "cpu", 2).workers] == [{"threads": each}] * 2
    for settings in (of(model="digits"), of(model="digits", device="cuda:0"), of(model=FAKE), of(model="embedded")):
        assert spread(settings, None, None) == settings
    assert [w.options for w in spread(of(model="embedded"), "cpu", 2).workers] == [{}, {}]


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [
        ("cuda:0,cuda:0", "names 'cuda:0' twice"),
        ("cuda0", "'cuda0' is no device"),
        ("cuda:0,", "'' is no device"),
        ("gpu", "'gpu' is no device"),
    ],
)
def test_what_names_no_devices(devices: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        spread(of(model="nemotron-3.5"), devices, None)


def test_devices_place_only_a_single_worker() -> None:
    with pytest.raises(SettingsError, match="the settings list 2"):
        spread(Settings(workers=(WorkerSettings(name="a"), WorkerSettings(name="b"))), "cuda:0", None)


@pytest.mark.slow
def test_what_is_wrong_with_a_model_is_said_before_anything_starts(voxfleet: Run, tmp_path: Path) -> None:
    """The supervisor logs the workers it starts: that there is no log line shows that none was."""
    for arguments, sentence in (
        (("--model", "nemotron-3.5"), "is not downloaded (about 2.55 GB): voxfleet models pull nemotron-3.5"),
        (("--model", "./nowhere"), "there is no model folder nowhere"),
        (("--model", "embedded", "--device", "cuda:0"), "runs on the CPU only"),
        (("--model", "nemotron-3.5", "--device", "card1"), "'card1' is no device"),
        (
            ("--model", "tiny"),
            "model 'whisper-tiny' is not downloaded (about 151.0 MB): voxfleet models pull whisper-tiny",
        ),
    ):
        done = voxfleet("serve", "--port", "0", *arguments, VOXFLEET_MODELS=str(tmp_path))
        assert done.returncode == exits.SETTINGS, done.stderr
        assert sentence in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@needs_torch
def test_what_only_the_engine_knows_is_a_failed_start_in_its_own_words(voxfleet: Run, tiny: Path) -> None:
    done = voxfleet("serve", "--port", "0", "--model", tiny, "--device", "cuda:99")
    assert done.returncode == exits.SETTINGS
    assert "device 'cuda:99'" in done.stderr.splitlines()[-1]
    assert done.stdout == ""
    odd = voxfleet("serve", "--port", "0", "--config", _config(tiny, "colour", "red"))
    assert odd.returncode == exits.SETTINGS
    assert "unexpected keyword argument 'colour'" in odd.stderr.splitlines()[-1]


class Broken:
    """An engine whose library fails with an error of its own."""

    def __init__(self) -> None:
        raise RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA")


@pytest.mark.slow
def test_an_error_of_a_library_reaches_the_user(voxfleet: Run) -> None:
    done = voxfleet("serve", "--port", "0", "--model", BROKEN, PYTHONPATH=str(REPOSITORY))
    assert done.returncode == exits.NO_SERVER
    assert (
        done.stderr.splitlines()[-1] == "voxfleet: the engine failed: Broken-0: RuntimeError: CUDA error: out of memory"
    )


@pytest.mark.slow
@needs_torch
def test_a_folder_is_served_by_two_workers_on_the_cpu(tmp_path: Path, tiny: Path) -> None:
    arguments = ("--model", str(tiny), "--device", "cpu", "--workers", "2", "--places", "3")
    with serving(tmp_path, arguments=arguments, supervisor={"ready_seconds": 110.0}) as server:
        workers = server.status()["workers"]
        assert [worker["name"] for worker in workers] == ["tiny-model-cpu-0", "tiny-model-cpu-1"]
        assert [worker["places"] for worker in workers] == [3, 3]
        assert {worker["model"] for worker in workers} == {"tiny model"}


def _config(model: Path, option: str, value: str) -> Path:
    path = model.parent / "voxfleet.toml"
    path.write_text(f'[[workers]]\nmodel = "{model}"\nname = "odd"\n[workers.options]\n{option} = "{value}"\n')
    return path
