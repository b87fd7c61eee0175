"""The engine under random use: no stream ever hears, or is told, anything of another's; and what it refuses, by name."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
import torch

from tests.engines.hearing import NOTHING, planned
from tests.engines.transducer.listening import FRAME, LADDER, TokenEngine, hear_alone, loaded, noise, plainly
from voxfleet.engines.port import TrackOptions
from voxfleet.engines.transducer.arena import Arena
from voxfleet.engines.transducer.engine import FRAME_SECONDS, REFRESH_SECONDS
from voxfleet.errors import AtCapacity, BadGrammar, EngineFailed, LanguageNotSupported
from voxfleet.scheduling.places import Place
from voxfleet.speech import SAMPLE_RATE, Hypothesis, Word

PLACES = 3


@dataclass(slots=True)
class Track:
    """What was done to one stream, and what it was told."""

    language: str
    deeds: list[tuple[str, Any]] = field(default_factory=list)
    """('hear', samples), ('end', None) and ('step', chunk), in order."""
    told: list[Hypothesis] = field(default_factory=list)

    def relive(self, engine: TokenEngine) -> list[Hypothesis]:
        """The same deeds with nobody beside it."""
        place, told = engine.take(TrackOptions(self.language)), []
        for deed, what in self.deeds:
            if deed == "step":
                told += engine.step_all([place], what)
            else:
                engine.hear_rows((place, what if deed == "hear" else NOTHING, deed == "end"))
        engine.free(place)
        return told


def _same_words(one: tuple[Word, ...], other: tuple[Word, ...]) -> None:
    assert [(word.text, word.start, word.end) for word in one] == [(word.text, word.start, word.end) for word in other]
    assert [word.confidence for word in one] == pytest.approx([word.confidence for word in other], rel=1e-3)


def _same(told: list[Hypothesis], alone: list[Hypothesis]) -> None:
    assert [(each.turn, each.final, each.heard) for each in told] == [
        (each.turn, each.final, each.heard) for each in alone
    ]
    for one, other in zip(told, alone, strict=True):
        _same_words(one.stable, other.stable)
        _same_words(one.unstable, other.unstable)


def poison(arena: Arena, row: int) -> None:
    """Whatever is read of this row before it is written anew shows: no number, or no place to write to."""
    for tensor in arena.tensors():
        tensor[row].fill_(float("nan") if tensor.is_floating_point() else 10**6)


class Crowd(RuleBasedStateMachine):
    """Streams come, speak, pause, end turns and go, in any order, through three places."""

    folder: ClassVar[Path]
    alone: ClassVar[TokenEngine]

    @initialize()
    def open(self) -> None:
        self.engine = TokenEngine(self.folder, PLACES, buckets=(1, 2, 4))
        self.arena, self.ring = self.engine._loading.arena, self.engine._loading.ring
        self.tracks: dict[Place, Track] = {}
        self.came = 0
        self.come("en")
        self.come("auto")

    @precondition(lambda self: len(self.tracks) < PLACES)
    @rule(language=st.sampled_from(["en", "ro-RO", "auto"]))
    def come(self, language: str) -> None:
        self.spoil()
        self.tracks[self.engine.take(TrackOptions(language))] = Track(language)
        self.came += 1

    @precondition(lambda self: len(self.tracks) == PLACES)
    @rule()
    def find_it_full(self) -> None:
        with pytest.raises(AtCapacity):
            self.engine.take(TrackOptions())

    @precondition(lambda self: self.tracks)
    @rule(
        who=st.integers(0, 9),
        samples=st.sampled_from([1, 160, 1_280, 1_600, 4_000, 16_000, 80_000]),
        ends=st.booleans(),
    )
    def speak(self, who: int, samples: int, ends: bool) -> None:
        place = self._one(who)
        audio = noise(samples, seed=self.came * 100 + len(self.tracks[place].deeds))
        self.engine.hear_rows((place, audio, ends))
        self.tracks[place].deeds += [("hear", audio), *([("end", None)] if ends else [])]

    @precondition(lambda self: self.tracks)
    @rule(samples=st.integers(800, 16_000), chunk_ms=st.sampled_from(LADDER), ticks=st.integers(1, 4))
    def all_speak(self, samples: int, chunk_ms: int, ticks: int) -> None:
        for tick in range(ticks):
            rows = [(each, noise(samples, seed=self.came + each.index + 9 * tick), False) for each in self.tracks]
            self.engine.hear_rows(*rows)
            for place, audio, _ in rows:
                self.tracks[place].deeds.append(("hear", audio))
            self._told(list(self.tracks), chunk_ms)

    @precondition(lambda self: self.tracks)
    @rule(who=st.integers(0, 9))
    def end(self, who: int) -> None:
        self.engine.hear_rows((self._one(who), NOTHING, True))
        self.tracks[self._one(who)].deeds.append(("end", None))

    @rule(chosen=st.sets(st.integers(0, PLACES - 1)), chunk_ms=st.sampled_from(LADDER))
    def step(self, chosen: set[int], chunk_ms: int) -> None:
        places = [place for number, place in enumerate(self.tracks) if number in chosen]
        self._told(places, chunk_ms)

    @rule(chunk_ms=st.sampled_from(LADDER))
    def step_all(self, chunk_ms: int) -> None:
        self._told(list(self.tracks), chunk_ms)

    @precondition(lambda self: self.tracks)
    @rule(who=st.integers(0, 9))
    def go(self, who: int) -> None:
        """In mid-word if it likes; what it was told is what it would have been told alone."""
        place = self._one(who)
        self.engine.free(place)
        self._compare(self.tracks.pop(place))
        with pytest.raises(ValueError, match="not taken"):
            self.engine.free(place)

    def spoil(self) -> None:
        """Rows that nobody has, and the row of the padding."""
        taken = {place.index for place in self.tracks}
        for row in {*range(PLACES), self.arena.scratch} - taken:
            poison(self.arena, row)
            self.ring.samples[row] = 32_767

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "engine"):
            self.engine.check()
            for cache in (*self.arena.keys, *self.arena.values):
                assert not cache.flatten(0, 1)[self.arena.nothing :].any(), "somebody wrote where nobody writes"

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            for track in self.tracks.values():
                self._compare(track)
            self.engine.close()

    def _one(self, who: int) -> Place:
        return list(self.tracks)[who % len(self.tracks)]

    def _told(self, places: list[Place], chunk_ms: int) -> None:
        for place in places:
            self.tracks[place].deeds.append(("step", chunk_ms))
        said = self.engine.step_heard(places, chunk_ms)
        assert {each.place for each in said} <= set(places), "told to somebody who was not planned"
        for each in said:
            self.tracks[each.place].told.append(each.hypothesis)

    def _compare(self, track: Track) -> None:
        _same(track.told, track.relive(self.alone))


@pytest.mark.slow
def test_no_stream_hears_or_is_told_anything_of_another(tiny_prompt_folder: Path) -> None:
    Crowd.folder, Crowd.alone = tiny_prompt_folder, TokenEngine(tiny_prompt_folder, 1)
    exact = settings(
        max_examples=8,
        stateful_step_count=30,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # what fails is told as it was found: making it smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Crowd, settings=exact)
    Crowd.alone.close()


@pytest.fixture(scope="module")
def engine(tiny_prompt_folder: Path) -> Iterator[TokenEngine]:
    engine = TokenEngine(tiny_prompt_folder, 2, buckets=(1, 2, 4))
    yield engine
    engine.close()


@pytest.mark.parametrize("language", ["xx", "tlh-Piqd", "de", "english"])
def test_a_language_it_does_not_hear_is_refused(engine: TokenEngine, language: str) -> None:
    for _ in range(3):  # costs no place
        with pytest.raises(LanguageNotSupported, match="ro-RO"):
            engine.take(TrackOptions(language))


@pytest.mark.parametrize("language", ["en", "en-GB", "EN_us", "ro", "mo", "auto"])
def test_a_language_it_hears_is_taken(engine: TokenEngine, language: str) -> None:
    engine.free(engine.take(TrackOptions(language)))


@pytest.mark.parametrize("grammar", ["digits", "", "#JSGF V1.0;"])
def test_a_grammar_is_refused(engine: TokenEngine, grammar: str) -> None:
    for _ in range(3):
        with pytest.raises(BadGrammar, match="no grammar"):
            engine.take(TrackOptions(grammar=grammar))


def test_a_padded_batch_leaves_rows_that_are_not_in_it_alone(engine: TokenEngine) -> None:
    """The padding works in its own row: no other row changes in a step it is not part of."""
    one, other = engine.take(TrackOptions()), engine.take(TrackOptions())
    engine.hear_rows((one, noise(9_000), False), (other, noise(9_000, 1), False))
    engine.step_all([one, other], 160)
    rows = [tensor[other.index].clone() for tensor in engine._loading.arena.tensors()]
    engine.hear_rows((one, noise(9_000, 2), True))
    engine.finish([one], 160)
    for before, tensor in zip(rows, engine._loading.arena.tensors(), strict=True):
        assert torch.equal(before, tensor[other.index])
    engine.free(one)
    engine.free(other)


@pytest.mark.parametrize("chunk_ms", [80, 560])
def test_what_an_earlier_stream_left_is_not_read(engine: TokenEngine, chunk_ms: int) -> None:
    """Not by a row that begins, nor by one whose left context is not full yet."""
    before = engine.alone(noise(60_000), chunk_ms)
    assert before.labels
    assert all(map(math.isfinite, before.scores))
    for row in range(3):
        poison(engine._loading.arena, row)
    engine.alone(noise(60_000), chunk_ms).check_same(before)


def test_numbers_that_overflow_end_their_own_stream_and_no_other(engine: TokenEngine) -> None:
    arena = engine._loading.arena
    ill, well = engine.take(TrackOptions()), engine.take(TrackOptions())
    engine.hear_rows((ill, noise(9_000), False), (well, noise(9_000), False))
    engine.step_all([ill, well], 160)
    arena.prediction[ill.index].fill_(float("nan"))
    engine.hear_rows((ill, noise(30_000, 1), True), (well, noise(30_000, 1), True))
    told = list(engine.step(planned(ill, well)))
    errors = [heard for heard in told if heard.error is not None]
    assert [(heard.place, type(heard.error)) for heard in errors] == [(ill, EngineFailed)]
    assert not [heard for heard in told if heard.place == ill and heard.error is None]
    engine.free(ill)
    alone = engine.take(TrackOptions())
    engine.hear_rows((alone, noise(9_000), False))
    engine.step_all([alone], 160)
    engine.hear_rows((alone, noise(30_000, 1), True))
    again = list(engine.step(planned(alone)))
    mine = [heard.hypothesis for heard in told if heard.place == well]
    _same(mine, [heard.hypothesis for heard in again])
    engine.free(well)
    engine.free(alone)


def _mute(engine: TokenEngine, by: float) -> None:
    model = engine._loading.model
    model.joint.head.bias.data[model.shape.blank] += by


def test_a_long_silence_makes_state_anew_and_changes_nothing_else(tiny_prompt_folder: Path) -> None:
    """After ten seconds without a label a turn is heard as if it began there; its frames, times and number go on."""
    engine, chunk = TokenEngine(tiny_prompt_folder, 1), 4
    place = engine.take(TrackOptions("ro"))
    silence = round(REFRESH_SECONDS / FRAME_SECONDS)
    floor = -(-silence // chunk) * chunk  # it is made anew between two chunks
    audio = noise(FRAME * (floor + 40), seed=3)
    network = loaded(tiny_prompt_folder)
    frames = hear_alone(network, audio, chunk, prompt=1, refresh=silence).frames
    wanted = [(each.label, each.frame + floor) for each in plainly(network.model, frames[floor:])]
    assert len(wanted) > 10
    _mute(engine, 1e4)
    engine.hear_rows((place, audio[: FRAME * (floor - 1) - 1], False))
    engine.finish([place], 320)
    assert engine._turns.floor.tolist() == [0], "made anew too early"
    engine.hear_rows((place, audio[FRAME * (floor - 1) - 1 :][:FRAME], False))
    engine.finish([place], 320)
    assert engine._turns.floor.tolist() == [floor]
    _mute(engine, -1e4)
    engine.hear_rows((place, audio[FRAME * floor - 1 :], True))
    final = engine.finish([place], 320)[-1]
    turn = engine.turn(place)
    assert list(zip(turn.labels, turn.at, strict=True)) == wanted
    assert (final.turn, final.final, final.heard) == (0, True, len(audio) / SAMPLE_RATE)
    assert final.words[0].start == pytest.approx(wanted[0][1] * FRAME_SECONDS, abs=0.5)
    engine.close()


def test_a_turn_with_a_label_now_and_then_is_not_refreshed(tiny_prompt_folder: Path) -> None:
    engine = TokenEngine(tiny_prompt_folder, 1)
    place = engine.take(TrackOptions())
    for part in range(3):
        _mute(engine, 1e4)
        engine.hear_rows((place, noise(9 * SAMPLE_RATE, part), False))
        engine.finish([place], 320)
        _mute(engine, -1e4)
        engine.hear_rows((place, noise(SAMPLE_RATE * 2, part), False))
        engine.finish([place], 320)
        assert engine.turn(place).at[-1] > (part + 1) * 9 / FRAME_SECONDS, "this noise says nothing"
    assert engine._turns.floor.tolist() == [0]
    engine.close()
