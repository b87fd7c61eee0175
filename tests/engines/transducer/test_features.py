"""Log-mel frames made piece by piece in batches equal the reference processor's one pass over the whole stream."""

import random
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
import torch

from voxfleet.engines.transducer.features import ENDLESS, LogMel
from voxfleet.engines.transducer.layout import FeatureShape
from voxfleet.engines.transducer.ring import AudioRing

SHAPE = FeatureShape(16_000, 128, n_fft=512, window=400, hop=160, preemphasis=0.97, filter_dtype="float32")
ROUNDED = FeatureShape(16_000, 128, 512, 400, 160, 0.97, "bfloat16")
LOOKAHEADS = (0, 1, 3, 6, 13)
CPU = torch.device("cpu")


@cache
def _mels(shape: FeatureShape) -> LogMel:
    return LogMel(shape)


@cache
def _reference(shape: FeatureShape) -> Any:
    transformers = pytest.importorskip("transformers", reason="the reference processor is not installed")
    return transformers.NemotronAsrStreamingFeatureExtractor(
        feature_size=shape.mels,
        sampling_rate=shape.sample_rate,
        hop_length=shape.hop,
        n_fft=shape.n_fft,
        win_length=shape.window,
        preemphasis=shape.preemphasis,
        mel_filters_dtype=shape.filter_dtype,
    )


