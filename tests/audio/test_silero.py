"""The model: in a batch as alone, laid out for batches as published, on real speech at both rates."""

import numpy as np
import onnxruntime
import pytest
from benchmarks.vad_gate import listen, turns_of

from tests.audio.recordings import speech
from voxfleet.audio.gate import UngatedSilero
from voxfleet.audio.onnx_file import Graph, weights
from voxfleet.audio.silero import LARGEST_BATCH, SAMPLE_RATES, SileroBatch, frame_length, model_file
from voxfleet.audio.silero_graph import batched_graph

both_rates = pytest.mark.parametrize("rate", SAMPLE_RATES)


@both_rates
def test_in_a_batch_as_alone(rate):
    clips = speech(rate)
    together = listen(UngatedSilero(len(clips)), clips, rate)
    for clip, heard in zip(clips, together, strict=True):
        (alone,) = listen(UngatedSilero(1), [clip], rate)
        assert np.abs(alone - heard).max() < 1e-5


@both_rates
def test_laid_out_for_batches_as_published(rate):
    clips = speech(rate)
    ours = listen(UngatedSilero(len(clips)), clips, rate)
    theirs = listen(UngatedSilero(len(clips), published=True), clips, rate)
    assert max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)) < 1e-4


@both_rates
def test_the_graph_for_batches_is_the_one_that_runs(rate):
    """Otherwise the tests above would hold for a model that silently fell back to the published file."""
    half = SileroBatch(1)._halves[rate]
    assert [value.name for value in half._session.get_inputs()] == ["input", "state"]


@both_rates
def test_it_hears_speech_and_not_noise(rate):
    clips = speech(rate)[:3]
    noise = [np.random.default_rng(0).standard_normal(rate * 3).astype(np.float32) * 0.003]
    heard = listen(UngatedSilero(4), clips + noise, rate)
    assert all(len(turns_of(probabilities)) >= 1 for probabilities in heard[:3])
    assert heard[3].max() < 0.35


def test_more_rows_than_one_call_takes_in_any_order():
    count = LARGEST_BATCH + 40
    frames = np.random.default_rng(0).standard_normal((count, 512)).astype(np.float32) * 0.1
    rows = np.random.default_rng(1).permutation(count)
    model, other = SileroBatch(count), SileroBatch(count)
    for _ in range(3):
        shuffled = model.step(frames, rows, 16_000)
        straight = other.step(frames[np.argsort(rows)], np.arange(count), 16_000)
        assert np.allclose(shuffled[np.argsort(rows)], straight, atol=1e-5)


def test_a_reset_row_has_forgotten_and_others_have_not():
    (clip,) = speech(16_000)[:1]
    frames = clip[: 512 * 40].reshape(40, 512)
    model = SileroBatch(3)
    first = [model.step(np.stack([frame] * 3), np.arange(3), 16_000) for frame in frames]
    model.reset(1)
    again = [model.step(np.stack([frame] * 3), np.arange(3), 16_000) for frame in frames]
    assert np.allclose([said[1] for said in again], [said[1] for said in first], atol=1e-5)
    assert not np.allclose([said[0] for said in again], [said[0] for said in first], atol=1e-5)


def test_no_rows_no_call():
    none = np.empty((0, 512), np.float32)
    assert SileroBatch(4).step(none, np.empty(0, np.intp), 16_000).shape == (0,)


def test_frames_of_both_rates_have_the_same_length_in_time():
    assert [frame_length(rate) / rate for rate in SAMPLE_RATES] == [0.032, 0.032]


@pytest.mark.parametrize("broken", [b"", b"\x07", b"no model at all", b"\xff" * 40])
def test_a_file_that_is_no_model_is_refused(broken):
    with pytest.raises((ValueError, KeyError)):
        batched_graph(broken, 16_000)


def test_a_model_of_another_shape_is_refused():
    model = model_file().read_bytes().replace(b"encoder.1.reparam_conv.weight", b"encoder.9.reparam_conv.weight")
    with pytest.raises(KeyError):
        batched_graph(model, 8_000)


def test_the_weights_are_the_files():
    layers = weights(model_file().read_bytes(), "then_branch")
    assert layers["decoder.rnn.weight_ih"].shape == (512, 128)
    assert layers["stft.forward_basis_buffer"].shape == (258, 1, 256)


def test_a_graph_that_was_written_runs():
    graph = Graph()
    given = graph.input("x", ["n", 3])
    product = graph.add("MatMul", given, graph.constant(np.array([[1.0], [10.0], [100.0]], np.float32)))[0]
    graph.output("y", graph.add("ReduceMax", product, keepdims=0)[0], [])
    session = onnxruntime.InferenceSession(graph.file(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.array([[1, 2, 3], [3, 2, 1]], np.float32)})
    assert result == 321.0
