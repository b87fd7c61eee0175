"""The encoder heard chunk by chunk through our caches is the reference's single pass over the whole turn."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
import torch

from tests.engines.transducer.conftest import _saved
from tests.engines.transducer.listening import FRAME, LADDER, LOOKAHEADS, NEVER, Audio, hear_alone, loaded, noise
from voxfleet.engines.transducer.layout import SHAPES
from voxfleet.engines.transducer.loading import Loading
from voxfleet.engines.transducer.turns import frames_of

Reference = Callable[[Path], Any]

EXACT = 1e-5
"""Relative error that rounding explains."""
LONG = 16_000 * 5 + 37
"""Samples whose frames go round the slots, and are more than twice what attention sees."""
ODD = replace(
    SHAPES["tiny"], left=25, conv_kernel=5, mels=80, attention_bias=False, convolution_bias=False, decoder_layers=1
)
"""A left context that is no whole number of chunks, as in the published English model."""


def _complete(frames: int) -> int:
    """Samples with which so many frames are complete."""
    return FRAME * (frames - 1) + 200


def _offline(
    reference: Reference, processor: Reference, folder: Path, audio: Audio, lookahead: int, prompt: int = -1
) -> torch.Tensor:
    """One pass of the reference over all the audio, (frames, hidden)."""
    features = processor(folder).feature_extractor(
        torch.from_numpy(audio / 32_768).float(), sampling_rate=16_000, return_tensors="pt"
    )
    asked = {} if prompt < 0 else {"prompt_ids": torch.tensor([prompt])}
    with torch.no_grad():
        made = reference(folder).get_audio_features(
            features["input_features"],
            attention_mask=features["attention_mask"],
            num_lookahead_tokens=lookahead,
            **asked,
        )
    found: torch.Tensor = made.pooler_output[0, : int(made.attention_mask.sum())]
    return found


def _masked(
    model: Any, processor: Any, audio: Audio, chunks: Sequence[int], refresh: int = NEVER
) -> tuple[torch.Tensor, list[int]]:
    """The layers of the reference in one pass, under a mask written out for chunks of changing size; (frames, hidden),
    and the frames at which state was made anew."""
    features = processor.feature_extractor(
        torch.from_numpy(audio / 32_768).float(), sampling_rate=16_000, return_tensors="pt"
    )
    encoder, frames = model.encoder, int(frames_of(np.array([len(audio)]))[0])
    mask = torch.zeros(frames, frames, dtype=torch.bool)
    first, floors = 0, [0]
    for chunk in cycle(chunks):
        if first >= frames:
            break
        oldest = max(floors[-1], first - (encoder.config.sliding_window - 1) // chunk * chunk)
        mask[first : first + chunk, oldest : first + chunk] = True
        first += chunk
        if first - floors[-1] >= refresh:
            floors.append(first)
    with torch.no_grad():
        x_btd = encoder.subsampling(features["input_features"], features["attention_mask"])[:, :frames]
        x_btd = x_btd * encoder.input_scale
        positions = encoder.encode_positions(x_btd)
        for layer in encoder.layers:
            x_btd = layer(x_btd, attention_mask=mask[None, None], position_embeddings=positions)
        made: torch.Tensor = model.encoder_projector(x_btd)[0]
    return made, floors[1:]


def _check(made: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal over all frames, and every frame by itself."""
    assert made.shape == wanted.shape
    assert len(wanted), "nothing to compare"
    assert float((made - wanted).norm() / wanted.norm()) <= EXACT
    assert float(((made - wanted).norm(dim=1) / wanted.norm(dim=1)).max()) <= 5 * EXACT


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Loading:
    return loaded(tiny_folder)


@pytest.fixture(scope="module")
def tiny_prompt(tiny_prompt_folder: Path) -> Loading:
    return loaded(tiny_prompt_folder)


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(tmp_path_factory.mktemp("odd"), ODD)


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
@pytest.mark.parametrize("samples", [161, 300, 1_000, 1_480, 2_561, 16_000, LONG])
def test_a_turn_in_chunks_is_the_turn_at_once(
    tiny: Loading, tiny_folder: Path, reference: Reference, reference_processor: Reference, lookahead: int, samples: int
) -> None:
    audio = noise(samples, seed=samples)
    wanted = _offline(reference, reference_processor, tiny_folder, audio, lookahead)
    _check(hear_alone(tiny, audio, lookahead + 1).frames, wanted)


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_turns_that_end_where_a_chunk_is_complete(
    tiny: Loading,
    tiny_folder: Path,
    reference: Reference,
    reference_processor: Reference,
    lookahead: int,
    chunks: int,
    off: int,
) -> None:
    audio = noise(_complete(chunks * (lookahead + 1)) + off, seed=lookahead)
    if len(audio) >= 160:
        wanted = _offline(reference, reference_processor, tiny_folder, audio, lookahead)
        _check(hear_alone(tiny, audio, lookahead + 1).frames, wanted)