def _offline(stream: torch.Tensor, shape: FeatureShape = SHAPE) -> torch.Tensor:
    """The reference's frames of a whole stream; (len // hop, mels)."""
    if len(stream) < shape.hop:
        return torch.zeros(0, shape.mels)
    extractor = _reference(shape)
    made = extractor(stream.numpy(), sampling_rate=shape.sample_rate, return_tensors="pt")["input_features"]
    frames: torch.Tensor = made[0, : len(stream) // shape.hop]
    return frames


def _stretch(mels: LogMel, stream: torch.Tensor, first: int, frames: int, noise: int = 0) -> torch.Tensor:
    """The row `forward` wants; wherever the stream isn't, there is loud noise that must not be heard."""
    row = torch.randn(mels.samples(frames), generator=torch.Generator().manual_seed(noise)) * 3
    begin = first * mels.shape.hop - mels.reach
    inside = max(0, -begin), min(len(row), len(stream) - begin)
    if inside[0] < inside[1]:
        row[inside[0] : inside[1]] = stream[begin + inside[0] : begin + inside[1]]
    return row


def _forward(mels: LogMel, rows: list[torch.Tensor], first: list[int], limit: list[int]) -> torch.Tensor:
    made: torch.Tensor = mels(torch.stack(rows), torch.tensor(first), torch.tensor(limit))
    return made


def _in_pieces(stream: torch.Tensor, lookaheads: list[int], shape: FeatureShape = SHAPE) -> torch.Tensor:
    """As a live stream is heard: 1 + 8 R frames, then 8 (R + 1) at a time; the end is known once it has come."""
    mels, made, at = _mels(shape), [torch.zeros(0, shape.mels)], 0
    while at < len(stream) // shape.hop:
        lookahead = lookaheads[len(made) % len(lookaheads)]
        frames = 8 * (lookahead + 1) if at else 1 + 8 * lookahead
        ended = at * shape.hop - mels.reach + mels.samples(frames) > len(stream)
        row = _stretch(mels, stream, at, frames)
        made.append(_forward(mels, [row], [at], [len(stream) if ended else ENDLESS])[0])
        at += frames
    joined = torch.cat(made)
    assert not joined[len(stream) // shape.hop :].any(), "a frame past the end isn't silent"
    return joined[: len(stream) // shape.hop]


def _same(made: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-5)


def _speechlike(samples: int, seed: int) -> torch.Tensor:
    """Noise of changing colour and loudness with a voice-like hum, in 16-bit steps."""
    numbers = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    noise = np.convolve(numbers.standard_normal(samples + 8), numbers.random(8), "valid")[:samples]
    loudness = 10 ** (2 * np.sin(2 * np.pi * time * numbers.uniform(1, 4)) - 3)
    hum = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    return _steps(torch.from_numpy(loudness * (noise + hum)))


def _steps(signal: torch.Tensor) -> torch.Tensor:
    return (signal.clamp(-1, 1) * 32_767).round().float() / 32_768


@pytest.mark.parametrize("shape", [SHAPE, ROUNDED, FeatureShape(16_000, 80, 512, 400, 160, 0.97, "float16")])
def test_the_filters_are_those_of_the_reference(shape: FeatureShape) -> None:
    rounded = _reference(shape).mel_filters.to(getattr(torch, shape.filter_dtype)).float()
    torch.testing.assert_close(LogMel(shape).filters, rounded.T, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("lookaheads", [*([r] for r in LOOKAHEADS), [13, 0, 3, 1, 6, 0, 0], [0, 13, 1]], ids=str)
@pytest.mark.parametrize("shape", [SHAPE, ROUNDED], ids=lambda shape: shape.filter_dtype)
def test_a_stream_heard_in_pieces_is_the_stream_heard_at_once(lookaheads: list[int], shape: FeatureShape) -> None:
    stream = _speechlike(16_000 * 3 + 77, seed=len(lookaheads))
    _same(_in_pieces(stream, lookaheads, shape), _offline(stream, shape))


@pytest.mark.parametrize("shape", [
    FeatureShape(16_000, 80, 512, 320, 160, 0.0, "float32"),
    FeatureShape(16_000, 64, 512, 401, 100, 0.9, "float32"),
    FeatureShape(8_000, 40, 256, 200, 200, 0.97, "bfloat16"),
], ids=str)  # fmt: skip
def test_other_windows_and_hops_are_the_reference_too(shape: FeatureShape) -> None:
    stream = _speechlike(11_111, seed=5)
    _same(_in_pieces(stream, [1, 0, 3], shape), _offline(stream, shape))


@pytest.mark.parametrize("stream", [
    _steps(torch.randn(20_000, generator=torch.Generator().manual_seed(1)) * 9),
    _steps(torch.sin(torch.arange(20_000) * 0.3)),
    torch.zeros(20_000),
    torch.full((20_000,), 0.5),
    torch.full((20_000,), -1.0),
    _steps(torch.randn(20_000, generator=torch.Generator().manual_seed(1)) / 32_768),
], ids=["clipped noise", "full-scale tone", "silence", "DC", "lowest value", "last bit"])  # fmt: skip
def test_loud_and_silent_input(stream: torch.Tensor) -> None:
    _same(_in_pieces(stream, [3, 0]), _offline(stream))


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 199, 200, 201, 319, 320])
@pytest.mark.parametrize("frames", [1, 9, 25, 105])
def test_a_very_short_stream(samples: int, frames: int) -> None:
    stream = _speechlike(400, seed=3)[:samples] + 0.25
    made = _forward(_mels(SHAPE), [_stretch(_mels(SHAPE), stream, 0, frames)], [0], [samples])[0]
    heard = min(samples // 160, frames)
    _same(made[:heard], _offline(stream)[:heard])
    assert torch.equal(made[heard:], torch.zeros(frames - heard, 128)), "frames past the end are exactly 0"


def test_frames_before_a_stream_are_exactly_zero() -> None:
    stream = _speechlike(16_000, seed=8)
    made = _forward(_mels(SHAPE), [_stretch(_mels(SHAPE), stream, -5, 20)], [-5], [ENDLESS])[0]
    assert not made[:5].any()
    _same(made[5:], _offline(stream)[:15])


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_every_row_of_a_batch_is_what_it_is_alone(data: st.DataObject) -> None:
    mels, frames = _mels(SHAPE), data.draw(st.sampled_from([1, 8, 9, 25, 32]))
    lengths = data.draw(st.lists(st.integers(0, 9_000), min_size=1, max_size=6))
    streams = [_speechlike(length, seed) for seed, length in enumerate(lengths)]
    first = [data.draw(st.integers(-frames, length // 160 + 2)) for length in lengths]
    rows = [_stretch(mels, *each, frames, noise) for noise, each in enumerate(zip(streams, first, strict=True))]
    for made, stream, at in zip(_forward(mels, rows, first, lengths), streams, first, strict=True):
        wanted = torch.zeros(frames, SHAPE.mels)
        offline = _offline(stream)
        for frame in range(max(at, 0), min(at + frames, len(offline))):
            wanted[frame - at] = offline[frame]
        _same(made, wanted)


def test_neither_other_rows_nor_what_lies_outside_a_stream_can_be_heard() -> None:
    mels, stream = _mels(SHAPE), _speechlike(8_000, seed=2)
    before = [_stretch(mels, stream, first, 24, noise=1) for first in (0, 10, 30)]
    after = [before[0] * float("nan"), *(_stretch(mels, stream, first, 24, noise=2) for first in (10, 30))]
    made = _forward(mels, before, [0, 10, 30], [8_000] * 3)
    again = _forward(mels, after, [0, 10, 30], [8_000] * 3)
    assert torch.equal(made[1:], again[1:])
    silent = torch.full_like(before[2], float("inf"))
    assert not _forward(mels, [silent], [60], [8_000]).any()


def test_audio_that_came_through_the_ring_is_heard_as_it_was_sent() -> None:
    mels, ring, draw = _mels(SHAPE), AudioRing(rows=4, capacity=9_000, device=CPU), random.Random(4)
    streams = {row: _speechlike(30_000, seed=row) for row in (0, 2, 3)}
    offline = {row: _offline(stream) for row, stream in streams.items()}
    sent, heard = dict.fromkeys(streams, 0), dict.fromkeys(streams, 0)
    while min(heard.values()) < 160:
        order = [row for row in streams for _ in range(draw.randint(0, 2))]
        lengths = [min(draw.randint(0, 2_000), 30_000 - sent[row]) if heard[row] < 160 else 0 for row in order]
        starts, blocks = [], [np.zeros(0, np.int16)]
        for row, length in zip(order, lengths, strict=True):
            starts.append(sent[row])
            blocks.append((streams[row][sent[row] : sent[row] + length] * 32_768).to(torch.int16).numpy())
            sent[row] += length
        rows, counts = np.array(order, np.uint32), np.array(lengths, np.uint32)
        ring.write(rows, np.array(starts, np.int64), counts, np.concatenate(blocks))
        while ready := [row for row in streams if heard[row] < 160 and sent[row] >= 160 * (heard[row] + 8) + 40]:
            first = torch.tensor([heard[row] for row in ready])
            audio = ring.read(torch.tensor(ready), first * 160 - mels.reach, mels.samples(8))
            for row, made in zip(ready, mels(audio, first, torch.full((len(ready),), ENDLESS)), strict=True):
                _same(made, offline[row][heard[row] : heard[row] + 8])
                heard[row] += 8


def test_it_stays_exact_in_a_model_of_lower_precision() -> None:
    stream = _speechlike(4_000, seed=6)
    rows = [_stretch(_mels(SHAPE), stream, 4, 8)]
    wanted = _forward(_mels(SHAPE), rows, [4], [4_000])
    with torch.device("meta"):
        model = torch.nn.Sequential(LogMel(SHAPE), torch.nn.Linear(2, 2))
    mels = model.to_empty(device="cpu").to(torch.bfloat16).half()[0]
    assert isinstance(mels, LogMel)
    assert not mels.state_dict()
    with torch.autocast("cpu", torch.bfloat16):
        made = _forward(mels, rows, [4], [4_000])
    assert made.dtype == torch.float32
    assert torch.equal(made, wanted)


@pytest.mark.parametrize("samples", [0, 400, 402, 560, 562])
def test_samples_that_make_no_whole_frames_are_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=f"{samples} samples"):
        _mels(SHAPE)(torch.zeros(2, samples), torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_on_a_gpu_in_a_graph_with_tf32_allowed_it_is_the_same() -> None:
    streams = [_speechlike(16_000, seed) for seed in range(9)]
    first, limit = [3 * row for row in range(9)], [16_000 - 2_000 * row for row in range(9)]
    rows = [_stretch(_mels(SHAPE), *each, 32) for each in zip(streams, first, strict=True)]
    wanted = _forward(_mels(SHAPE), rows, first, limit)
    mels = LogMel(SHAPE).to("cuda", torch.bfloat16)
    given = torch.stack(rows).cuda(), torch.tensor(first).cuda(), torch.tensor(limit).cuda()
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            mels(*given)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = mels(*given)
        made.zero_()
        graph.replay()
        torch.testing.assert_close(made.cpu(), wanted, rtol=1e-4, atol=1e-3)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
