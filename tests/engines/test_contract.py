"""What every engine promises, held against each of them."""

import functools
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.hearing import NOTHING, STEP, columns, hypotheses, planned, ready, say, spoken, words, worked
from tests.fakes.fake_engine import FakeEngine
from voxfleet.engines.embedded import EmbeddedEngine
from voxfleet.engines.port import Engine, TrackOptions
from voxfleet.errors import AtCapacity, BadGrammar, LanguageNotSupported
from voxfleet.scheduling.places import Place
from voxfleet.speech import SAMPLE_RATE, Word

PLACES = 3
SENTENCES = ("three one four one five", "nine two six five three five", "eight nine seven nine three two three")
"""What every engine knows."""


def _digits(places: int) -> Engine:
    """The transducer on a CPU, with the little network of this repository."""
    pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
    from voxfleet.engines.transducer.engine import TransducerEngine

    return TransducerEngine(str(Path(__file__).parents[2] / "models/digits"), places, threads=1)


@functools.cache
def _whisper_folder() -> str:
    from tests.engines.whisper.folders import whisper_folder

    return str(whisper_folder(Path(tempfile.mkdtemp()) / "micro"))


def _whisper(places: int) -> Engine:
    """A small Whisper with random weights in PyTorch: what it says is noise, and hangs on every sample."""
    pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
    from voxfleet.engines.whisper.engine import WhisperEngine

    return WhisperEngine(_whisper_folder(), places, threads=1)


def _faster_whisper(places: int) -> Engine:
    """The same through CTranslate2."""
    pytest.importorskip("ctranslate2", reason="the extra 'whisper-cpu' is not installed")
    from voxfleet.engines.faster_whisper import FasterWhisperEngine

    return FasterWhisperEngine(_whisper_folder(), places, compute_type="float32", threads=1)


ENGINES: dict[str, Callable[[int], Engine]] = {
    "fake": FakeEngine,
    "embedded": EmbeddedEngine,
    "digits": _digits,
    "whisper": _whisper,
    "faster_whisper": _faster_whisper,
}
"""How to make each engine with so many places. A new engine is held to its port by one line here."""


@pytest.fixture(scope="module", params=ENGINES)
def shared_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """One engine for all tests of the module: each test inherits what the ones before it left behind."""
    engine: Engine = ENGINES[request.param](PLACES)
    yield engine
    engine.close()


