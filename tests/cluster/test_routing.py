"""Streams are spread evenly, stay near, respect labels, and no fit worker is ever forgotten."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.cluster.routing import Candidate, Wish, order, rebalance
from voxfleet.speech import hears

names = st.sampled_from([f"w{i}" for i in range(12)])
labels = st.fixed_dictionaries(
    {}, optional={"region": st.sampled_from(["eu", "us"]), "lifecycle": st.sampled_from(["on-demand", "preemptible"])}
)
candidates = st.lists(
    st.builds(
        Candidate,
        names,
        st.sampled_from(["big", "small"]),
        st.integers(0, 40),
        st.integers(0, 45),
        st.booleans(),
        labels,
    ),
    unique_by=lambda candidate: candidate.name,
)
wishes = st.builds(
    Wish, st.just("big"), st.sampled_from(["", "eu"]), labels, st.one_of(st.just(""), names), st.frozensets(names)
)


def worker(name: str, taken: int = 0, capacity: int = 10, **more: object) -> Candidate:
    return replace(Candidate(name, "big", capacity, taken, True), **more)  # type: ignore[arg-type]


@given(candidates, wishes, st.randoms(use_true_random=False))
def test_every_fit_worker_occurs_exactly_once_in_the_order_of_the_rule(
    listed: list[Candidate], wish: Wish, dice: random.Random
) -> None:
    fit = {
        c.name: c
        for c in listed
        if c.ready and c.model == "big" and all(c.labels.get(k) == v for k, v in wish.require.items())
    }
    tried = order(listed, wish, dice)
    assert sorted(tried) == sorted(fit)
    ranks = [_rank(fit[name], wish) for name in tried]
    assert ranks == sorted(ranks)


def _rank(seen: Candidate, wish: Wish) -> tuple[bool, ...]:
    if seen.name in wish.avoid:
        return (True,)
    if seen.name == wish.near and seen.taken < seen.capacity:
        return False, False
    return False, True, seen.taken >= seen.capacity, wish.region not in ("", seen.labels.get("region"))


def test_ten_thousand_opens_are_spread_evenly_over_ten_equal_workers():
    dice = random.Random(7)
    taken = {f"w{i}": 0 for i in range(10)}
    for _ in range(10_000):
        name = order([worker(n, t, 2_000) for n, t in taken.items()], Wish("big"), dice)[0]
        taken[name] += 1
    assert max(taken.values()) / 1_000 < 1.02
    assert min(taken.values()) / 1_000 > 0.98


def test_gateways_that_see_the_same_stale_report_do_not_all_run_to_one_worker():
    dice = random.Random(7)
    seen = [worker(f"w{i}", taken=0 if i == 0 else 1) for i in range(10)]
    first = [order(seen, Wish("big"), dice)[0] for _ in range(1_000)]
    assert 150 < first.count("w0") < 250  # two chances in ten to be among the two; always first if it is
    assert len(set(first)) == 10


def test_workers_are_filled_by_share_not_by_count():
    dice = random.Random(7)
    taken = {"large": 0, "small": 0}
    for _ in range(500):
        seen = [worker("large", taken["large"], 800), worker("small", taken["small"], 200)]
        taken[order(seen, Wish("big"), dice)[0]] += 1
    assert taken["large"] == pytest.approx(400, abs=3)


def test_equal_workers_share_the_first_streams_by_chance_not_by_name():
    dice = random.Random(7)
    first = {order([worker("a"), worker("b"), worker("c")], Wish("big"), dice)[0] for _ in range(100)}
    assert first == {"a", "b", "c"}


def test_the_region_is_preferred_and_left_when_it_is_full():
    dice = random.Random(7)
    here = worker("here", 9, labels={"region": "eu"})
    there = worker("there", 0, labels={"region": "us"})
    nowhere = worker("nowhere", 0)
    wish = Wish("big", region="eu")
    assert order([there, nowhere, here], wish, dice)[0] == "here"
    assert order([there, nowhere, replace(here, taken=10)], wish, dice)[2] == "here"


def test_required_labels_are_a_must():
    seen = [worker("cheap", labels={"lifecycle": "preemptible"}), worker("sure", 9, labels={"lifecycle": "on-demand"})]
    assert order(seen, Wish("big", require={"lifecycle": "on-demand"}), random.Random(7)) == ["sure"]
    assert order(seen, Wish("big", require={"gpu": "h100"}), random.Random(7)) == []


def test_a_calls_channels_stay_on_one_worker_while_it_has_room():
    dice = random.Random(7)
    wish = Wish("big", near="b")
    assert order([worker("a"), worker("b", 9), worker("c")], wish, dice)[0] == "b"
    assert order([worker("a"), worker("b", 10), worker("c")], wish, dice)[2] == "b"
    assert order([worker("a"), worker("b", ready=False)], wish, dice) == ["a"]


def test_the_worker_a_stream_was_lost_from_comes_last_even_behind_full_ones():
    wish = Wish("big", near="lost", avoid=frozenset({"lost"}))
    assert order([worker("lost"), worker("full", 10)], wish, random.Random(7)) == ["full", "lost"]


def test_a_worker_whose_capacity_shrank_to_nothing_is_full_not_a_division_by_zero():
    assert order([worker("none", 0, 0), worker("some", 9)], Wish("big"), random.Random(7)) == ["some", "none"]


def test_rebalance_moves_from_the_fullest_to_the_emptiest_share():
    assert rebalance([worker("a", 8), worker("b", 4), worker("new", 0)]) == ("a", "new")
    assert rebalance([worker("a", 80, 100), worker("b", 4), worker("new", 0, 50)]) == ("a", "new")


def test_rebalance_knows_only_workers_that_streams_may_go_to():
    seen = [worker("a", 8, labels={"gpu": "h100"}), worker("b", 2, labels={"gpu": "h100"}), worker("other", 0)]
    assert rebalance(seen) == ("a", "other")
    assert rebalance(seen, require={"gpu": "h100"}) == ("a", "b")


@pytest.mark.parametrize(
    "pair",
    [
        (worker("a", 5), worker("b", 5)),
        (worker("a", 60, 100), worker("b", 40, 100)),  # less than the floor apart
        (worker("a", 3, 4), worker("b", 0, 4)),  # three streams apart
        (worker("a", 8), worker("b", 0, model="small")),
        (worker("a", 8), worker("b", 0, labels={"region": "us"})),
        (worker("a", 8), worker("b", 0, ready=False)),
        (worker("a", 8, ready=False), worker("b", 0)),
        (worker("a", 30, 10), worker("b", 10, 10)),  # nobody has room
    ],
)
def test_rebalance_leaves_alone_what_a_move_would_not_clearly_improve(pair: tuple[Candidate, Candidate]) -> None:
    assert rebalance(pair) is None


@given(candidates)
def test_rebalancing_ends_and_never_moves_anything_back(listed: list[Candidate]) -> None:
    now = {c.name: c for c in listed}
    gave: set[str] = set()
    took: set[str] = set()
    for _ in range(sum(c.taken for c in listed) + 1):
        move = rebalance(now.values())
        if move is None:
            break
        fuller, emptier = (now[name] for name in move)
        assert not emptier.full
        now[fuller.name] = replace(fuller, taken=fuller.taken - 1)
        now[emptier.name] = replace(emptier, taken=emptier.taken + 1)
        assert now[fuller.name].share >= now[emptier.name].share
        gave.add(fuller.name)
        took.add(emptier.name)
    else:
        pytest.fail("rebalancing does not end")
    assert not gave & took


def test_rebalance_then_stops_within_the_floor():
    now = {"old": worker("old", 100, 100), "new": worker("new", 0, 100)}
    moves = 0
    while (move := rebalance(now.values())) is not None:
        now = {n: replace(c, taken=c.taken + (n == move[1]) - (n == move[0])) for n, c in now.items()}
        moves += 1
    assert (now["old"].taken, now["new"].taken) == (62, 38)
    assert moves == 38


@pytest.mark.parametrize(
    ("languages", "language", "heard"),
    [
        (("en",), "en-US", True),
        (("en-US",), "en", True),
        (("*",), "fr", True),
        (("en-US",), "en-GB", True),
        (("ro-RO",), "mo", True),
        (("ro-RO", "auto"), "auto", True),
        (("en-US",), "auto", False),
        (("de",), "en", False),
    ],
)
def test_a_language_is_heard_in_whatever_country_and_by_its_older_names(
    languages: tuple[str, ...], language: str, heard: bool
) -> None:
    assert hears(languages, language) is heard
