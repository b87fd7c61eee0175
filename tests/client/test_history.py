"""What a stream keeps to say again: exactly what follows the settled audio, in its order, within its bound."""

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.client.history import MOST_PINGS, History
from voxfleet.client.patience import LONGEST_PAUSE, Patience
from voxfleet.client.told import Told
from voxfleet.wire import native
from voxfleet.wire.options import Encoding, StreamOptions

RATE = 8_000
STEREO = StreamOptions(encoding=Encoding.PCM16, sample_rate=RATE, channels=2)
SECOND = RATE * 4


@given(
    st.lists(st.integers(1, 3 * SECOND), min_size=1, max_size=12),
    st.lists(st.integers(0, 11), max_size=4),
    st.floats(0, 12),
    st.floats(0, 12),
)
def test_what_is_said_again_is_what_was_said_from_there_on(
    sizes: list[int], flushed_after: list[int], settled: float, asked: float
) -> None:
    history = History(STEREO, 100.0)
    said: list[tuple[int, bytes | str]] = []
    total = 0
    for number, size in enumerate(sizes):
        piece = bytes([number]) * size
        history.say(piece)
        said.append((total, piece))
        total += size
        for _ in range(flushed_after.count(number)):
            history.say(native.FlushMessage())
            said.append((total, native.encode(native.FlushMessage())))
    history.settle(settled)
    start = round(asked * RATE) * 4
    frames = history.since(asked)
    if start > total or start < min(round(settled * RATE) * 4, total):
        assert frames is None
        return
    assert frames is not None
    expected = b"".join(piece[max(start - at, 0) :] for at, piece in said if isinstance(piece, bytes))
    assert b"".join(frame for frame in frames if isinstance(frame, bytes)) == expected
    before = start
    for frame in frames:  # every flush at the sample at which it was said
        if isinstance(frame, str):
            assert (before, frame) in said
        else:
            before += len(frame)
    assert sum(isinstance(frame, str) for frame in frames) == sum(
        isinstance(what, str) and at >= start for at, what in said
    )


def test_a_configure_holds_from_where_it_was_said() -> None:
    history = History(STEREO, 100.0)
    history.say(bytes(SECOND))
    history.say(native.ConfigureMessage(endpointing_ms=200))
    history.say(bytes(SECOND))
    history.say(native.ConfigureMessage(interim=False))
    history.say(bytes(SECOND))
    assert history.options(1.0) == STEREO
    assert history.options(1.5).endpointing_ms == 200
    assert history.options(1.5).interim
    history.settle(2.5)
    assert history.options(2.5).endpointing_ms == 200
    assert not history.options(2.5).interim


def test_what_is_kept_has_a_bound_and_a_file_is_not_kept_at_all() -> None:
    history = History(STEREO, 2.0)
    history.say(bytes(2 * SECOND))
    history.settle(0.5)
    history.say(bytes(SECOND // 2))
    assert history.since(2.0) == [bytes(SECOND // 2)]
    history.say(b"\0")
    assert not history.complete
    assert history.since(2.0) is None
    assert not History(StreamOptions(encoding=Encoding.CONTAINER), 90.0).complete


def test_answers_to_flushes_are_told_once_under_the_number_they_had() -> None:
    history = History(STEREO, 100.0)
    history.say(native.FlushMessage())
    assert history.flushed() == 1
    history.say(native.FlushMessage())
    assert history.since(0.0) == [native.encode(native.FlushMessage())] * 2
    history.say(native.FlushMessage())
    assert [history.flushed() for _ in range(4)] == [None, 2, 3, None]


def test_only_unanswered_pings_are_said_again() -> None:
    history = History(STEREO, 100.0)
    for number in range(3):
        history.say(native.PingMessage(str(number)))
    history.ponged()
    assert history.since(0.0) == [native.encode(native.PingMessage(str(number))) for number in (1, 2)]
    for _ in range(5):
        history.ponged()
    assert history.since(0.0) == []
    for number in range(1_000):
        history.say(native.PingMessage(str(number)))
    assert len(history.since(0.0) or ()) == MOST_PINGS


def test_nothing_of_a_turn_is_news_twice() -> None:
    told = Told()
    started, partial = native.SpeechStartedMessage(0, 4, 1.0), native.PartialMessage(0, 4, 1.0, 2.0, "a", "b")
    final, ack = native.FinalMessage(0, 4, 1.0, 3.0, "a c"), native.AckMessage(0, 3.0, 3.0)
    assert [told.news(m) for m in (started, partial, final, ack)] == [True] * 4
    assert [told.news(m) for m in (started, partial, final, ack)] == [False] * 4
    assert told.news(native.FinalMessage(1, 4, 1.0, 3.0, "of the other channel"))
    assert told.news(native.PartialMessage(0, 5, 3.0, 5.0, "next", ""))
    assert not told.news(native.PartialMessage(0, 5, 3.0, 4.0, "", "older"))
    assert told.news(native.AckMessage(0, 3.0, 4.0))
    assert [told.news(native.PongMessage()) for _ in range(2)] == [True, True]


def test_breaks_without_progress_between_them_share_one_patience() -> None:
    patience = Patience(10.0)
    patience.broke(100.0)
    assert patience.pause(None) == 0.0
    assert 0 < patience.pause(None) < 0.1
    patience.resumed(103.0)
    patience.broke(104.0)
    assert patience.left(104.0) == 6.0
    assert patience.pause(None) > 0.05
    patience.progressed()
    patience.broke(105.0)
    assert patience.left(105.0) == 10.0
    assert patience.pause(None) == 0.0
    patience.resumed(106.0)
    patience.broke(117.0)
    assert patience.left(117.0) == 10.0  # it held for longer than the patience
    pauses = [patience.pause(None) for _ in range(20)]
    assert max(pauses) <= 1.25 * LONGEST_PAUSE
    assert len(set(pauses[10:])) == 10
    assert patience.pause(7.0) == 7.0
