"""Phrases lean decoding as a plain trie over plain greedy decoding would, and only where they are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.engines.hearing import NOTHING, recorded
from tests.engines.transducer.listening import Audio, TokenEngine, Turn, hear_alone, loaded, noise
from voxfleet.engines.port import TrackOptions
from voxfleet.engines.transducer.engine import TransducerEngine
from voxfleet.engines.transducer.loading import Loading
from voxfleet.engines.transducer.model import Transducer
from voxfleet.engines.transducer.phrases import CAPACITY, PhraseBook, Speller, Trie, forms
from voxfleet.engines.transducer.tokens import Vocabulary
from voxfleet.errors import BadRequest
from voxfleet.scheduling.places import Place
from voxfleet.wire.phrases import MOST_WEIGHT, Phrase

Tokens = tuple[int, ...]
DIGITS = Path(__file__).parents[3] / "models/digits"
BLANK = 5
HEAVY = (Phrase("thank you", 22.0), Phrase("Bună ziua", 18.0), Phrase("Анна", 25.0))
"""Heavier than callers may ask for: the tiny networks are sure of what they say."""


class Plain:
    """The slow path: a set of token sequences, and where one row is in it."""

    def __init__(self, spelled: Sequence[tuple[Sequence[int], float]]) -> None:
        self.weights: dict[Tokens, float] = {}
        for tokens, weight in spelled:
            for length in range(1, len(tokens) + 1):
                path = tuple(tokens[:length])
                self.weights[path] = max(weight, self.weights.get(path, 0.0))
        self.at: Tokens = ()

    def follow(self, label: int) -> None:
        ways = [(*self.at, label), (label,)]
        self.at = next((path for path in ways if path in self.weights), ())

    def added(self) -> Mapping[int, float]:
        """What the logit of each token gets now."""
        found: dict[int, float] = {}
        for path, weight in self.weights.items():
            if path[:-1] in (self.at, ()):
                found[path[-1]] = max(weight, found.get(path[-1], 0.0))
        return found

    def choose(self, logits: Tensor, blank: int) -> int:
        said = int(logits.argmax())
        if said == blank:
            return said
        leaned = logits.double().clone()
        for token, weight in self.added().items():
            leaned[token] += weight
        return int(leaned.argmax())


PHRASES = st.lists(
    st.tuples(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.sampled_from([0.0, 0.5, 1.0, 2.5, 8.0])),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PHRASES, min_size=1, max_size=4),
    st.lists(st.integers(0, 4) | st.just(BLANK), max_size=20),
    st.integers(0, 2**31),
)
def test_the_walk_on_the_device_is_that_through_a_plain_trie(
    books: list[list[tuple[list[int], float]]], labels: list[int], seed: int
) -> None:
    book, plain = PhraseBook(len(books) + 1, torch.device("cpu")), [Plain(spelled) for spelled in books]
    for row, spelled in enumerate(books):
        book.put(row, Trie.of([([1, 1, 1], 9.0)]))  # somebody else's
        book.clear(row)
        if spelled:
            book.put(row, Trie.of(spelled))
    rows = torch.arange(len(books)).flip(0)
    numbers = torch.Generator().manual_seed(seed)
    width = book.width(rows.numpy())
    assert width == max(len(each.weights) for each in plain)
    for step, label in enumerate(labels):
        walk = book.walk(rows, max(width, 1))
        logits = torch.randn(len(books), 2, BLANK + 1, generator=numbers) * 3
        leaned = walk.lean(logits, logits.argmax(-1), BLANK)
        for at, row in enumerate(rows.tolist()):
            assert leaned[at].tolist() == [plain[row].choose(each, BLANK) for each in logits[at]]
        emits = (rows + step) % 3 != 0 if label != BLANK else torch.zeros(len(books), dtype=torch.bool)
        walk.follow(torch.full((len(books),), label), emits)
        book.keep(rows, walk)
        for at, row in enumerate(rows.tolist()):
            if emits[at]:
                plain[row].follow(label)


def test_a_fresh_row_begins_at_the_root() -> None:
    book, rows = PhraseBook(3, torch.device("cpu")), torch.tensor([1, 0])
    for row in (0, 1):
        book.put(row, Trie.of([([2, 3], 4.0)]))
    walk = book.walk(rows, 2)
    walk.follow(torch.tensor([2, 2]), torch.tensor([True, True]))
    book.keep(rows, walk)
    book.begin(rows, torch.tensor([True, False]))
    logits = torch.tensor([[[0.0, 2.0, -9.0, 1.0, 0.0, 0.0]]] * 2)
    assert book.walk(rows, 2).lean(logits, logits.argmax(-1), BLANK).tolist() == [[1], [3]]


def test_nodes_are_shared_and_the_heavier_phrase_counts() -> None:
    trie = Trie.of([([7, 8, 9], 1.0), ([7, 5], 3.0), ([2], 0.5), ([7, 8], 2.0)])
    assert list(zip(trie.tokens.tolist(), trie.parents.tolist(), trie.weights.tolist(), strict=True)) == [
        (7, 0, 3.0), (2, 0, 0.5), (8, 1, 2.0), (5, 1, 3.0), (9, 3, 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("voxfleet", ["voxfleet", "Voxfleet"]),
        ("New York", ["New York", "new york"]),
        ("iPhone", ["iPhone", "IPhone", "iphone"]),
        ("Chişinău", ["Chişinău", "chişinău", "Chișinău", "chișinău"]),
        ("谢谢", ["谢谢"]),
    ],
)
def test_a_phrase_is_expected_in_the_ways_models_write(text: str, ways: list[str]) -> None:
    assert forms(text) == ways


# ---- decoding ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tiny_prompt_folder: Path) -> Loading:
    return loaded(tiny_prompt_folder)


@torch.inference_mode()
def _plainly(model: Transducer, frames: Tensor, plain: Plain) -> Iterator[tuple[int, int, float]]:
    """Labels, their frames and the network's own probability of them."""
    shape = model.shape
    nothing = [torch.zeros(1, shape.decoder_hidden) for _ in range(shape.decoder_layers)]
    said, hidden, cell = model.decoder(torch.tensor([shape.blank]), nothing, nothing)
    for at, frame in enumerate(frames):
        for _ in range(shape.max_symbols):
            logits = model.joint(frame[None], said)[0]
            label = plain.choose(logits, shape.blank)
            if label == shape.blank:
                break
            plain.follow(label)
            yield label, at, float(logits.softmax(0)[label])
            said, hidden, cell = model.decoder(torch.tensor([label]), hidden, cell)