@pytest.mark.parametrize("frames", [1, 2, 5, 9])
@pytest.mark.parametrize("off", [-161, -160, -159, 0, 1, 159, 160, 161])
def test_turns_that_end_at_any_mel_frame(
    tiny: Loading, tiny_folder: Path, reference: Reference, reference_processor: Reference, frames: int, off: int
) -> None:
    """The three stages of subsampling each round up: what is behind the last mel frame must not be heard."""
    audio = noise(FRAME * frames + off, seed=frames)
    wanted = _offline(reference, reference_processor, tiny_folder, audio, 1)
    _check(hear_alone(tiny, audio, 2).frames, wanted)


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_ladder_of_one_chunk_has_fewer_slots_and_hears_the_same(
    tiny_folder: Path, reference: Reference, reference_processor: Reference, lookahead: int
) -> None:
    audio = noise(16_000 * 4 + 5, seed=1)
    wanted = _offline(reference, reference_processor, tiny_folder, audio, lookahead)
    served = loaded(tiny_folder, chunks=(LADDER[LOOKAHEADS.index(lookahead)],))
    _check(hear_alone(served, audio, lookahead + 1).frames, wanted)


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_left_context_of_no_whole_number_of_chunks(
    odd_folder: Path, reference: Reference, reference_processor: Reference, lookahead: int
) -> None:
    audio = noise(16_000 * 4 + 99, seed=2)
    wanted = _offline(reference, reference_processor, odd_folder, audio, lookahead)
    _check(hear_alone(loaded(odd_folder), audio, lookahead + 1).frames, wanted)


@pytest.mark.parametrize(("lookahead", "prompt"), [(0, 0), (1, 15), (3, 3), (3, 15), (6, 8), (13, 0)])
def test_a_language_is_told_to_every_frame(
    tiny_prompt: Loading,
    tiny_prompt_folder: Path,
    reference: Reference,
    reference_processor: Reference,
    lookahead: int,
    prompt: int,
) -> None:
    audio = noise(16_000 * 2 + prompt, seed=3)
    wanted = _offline(reference, reference_processor, tiny_prompt_folder, audio, lookahead, prompt)
    _check(hear_alone(tiny_prompt, audio, lookahead + 1, prompt=prompt).frames, wanted)


def test_a_language_makes_a_difference(tiny_prompt: Loading) -> None:
    audio = noise(16_000, seed=3)
    one, other = (hear_alone(tiny_prompt, audio, 4, prompt=prompt).frames for prompt in (3, 7))
    assert float((one - other).norm() / one.norm()) > 0.01


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_a_turn_in_chunks_is_the_stream_of_the_reference(
    tiny: Loading, tiny_folder: Path, reference: Reference, reference_processor: Reference, lookahead: int
) -> None:
    """Chunk by chunk there too: 1 + 8 R mel frames, then 8 (R + 1) at a time, with the caches it keeps."""
    chunks = 56 // (lookahead + 1)
    audio = noise(_complete(chunks * (lookahead + 1)), seed=4)
    mel = reference_processor(tiny_folder).feature_extractor(
        torch.from_numpy(audio / 32_768).float(), sampling_rate=16_000, return_tensors="pt"
    )["input_features"]
    made, at = [], 0
    caches: dict[str, Any] = {}
    with torch.no_grad():
        for chunk in range(chunks):
            mels = 8 * (lookahead + 1) if chunk else 1 + 8 * lookahead
            told = reference(tiny_folder).get_audio_features(
                mel[:, at : at + mels],
                num_lookahead_tokens=lookahead,
                use_cache=True,
                output_attention_mask=False,
                **caches,
            )
            caches = {"past_key_values": told.past_key_values, "padding_cache": told.padding_cache}
            made.append(told.pooler_output[0])
            at += mels
    wanted = torch.cat(made)
    assert len(wanted) == 56
    _check(hear_alone(tiny, audio, lookahead + 1).frames[:56], wanted)


CHANGING = [(14, 1), (1, 14), (2, 7, 4, 1, 14, 14, 1, 1), (7, 7, 7, 2), (4, 14, 4, 1)]


@pytest.mark.parametrize("chunks", CHANGING, ids=str)
def test_chunks_may_change_in_mid_turn(
    tiny: Loading, tiny_folder: Path, reference: Reference, reference_processor: Reference, chunks: tuple[int, ...]
) -> None:
    """Every chunk sees itself and as many whole chunks of its own size before it as the left context holds."""
    audio = noise(LONG, seed=6)
    wanted, _ = _masked(reference(tiny_folder), reference_processor(tiny_folder), audio, chunks)
    _check(hear_alone(tiny, audio, chunks).frames, wanted)


@pytest.mark.parametrize("chunks", [(1,), (4,), (14,), (2, 7)], ids=str)
def test_state_made_anew_sees_nothing_before_and_changes_nothing_else(
    tiny: Loading, tiny_folder: Path, reference: Reference, reference_processor: Reference, chunks: tuple[int, ...]
) -> None:
    """Attention begins anew; subsampling and convolution, which reach back less than a second, go on."""
    audio = noise(LONG, seed=7)
    wanted, floors = _masked(reference(tiny_folder), reference_processor(tiny_folder), audio, chunks, refresh=20)
    assert len(floors) > 1
    _check(hear_alone(tiny, audio, chunks, refresh=20).frames, wanted)


@pytest.mark.parametrize("by", [160, 1_279, 20_000, LONG])
def test_frames_do_not_depend_on_how_the_audio_arrives(tiny: Loading, by: int) -> None:
    audio = noise(16_000 * 3 + 1, seed=5)
    expected = hear_alone(tiny, audio, 4).frames
    assert torch.equal(hear_alone(tiny, audio, 4, by=by).frames, expected)
