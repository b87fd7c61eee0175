"""PocketSphinx in its child processes: real words, closed grammars, and children that die, hang or must go."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.engines.hearing import NOTHING, STEP, columns, hypotheses, planned, recorded, say, spoken, words
from voxfleet.engines.embedded import EmbeddedEngine
from voxfleet.engines.grammars import LONGEST, fault_in
from voxfleet.engines.port import Heard, TrackOptions
from voxfleet.engines.sphinx_child import SphinxChild, Supervised
from voxfleet.errors import AtCapacity, BadGrammar, CapacityError, EngineFailed
from voxfleet.scheduling.places import Place
from voxfleet.speech import SAMPLE_RATE

SENTENCE = "the weather is very good today"
"""One that PocketSphinx hears without a fault in the voice of `spoken`."""

COLOURS = """#JSGF V1.0;
grammar colours;
public <order> = paint it <colour>;
<colour> = red | green | blue;
"""


def explosive(depth: int) -> str:
    """A short text that expands into 2 ** depth words."""
    rules = "\n".join(f"<a{level}> = <a{level + 1}> <a{level + 1}>;" for level in range(depth))
    return f"#JSGF V1.0;\ngrammar bomb;\npublic <bomb> = <a0>;\n{rules}\n<a{depth}> = one | two;\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(places=2)
    yield engine
    engine.close()


@pytest.fixture
def take(engine: EmbeddedEngine) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def take(grammar: str | None = None) -> Place:
        places.append(engine.take(TrackOptions(grammar=grammar)))
        return places[-1]

    yield take
    for place in places:
        engine.free(place)
    engine._places.check()


def children_of(engine: EmbeddedEngine) -> list[int]:
    return [supervised.child.pid for supervised in engine._children]


def looked_at(supervised: Supervised) -> SphinxChild:
    supervised.look()
    return supervised.child


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something that must happen; fails the test if it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- words ---


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        ("pocketsphinx/goforward.wav", "go forward ten meters"),
        ("pocketsphinx/something.wav", "go somewhere and do something"),
        ("cards/001.wav", "ten of clubs"),
    ],
)
def test_it_hears_people(engine: EmbeddedEngine, take: Callable[..., Place], clip: str, said: str) -> None:
    final = say(engine, take(), recorded(clip))[-1]
    assert words(final) == said
    assert all(word.confidence is not None and 0.0 <= word.confidence <= 1.0 for word in final.words)


def test_partials_show_words_before_the_turn_ends(engine: EmbeddedEngine, take: Callable[..., Place]) -> None:
    said = say(engine, take(), spoken(SENTENCE))
    first = next(each for each in said if each.words)
    assert not first.final
    assert not first.stable
    assert first.words[0].text == "the"


def test_the_digits_grammar_hears_digits_only(engine: EmbeddedEngine, take: Callable[..., Place]) -> None:
    place = take("digits")
    assert words(say(engine, place, recorded("pocketsphinx/dhd.2934z.wav"))[-1]) == "two nine three four zero"
    digits = {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
    for clip in ("7_jackson_0", "3_jackson_0", "6_nicolas_0"):
        assert set(words(say(engine, place, recorded(f"fsdd/{clip}.wav"))[-1]).split()) <= digits


def test_a_grammar_lasts_as_long_as_its_stream(engine: EmbeddedEngine, take: Callable[..., Place]) -> None:
    place = engine.take(TrackOptions())
    dictated = say(engine, place, spoken(SENTENCE))[-1]
    engine.free(place)
    place = engine.take(TrackOptions(grammar=COLOURS))
    assert words(say(engine, place, spoken("paint it green"))[-1]) == "paint it green"
    assert {"the", "weather"}.isdisjoint(words(say(engine, place, spoken(SENTENCE))[-1]).split())
    engine.free(place)
    again = take()
    assert again.index == place.index
    assert say(engine, again, spoken(SENTENCE))[-1] == dictated


@pytest.mark.parametrize("loudness", [0, 8])
def test_silence_is_an_empty_final(engine: EmbeddedEngine, take: Callable[..., Place], loudness: int) -> None:
    noise = (np.random.default_rng(1).standard_normal(SAMPLE_RATE * 2) * loudness).astype(np.int16)
    final = say(engine, take(), noise)[-1]
    assert final.words == ()
    assert final.heard == pytest.approx(2.0)


def test_quiet_before_the_speech_moves_the_times_only(engine: EmbeddedEngine, take: Callable[..., Place]) -> None:
    speech = spoken(SENTENCE)
    speech = np.concatenate([np.zeros(SAMPLE_RATE, np.int16), speech])
    more = np.concatenate([np.zeros(SAMPLE_RATE * 3, np.int16), speech])
    place = take()
    early, late = say(engine, place, speech)[-1], say(engine, place, more)[-1]
    assert words(early) == SENTENCE
    assert words(late) == words(early)
    assert [word.start + 3.0 for word in early.words] == pytest.approx([word.start for word in late.words])


# --- grammars ---


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        ("colours", "name of a built-in"),
        ("", "name of a built-in"),
        ("#JSGF V1.0;\ngrammar g;\npublic <a> = (one | two;\n", "not JSGF"),
        ("#JSGF V1.0;\ngrammar g;\npublic <a> = frobnicatorix;\n", "not in the dictionary"),
        ("#JSGF V1.0;\ngrammar g;\npublic <a> = <b>;\n", "rule <b> is not defined"),
        ("#JSGF V1.0;\ngrammar g;\n<a> = one;\n", "no public rule"),
        ("#JSGF V1.0;\ngrammar g;\nimport <other.rule>;\npublic <a> = one;\n", "imports"),
        ("#JSGF V1.0;\ngrammar g;\npublic <a> = one" + " one" * LONGEST + ";\n", "characters"),
        (explosive(11), "too"),
        (explosive(40), "too much time or memory"),
    ],
)
def test_a_bad_grammar_is_refused_and_harms_nobody(
    engine: EmbeddedEngine, take: Callable[..., Place], grammar: str, why: str
) -> None:
    place = take()
    before = children_of(engine)
    until(lambda: refusal(engine, grammar))
    assert why in refusal(engine, grammar)
    assert children_of(engine) == before
    assert words(say(engine, place, spoken(SENTENCE))[-1]) == SENTENCE


def refusal(engine: EmbeddedEngine, grammar: str) -> str:
    """Why the grammar is refused, or an empty string while the process that checks grammars starts again."""
    try:
        engine.take(TrackOptions(grammar=grammar))
    except BadGrammar as refused:
        return str(refused)
    except AtCapacity:
        raise
    except CapacityError:
        return ""
    raise AssertionError("the grammar was accepted")


def test_comments_and_quotes_hide_nothing_from_the_first_look() -> None:
    assert not fault_in('#JSGF V1.0;\ngrammar g;\n// <missing>\npublic <a> = "import <x>" | one <NULL>;\n')
    assert "<missing>" in fault_in("#JSGF V1.0;\ngrammar g;\npublic <a> = /* one */ <missing>;\n")


# --- faults ---


def hear_until_error(engine: EmbeddedEngine, *places: Place) -> list[Heard]:
    engine.hear(columns(*((place, spoken(SENTENCE), True) for place in places)))
    heard = engine.step(planned(*places))
    assert all(each.error is not None or each.hypothesis.final for each in heard)
    return list(heard)


@pytest.mark.parametrize(("number", "answer_within"), [(signal.SIGKILL, 20.0), (signal.SIGSTOP, 6.0)])
def test_a_child_that_dies_or_hangs_takes_only_its_own_streams(number: signal.Signals, answer_within: float) -> None:
    engine = EmbeddedEngine(places=4, processes=2, answer_within=answer_within)
    try:
        places = [engine.take(TrackOptions()) for _ in range(3)]  # 0 and 2 in the first child, 1 in the second
        engine.hear(columns((places[2], spoken(SENTENCE)[:STEP], False)))
        engine.step(planned(places[2]))
        os.kill(children_of(engine)[0], number)
        heard = hear_until_error(engine, places[0], places[1])  # places[2] is held, but not in the plan
        assert {each.place for each in heard if isinstance(each.error, EngineFailed)} == {places[0], places[2]}
        assert words(hypotheses(heard, places[1])[0]) == SENTENCE

        engine.hear(columns((places[0], spoken(SENTENCE), True)))
        assert not engine.step(planned(places[0])), "a stream that was lost spoke again"
        assert words(say(engine, places[1], spoken(SENTENCE))[-1]) == SENTENCE

        for place in places:
            engine.free(place)
        until(lambda: all(looked_at(supervised).ready for supervised in engine._children))
        again = [engine.take(TrackOptions()) for _ in range(4)]
        for place in again:
            assert words(say(engine, place, spoken(SENTENCE))[-1]) == SENTENCE
        for place in again:
            engine.free(place)
        engine._places.check()
    finally:
        engine.close()


def test_places_of_a_child_that_starts_again_are_not_offered() -> None:
    engine = EmbeddedEngine(places=2, processes=2)
    try:
        os.kill(children_of(engine)[0], signal.SIGKILL)
        until(lambda: looked_at(engine._children[0]).fault)
        place = engine.take(TrackOptions())  # and nobody is hurt: the dead one had no stream
        assert place.index == 1
        with pytest.raises(CapacityError, match="starting again"):
            engine.take(TrackOptions())
        until(lambda: looked_at(engine._children[0]).ready)
        assert engine.take(TrackOptions()).index == 0
        assert not engine.step(planned(place))
        engine._places.check()
    finally:
        engine.close()


def test_children_leave_signals_to_their_parent() -> None:
    engine = EmbeddedEngine(places=1)
    try:
        (child,) = children_of(engine)
        os.kill(child, signal.SIGINT)
        os.kill(child, signal.SIGTERM)
        place = engine.take(TrackOptions())
        assert words(say(engine, place, spoken(SENTENCE))[-1]) == SENTENCE
        assert children_of(engine) == [child]
    finally:
        engine.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_closing_leaves_no_process_and_no_descriptor() -> None:
    before = descriptors()
    engine = EmbeddedEngine(places=2, processes=2)
    pids = [*children_of(engine), engine._grammars.checker.pid]
    place = engine.take(TrackOptions())
    engine.hear(columns((place, spoken(SENTENCE), False)))
    engine.step(planned(place))
    engine.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "a child runs on, or is a zombie"
    assert descriptors() == before


def descriptors() -> Sequence[str]:
    links = [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    return sorted(f"{fd.name} {fd.readlink()}" for fd in links if os.path.lexists(fd))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_children_die_with_their_parent() -> None:
    program = (
        "import threading, time\n"
        "from voxfleet.engines.embedded import EmbeddedEngine\n"
        "def own():\n"
        "    engine = EmbeddedEngine(places=1)\n"
        "    print(engine._children[0].child.pid, engine._grammars.checker.pid, flush=True)\n"
        "    time.sleep(600)\n"
        "threading.Thread(target=own).start()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(runs(pid) for pid in pids)
        parent.kill()
        until(lambda: not any(runs(pid) for pid in pids))


def test_a_broken_installation_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pocketsphinx.py").write_text("raise ImportError('no acoustic model')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EngineFailed, match=r"PocketSphinx can't be loaded .*no acoustic model"):
        EmbeddedEngine(places=2)


def test_nothing_to_step_is_nothing_heard(engine: EmbeddedEngine, take: Callable[..., Place]) -> None:
    place = take()
    assert engine.step(planned()) == []
    assert engine.step(planned(place)) == []
    engine.hear(columns((place, NOTHING, False)))
    assert engine.step(planned(place)) == []