def _spelled(vocabulary: Vocabulary, phrases: Sequence[Phrase]) -> list[tuple[list[int], float]]:
    return [(vocabulary.encode(form), phrase.weight) for phrase in phrases for form in forms(phrase.text)]


@pytest.mark.parametrize("chunk", [1, 4, 14])
def test_a_turn_with_phrases_is_decoded_as_by_a_plain_loop(tiny: Loading, chunk: int) -> None:
    audio, row = noise(40_000, seed=chunk), tiny.places - 1
    without = hear_alone(tiny, audio, chunk)
    tiny.runner.phrases.put(row, Speller(tiny.vocabulary).trie(HEAVY))
    told = hear_alone(tiny, audio, chunk)
    tiny.runner.phrases.clear(row)
    wanted = list(_plainly(tiny.model, told.frames, Plain(_spelled(tiny.vocabulary, HEAVY))))
    assert list(zip(told.labels, told.at, strict=True)) == [each[:2] for each in wanted]
    assert told.scores == pytest.approx([each[2] for each in wanted], rel=1e-4), "a score is not the network's own"
    expected = {token for tokens, _ in _spelled(tiny.vocabulary, HEAVY) for token in tokens}
    raised, before = (sum(label in expected for label in each) for each in (told.labels, without.labels))
    assert raised >= before + 3, "phrases were hardly heard more often"
    again = hear_alone(tiny, audio, chunk)
    assert (again.labels, again.at, again.scores) == (without.labels, without.at, without.scores)


def test_no_weight_no_change(tiny: Loading) -> None:
    audio, row = noise(40_000, seed=2), tiny.places - 1
    without = hear_alone(tiny, audio, 4)
    weightless = tuple(Phrase(phrase.text, 0.0) for phrase in HEAVY)
    tiny.runner.phrases.put(row, Speller(tiny.vocabulary).trie(weightless))
    told = hear_alone(tiny, audio, 4)
    tiny.runner.phrases.clear(row)
    assert (told.labels, told.at, told.scores) == (without.labels, without.at, without.scores)


# ---- the engine ----------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(tiny_prompt_folder: Path) -> Iterator[TokenEngine]:
    engine = TokenEngine(tiny_prompt_folder, places=3)
    yield engine
    engine.close()


def _alone(engine: TokenEngine, audio: Audio, phrases: tuple[Phrase, ...]) -> Turn:
    """One turn with nobody else there."""
    place = engine.take(TrackOptions(phrases=phrases))
    engine.hear_rows((place, audio, True))
    engine.finish([place], 320)
    engine.free(place)
    return engine.turns.pop((place, 0))


def _exactly(turn: Turn) -> tuple[list[int], list[int], list[float]]:
    return turn.labels, turn.at, turn.scores


