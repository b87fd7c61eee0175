"""How one process is kept running, by the way it ends. The processes are real; what they do is scripted."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from voxfleet.cli import child as child_module
from voxfleet.cli.child import Child
from voxfleet.settings import SupervisorSettings

READY: dict[str, Any] = {"say": {"ready": True}}
STAY: dict[str, Any] = {"beat": 60}
PATIENCE = SupervisorSettings(restart_first=0.4, restart_most=30.0, beat_seconds=1.0, ready_seconds=20.0)


class Nursery:
    """A child, and what is there to be seen of its lives."""

    def __init__(self, child: Child, news: asyncio.Condition, lives: Path) -> None:
        self.child = child
        self._news = news
        self._lives = lives

    async def until(self, condition: Callable[[Child], bool], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: condition(self.child))

    async def life(self, number: int) -> None:
        """Wait until it lives for that time, and is ready."""
        await self.until(lambda child: child.lives == number and child.state == "ready")

    @property
    def gaps(self) -> list[float]:
        """Seconds between the starts of its lives."""
        starts = [float(line) for line in self._lives.read_text().split()]
        return [later - earlier for earlier, later in itertools.pairwise(starts)]


@asynccontextmanager
async def living(
    path: Path,
    *scripts: list[dict[str, Any]],
    may_be_drained: bool = True,
    patience: SupervisorSettings = PATIENCE,
) -> AsyncIterator[Nursery]:
    news = asyncio.Condition()
    resolved = {"lives": str(path / "lives"), "scripts": scripts}
    child = Child("scripted", "tests.cli.scripted_child", resolved, patience, news, may_be_drained=may_be_drained)
    running = asyncio.create_task(child.run())
    try:
        yield Nursery(child, news, path / "lives")
    finally:
        await child.leave(5.0)
        async with asyncio.timeout(5.0):
            await running  # it ends by itself once it shall leave, and so does the process
        assert child.pid is None


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


async def test_what_dies_is_started_again_after_a_wait_that_doubles(tmp_path: Path) -> None:
    async with living(tmp_path, [READY, {"exit": 1}], [READY, {"exit": 70}], [{"exit": 0}], [READY, STAY]) as nursery:
        await nursery.life(4)
        first, second, third = nursery.gaps
    assert first >= 0.4
    assert second >= 0.8
    assert third >= 1.6, "0 of a process that was never ready is a death like any other"


async def test_the_wait_is_short_again_after_a_healthy_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "STEADY_SECONDS", 0.5)
    patience = SupervisorSettings(restart_first=0.4, restart_most=30.0)
    die, healthy = [{"exit": 1}], [READY, {"beat": 1.0}, {"exit": 1}]
    async with living(tmp_path, die, die, die, healthy, [READY, STAY], patience=patience) as nursery:
        await nursery.life(5)
        assert nursery.gaps[2] >= 1.6
        assert nursery.gaps[3] - 1.0 < 1.6


async def test_what_was_drained_stays_down_until_it_is_wanted_again(tmp_path: Path) -> None:
    async with living(tmp_path, [READY, {"exit": 0}], [READY, STAY]) as nursery:
        await nursery.until(lambda child: child.state == "drained")
        await asyncio.sleep(1.0)
        assert nursery.child.lives == 1
        assert nursery.child.pid is None
        await nursery.child.replace(1.0)
        await nursery.life(2)


async def test_a_gateway_that_ends_well_unasked_is_started_again(tmp_path: Path) -> None:
    async with living(tmp_path, [READY, {"exit": 0}], [READY, STAY], may_be_drained=False) as nursery:
        await nursery.life(2)


async def test_what_asks_for_its_replacement_is_replaced_without_a_wait(tmp_path: Path) -> None:
    patience = SupervisorSettings(restart_first=30.0)
    async with living(tmp_path, [READY, {"exit": 75}], [READY, STAY], patience=patience) as nursery:
        await nursery.life(2)


async def test_asking_for_a_replacement_before_it_was_ready_is_dying(tmp_path: Path) -> None:
    async with living(tmp_path, [{"exit": 75}], [READY, STAY]) as nursery:
        await nursery.life(2)
        assert nursery.gaps[0] >= 0.4


async def test_replacing_ends_it_politely_and_starts_it_without_a_wait(tmp_path: Path) -> None:
    patience = SupervisorSettings(restart_first=30.0)
    async with living(tmp_path, [{"on_term": 0}, READY, STAY], patience=patience) as nursery:
        await nursery.life(1)
        old = nursery.child.pid
        await nursery.child.replace(5.0)
        await nursery.life(2)
        assert nursery.child.pid != old


async def test_replacing_does_not_wait_for_the_end_of_a_wait(tmp_path: Path) -> None:
    patience = SupervisorSettings(restart_first=30.0)
    async with living(tmp_path, [{"exit": 1}], [READY, STAY], patience=patience) as nursery:
        await nursery.until(lambda child: child.state == "waiting")
        await nursery.child.replace(1.0)
        await nursery.life(2)


async def test_a_deaf_one_is_killed_when_it_shall_leave(tmp_path: Path) -> None:
    async with living(tmp_path, [{"on_term": 0}, READY, STAY]) as nursery:
        await nursery.life(1)
        assert nursery.child.pid is not None
        os.kill(nursery.child.pid, signal.SIGSTOP)
        await nursery.child.leave(0.3)
        assert nursery.child.pid is None


async def test_a_silent_one_is_killed_and_started_at_once(tmp_path: Path) -> None:
    patience = SupervisorSettings(restart_first=30.0, beat_seconds=1.0)
    async with living(tmp_path, [READY, {"beat": 1.5}, {"sleep": 60}], [READY, STAY], patience=patience) as nursery:
        await nursery.life(1)
        watching = asyncio.create_task(_watch(nursery.child))
        await nursery.life(2)
        watching.cancel()
        assert nursery.gaps[0] >= 1.5 + 0.9, "beats keep it alive"


async def test_only_silence_we_were_there_to_hear_counts(tmp_path: Path) -> None:
    async with living(tmp_path, [READY, {"sleep": 60}]) as nursery:
        await nursery.life(1)
        for _ in range(4):
            nursery.child.watched(0.24)
        await asyncio.sleep(0.3)
        assert nursery.child.lives == 1
        nursery.child.watched(0.24)
        await nursery.until(lambda child: child.lives == 2)


async def test_a_later_life_that_never_becomes_ready_is_ended(tmp_path: Path) -> None:
    patience = SupervisorSettings(restart_first=0.0, ready_seconds=1.0, beat_seconds=10.0)
    async with living(tmp_path, [READY, {"exit": 1}], [{"sleep": 60}], [READY, STAY], patience=patience) as nursery:
        watching = asyncio.create_task(_watch(nursery.child))
        await nursery.life(3)
        watching.cancel()


async def test_a_first_life_that_fails_says_why(tmp_path: Path) -> None:
    words = {"error": "no such device", "code": "bad_settings"}
    async with living(tmp_path, [{"say": words}, {"exit": 1}]) as nursery:
        await nursery.until(lambda child: child.failure is not None)
        assert nursery.child.failure == words


async def test_a_first_life_that_ends_without_a_word_is_told_by_its_exit_code(tmp_path: Path) -> None:
    async with living(tmp_path, [{"exit": 9}]) as nursery:
        await nursery.until(lambda child: child.failure is not None)
        assert nursery.child.failure == {"error": "scripted ended with exit code 9 before it was ready"}


async def test_noise_of_libraries_is_not_heard(tmp_path: Path) -> None:
    noise: list[dict[str, Any]] = [
        {"write": "loading\n"},
        {"write": "{not json\n"},
        {"flood": 200_000},
        {"write": "{}\n"},
    ]
    async with living(tmp_path, [*noise, READY, STAY]) as nursery:
        await nursery.life(1)


async def test_a_process_it_left_behind_does_not_hide_its_end(tmp_path: Path) -> None:
    async with living(tmp_path, [{"hold": 20}, READY, {"exit": 1}], [READY, STAY]) as nursery:
        await nursery.life(2)
        assert nursery.gaps[0] < 10


async def _watch(child: Child) -> None:
    while True:
        await asyncio.sleep(0.1)
        child.watched(0.1)
