"""The flow control of a recording sent faster than real time."""

import math

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.client.pacing import ACK_STEP, LAST_SHARE, PATIENCE, SHARE, Pacing
from voxfleet.wire.native import AckMessage, FinalMessage, FlushedMessage, PartialMessage

FRAME = 0.25


def fill(pacing: Pacing, now: float) -> float:
    """Send all that may be sent now; how much that was."""
    before = pacing.sent
    while pacing.allowed(now) >= FRAME:
        pacing.send(FRAME)
    return pacing.sent - before


def test_at_first_a_share_of_the_limit_is_sent() -> None:
    pacing = Pacing(1, 10.0, now=100.0)
    assert fill(pacing, 100.0) == 10.0 * SHARE
    assert pacing.allowed(100.0) == 0.0


def test_every_sign_of_progress_moves_the_window() -> None:
    for message in (
        AckMessage(0, settled=0.0, heard=2.0),
        AckMessage(0, settled=2.0, heard=2.0),
        PartialMessage(0, 0, 0.0, 2.0, "hello", ""),
        FinalMessage(0, 0, 0.0, 2.0, "hello"),
    ):
        pacing = Pacing(1, 10.0, now=0.0)
        fill(pacing, 0.0)
        assert pacing.learn(message, 0.1)
        assert fill(pacing, 0.1) == 2.0


def test_what_tells_of_no_progress_moves_nothing() -> None:
    pacing = Pacing(1, 10.0, now=0.0)
    assert pacing.learn(AckMessage(0, settled=2.0, heard=2.0), 0.0)
    assert not pacing.learn(AckMessage(0, settled=1.0, heard=1.0), 0.1)
    assert not pacing.learn(FlushedMessage(1), 0.1)
    assert pacing.heard == 2.0


def test_the_slowest_channel_holds_the_call() -> None:
    pacing = Pacing(2, 10.0, now=0.0)
    fill(pacing, 0.0)
    assert not pacing.learn(AckMessage(1, settled=5.0, heard=5.0), 0.1)
    assert pacing.allowed(0.1) == 0.0
    assert pacing.learn(AckMessage(0, settled=0.0, heard=3.0), 0.2)
    assert pacing.heard == 3.0
    assert fill(pacing, 0.2) == 3.0


def test_a_silent_server_is_sent_audio_at_the_speed_of_a_live_caller() -> None:
    pacing = Pacing(1, 10.0, now=0.0)
    fill(pacing, 0.0)
    assert fill(pacing, PATIENCE) == 0.0
    assert fill(pacing, PATIENCE + 1.0) == 1.0
    assert fill(pacing, PATIENCE + 2.0) == 1.0


def test_a_server_that_stays_silent_is_sent_no_more_than_it_keeps() -> None:
    pacing = Pacing(1, 10.0, now=0.0)
    fill(pacing, 1_000.0)
    assert pacing.sent == 10.0 * LAST_SHARE
    assert pacing.wait(FRAME, 1_000.0) == math.inf


def test_waiting_so_long_is_neither_too_short_nor_for_ever() -> None:
    pacing = Pacing(1, 10.0, now=0.0)
    fill(pacing, 0.0)
    now = pacing.wait(FRAME, 0.0)
    assert PATIENCE < now < PATIENCE + 1.0
    assert pacing.allowed(now) >= FRAME - 1e-6
    assert pacing.wait(FRAME, now) < 1e-6


def test_a_small_limit_never_leaves_both_sides_waiting() -> None:
    """A server that acks every 2 s of audio, with less than that as its limit, is still fed up to its next ack."""
    pacing = Pacing(1, 1.0, now=0.0)
    now = 0.0
    for acked in (2.0, 4.0, 6.0):
        while pacing.sent < acked:
            if pacing.allowed(now) < FRAME - 1e-6:
                wait = pacing.wait(FRAME, now)
                assert wait < ACK_STEP + PATIENCE
                now += wait
            pacing.send(FRAME)
        pacing.learn(AckMessage(0, settled=0.0, heard=acked), now)


@given(
    limit=st.floats(4.0, 60.0),
    speed=st.floats(0.2, 50.0),
    ack_step=st.floats(0.2, 2.0),
)
def test_whatever_the_speed_of_the_server_it_is_never_overrun_and_always_finished(
    limit: float, speed: float, ack_step: float
) -> None:
    """A simulated server recognises at `speed` times real time and acks every `ack_step` of audio."""
    pacing = Pacing(1, limit, now=0.0)
    now = heard = told = 0.0
    while pacing.sent < 60.0:
        assert now < 10_000, "stuck"
        if pacing.allowed(now) >= FRAME - 1e-6:
            pacing.send(FRAME)
            assert pacing.sent - heard <= limit + 1e-6
            continue
        step = min(pacing.wait(FRAME, now), 0.05)
        now += max(step, 0.001)
        heard = min(heard + max(step, 0.001) * speed, pacing.sent)
        if heard - told >= ack_step or heard == pacing.sent:
            told = heard
            pacing.learn(AckMessage(0, settled=0.0, heard=heard), now)
