"""A worker's life as its watchers see it: real processes, real links; signals, drains, notices, and how it ends."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.worker.processes import worker
from tests.worker.raw_gateway import joined
from voxfleet.cluster import link_pb2 as pb


def draining(answer: pb.Answer) -> bool:
    return answer.HasField("load") and answer.load.draining


async def ended(process) -> int:
    return await asyncio.to_thread(process.ended)


async def test_it_is_ready_beats_and_ends_with_its_parent(tmp_path: Path) -> None:
    with worker(tmp_path) as process:
        process.printed("beat", 2)
        first = process.lines[0]
        assert first["ready"] is True
        assert (first["worker"], first["model"], first["address"]) == ("w", "fake", process.address)
        assert first["pid"] == process.process.pid
        async with joined(process.address) as gateway:
            await gateway.speak(await gateway.open())
            await gateway.heard(lambda a: any(h.final for h in a.heard))
        beats = len(process.lines)
        assert process.printed("beat", beats)["beat"] >= 1
        assert process.process.stdin is not None
        process.process.stdin.close()
        assert process.ended() == 0


async def test_a_signal_drains_and_the_last_track_ends_it(tmp_path: Path) -> None:
    with worker(tmp_path, drain_seconds=60.0) as process:
        async with joined(process.address) as gateway, joined(process.address) as idle:
            place = await gateway.open()
            process.process.send_signal(signal.SIGTERM)
            for told in (gateway, idle):
                load = (await told.heard(draining)).load
                assert 50 < load.drain_left <= 60
                assert load.taken == 1
            await idle.say(opens=[pb.Open(request=7, language="en")])
            refused = await idle.heard(lambda a: bool(a.refused))
            assert (refused.refused[0].request, refused.refused[0].code) == (7, "draining")
            await gateway.speak(place)
            await gateway.heard(lambda a: any(h.final for h in a.heard))
            async with joined(process.address) as late:
                assert draining(late.answers[0]), "a gateway that joins now must know"
            assert process.process.poll() is None
            await gateway.say(closes=[place])
            assert await ended(process) == 0
            for told in (gateway, idle):
                await told.ended.wait()
                assert told.code is grpc.StatusCode.OK, "ended in good order, not torn down"
        assert "worker_drained" in process.log


async def test_at_the_deadline_it_ends_and_counts_who_is_cut(tmp_path: Path) -> None:
    with worker(tmp_path, drain_seconds=0.4) as process:
        async with joined(process.address) as gateway:
            for request in (1, 2):
                await gateway.open(request)
            process.process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0
            await gateway.ended.wait()
        assert '"tracks_cut": 2' in process.log


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with worker(tmp_path, drain_seconds=600.0) as process:
        async with joined(process.address) as gateway:
            await gateway.open()
            process.process.send_signal(signal.SIGTERM)
            await gateway.heard(draining)
            process.process.send_signal(signal.SIGTERM)
            assert await ended(process) == 0


@pytest.mark.parametrize(("replace", "code"), [(True, 75), (False, 0)])
async def test_a_gateway_may_ask_it_to_leave(tmp_path: Path, replace: bool, code: int) -> None:
    with worker(tmp_path, drain_seconds=600.0) as process:
        async with joined(process.address) as gateway, joined(process.address) as other:
            place = await gateway.open()
            await other.say(drain=pb.Drain(seconds=40.0, replace=replace))
            assert 30 < (await gateway.heard(draining)).load.drain_left <= 40
            await gateway.say(closes=[place])
            assert await ended(process) == code


async def test_who_was_told_to_go_does_not_come_back(tmp_path: Path) -> None:
    with worker(tmp_path, drain_seconds=600.0) as process:
        async with joined(process.address) as gateway:
            place = await gateway.open()
            await gateway.say(drain=pb.Drain(replace=True))
            assert 500 < (await gateway.heard(draining)).load.drain_left <= 600, "0 is the worker's own setting"
            process.process.send_signal(signal.SIGTERM)
            while "SIGTERM" not in process.log:
                await asyncio.sleep(0.02)
            await gateway.say(closes=[place])
            assert await ended(process) == 0


async def test_a_gateway_that_dies_frees_its_places_for_the_drain(tmp_path: Path) -> None:
    with worker(tmp_path, drain_seconds=600.0) as process:
        async with joined(process.address) as gateway:
            await gateway.open()
            process.process.send_signal(signal.SIGTERM)
            await gateway.heard(draining)
        assert await ended(process) == 0


async def test_a_notice_of_preemption_is_a_shorter_drain(tmp_path: Path) -> None:
    notice = tmp_path / "leave"
    with worker(tmp_path, drain_seconds=600.0, preemption=f"file:{notice}") as process:
        async with joined(process.address) as gateway:
            place = await gateway.open()
            notice.write_text("14")
            load = (await gateway.heard(draining)).load
            assert 5 < load.drain_left <= 14
            await gateway.say(closes=[place])
            assert await ended(process) == 0
        assert "preemption_notice" in process.log


async def test_a_stuck_step_ends_the_process(tmp_path: Path) -> None:
    with worker(tmp_path, options={"step_seconds": 600.0}, stuck_seconds=1.0) as process:
        async with joined(process.address) as gateway:
            await gateway.speak(await gateway.open())
            assert await ended(process) == 70
            await gateway.ended.wait()
        assert "worker_stuck" in process.log


async def test_a_process_that_was_stopped_is_not_stuck(tmp_path: Path) -> None:
    with worker(tmp_path, options={"step_seconds": 1.5}, stuck_seconds=2.5) as process:
        async with joined(process.address) as gateway:
            await gateway.speak(await gateway.open())
            await asyncio.sleep(0.3)
            process.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(4.0)
            process.process.send_signal(signal.SIGCONT)
            await gateway.heard(lambda a: any(h.final for h in a.heard))
            assert process.process.poll() is None


async def test_a_broken_engine_is_a_failure(tmp_path: Path) -> None:
    with worker(tmp_path, report_ms=50, options={"fail_on_step": 1}) as process:
        async with joined(process.address) as gateway:
            await gateway.speak(await gateway.open())
            await gateway.ended.wait()
        assert await ended(process) == 1
        assert "told to fail" in process.printed("error")["error"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"options": {"colour": "red"}}, "colour"),
        ({"preemption": "aws"}, "gce, ec2, azure"),
        ({"http": "nowhere"}, "host:port"),
    ],
)
def test_what_can_not_be_is_said_first(tmp_path: Path, settings: dict[str, Any], sentence: str) -> None:
    with worker(tmp_path, **settings) as process:
        assert sentence in process.printed("error")["error"]
        assert list(process.lines[0]) == ["error", "code"]
        assert process.ended() == 1


def test_asked_to_leave_while_it_loads_it_leaves(tmp_path: Path) -> None:
    with worker(tmp_path, model="python:tests.worker.slow_engine:SlowToLoad") as process:
        while "loading_begins" not in process.log:
            time.sleep(0.02)
        process.process.send_signal(signal.SIGTERM)
        assert process.ended() == 0
        assert not process.lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_alone_it_says_nothing_on_stdout_and_leaves_on_both_signals(tmp_path: Path, number: int) -> None:
    with worker(tmp_path, alone=True) as process:
        async with joined(process.address) as gateway:
            place = await gateway.open()
            process.process.send_signal(number)
            await gateway.heard(draining)
            await gateway.say(closes=[place])
            assert await ended(process) == 0
        assert not process.lines


def test_alone_an_error_is_one_sentence(tmp_path: Path) -> None:
    with worker(tmp_path, alone=True, preemption="aws") as process:
        assert process.ended() == 3
        assert "gce, ec2, azure" in process.log
        assert "Traceback" not in process.log
