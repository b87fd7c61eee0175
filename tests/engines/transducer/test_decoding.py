"""Decoding many rows at once is decoding each by a plain loop, and that is what the reference's `generate` says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
import torch
from torch import Tensor

from tests.engines.transducer.listening import LOOKAHEADS, Audio, Label, Told, hear_alone, loaded, noise, plainly
from voxfleet.engines.transducer.arena import Arena, Batch
from voxfleet.engines.transducer.decoding import Decoder
from voxfleet.engines.transducer.loading import Loading
from voxfleet.engines.transducer.model import Transducer

Reference = Callable[[Path], Any]
SECONDS = 1.5


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Loading:
    return loaded(tiny_folder)


@pytest.fixture(scope="module")
def turns(tiny: Loading) -> list[Tensor]:
    """What the joint network is given of some turns, of 1, 14, 20 and 33 frames."""
    lengths = (300, 17_000, 24_700, 41_000)
    return [hear_alone(tiny, noise(samples, seed=samples), 4).frames for samples in lengths]


@torch.inference_mode()
def _at_once(
    model: Transducer, turns: Sequence[Tensor], chunks: Sequence[int], look: int, burst: int, floors: Sequence[int] = ()
) -> list[list[Label]]:
    """All turns side by side, pass by pass; what lies behind the end of a turn is no number."""
    arena = Arena(model.shape, len(turns), max(chunks), torch.float32, torch.device("cpu"))
    decoder = Decoder(model, arena, look)
    told: list[list[Label]] = [[] for _ in turns]
    first, passes = 0, 0
    while rows := [row for row, frames in enumerate(turns) if len(frames) > first]:
        chunk = chunks[passes % len(chunks)]
        encoded = torch.full((len(rows), chunk, model.shape.decoder_hidden), float("nan"))
        valid = [min(chunk, len(turns[row]) - first) for row in rows]
        for at, row in enumerate(rows):
            encoded[at, : valid[at]] = turns[row][first : first + valid[at]]
        floor = max((each for each in floors if each <= first), default=0)
        row_b, zero = torch.tensor(rows), torch.zeros(len(rows), dtype=torch.int64)
        decoder.begin(encoded, Batch(row_b, zero + first, torch.tensor(valid), zero + floor, zero, zero, zero))
        while bool((arena.pointer[row_b] < arena.valid[row_b]).any()):
            decoder.burst(row_b, burst)
        for row in rows:
            for k in range(int(arena.count[row])):
                label, frame, score = (each[row, k] for each in (arena.labels, arena.label_frames, arena.label_scores))
                told[row].append(Label(int(label), int(frame) + first, float(score)))
        first, passes = first + chunk, passes + 1
    return told


def _check(told: Sequence[Label], wanted: Sequence[Label]) -> None:
    assert [each[:2] for each in told] == [each[:2] for each in wanted]
    assert [each.score for each in told] == pytest.approx([each.score for each in wanted], rel=1e-4)


def _generated(model: Any, processor: Any, audio: Audio, lookahead: int, prompt: int = -1) -> list[tuple[int, int]]:
    """Labels and the frames they were said at, by the reference."""
    features = processor.feature_extractor(
        torch.from_numpy(audio / 32_768).float(), sampling_rate=16_000, return_tensors="pt"
    )
    asked = {} if prompt < 0 else {"prompt_ids": torch.tensor([prompt])}
    most = (len(audio) // 1_280 + 2) * (model.max_symbols_per_step + 1)
    told = model.generate(
        input_features=features["input_features"],
        attention_mask=features["attention_mask"],
        num_lookahead_tokens=lookahead,
        max_new_tokens=most,
        **asked,
    )
    assert told.sequences.shape[1] < most, "cut short"
    labels, durations = told.sequences[0, 1:], told.durations[0, 1:]
    at = durations.cumsum(0) - durations
    return [pair for pair in zip(labels.tolist(), at.tolist(), strict=True) if pair[0] != model.config.blank_token_id]


def _pairs(told: Told) -> list[tuple[int, int]]:
    return list(zip(told.labels, told.at, strict=True))


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_turn_says_what_the_reference_generates(
    tiny: Loading, tiny_folder: Path, reference: Reference, reference_processor: Reference, lookahead: int
) -> None:
    audio = noise(int(16_000 * SECONDS) + 777 * lookahead, seed=lookahead)
    wanted = _generated(reference(tiny_folder), reference_processor(tiny_folder), audio, lookahead)
    assert len({label for label, _ in wanted}) > 4, "the network says too little to be compared"
    assert _pairs(hear_alone(tiny, audio, lookahead + 1)) == wanted


@pytest.mark.parametrize(("lookahead", "prompt"), [(0, 15), (3, 2), (13, 7)])
def test_a_turn_in_a_language_says_what_the_reference_generates(
    tiny_prompt_folder: Path, reference: Reference, reference_processor: Reference, lookahead: int, prompt: int
) -> None:
    audio = noise(16_000, seed=prompt)
    model, processor = reference(tiny_prompt_folder), reference_processor(tiny_prompt_folder)
    wanted = _generated(model, processor, audio, lookahead, prompt)
    assert len({label for label, _ in wanted}) > 2, "the network says too little to be compared"
    assert _pairs(hear_alone(loaded(tiny_prompt_folder), audio, lookahead + 1, prompt=prompt)) == wanted


def test_a_network_that_never_says_blank_is_moved_on(
    tiny_folder: Path, reference: Reference, reference_processor: Reference
) -> None:
    audio = noise(16_000 // 2, seed=9)
    babbling, model = loaded(tiny_folder), reference(tiny_folder)
    bias, blank = model.joint.head.bias.data, babbling.model.shape.blank
    before = float(bias[blank])
    babbling.model.joint.head.bias.data[blank] = bias[blank] = -1e4
    try:
        wanted = _generated(model, reference_processor(tiny_folder), audio, 3)
    finally:
        bias[blank] = before
    told = hear_alone(babbling, audio, 4)
    assert _pairs(told) == wanted
    assert told.at == [frame for frame in range(len(told.frames)) for _ in range(babbling.model.shape.max_symbols)]


def test_a_network_that_says_only_blank_says_nothing(tiny_folder: Path) -> None:
    silent = loaded(tiny_folder)
    silent.model.joint.head.bias.data[silent.model.shape.blank] = 1e4
    assert hear_alone(silent, noise(20_000), 2).labels == []
    assert silent.runner.bursts == silent.runner.launches, "blanks alone need no second burst"


@pytest.mark.parametrize("look", [1, 2, 5, 14])
@pytest.mark.parametrize("chunks", [(14,), (1,), (4, 2, 14, 7)], ids=str)
def test_rows_side_by_side_are_each_row_alone(
    tiny: Loading, turns: list[Tensor], look: int, chunks: tuple[int, ...]
) -> None:
    told = _at_once(tiny.model, turns, chunks, look, burst=4)
    for each, frames in zip(told, turns, strict=True):
        _check(each, list(plainly(tiny.model, frames)))
    assert sum(map(len, told)) > 20, "the network says too little to be compared"


@pytest.mark.parametrize("burst", [1, 2, 3, 40])
def test_bursts_of_any_size_say_the_same(tiny: Loading, turns: list[Tensor], burst: int) -> None:
    told = _at_once(tiny.model, turns, (7,), look=3, burst=burst)
    for each, frames in zip(told, turns, strict=True):
        _check(each, list(plainly(tiny.model, frames)))


@pytest.mark.parametrize("look", [1, 3, 14])
def test_no_frame_has_more_labels_than_allowed_whatever_the_look(
    tiny_folder: Path, turns: list[Tensor], look: int
) -> None:
    model = loaded(tiny_folder).model
    model.joint.head.bias.data[model.shape.blank] -= 2.0  # most frames reach the limit, some do not
    told = _at_once(model, turns, (4, 14), look, burst=4)
    counts = [sum(label.frame == at for label in told[3]) for at in range(len(turns[3]))]
    assert max(counts) == model.shape.max_symbols
    assert min(counts) < model.shape.max_symbols
    for each, frames in zip(told, turns, strict=True):
        _check(each, list(plainly(model, frames)))


def test_a_refreshed_row_says_what_a_turn_that_begins_there_says(tiny: Loading, turns: list[Tensor]) -> None:
    told = _at_once(tiny.model, turns[3:], (7,), look=3, burst=4, floors=(14,))[0]
    before = list(plainly(tiny.model, turns[3][:14]))
    after = [label._replace(frame=label.frame + 14) for label in plainly(tiny.model, turns[3][14:])]
    _check(told, before + after)
    whole = list(plainly(tiny.model, turns[3]))
    assert [label[:2] for label in told] != [label[:2] for label in whole], "the labels before it make no difference"


def test_confidences_are_probabilities(tiny: Loading) -> None:
    told = hear_alone(tiny, noise(30_000, seed=8), 2)
    plain = list(plainly(tiny.model, told.frames))
    _check([Label(*each) for each in zip(told.labels, told.at, told.scores, strict=True)], plain)
    assert all(0 < score <= 1 for score in told.scores)
    assert len(set(told.scores)) > 5
