"""What a telephone line does to sound, as pure functions: band, companding, lost packets. Float32 mono in, the same out.

All of it is simulation: a real line also echoes, clips, changes its gain and lags. Every report says "simulated".
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.decode import raw_decoder
from voxfleet.evaluation.faults import BadOption
from voxfleet.speech import Samples, Seconds

LAWS = ("mulaw", "alaw")
TELEPHONE_RATE = 8_000
BAND = (300.0, 3400.0)
"""Hz a telephone lets through; ITU-T G.712 gives the masks."""
PACKET: Seconds = 0.02
FADED: Seconds = 0.06
"""After this much repetition of the last packet there is silence, as in G.711 Appendix I."""


def band_pass(samples: Samples, rate: int, low: float = BAND[0], high: float = BAND[1]) -> Samples:
    """Only what lies between `low` and `high` Hz, where the response is -6 dB; same length, no delay.

    A linear-phase FIR: windowed sinc, Kaiser, over 60 dB down 125 Hz outside (up to half the rate).
    """
    if not len(samples):
        return samples
    taps = _taps(rate, low, high)
    width = len(samples) + len(taps) - 1
    size = 1 << (width - 1).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(taps, size)
    start = len(taps) // 2
    return np.asarray(np.fft.irfft(spectrum, size)[start : start + len(samples)], np.float32)


def companded(samples: Samples, law: str) -> Samples:
    """The samples, of 8 kHz, after G.711 "mulaw" or "alaw" and back: the decoder is the one the gateway uses."""
    return raw_decoder(law, TELEPHONE_RATE, 1).feed(encoded(samples, law)).reshape(-1)


def encoded(samples: Samples, law: str) -> bytes:
    """The samples as G.711 bytes, each by the nearest value that can be said."""
    borders, codes = _encoder(law)
    return codes[np.searchsorted(borders, np.clip(samples, -1.0, 1.0))].tobytes()


def packet_loss(
    samples: Samples,
    rate: int,
    loss: float,
    seed: int,
    burst: float | None = None,
    conceal: str = "repeat",
) -> Samples:
    """The samples with `loss` (0..1) of their 20 ms packets lost, in bursts of `burst` packets on average.

    A lost packet is what the last one was, ever softer until silence after 60 ms ("repeat"), or silence ("zero").
    """
    size = round(rate * PACKET)
    count = -(-len(samples) // size)
    gone = lost_packets(count, loss, np.random.default_rng(seed), burst)
    whole = np.zeros(count * size, np.float32)
    whole[: len(samples)] = samples
    packets = whole.reshape(count, size)
    fade = np.maximum(0.0, 1.0 - np.arange(1, round(FADED * rate) + size + 1, dtype=np.float32) / (FADED * rate))
    last, since = np.zeros(size, np.float32), 0
    for at in range(count):
        if not gone[at]:
            last, since = packets[at].copy(), 0
        elif conceal == "zero" or since * size >= FADED * rate:
            packets[at] = 0.0
        else:
            packets[at] = last * fade[since * size : (since + 1) * size]
            since += 1
    return whole[: len(samples)]


def lost_packets(count: int, loss: float, dice: np.random.Generator, burst: float | None = None) -> NDArray[np.bool_]:
    """Which of `count` packets are lost: Gilbert's model, two states, the bad one `burst` packets long on average.

    (E. N. Gilbert, "Capacity of a burst-noise channel", 1960, with every packet of the bad state lost.) Without
    `burst` losses are independent. Raises BadOption where so much loss can't come in bursts so short.
    """
    possible = 0.0 <= loss < 1.0 and (burst is None or burst >= max(1.0, loss / (1.0 - loss)))
    if not possible:
        wanted = "a loss below 100 %, and bursts of one packet or more and long enough for it"
        raise BadOption("--telephony", f"loss={loss:.0%},burst={burst}", wanted)
    leaves = 1.0 - loss if burst is None else 1.0 / burst
    enters = loss if burst is None else loss * leaves / (1.0 - loss)
    throws = dice.random(count + 1)
    gone = np.zeros(count, bool)
    bad = bool(throws[-1] < loss)
    for at, throw in enumerate(throws[:-1].tolist()):
        gone[at] = bad
        bad = throw >= leaves if bad else throw < enters
    return gone


@cache
def _taps(rate: int, low: float, high: float) -> NDArray[np.float32]:
    side = round(rate * 0.0145)  # the length of a Kaiser window of 60 dB for a transition of 250 Hz
    at = np.arange(-side, side + 1)
    high = min(high, rate / 2)
    ideal = 2 * high / rate * np.sinc(2 * high / rate * at) - 2 * low / rate * np.sinc(2 * low / rate * at)
    return np.asarray(ideal * np.kaiser(2 * side + 1, 5.65), np.float32)


@cache
def _encoder(law: str) -> tuple[Samples, NDArray[np.uint8]]:
    """The borders between the values of a law, ascending, and the code of each value."""
    values = raw_decoder(law, TELEPHONE_RATE, 1).feed(bytes(range(256))).reshape(-1)
    distinct, codes = np.unique(values, return_index=True)
    return (distinct[1:] + distinct[:-1]) / np.float32(2.0), codes.astype(np.uint8)