class Taken:
    """An engine that remembers its tenants, so that a test can leave without tidying up."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.places: list[Place] = []

    def take(self, language: str = "en", grammar: str | None = None) -> Place:
        self.places.append(self.engine.take(TrackOptions(language, grammar)))
        return self.places[-1]

    def free(self, place: Place) -> None:
        self.places.remove(place)
        self.engine.free(place)


@pytest.fixture
def taken(shared_engine: Engine, request: pytest.FixtureRequest) -> Iterator[Taken]:
    taken = Taken(shared_engine, request.node.callspec.params["shared_engine"])
    yield taken
    for place in taken.places:
        shared_engine.free(place)
    again = [shared_engine.take(TrackOptions()) for _ in range(PLACES)]
    assert len({place.index for place in again}) == PLACES, "a place was lost or given twice"
    for place in again:
        shared_engine.free(place)


def same(words: tuple[Word, ...], others: tuple[Word, ...]) -> None:
    """To the letter and to the time; confidences but for rounding, which depends on how many rows a product has."""
    assert [(word.text, word.start, word.end) for word in words] == [
        (word.text, word.start, word.end) for word in others
    ]
    assert [word.confidence for word in words] == pytest.approx([word.confidence for word in others], rel=1e-3)


@pytest.fixture
def speech() -> list[NDArray[np.int16]]:
    return [spoken(sentence) for sentence in SENTENCES]


def test_a_full_engine_says_so_and_a_freed_place_comes_back_as_another(taken: Taken) -> None:
    places = [taken.take() for _ in range(PLACES)]
    assert len(set(places)) == PLACES
    with pytest.raises(AtCapacity):
        taken.take()
    taken.free(places[1])
    again = taken.take()
    assert again.index == places[1].index
    assert again.generation != places[1].generation


def test_freeing_twice_is_an_error(taken: Taken) -> None:
    place = taken.take()
    taken.free(place)
    with pytest.raises(ValueError, match="not taken"):
        taken.engine.free(place)


def test_a_language_it_does_not_hear_is_refused(taken: Taken) -> None:
    with pytest.raises(LanguageNotSupported):
        taken.take(language="tlh")
    for language in ("en", "en-US", "en-GB"):
        taken.free(taken.take(language=language))


def test_a_grammar_it_can_not_use_is_refused(taken: Taken) -> None:
    for _ in range(PLACES + 1):  # a refusal costs no place
        with pytest.raises(BadGrammar):
            taken.take(grammar="this is no grammar")


def test_every_end_of_turn_has_one_final_in_order(taken: Taken, speech: list[NDArray[np.int16]]) -> None:
    place = taken.take()
    alone = [words(say(taken.engine, taken.take(), each)[-1]) for each in speech[:2]]
    taken.engine.hear(columns((place, speech[0], True), (place, speech[1], True), (place, NOTHING, True)))
    taken.engine.hear(columns((place, speech[1][:STEP], False)))
    said = hypotheses(worked(taken.engine, place), place)
    assert [each.turn for each in said] == sorted(each.turn for each in said)
    finals = [each for each in said if each.final]
    assert [each.turn for each in finals] == [0, 1, 2]
    assert (said[-1].turn, said[-1].final) == (3, False)
    assert [words(each) for each in finals] == [*alone, ""]
    assert not taken.engine.step(planned(place)), "a step with nothing new said something"


def test_a_final_covers_its_turn_and_its_words_lie_inside(taken: Taken, speech: list[NDArray[np.int16]]) -> None:
    final = say(taken.engine, taken.take(), speech[2])[-1]
    seconds = len(speech[2]) / SAMPLE_RATE
    assert final.heard == pytest.approx(seconds)
    assert not final.unstable
    assert len(final.stable) >= 4
    times = [time for word in final.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] <= seconds + 0.001


def test_stable_words_are_never_withdrawn(taken: Taken, speech: list[NDArray[np.int16]]) -> None:
    said = say(taken.engine, taken.take(), speech[1])
    assert any(each.words for each in said[:-1]), "no partial had a word"
    for earlier, later in pairwise(said):
        assert later.stable[: len(earlier.stable)] == earlier.stable
        assert later.heard >= earlier.heard
        assert later.turn == earlier.turn == 0


@pytest.mark.parametrize("by", [333, 4096, SAMPLE_RATE * 60])
def test_words_do_not_depend_on_how_the_audio_arrives(taken: Taken, speech: list[NDArray[np.int16]], by: int) -> None:
    in_steps = say(taken.engine, taken.take(), speech[0])[-1]
    otherwise = say(taken.engine, taken.take(), speech[0], by)[-1]
    assert (otherwise.turn, otherwise.heard, otherwise.final) == (in_steps.turn, in_steps.heard, in_steps.final)
    same(otherwise.words, in_steps.words)


def test_batched_equals_alone(taken: Taken, speech: list[NDArray[np.int16]]) -> None:
    place = taken.take()
    alone = [say(taken.engine, place, each)[-1] for each in speech]
    taken.free(place)

    places = [taken.take() for _ in speech]
    finals = {}
    for begin in range(0, max(map(len, speech)) + STEP, STEP):
        rows = [
            (place, each[begin : begin + STEP], begin + STEP >= len(each))
            for place, each in zip(places, speech, strict=True)
            if begin < len(each)
        ]
        taken.engine.hear(columns(*rows))
        for heard in worked(taken.engine, *places):
            assert heard.error is None
            if heard.hypothesis.final:
                assert heard.place not in finals
                finals[heard.place] = heard.hypothesis
    for place, each in zip(places, alone, strict=True):
        same(finals[place].words, each.words)


def test_a_reused_place_remembers_nothing(taken: Taken, speech: list[NDArray[np.int16]]) -> None:
    fresh = ENGINES[taken.name](1)
    try:
        place = fresh.take(TrackOptions())
        expected = say(fresh, place, speech[1])
    finally:
        fresh.close()
    loud = (np.random.default_rng(0).standard_normal(SAMPLE_RATE * 2) * 9000).astype(np.int16)
    place = taken.take()
    say(taken.engine, place, loud)
    say(taken.engine, place, speech[2])
    taken.engine.hear(columns((place, speech[0], False)))
    taken.engine.step(planned(place))  # freed in the middle of a turn
    taken.engine.hear(columns((place, speech[0], True)))  # and with audio that no step has seen
    taken.free(place)
    again = taken.take()
    assert again.index == place.index
    assert say(taken.engine, again, speech[1]) == expected


def test_a_plan_for_an_earlier_tenant_moves_nothing(taken: Taken, speech: list[NDArray[np.int16]]) -> None:
    before = taken.take()
    taken.free(before)
    place = taken.take()
    taken.engine.hear(columns((place, speech[0], True)))
    assert not taken.engine.step(planned(before))
    said = hypotheses(taken.engine.step(planned(before, place)), place) + hypotheses(worked(taken.engine, place), place)
    assert [each.final for each in said].count(True) == 1
    assert said[-1].final


def test_turns_too_short_to_hold_a_word_are_empty_finals(taken: Taken) -> None:
    place = taken.take()
    for turn, samples in enumerate((0, 1, 159, 160, 480, 1000)):
        taken.engine.hear(columns((place, np.full(samples, 3000, np.int16), True)))
        said = hypotheses(taken.engine.step(planned(place)), place)
        assert [(each.turn, each.final, each.words) for each in said] == [(turn, True, ())]
        assert said[0].heard == pytest.approx(samples / SAMPLE_RATE)


def test_ready_says_what_a_step_has_something_to_do_for(taken: Taken) -> None:
    one, other = taken.take(), taken.take()
    chunks = taken.engine.info.chunk_ms

    def of(chunk_ms: int) -> list[bool]:
        indices = np.array([other.index, one.index, other.index], np.uint32)
        return [bool(each) for each in taken.engine.ready(indices, chunk_ms)]

    assert [of(chunk_ms) for chunk_ms in chunks] == [[False] * 3] * len(chunks), "nothing waits"
    for chunk_ms in chunks:
        sound = np.full(chunk_ms * SAMPLE_RATE // 1000, 300, np.int16)
        taken.engine.hear(columns((one, sound[: len(sound) // 4], False)))
        assert of(chunk_ms) == [False] * 3, "a quarter of a chunk waits"
        taken.engine.hear(columns((one, sound[len(sound) // 4 :], False)))
        assert of(chunk_ms) == [False, True, False], "a chunk waits"
        worked(taken.engine, one)
        assert of(chunk_ms) == [False] * 3, "it was worked on"
        taken.engine.hear(columns((one, NOTHING, True)))
        assert of(chunk_ms) == [False, True, False], "an end of turn waits"
        worked(taken.engine, one)
        assert of(chunk_ms) == [False] * 3, "the turn is final"
    taken.engine.hear(columns((one, NOTHING, True)))
    taken.free(one)
    again = taken.take()
    assert again.index == one.index
    assert not ready(taken.engine, again), "what the earlier stream left waits for the next one"


def test_a_step_works_on_no_more_of_a_place_than_declared(taken: Taken) -> None:
    """So that a replay does not hold its neighbours up."""
    place, most = taken.take(), taken.engine.info.step_seconds
    taken.engine.hear(columns((place, np.full(SAMPLE_RATE * 12, 300, np.int16), True)))
    heard = 0.0
    while ready(taken.engine, place):
        said = hypotheses(taken.engine.step(planned(place)), place)
        assert said, "a step that was to have something to do said nothing"
        assert not most or said[-1].heard <= heard + most + 0.001
        heard = said[-1].heard
    assert said[-1].final
    assert heard == pytest.approx(12)
