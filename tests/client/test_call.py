"""One recording as one call, against a server that does what the test says."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.cli.scripted_server import Caller, scripted_server
from voxfleet.audio.recording import Recording, read_recording
from voxfleet.cli import exits
from voxfleet.client import ConnectionFailed, RemoteError, StreamOptions
from voxfleet.client.call import fast_call, live_call
from voxfleet.errors import BadAudio
from voxfleet.wire.native import AckMessage, DoneMessage, ErrorMessage, FinalMessage, ServerMessage, WordMessage

RATE = 8_000
DONE = DoneMessage(1.0, 1, 1, 0, 1)


def recording(seconds: float, channels: int = 1) -> Recording:
    return Recording(np.zeros((round(seconds * RATE), channels), np.int16), RATE)


def options(channels: int = 1) -> StreamOptions:
    return StreamOptions(sample_rate=RATE, channels=channels)


def ignore(*_: object) -> None:
    pass


async def test_a_fast_call_sends_everything_and_never_more_than_allowed() -> None:
    ahead: list[float] = []

    async def script(caller: Caller) -> None:
        await caller.ready(max_ahead=5.0)
        heard = 0.0
        while await caller.listen():
            ahead.append(caller.seconds - heard)
            if caller.seconds - heard >= 2.0:
                heard += 2.0
                await caller.say(AckMessage(0, heard, heard), AckMessage(1, heard, heard))
        await caller.say(FinalMessage(1, 0, 0.0, 1.0, "hello"), DONE)

    progress: list[float] = []
    async with scripted_server(script) as url:
        outcome = await fast_call(url, recording(20.3, 2), options(2), progress.append)
    assert max(ahead) <= 5.0
    assert [final.text for final in outcome.finals] == ["hello"]
    assert outcome.done == DONE
    assert progress == sorted(progress)
    assert progress[-1] == 20.0


async def test_every_sample_arrives_once() -> None:
    received: list[int] = []

    async def script(caller: Caller) -> None:
        await caller.ready()
        while await caller.listen():
            await caller.say(AckMessage(0, caller.seconds, caller.seconds))
        received.append(caller.received)
        await caller.say(DONE)

    async with scripted_server(script) as url:
        await fast_call(url, recording(3.333), options(), ignore)
        await live_call(url, recording(0.333), options(), ignore)
    assert received == [2 * round(3.333 * RATE), 2 * round(0.333 * RATE)]


async def test_a_live_call_is_no_faster_than_real_time_and_times_what_it_hears() -> None:
    async def script(caller: Caller) -> None:
        await caller.ready()
        while await caller.listen():
            pass
        await caller.say(FinalMessage(0, 0, 0.0, 0.5, "yes", [WordMessage("yes", 0.1, 0.5)]), DONE)

    heard: list[tuple[type, float]] = []

    def note(message: ServerMessage, at: float) -> None:
        heard.append((type(message), at))

    async with scripted_server(script) as url:
        outcome = await live_call(url, recording(0.55), options(), note)
    assert [kind for kind, _ in heard] == [FinalMessage, DoneMessage]
    assert outcome.seconds >= 0.55
    assert all(at >= 0.55 for _, at in heard)


@pytest.mark.parametrize("code", ["at_capacity", "draining"])
async def test_a_refusal_is_told_with_the_words_of_the_server(code: str) -> None:
    async def script(caller: Caller) -> None:
        await caller.refuse(ErrorMessage(code, "all 2 places are taken", True, 5.0), 1013)

    async with scripted_server(script) as url:
        with pytest.raises(RemoteError, match="all 2 places are taken") as refused:
            await fast_call(url, recording(1.0), options(), ignore)
    assert exits.code_of(refused.value) == exits.REFUSED
    assert refused.value.retry_after == 5.0


async def test_an_error_in_the_middle_ends_the_call_with_its_reason() -> None:
    async def script(caller: Caller) -> None:
        await caller.ready()
        await caller.listen()
        await caller.refuse(ErrorMessage("engine_lost", "the worker is gone", True), 1012)

    async with scripted_server(script) as url:
        with pytest.raises(RemoteError, match="the worker is gone") as lost:
            await fast_call(url, recording(60.0), options(), ignore)
    assert exits.code_of(lost.value) == exits.FAILED


async def test_a_connection_that_breaks_is_a_server_that_is_not_there() -> None:
    async def script(caller: Caller) -> None:
        await caller.ready()
        await caller.listen()

    async with scripted_server(script) as url:
        with pytest.raises(ConnectionFailed) as broken:
            await live_call(url, recording(5.0), options(), ignore)
    assert exits.code_of(broken.value) == exits.NO_SERVER


async def test_a_cancelled_call_leaves_no_task_behind() -> None:
    async def script(caller: Caller) -> None:
        await caller.ready()
        while await caller.listen():
            pass

    async with scripted_server(script) as url:
        before = asyncio.all_tasks()
        call = asyncio.create_task(live_call(url, recording(60.0), options(), ignore))
        await asyncio.sleep(0.3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() <= before | {task for task in asyncio.all_tasks() if "play" in str(task)}


def test_frames_hold_interleaved_little_endian_samples() -> None:
    both = Recording(np.array([[1, -1], [2, -2], [3, -3]], np.int16), 20)
    assert both.frames(0.1) == [b"\x01\x00\xff\xff\x02\x00\xfe\xff", b"\x03\x00\xfd\xff"]
    assert both.seconds == pytest.approx(0.15)


def test_a_recording_is_brought_to_16_khz_unless_it_is_sent_live(tone: Path) -> None:
    assert read_recording(tone).sample_rate == 16_000
    assert read_recording(tone).channels == 2
    assert read_recording(tone).samples.shape == (16_000, 2)
    assert read_recording(tone, live=True).sample_rate == 16_000


def test_what_is_no_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_bytes(b"not audio at all")
    with pytest.raises(BadAudio):
        read_recording(tmp_path / "no.wav")
    with pytest.raises(BadAudio, match="No such file"):
        read_recording(tmp_path / "absent.wav")