def test_phrases_are_those_of_their_stream_alone(engine: TokenEngine) -> None:
    wishes: list[tuple[Phrase, ...]] = [HEAVY, (), (Phrase("Спасибо", 25.0),)]
    audios = [noise(30_000 + 1_000 * number, seed=number) for number in range(3)]
    alone = [_alone(engine, audio, wish) for audio, wish in zip(audios, wishes, strict=True)]
    places = [engine.take(TrackOptions(phrases=wish)) for wish in wishes]
    for begin in range(0, 40_000, 4_000):
        for place, audio in zip(places, audios, strict=True):
            engine.hear_rows((place, audio[begin : begin + 4_000], False))
        engine.finish(places, 320)
    engine.hear_rows(*((place, NOTHING, True) for place in places))
    engine.finish(places, 320)
    for place, expected, audio, wish in zip(places, alone, audios, wishes, strict=True):
        engine.turn(place).check_same(expected)
        if wish:
            assert expected.labels != _bare(engine, places, place, audio).labels, "the phrases made no difference"


def _bare(engine: TokenEngine, places: list[Place], place: Place, audio: Audio) -> Turn:
    """What the audio is without phrases, in the same row."""
    engine.free(place)
    turn = _alone(engine, audio, ())
    places[places.index(place)] = engine.take(TrackOptions())
    return turn


def test_phrases_leave_with_their_stream(engine: TokenEngine) -> None:
    audio = noise(40_000, seed=5)
    before = _alone(engine, audio, ())
    with_phrases = _alone(engine, audio, HEAVY)
    assert with_phrases.labels != before.labels
    place = engine.take(TrackOptions(phrases=HEAVY))
    engine.hear_rows((place, audio[:20_000], False))
    engine.step_all([place], 320)
    engine.free(place)  # in the middle of a turn, and perhaps of a phrase
    assert _exactly(_alone(engine, audio, ())) == _exactly(before)
    neighbour = engine.take(TrackOptions(phrases=HEAVY))  # somebody beside it has phrases: its row is looked at, too
    place = engine.take(TrackOptions())
    assert neighbour.index != place.index
    engine.hear_rows((neighbour, audio, True), (place, audio, True))
    engine.finish([neighbour, place], 320)
    engine.turn(place).check_same(before)
    engine.turn(neighbour).check_same(with_phrases)


def test_a_phrase_lasts_from_turn_to_turn_and_over_chunk_sizes(engine: TokenEngine) -> None:
    place = engine.take(TrackOptions(phrases=HEAVY))
    audio = noise(24_000, seed=6)
    expected = _alone(engine, audio, HEAVY)
    engine.hear_rows((place, audio, True), (place, audio, True))
    engine.finish([place], 320)
    for number in (0, 1):
        engine.turn(place, number).check_same(expected)


def test_what_cannot_be_expected_is_refused_and_costs_no_place(engine: TokenEngine, tiny_folder: Path) -> None:
    many = tuple(Phrase(f"{number:04} thank you please hold the line {number:04}") for number in range(CAPACITY // 10))
    english = TokenEngine(tiny_folder, places=1)
    for each, wish, says in ((engine, many, "pieces"), (english, (Phrase("Спасибо"),), "'Спасибо' can't be spelled")):
        for _ in range(4):
            with pytest.raises(BadRequest, match=says):
                each.take(TrackOptions(phrases=wish))
        each.check()
        assert each.info.phrases
    english.close()


def test_a_network_without_letters_expects_nothing() -> None:
    engine = TransducerEngine("random:tiny", places=1, threads=1)
    assert not engine.info.phrases
    engine.close()


@pytest.mark.skipif(not DIGITS.is_dir(), reason="models/digits is not there")
def test_no_weight_makes_a_word_of_silence() -> None:
    engine = TokenEngine(DIGITS, places=1, chunks=())
    hush = (np.random.default_rng(1).standard_normal(160_000) * 20).astype(np.int16)
    digits = tuple(Phrase(word, MOST_WEIGHT) for word in ("nine", "two", "seven"))
    assert _alone(engine, hush, digits).labels == []
    engine.close()


@pytest.mark.skipif(not DIGITS.is_dir(), reason="models/digits is not there")
def test_the_usual_weight_decides_close_calls() -> None:
    spoken = np.concatenate([recorded(f"fsdd/9_{who}_{take}.wav") for who in ("jackson", "lucas") for take in range(5)])
    hiss = np.random.default_rng(3).standard_normal(spoken.size) * 1.4 * spoken.std()
    audio = (spoken * 0.25 + hiss * 0.25).astype(np.int16)
    engine = TokenEngine(DIGITS, places=1, chunks=())
    heard = {}
    for phrases in ((), (Phrase("NINE"),), (Phrase("nine", 0.0),)):
        words = _alone(engine, audio, phrases).words or ()
        heard[phrases] = [word.text for word in words]
    plain, leaned, weightless = heard.values()
    assert weightless == plain
    assert plain.count("nine") + 1 < leaned.count("nine") <= 10
    engine.close()
