"""What calls sound like on their way to the server: the telephone line and the room, from two command-line options.

The order is that of a real call: the room's noise, the telephone's band, the codec, the network. The ratio of speech to
noise is that of the band the line lets through: what an engine is given.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import soxr

from voxfleet.evaluation.faults import BadOption
from voxfleet.evaluation.sound.degrade import LAWS, TELEPHONE_RATE, band_pass, companded, lost_packets, packet_loss
from voxfleet.evaluation.sound.noise import KINDS, leveled, mixed, noise
from voxfleet.evaluation.sound.spans import Span
from voxfleet.speech import Samples

TELEPHONY_FORM = (
    "mulaw or alaw, then if wanted loss=2% (below 100 %), burst=3 (packets lost in a row, enough for the loss) "
    "and conceal=repeat or zero, e.g. alaw,loss=2%,burst=3"
)
NOISE_FORM = "a kind and a ratio in dB from -10 to 60, e.g. babble:10, white:5 or pink:0"
_NAMES = {"mulaw": "G.711 µ-law", "alaw": "G.711 A-law"}
_RATIOS = (-10.0, 60.0)


@dataclass(frozen=True, slots=True)
class Line:
    """One way of degrading sound; the default leaves it as it is. Always a simulation, and says so."""

    law: str | None = None
    """A G.711 law, and with it 8 kHz and 300–3400 Hz; None: no telephone."""
    loss: float = 0.0
    """Share of 20 ms packets lost, 0..1."""
    burst: float | None = None
    """Packets lost in a row on average; None: each for itself."""
    conceal: str = "repeat"
    """What stands in for a lost packet: repeat or zero."""
    noise: str | None = None
    """white, pink or babble."""
    snr_db: float = 0.0
    """Speech against noise, inside the spans of speech."""

    @classmethod
    def parse(cls, telephony: str | None, noise: str | None) -> Self:
        """The values of `--telephony` and `--noise`, None where not given. Raises BadOption saying what can be."""
        law, loss, burst, conceal = _telephony(telephony) if telephony is not None else (None, 0.0, None, "repeat")
        kind, ratio = _noise(noise) if noise is not None else (None, 0.0)
        return cls(law, loss, burst, conceal, kind, ratio)

    @property
    def clean(self) -> bool:
        """Whether it changes nothing."""
        return self.law is None and self.noise is None

    def applied(
        self, samples: Samples, rate: int, speech_spans: Sequence[Span], pool: Sequence[Samples], seed: int
    ) -> tuple[Samples, int]:
        """Mono samples at `rate` as the other end hears them, and the rate of that: 8,000 Hz behind a telephone.

        `pool` holds the voices of others at `rate`, without their pauses: what babble is made of; empty is fine for
        anything else. With noise, speech is first brought to one level (`noise.SPEECH_LEVEL`). As long as before.
        """
        dice = np.random.default_rng(seed)
        sound = None
        if self.noise is not None:
            sound = noise(self.noise, len(samples), rate, dice, pool)
        if self.law is not None:
            samples = _through_band(samples, rate)
            sound = None if sound is None else _through_band(sound, rate)
            rate = TELEPHONE_RATE
        if sound is not None:
            samples = mixed(leveled(samples, rate, speech_spans), sound, rate, speech_spans, self.snr_db)
        samples = np.clip(samples, -1.0, 1.0)
        if self.law is not None:
            samples = companded(samples, self.law)
        if self.loss:
            samples = packet_loss(samples, rate, self.loss, int(dice.integers(1 << 31)), self.burst, self.conceal)
        return samples, rate

    def __str__(self) -> str:
        """For a report: 'simulated: G.711 A-law 8 kHz, 300–3400 Hz, 2 % of packets lost, babble at 10 dB'."""
        parts: list[str] = []
        if self.law is not None:
            parts += [f"{_NAMES[self.law]} 8 kHz", "300–3400 Hz"]
        if self.loss:
            together = "" if self.burst is None else f" in bursts of {self.burst:g}"
            instead = "" if self.conceal == "repeat" else ", silence in their place"
            parts.append(f"{self.loss * 100:g} % of packets lost{together}{instead}")
        if self.noise is not None:
            parts.append(f"{self.noise}{'' if self.noise == 'babble' else ' noise'} at {self.snr_db:g} dB")
        return "simulated: " + ", ".join(parts) if parts else "as recorded"


def _through_band(samples: Samples, rate: int) -> Samples:
    if rate != TELEPHONE_RATE and len(samples):
        samples = np.asarray(soxr.resample(samples, rate, TELEPHONE_RATE, quality="HQ"), np.float32)
    return band_pass(samples, TELEPHONE_RATE)


def _telephony(text: str) -> tuple[str, float, float | None, str]:
    law, *rest = (part.strip() for part in text.split(","))
    given = dict(part.partition("=")[::2] for part in rest)
    if law not in LAWS or set(given) - {"loss", "burst", "conceal"} or len(given) < len(rest):
        raise BadOption("--telephony", text, TELEPHONY_FORM)
    try:
        loss = _share(given.get("loss", "0"))
        burst = float(given["burst"]) if "burst" in given else None
        lost_packets(0, loss, np.random.default_rng(0), burst)
    except (ValueError, BadOption):
        raise BadOption("--telephony", text, TELEPHONY_FORM) from None
    conceal = given.get("conceal", "repeat")
    if conceal not in ("repeat", "zero"):
        raise BadOption("--telephony", text, TELEPHONY_FORM)
    return law, loss, burst, conceal


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _noise(text: str) -> tuple[str, float]:
    matched = re.fullmatch(r"\s*(\w+)\s*:\s*([+-]?\d+(?:\.\d+)?)\s*(?:dB)?\s*", text)
    if not matched or matched[1] not in KINDS or not _RATIOS[0] <= float(matched[2]) <= _RATIOS[1]:
        raise BadOption("--noise", text, NOISE_FORM)
    return matched[1], float(matched[2])
