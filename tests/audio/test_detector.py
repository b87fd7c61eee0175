"""The detector: what comes out is what the listener says, whoever else is heard, however it arrives; nothing leaks."""

import threading
import time

import numpy as np
import pytest
from benchmarks.vad_gate import listen

from tests.audio.recordings import speech
from voxfleet.audio.detector import VoiceDetector
from voxfleet.audio.gate import GatedSilero
from voxfleet.errors import AtCapacity, BadValue, TooFast


class Room:
    """A detector and everything it delivers, by stream."""

    def __init__(self, **options):
        self.heard = {}
        self.lasts = {}
        self.failures: list[Exception] = []
        self.changed = threading.Condition()
        self.detector = VoiceDetector(self.deliver, tick=0.002, on_failure=self.failures.append, **options)
        self.detector.start()

    def deliver(self, verdicts):
        with self.changed:
            for stream, probabilities, last in verdicts:
                assert stream not in self.lasts, "delivered after the last"
                self.heard.setdefault(stream, []).append(probabilities)
                if last:
                    self.lasts[stream] = True
            self.changed.notify_all()

    def wait(self, condition, seconds=30.0):
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f"not within {seconds:g} s; failures: {self.failures}"

    def all_of(self, stream):
        self.wait(lambda: stream in self.lasts)
        return np.concatenate(self.heard[stream])

    def wait_for_free(self, count):
        until = time.monotonic() + 30
        while self.detector.free != count:
            assert time.monotonic() < until, f"{self.detector.free} rows are free"
            time.sleep(0.005)


@pytest.fixture
def room():
    opened = []

    def make(**options):
        opened.append(Room(**{"capacity": 8, **options}))
        return opened[-1]

    yield make
    for each in opened:
        each.detector.close()
        if each.failures:
            assert each.failures[0].args == ("expected",)
    assert not [thread for thread in threading.enumerate() if thread.name == "voice"]


def expected(clip, rate):
    return listen(GatedSilero(1), [clip], rate)[0]


def test_many_streams_of_both_rates_in_blocks_of_any_size(room):
    here = room(capacity=24)
    chance = np.random.default_rng(0)
    talks = [(clip, rate) for rate in (16_000, 8_000) for clip in speech(rate)]
    streams = [here.detector.open(rate) for _, rate in talks]
    sent = [0] * len(talks)
    while any(at < len(clip) for at, (clip, _) in zip(sent, talks, strict=True)):
        for index, (clip, _) in enumerate(talks):
            size = int(chance.integers(1, 5000))
            if sent[index] < len(clip):
                streams[index].hear(clip[sent[index] : sent[index] + size])
                sent[index] += size
    for stream in streams:
        stream.finish()
    wanted = [
        heard
        for rate in (16_000, 8_000)
        for heard in listen(GatedSilero(12), [clip for clip, own in talks if own == rate], rate)
    ]
    for stream, probabilities in zip(streams, wanted, strict=True):
        assert np.allclose(here.all_of(stream), probabilities, atol=1e-4)
        assert stream.behind == 0
    for stream in streams:
        stream.close()
    here.wait_for_free(24)


def test_a_whole_clip_in_one_piece(room):
    here = room()
    clip = speech(16_000)[0]
    stream = here.detector.open(16_000)
    stream.hear(clip)
    stream.finish()
    assert np.allclose(here.all_of(stream), expected(clip, 16_000), atol=1e-4)


def test_a_frame_that_is_not_full_waits_for_the_rest(room):
    here = room()
    stream, other = here.detector.open(16_000), here.detector.open(16_000)
    stream.hear(np.zeros(511, np.float32))
    other.hear(np.zeros(512, np.float32))
    here.wait(lambda: other in here.heard)
    assert stream not in here.heard
    stream.hear(np.zeros(1, np.float32))
    here.wait(lambda: stream in here.heard)
    assert [len(part) for part in here.heard[stream]] == [1]


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (256, 1), (257, 2), (2560, 10)])
def test_finish_fills_the_last_frame_and_says_so(room, samples, frames):
    here = room()
    stream = here.detector.open(8_000)
    if samples:
        stream.hear(np.zeros(samples, np.float32))
    stream.finish()
    assert len(here.all_of(stream)) == frames


