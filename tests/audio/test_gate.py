"""The gate: closes only on proven silence, opens on anything else, and changes no turn."""

import numpy as np
import pytest
from benchmarks.vad_gate import compare, listen, turns_of

from tests.audio.recordings import speech
from voxfleet.audio.gate import EnergyGate, GatedSilero, UngatedSilero
from voxfleet.audio.silero import SAMPLE_RATES

both_rates = pytest.mark.parametrize("rate", SAMPLE_RATES)


def noise(rate, seconds, level_db, seed=0):
    return np.asarray(
        np.random.default_rng(seed).standard_normal(int(rate * seconds)) * 10 ** (level_db / 20), np.float32
    )


def with_pause(rate, level_db=-60.0):
    """Clips one after the other, 2 s of faint noise around each."""
    silence = np.zeros(2 * rate, np.float32)
    talk = np.concatenate([part for clip in speech(rate)[:5] for part in (silence, clip)] + [silence])
    return talk + noise(rate, len(talk) / rate, level_db)


@both_rates
def test_clips_have_the_same_turns_with_and_without(rate):
    comparison, _, _ = compare("clips", speech(rate, 30), rate)
    assert comparison.turns >= 30
    assert comparison.clips_that_differ == 0
    assert comparison.worst_shift <= 1


@both_rates
def test_pauses_cost_nothing_and_no_turn_is_lost(rate):
    comparison, (plain,), (gated,) = compare("talk", [with_pause(rate)], rate)
    assert comparison.skipped > 0.1
    assert len(gated) == len(plain)
    for (start, end), (gated_start, gated_end) in zip(plain, gated, strict=True):
        assert gated_start <= start + 1
        assert abs(gated_end - end) <= 1


@both_rates
@pytest.mark.parametrize("level_db", [-90.0, -60.0, -45.0])
def test_steady_noise_is_kept_from_the_model(rate, level_db):
    gate = GatedSilero(1)
    (heard,) = listen(gate, [noise(rate, 20, level_db)], rate)
    assert gate.heard < 0.2 * gate.frames
    assert turns_of(heard) == []


@both_rates
def test_loud_noise_is_not_trusted(rate):
    gate = GatedSilero(1)
    listen(gate, [noise(rate, 5, -20.0)], rate)
    assert gate.heard == gate.frames


def test_speech_right_after_long_silence_is_heard_from_its_first_word():
    rate = 8_000
    clip = speech(rate)[0]
    onset = turns_of(listen(UngatedSilero(1), [clip], rate)[0])[0][0]
    pause = np.zeros(256 * 1000, np.float32)  # 32 s
    (heard,) = listen(GatedSilero(1), [np.concatenate([pause, clip])], rate)
    assert abs(turns_of(heard)[0][0] - 1000 - onset) <= 2


@both_rates
def test_what_is_decided_does_not_depend_on_the_company_or_on_the_passes(rate):
    talks = [with_pause(rate), with_pause(rate, -50.0), noise(rate, 9, -55.0)]
    together = listen(GatedSilero(3), talks, rate)
    for talk, heard in zip(talks, together, strict=True):
        length = rate * 32 // 1000
        one_by_one = GatedSilero(2)
        frames = np.resize(talk, (len(talk) // length, 1, 1, length))
        alone = [one_by_one.hear(frame, np.array([1]), np.array([1]), rate)[0, 0] for frame in frames]
        assert np.allclose(alone, heard[: len(alone)], atol=1e-4)


def test_the_gate_waits_for_the_model():
    gate = EnergyGate(1)
    row, level = np.array([0]), np.array([[-80.0, -80.0]], np.float32)
    for _ in range(9):
        gate.learn(np.array([0.01], np.float32), level, row)
        assert not gate.closed[0]
    gate.learn(np.array([0.01], np.float32), level, row)
    assert gate.closed[0]
    assert gate.keeps(level, row)[0]
    assert not gate.keeps(level + 20, row)[0]
    assert not gate.keeps(level + np.array([0, 20], np.float32), row)[0]  # only the high end rose: an "s"


def test_a_single_doubt_of_the_model_starts_the_wait_anew():
    gate = EnergyGate(1)
    row, level = np.array([0]), np.array([[-60.0, -60.0]], np.float32)
    for probability in [0.01] * 9 + [0.3] + [0.01] * 9:
        gate.learn(np.array([probability], np.float32), level, row)
        assert not gate.closed[0]


def test_a_reset_row_starts_open_and_unlearnt():
    gate = GatedSilero(2)
    silence = np.zeros((2, 15, 512), np.float32)
    counts, rows = np.array([15, 15]), np.arange(2)
    gate.hear(silence, counts, rows, 16_000)
    heard = gate.heard
    gate.reset(0)
    gate.hear(silence[:, :5], np.array([5, 5]), rows, 16_000)
    assert gate.heard == heard + 5  # row 0 again needs the model; row 1 is still closed
