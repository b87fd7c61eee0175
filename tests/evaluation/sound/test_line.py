"""A line as it is written on the command line, as it sounds, and as a report calls it."""

import numpy as np
import pytest

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.sound.line import Line
from voxfleet.evaluation.sound.noise import decibels, rms
from voxfleet.evaluation.sound.spans import cut_out
from voxfleet.evaluation.sound.synthetic import voice

RATE = 16_000
SPEECH = voice(RATE * 3, RATE, np.random.default_rng(1))
SPANS = [(0.0, 3.0)]
VOICES = [voice(RATE * 2, RATE, np.random.default_rng(seed)) for seed in (5, 6)]


@pytest.mark.parametrize(
    ("telephony", "noise", "line", "words"),
    [
        (None, None, Line(), "as recorded"),
        ("mulaw", None, Line("mulaw"), "simulated: G.711 µ-law 8 kHz, 300–3400 Hz"),
        (
            "alaw,loss=2%,burst=3",
            "babble:10",
            Line("alaw", 0.02, 3.0, "repeat", "babble", 10.0),
            "simulated: G.711 A-law 8 kHz, 300–3400 Hz, 2 % of packets lost in bursts of 3, babble at 10 dB",
        ),
        (
            "mulaw, loss=0.5, conceal=zero",
            " white:-5dB",
            Line("mulaw", 0.5, None, "zero", "white", -5.0),
            "simulated: G.711 µ-law 8 kHz, 300–3400 Hz, 50 % of packets lost, silence in their place,"
            " white noise at -5 dB",
        ),
        (None, "pink:2.5", Line(noise="pink", snr_db=2.5), "simulated: pink noise at 2.5 dB"),
    ],
)
def test_what_can_be_written(telephony, noise, line, words):
    parsed = Line.parse(telephony, noise)
    assert parsed == line
    assert str(parsed) == words
    assert parsed.clean == (telephony is None and noise is None)


@pytest.mark.parametrize(
    "text",
    ["", "g711", "ulaw", "alaw,", "alaw,loss", "alaw,loss=", "alaw,loss=101%", "alaw,loss=100%", "alaw,loss=-1%",
     "alaw,loss=nan", "alaw,loss=2%,loss=3%", "alaw,burst=0", "alaw,loss=2%,burst=0.5", "alaw,loss=80%,burst=1",
     "alaw,loss=2%,burst=nan", "alaw,jitter=3", "loss=2%", "alaw,conceal=music"],
)  # fmt: skip
def test_bad_telephony_says_what_can_be(text):
    with pytest.raises(BadOption) as caught:
        Line.parse(text, None)
    assert "mulaw or alaw" in str(caught.value)
    assert caught.value.option == "--telephony"


@pytest.mark.parametrize(
    "text", ["", "white", "babble:", "brown:10", "white:loud", "white:-40", "white:nan", "white:10:2"]
)
def test_bad_noise_says_what_can_be(text):
    with pytest.raises(BadOption, match="babble:10"):
        Line.parse(None, text)


def test_a_clean_line_changes_nothing():
    samples, rate = Line().applied(SPEECH, RATE, SPANS, [], 1)
    assert rate == RATE
    assert np.array_equal(samples, SPEECH)


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_a_telephone_halves_the_rate_and_keeps_the_speech(law):
    samples, rate = Line.parse(law, None).applied(SPEECH, RATE, SPANS, [], 1)
    assert (rate, len(samples)) == (8000, len(SPEECH) // 2)
    assert samples.dtype == np.float32
    assert decibels(rms(samples)) == pytest.approx(decibels(rms(SPEECH)), abs=3)


@pytest.mark.parametrize("noise", ["white:10", "pink:0", "babble:20"])
@pytest.mark.parametrize("telephony", [None, "mulaw"])
def test_the_ratio_holds_in_the_band_the_line_lets_through(noise, telephony):
    clip = np.concatenate([SPEECH, np.zeros(3 * RATE, np.float32)])
    samples, rate = Line.parse(telephony, noise).applied(clip, RATE, SPANS, VOICES, 3)
    pause = cut_out(samples, rate, [(3.2, 6.0)])
    ratio = float(noise.split(":")[1])
    assert decibels(rms(pause)) == pytest.approx(-26 - ratio, abs=0.6)  # a noise is not equally loud all the time
    quiet = np.zeros(3 * RATE, np.float32)
    silence, _ = Line.parse(telephony, noise).applied(quiet, RATE, [], VOICES, 4)
    assert decibels(rms(silence)) == pytest.approx(-26 - ratio, abs=0.1), "as loud between the clips as in them"


def test_what_is_heard_follows_from_the_seed():
    line = Line.parse("alaw,loss=20%,burst=2", "babble:5")
    heard = [line.applied(SPEECH, RATE, SPANS, VOICES, seed)[0] for seed in (1, 1, 2)]
    assert np.array_equal(heard[0], heard[1])
    assert not np.array_equal(heard[0], heard[2])
    assert np.abs(heard[0]).max() <= 1.0


def test_nothing_stays_nothing():
    samples, rate = Line.parse("mulaw,loss=2%", "white:10").applied(np.empty(0, np.float32), RATE, [], [], 1)
    assert (len(samples), rate) == (0, 8000)
