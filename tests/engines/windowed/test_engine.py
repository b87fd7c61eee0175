"""Live speech through a recogniser of buffers: what was said does not depend on when it was decoded."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.engines.hearing import NOTHING, columns, hypotheses, planned, words
from tests.fakes.reader import POISON, WORD, Reader, reading, told
from voxfleet.engines.port import EngineInfo, TrackOptions
from voxfleet.engines.windowed.engine import WindowedEngine
from voxfleet.engines.windowed.policy import Policy
from voxfleet.errors import BadGrammar, BadRequest, EngineFailed, LanguageNotSupported
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE, Hypothesis
from voxfleet.wire.phrases import Phrase


def plan(chunk_ms: int, *places: Place) -> Plan:
    return Plan(tuple(Work(place, Urgency.PARTIAL, 0.0, 0.0) for place in places), chunk_ms)


def steps(engine: WindowedEngine, place: Place, chunk_ms: int) -> list[Hypothesis]:
    """As many steps as it takes until nothing is ready."""
    said: list[Hypothesis] = []
    while engine.ready(np.array([place.index], np.uint32), chunk_ms)[0]:
        heard = hypotheses(engine.step(plan(chunk_ms, place)), place)
        assert heard, "ready, and nothing came of it"
        said += heard
    return said


def live(
    engine: WindowedEngine, samples: NDArray[np.int16], sizes: list[int], chunks: list[int], *, recorded: bool = False
) -> list[Hypothesis]:
    """One turn in pieces of these sizes (samples, in turn), with steps at these cadences."""
    place = engine.take(TrackOptions(recorded=recorded))
    said: list[Hypothesis] = []
    at = number = 0
    while at < len(samples):
        size = sizes[number % len(sizes)]
        engine.hear(columns((place, samples[at : at + size], False)))
        said += steps(engine, place, chunks[number % len(chunks)])
        at, number = at + size, number + 1
    engine.hear(columns((place, NOTHING, True)))
    said += steps(engine, place, chunks[0])
    engine.free(place)
    return said


def distinct(ids: list[int]) -> list[int]:
    return [word for before, word in pairwise([-1, *ids]) if before != word]


IDS = st.lists(st.integers(0, 300), min_size=1, max_size=260).map(distinct)
SIZES = st.lists(st.sampled_from([320, 1_600, 5_120, 8_000, 16_000, 40_000, 640_000]), min_size=1, max_size=4)
CHUNKS = st.lists(st.sampled_from([400, 1_000, 2_000]), min_size=1, max_size=4)
PAUSES = st.dictionaries(st.integers(0, 200), st.sampled_from([0.1, 0.5, 1.5, 4.0]), max_size=4)


@settings(max_examples=60)
@given(ids=IDS, pauses=PAUSES, sizes=SIZES, chunks=CHUNKS, keeps=st.booleans(), attention=st.booleans())
def test_what_is_final_depends_on_the_audio_alone(
    ids: list[int], pauses: dict[int, float], sizes: list[int], chunks: list[int], keeps: bool, attention: bool
) -> None:
    """However it came, at whatever cadence, live or replayed at once: the same words, times and stable words on the way."""
    samples = told(ids, pauses)
    policy = Policy(attention=1.1 if attention else 0.0)

    def engine() -> WindowedEngine:
        return reading(Reader(keeps_prefix=keeps, attention=attention, sentence=5), policy=policy)

    said = live(engine(), samples, sizes, chunks)
    at_once = live(engine(), samples, [len(samples)], [2_000])
    assert said[-1] == at_once[-1]
    for earlier, later in pairwise(said):
        assert later.stable[: len(earlier.stable)] == earlier.stable, "a stable word was withdrawn"
        assert later.heard >= earlier.heard
    assert [each.final for each in said] == [False] * (len(said) - 1) + [True]
    assert said[-1].unstable == ()
    assert said[-1].heard == len(samples) / SAMPLE_RATE
    times = [time for word in said[-1].words for time in (word.start, word.end)]
    assert times == sorted(times)
    by_heard = {each.heard: each.stable for each in at_once if not each.final}
    for each in said:
        if each.heard in by_heard and not each.final:
            assert each.stable == by_heard[each.heard], "what settles at a mark depends on the cadence"


@settings(max_examples=40)
@given(ids=IDS, pauses=PAUSES)
def test_a_sure_recogniser_loses_and_repeats_no_word(ids: list[int], pauses: dict[int, float]) -> None:
    engine = reading(Reader(unsure=0.0, sentence=7))
    said = live(engine, told(ids, pauses), [4_000], [400, 1_000])
    assert [word.text.strip(".") for word in said[-1].words] == [f"w{word}" for word in ids]
    starts = [word.start for word in said[-1].words]
    expected = 0.0
    for index, start in enumerate(starts):
        assert start == pytest.approx(expected, abs=1e-6)
        expected += WORD / SAMPLE_RATE + pauses.get(index, 0.0)


def test_more_than_a_minute_without_a_pause_never_outgrows_the_window() -> None:
    """The reader itself asserts that no window is longer than thirty seconds; here nothing ever agrees."""
    ids = [(17 * index) % 300 for index in range(360)]
    reader = Reader(unsure=29.0)
    said = live(reading(reader), told(ids), [8_000], [1_000])
    assert said[-1].heard == pytest.approx(72.0)
    assert max(len(window.samples) for window in reader.windows) > 25 * SAMPLE_RATE
    assert len(said[-1].words) > 300


def test_a_recorded_turn_is_decoded_as_seldom_as_the_window_allows() -> None:
    reader = Reader(unsure=0.0)
    ids = [(17 * index) % 300 for index in range(100)]
    said = live(reading(reader), told(ids), [16_000], [400], recorded=True)
    assert [word.text for word in said[-1].words] == [f"w{word}" for word in ids]
    assert [len(window.samples) for window in reader.windows] == [20 * SAMPLE_RATE]
    assert all(window.careful for window in reader.windows)
    live(reading(reader), told(ids * 5), [16_000], [400], recorded=True)
    assert len(reader.windows) <= 1 + 5


def test_a_step_decodes_one_window_of_a_recording() -> None:
    reader = Reader(unsure=0.0)
    engine = reading(reader)
    place = engine.take(TrackOptions(recorded=True))
    ids = [(17 * index) % 300 for index in range(100)]
    engine.hear(columns((place, told(ids), True), (place, told(ids[:50]), True), (place, told(ids[:20]), True)))
    finals: list[str] = []
    while engine.ready(np.array([place.index], np.uint32), 400)[0]:
        before = len(reader.windows)
        finals += [words(each) for each in hypotheses(engine.step(plan(400, place)), place) if each.final]
        assert len(reader.windows) == before + 1
        assert len(finals) <= len(reader.windows)
        if len(finals) == 3:
            break
    assert [len(final.split()) for final in finals] == [100, 50, 20]


def test_turns_that_wait_are_finals_in_order_and_their_audio_is_not_mixed() -> None:
    engine = reading()
    place = engine.take(TrackOptions())
    turns = [[1, 2, 4], [], [5, 7], [8]]
    engine.hear(columns(*[(place, told(turn), True) for turn in turns], (place, told([10, 11, 13, 14]), False)))
    said = steps(engine, place, 400)
    finals = [each for each in said if each.final]
    assert [each.turn for each in finals] == [0, 1, 2, 3]
    assert [words(each) for each in finals] == [" ".join(f"w{word}" for word in turn) for turn in turns]
    assert (said[-1].turn, words(said[-1])) == (4, "w10 w11 w13 w14")


def test_a_window_is_of_what_follows_the_cut_with_what_was_said_as_its_prompt() -> None:
    reader = Reader(unsure=0.0, sentence=20)
    ids = [index % 97 for index in range(1, 125)]
    live(reading(reader, policy=Policy(prompt_tokens=5)), told(ids), [8_000], [2_000])
    cut = [window for window in reader.windows if window.prompt]
    assert cut, "nothing was cut off"
    for window in cut:
        assert len(window.prompt) == 5
        first = (int(window.samples[0]) - 2_000) // 40
        at = ids.index(first)
        assert list(window.prompt) == ids[at - 5 : at], "the prompt is not what came just before"
    assert max(len(window.samples) for window in reader.windows) < 24 * SAMPLE_RATE


def test_after_a_pause_no_prompt_is_shown() -> None:
    reader = Reader(unsure=0.0, sentence=20)
    ids = list(range(1, 81))
    live(reading(reader), told(ids, {59: 3.0}), [8_000], [2_000])
    prompted = [window for window in reader.windows if window.prompt]
    assert all(window.prompt[-1] != 60 for window in prompted)
    assert any(60 in window.prefix or window.samples[0] == 0 for window in reader.windows)


def test_the_last_decode_is_the_draft_of_the_next_and_settled_words_are_its_prefix() -> None:
    reader = Reader()
    live(reading(reader), told(list(range(1, 41))), [6_400], [400])
    for before, window in pairwise(reader.windows):
        offered = [*window.prefix, *window.draft]
        assert offered[: len(before.prefix)] == list(before.prefix)
        assert len(offered) >= len(before.prefix)
    assert max(len(window.prefix) for window in reader.windows) > 20
    assert max(len(window.draft) for window in reader.windows) > 5


def test_nothing_is_decoded_where_there_is_no_sound() -> None:
    reader = Reader()
    hiss = np.random.default_rng(1).integers(-15, 16, SAMPLE_RATE * 9).astype(np.int16)
    said = live(reading(reader), hiss, [8_000], [400])
    assert reader.windows == []
    assert (said[-1].words, said[-1].heard) == ((), 9.0)
    assert len(said) > 10, "it says how far it has heard"


def test_the_silence_that_ends_a_turn_is_not_decoded_and_a_decode_that_had_it_all_is_not_repeated() -> None:
    reader = Reader()
    samples = np.concatenate((told([1, 2, 4, 5, 7, 8]), np.zeros(SAMPLE_RATE, np.int16)))
    said = live(reading(reader), samples, [1_600], [400])
    assert max(len(window.samples) for window in reader.windows) == 6 * WORD + round(0.3 * SAMPLE_RATE)
    assert words(said[-1]) == "w1 w2 w4 w5 w7 w8"
    whole = [window for window in reader.windows if len(window.samples) > 6 * WORD]
    assert len(whole) <= 2
    assert said[-1].heard == len(samples) / SAMPLE_RATE


def test_nobody_speaking_says_nothing() -> None:
    said = live(reading(Reader(no_speech=0.9)), told([1, 2, 4]), [8_000], [400])
    assert said[-1].words == ()


def test_one_that_fails_fails_alone() -> None:
    engine = reading()
    one, other = engine.take(TrackOptions()), engine.take(TrackOptions())
    engine.hear(columns((one, told([1, POISON]), True), (other, told([1, 2]), True)))
    heard = engine.step(planned(one, other))
    assert [type(each.error) for each in heard if each.place == one] == [EngineFailed]
    assert [words(each.hypothesis) for each in heard if each.place == other] == ["w1 w2"]


def test_the_language_found_first_stays_for_the_turn() -> None:
    reader = Reader(language="ro")
    engine = reading(reader)
    place = engine.take(TrackOptions("auto"))
    engine.hear(columns((place, told(list(range(1, 41))), True), (place, told([1, 2]), True)))
    finals = [each for each in steps(engine, place, 2_000) if each.final]
    assert [each.language for each in finals] == ["ro", "ro"]
    languages = [window.language for window in reader.windows]
    assert languages[0] == ""
    assert languages[1:-1] == ["ro"] * (len(languages) - 2)
    assert languages[-1] == "", "every turn is found anew"


def test_what_it_can_not_do_is_refused_without_costing_a_place() -> None:
    engine = reading(places=1)
    for options, refusal in (
        (TrackOptions("tlh"), LanguageNotSupported),
        (TrackOptions(grammar="digits"), BadGrammar),
        (TrackOptions(phrases=(Phrase("Voxfleet", 2.0),)), BadRequest),
        (TrackOptions(translate=True), BadRequest),
    ):
        with pytest.raises(refusal):
            engine.take(options)
    reader = Reader()
    engine = reading(reader, places=1, translates=True)
    place = engine.take(TrackOptions("ro", translate=True))
    engine.hear(columns((place, told([1, 2, 4]), True)))
    engine.step(planned(place))
    assert [(window.language, window.translate) for window in reader.windows] == [("ro", True)]


def test_cadences_that_do_not_meet_at_the_marks_are_refused() -> None:
    with pytest.raises(ValueError, match="divide"):
        WindowedEngine(Reader(), EngineInfo("reader", ("en",), 1, (300, 1_000)))


def test_closing_closes_the_recogniser() -> None:
    reader = Reader()
    reading(reader).close()
    assert reader.closed