def test_finish_long_after_the_audio(room):
    here = room()
    stream = here.detector.open(8_000)
    stream.hear(np.zeros(2560, np.float32))
    here.wait(lambda: sum(map(len, here.heard.get(stream, []))) == 10)
    stream.finish()
    assert len(here.all_of(stream)) == 10


def test_nothing_comes_after_close(room):
    here = room()
    clip = speech(16_000)[1]
    stays, goes = here.detector.open(16_000), here.detector.open(16_000)
    for start in range(0, len(clip), 1600):
        stays.hear(clip[start : start + 1600])
        if start < len(clip) // 2:
            goes.hear(clip[start : start + 1600])
        elif not goes.closed:
            goes.close()
            goes.close()
            here.wait_for_free(7)
            before = len(here.heard.get(goes, []))
    stays.finish()
    assert np.allclose(here.all_of(stays), expected(clip, 16_000), atol=1e-4)
    assert len(here.heard.get(goes, [])) == before


def test_a_reused_row_knows_nothing_of_the_stream_before(room):
    here = room(capacity=1)
    first, second = speech(16_000)[:2]
    for _ in range(2):
        stream = here.detector.open(16_000)
        stream.hear(second[:20_001])
        stream.close()
        here.wait_for_free(1)
    stream = here.detector.open(16_000)
    stream.hear(first)
    stream.finish()
    assert np.allclose(here.all_of(stream), expected(first, 16_000), atol=1e-4)


def test_full_is_said_and_a_closed_row_comes_back(room):
    here = room(capacity=2)
    one, two = here.detector.open(16_000), here.detector.open(8_000)
    with pytest.raises(AtCapacity):
        here.detector.open(16_000)
    one.close()
    here.wait_for_free(1)
    here.detector.open(8_000).close()
    two.close()
    here.wait_for_free(2)


def test_other_rates_are_refused(room):
    with pytest.raises(BadValue):
        room().detector.open(48_000)


def test_what_waits_is_bounded():
    idle = VoiceDetector(lambda verdicts: None, capacity=1, most_behind=2.0)  # never started: nothing is taken
    stream = idle.open(16_000)
    stream.hear(np.zeros(16_000, np.float32))
    assert stream.behind == 1.0
    with pytest.raises(TooFast):
        stream.hear(np.zeros(16_001, np.float32))
    stream.hear(np.zeros(16_000, np.float32))
    idle.close()


def test_a_failing_model_is_reported_and_counts_as_speech(room):
    here = room()
    stream = here.detector.open(16_000)
    listener = here.detector.listener

    class Broken:
        def hear(self, *_):
            here.detector.listener = listener
            raise RuntimeError("expected")

    here.detector.listener = Broken()
    stream.hear(np.zeros(1024, np.float32))
    here.wait(lambda: stream in here.heard)
    assert here.heard[stream][0].tolist() == [1.0, 1.0]
    stream.hear(np.zeros(512, np.float32))
    stream.finish()
    assert here.all_of(stream)[2] < 0.5
    assert len(here.failures) == 1


def test_a_failing_delivery_is_reported_and_the_next_one_comes(room):
    here = room()
    stream = here.detector.open(16_000)
    deliver = here.deliver

    def fail(verdicts):
        here.detector._deliver = deliver
        with here.changed:
            here.lost = len(verdicts)
            here.changed.notify_all()
        raise RuntimeError("expected")

    here.lost = 0
    here.detector._deliver = fail
    stream.hear(np.zeros(512, np.float32))
    here.wait(lambda: here.lost)
    stream.hear(np.zeros(512, np.float32))
    stream.finish()
    assert len(here.all_of(stream)) == 1
    assert len(here.failures) == 1


def test_close_ends_a_busy_and_an_idle_detector():
    for seconds in (0, 30):
        here = Room(capacity=2)
        here.detector.open(16_000).hear(np.zeros(16_000 * seconds, np.float32))
        here.detector.close()
        here.detector.close()
        assert not here.detector._thread.is_alive()
        assert not here.failures


def test_the_owner_is_the_callers_own(room):
    stream = room().detector.open(16_000)
    assert stream.owner is None
    stream.owner = "call 7"
    assert stream.owner == "call 7"
