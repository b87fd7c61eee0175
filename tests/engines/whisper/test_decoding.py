"""What is decoded is what the reference decodes, whatever draft, neighbours, slots and order it was decoded with."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.engines.whisper.networks import (
    HEAD,
    SHAPE,
    SPECIAL,
    Bench,
    encoded,
    entry,
    generated,
    ours,
    reference,
)  # fmt: skip
from voxfleet.engines.whisper.continuous import Decoded
from voxfleet.engines.whisper.decoding import Decoding
from voxfleet.engines.whisper.model import Whisper

SEEDS = 5
PROMPT = (7, 8, 9, 1)


@cache
def network(seed: int) -> Whisper:
    """In float64, where two tokens are never equally likely by rounding."""
    return ours(reference(seed).double())


@cache
def windows(seed: int) -> Tensor:
    return encoded(seed, 6)


@cache
def alone(seed: int, window: int, prefix: tuple[int, ...] = (), prompt: tuple[int, ...] = ()) -> Decoded:
    """Decoded without a draft, without neighbours."""
    only = entry(prefix=prefix, prompt=prompt)
    return Bench(network(seed), slots=1).run([only], windows(seed)[window : window + 1])[0]


def said(found: Decoded) -> tuple[tuple[int, ...], bool, tuple[float, ...]]:
    """What may not differ. Scores are kept in float32."""
    return found.tokens, found.ended, tuple(round(score, 4) for score in found.scores)


@pytest.mark.parametrize("prompt", [(), PROMPT])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_greedy_tokens_are_those_of_generate(seed: int, prompt: tuple[int, ...]) -> None:
    theirs = reference(seed).double()
    model = ours(theirs)
    mel = torch.randn(3, SHAPE.mels, 2 * SHAPE.source, generator=torch.Generator().manual_seed(seed)).double()
    with torch.inference_mode():
        heard = model.encoder(mel)
    found = Bench(model).run([entry(prompt=prompt, limit=30)] * 3, heard)
    assert [one.tokens for one in found] == [generated(theirs, one, prompt) for one in mel]


def test_the_networks_of_these_tests_say_varied_things() -> None:
    found = [alone(seed, window) for seed in range(SEEDS) for window in range(6)]
    assert 0.3 < sum(one.ended for one in found) / len(found) < 0.95
    assert len({one.tokens for one in found}) > 20
    assert sum(len(set(one.tokens)) for one in found) > 4 * len(found)


tokens = st.integers(0, SPECIAL.end)


@st.composite
def drafts(draw: st.DrawFn, truth: Sequence[int]) -> tuple[int, ...]:
    """Right ones, right up to a point, changed in places, too long, ending too early, or any at all."""
    kind = draw(st.sampled_from(["right", "cut", "changed", "long", "ended", "any"]))
    right = list(truth)
    if kind == "cut":
        right = right[: draw(st.integers(0, len(right)))]
    elif kind == "changed" and right:
        right[draw(st.integers(0, len(right) - 1))] = draw(tokens)
    elif kind == "long":
        right += draw(st.lists(tokens, max_size=10))
    elif kind == "ended":
        right += [SPECIAL.end, *draw(st.lists(tokens, max_size=3))]
    elif kind == "any":
        right = draw(st.lists(tokens, max_size=20))
    return tuple(right[:39])


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_no_draft_changes_anything(data: st.DataObject) -> None:
    seed, window = data.draw(st.integers(0, SEEDS - 1)), data.draw(st.integers(0, 5))
    prompt = data.draw(st.sampled_from([(), PROMPT]))
    free = alone(seed, window, prompt=prompt)
    prefix = free.tokens[: data.draw(st.integers(0, len(free.tokens) - 1))] if free.tokens else ()
    expected = alone(seed, window, prefix, prompt)
    draft = data.draw(drafts(expected.tokens[len(prefix) :]))[: 39 - len(prefix)]
    bench = Bench(network(seed), slots=1)
    bench.poison()
    with_draft = entry(prefix=prefix, draft=draft, prompt=prompt)
    (found,) = bench.run([with_draft], windows(seed)[window : window + 1])
    assert said(found) == said(expected)
    right = 0
    for offered, token in zip(draft, expected.tokens[len(prefix) :], strict=False):
        if offered != token:
            break
        right += 1
    assert found.accepted == right


def test_a_prefix_of_what_would_be_said_changes_nothing() -> None:
    for seed in range(SEEDS):
        free = alone(seed, 0)
        for size in range(0, len(free.tokens), 3):
            assert alone(seed, 0, free.tokens[:size]).tokens == free.tokens


def test_a_prefix_stands_even_if_it_is_wrong() -> None:
    found = alone(0, 0, (12, 13, 3, 14))  # 3 is never decoded by itself
    assert found.tokens[:4] == (12, 13, 3, 14)
    assert not found.broken
    assert found.scores[2] < -20


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_neighbours_and_order_change_nothing(data: st.DataObject) -> None:
    """Windows with drafts and prefixes enter in any order, a few at a time, into slots full of what must not be read."""
    seed = data.draw(st.integers(0, SEEDS - 1))
    order = data.draw(st.permutations(range(6)))
    entries, expected = [], []
    for window in order:
        prompt = data.draw(st.sampled_from([(), PROMPT]))
        expected.append(alone(seed, window, prompt=prompt))
        entries.append(entry(draft=data.draw(drafts(expected[-1].tokens)), prompt=prompt))
    bench = Bench(network(seed), slots=data.draw(st.integers(1, 6)), as_on_gpu=data.draw(st.booleans()))
    bench.poison()
    found = bench.run(entries, windows(seed)[list(order)], group=data.draw(st.integers(1, 6)))
    assert [said(one) for one in found] == [said(one) for one in expected]


def test_a_right_draft_saves_its_steps() -> None:
    for seed in range(SEEDS):
        expected = alone(seed, 2)
        for draft in ((), expected.tokens):
            bench = Bench(network(seed), slots=1)
            bench.run([entry(draft=draft[:39])], windows(seed)[2:3])
            # The pass says the first token that was not in the draft, be it the end.
            assert bench.desk.steps == len(expected.tokens) + expected.ended - 1 - len(draft[:39])


def test_a_broken_window_breaks_no_other() -> None:
    seed = 1
    heard = windows(seed).clone()
    heard[1] = torch.nan
    heard[3, 7] = torch.inf
    bench = Bench(network(seed), slots=3)
    found = bench.run([entry()] * 6, heard, group=2)
    assert [one.broken for one in found] == [False, True, False, True, False, False]
    for window in (0, 2, 4, 5):
        assert said(found[window]) == said(alone(seed, window))
    again = bench.run([entry()] * 6, windows(seed))
    assert [said(one) for one in again] == [said(alone(seed, window)) for window in range(6)]


def test_a_draft_breaks_nothing_by_what_it_has_too_much() -> None:
    """A position that has no number, which only drafts come to: it stays masked, and a weight of zero is not enough."""
    model = ours(reference(1).double())
    free = [alone(1, window) for window in range(6)]
    some = [window for window, one in enumerate(free) if one.ended and 3 <= len(one.tokens) < 25]
    assert len(some) > 1
    with torch.no_grad():
        model.decoder.embed_positions.weight[35:] = torch.nan
    entries = [entry(draft=(*free[window].tokens[:1], *([SPECIAL.end - 1] * 36))) for window in some]
    found = Bench(model, as_on_gpu=True).run(entries, windows(1)[some])
    assert [said(one) for one in found] == [said(free[window]) for window in some]


def test_the_limit_ends_a_transcript() -> None:
    model = network(4)
    found = Bench(model).run([entry(limit=size) for size in (1, 2, 5, 200)], windows(4)[[0, 0, 0, 0]])
    whole = found[3]
    assert len(whole.tokens) == SHAPE.target - len(HEAD)
    assert [one.tokens for one in found[:3]] == [whole.tokens[:size] for size in (1, 2, 5)]
    assert not any(one.ended for one in found)
    assert [len(one.scores) for one in found] == [1, 2, 5, len(whole.tokens)]


def test_the_language_is_the_likeliest_of_the_known() -> None:
    codes = {token: code for code, token in SPECIAL.languages.items()}
    known, all_found = sorted(codes), set()
    for seed in range(SEEDS):
        theirs = reference(seed).double()
        bench, heard = Bench(ours(theirs)), windows(seed)[:4]
        start = torch.full((4, 1), SPECIAL.start)
        with torch.inference_mode():
            logits = theirs(encoder_outputs=(heard,), decoder_input_ids=start).logits[:, 0]
            bench.decoding.remember(0, heard)
            found = bench.decoding.languages(0, 4)
        assert found == [codes[known[index]] for index in logits[:, known].argmax(1).tolist()]
        all_found.update(found)
    assert len(all_found) > 1


def test_what_is_not_encoded_is_silence() -> None:
    """The first positions of one window and the rest of another make the same memory as the two joined."""
    model = network(0)
    one, silence = windows(0)[:1], windows(0)[1:2]
    bench, whole = Bench(model, slots=1), Bench(model, slots=1)
    with torch.inference_mode():
        tail = [tuple(x[0] for x in model.keys_and_values(layer, silence)) for layer in range(SHAPE.decoder_layers)]
        bench.decoding.remember(0, one[:, :20], [(keys, values) for keys, values in tail])
        whole.decoding.remember(0, torch.cat([one[:, :20], silence[:, 20:]], 1))
    assert torch.allclose(bench.arena.heard_keys, whole.arena.heard_keys, atol=1e-12)
    assert torch.allclose(bench.arena.heard_values, whole.arena.heard_values, atol=1e-12)


def test_a_script_is_said_whatever_the_network_says() -> None:
    model, script = network(0), (11, 12, 13, 14, 15, SPECIAL.end)
    right, wrong = (11, 12, 13), (11, 9, 9, 9)
    entries = [replace(entry(draft=draft), forced=script) for draft in ((), right, wrong)]
    found = Bench(model).run(entries, windows(0)[[0, 0, 0]])
    assert [one.tokens for one in found] == [script[:-1]] * 3
    assert [one.accepted for one in found] == [0, 3, 1]


def test_decoding_needs_no_languages() -> None:
    english = replace(SPECIAL, languages={})
    assert isinstance(Bench(network(0), special=english).decoding, Decoding)
