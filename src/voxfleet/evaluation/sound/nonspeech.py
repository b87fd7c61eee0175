"""Sounds in which nobody speaks, made by arithmetic: whatever an engine recognises in them, it invented.

Twenty to thirty seconds each of what a telephone carries between the words: silence, hiss, hum, signalling tones,
modems, hold music, typing, a crowd without a single voice. Seeded: everybody measures the same samples. Tones follow
ITU-T E.180 (cadences), Q.23 (DTMF), T.30 (fax), V.21 (modem) and V.25 (answer tone).
Synthesis is no recording: real hold music sings, real rooms talk. A clean result here is necessary, not sufficient.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.pcm import wav
from voxfleet.evaluation.manifests.items import Item
from voxfleet.evaluation.sound.noise import noise
from voxfleet.evaluation.sound.synthetic import comfort_noise, speech_shaped
from voxfleet.speech import Samples, Seconds

_Times = NDArray[np.float64]
_Sound = NDArray[np.float64] | Samples
_Make = Callable[[_Times, int, np.random.Generator], _Sound]


@dataclass(frozen=True, slots=True)
class NonSpeech:
    """One sound: its name, its kind (one of `items.NON_SPEECH`), float32 mono samples and their rate."""

    id: str
    kind: str
    samples: Samples
    rate: int


def suite(rate: int = 16_000, seed: int = 1) -> list[NonSpeech]:
    """All of them, in a fixed order; the same seed gives the same samples."""
    made = []
    for number, (name, (kind, seconds, make)) in enumerate(_SOUNDS.items()):
        at = np.arange(round(seconds * rate)) / rate
        samples = np.asarray(make(at, rate, np.random.default_rng([seed, number])), np.float32)
        made.append(NonSpeech(name, kind, np.clip(samples, -1.0, 1.0), rate))
    return made


def write(folder: Path, rate: int = 16_000, seed: int = 1) -> list[Item]:
    """The suite as 16-bit WAV files in `folder`, which is made where it is missing; as items whose reference is ''."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for sound in suite(rate, seed):
        path = folder / f"{sound.id}.wav"
        path.write_bytes(wav(sound.samples, sound.rate))
        items.append(Item(f"nonspeech/{sound.id}", path, "", kind=sound.kind, columns={"sound": sound.id}))
    return items


def _digital_silence(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:  # noqa: ARG001
    return np.zeros(len(at))


def _comfort_noise(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:  # noqa: ARG001
    return comfort_noise(len(at), dice)


def _hiss(kind: str, level: float) -> _Make:
    """White or pink noise of RMS `level`."""

    def make(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:
        return np.asarray(noise(kind, len(at), rate, dice) * level, np.float32)

    return make


def _mains_hum(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:  # noqa: ARG001
    """50 Hz and its harmonics, the odd ones louder, as from a badly shielded line."""
    hum = np.zeros(len(at))
    for harmonic in range(1, 13):
        strength = (1.0 if harmonic % 2 else 0.3) / harmonic
        hum += strength * np.sin(2 * np.pi * 50 * harmonic * at + dice.uniform(0, 2 * np.pi))
    return 0.05 * hum


def _cadence(hertz: Sequence[float], on: Seconds, off: Seconds) -> _Make:
    """Tones together, for `on` seconds in every `on` + `off`."""

    def make(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:  # noqa: ARG001
        tones = np.sum([np.sin(2 * np.pi * each * at) for each in hertz], axis=0) / len(hertz)
        return np.asarray(0.15 * tones * _gate(at, on + off, on))

    return make


def _dtmf(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:  # noqa: ARG001
    """Numbers being dialled: ten keys of 0.1 s, then a pause."""
    rows, columns = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    every = 0.2
    keys = dice.integers(16, size=int(at[-1] / every) + 1)[(at / every).astype(int)]
    tones = np.sin(2 * np.pi * np.take(rows, keys // 4) * at) + np.sin(2 * np.pi * np.take(columns, keys % 4) * at)
    return np.asarray(0.12 * tones * _gate(at, every, 0.1) * (at % 4.0 < 2.0))


def _fax(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:
    """A calling fax (1100 Hz, 0.5 s in 3.5), the answer (2100 Hz, phase turned every 450 ms), then V.21 at 300 baud."""
    calling = np.sin(2 * np.pi * 1100 * at) * _gate(at, 3.5, 0.5)
    answer = np.sin(2 * np.pi * 2100 * at) * np.where((at / 0.45).astype(int) % 2, -1.0, 1.0)
    bits = dice.integers(2, size=int(at[-1] * 300) + 1)[(at * 300).astype(int)]
    data = np.sin(2 * np.pi * np.cumsum(np.where(bits, 1650.0, 1850.0)) / rate)
    return np.asarray(0.15 * np.where(at < 7.0, calling, np.where(at < 10.5, answer, data)))


def _hold_music(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:
    """Four chords around and around at 96 beats a minute: a pad, an arpeggio of plucked notes, a bass."""
    chords = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))
    eighth = 60 / 96 / 2
    music = np.zeros(len(at))
    for number in range(int(at[-1] / eighth)):
        chord = chords[number // 8 % len(chords)]
        voices = [(chord[int(dice.integers(3))] + 12, 0.10, 4.0)]
        if number % 8 == 0:
            voices += [(note, 0.035, 0.6) for note in chord] + [(chord[0] - 12, 0.08, 1.2)]
        begin = round(number * eighth * rate)
        for note, loud, decay in voices:
            count = min(round(8 * eighth * rate), len(at) - begin)
            music[begin : begin + count] += loud * _plucked(note, np.arange(count) / rate, decay)
    return music


def _plucked(note: int, at: _Times, decay: float) -> NDArray[np.float64]:
    """A note (MIDI number) with five harmonics, a soft beginning and an exponential end."""
    hertz = 440.0 * 2 ** ((note - 69) / 12)
    tone = np.sum([np.sin(2 * np.pi * hertz * part * at) / part**1.5 for part in range(1, 6)], axis=0)
    return np.asarray(tone * np.minimum(at / 0.01, 1.0) * np.exp(-decay * at))


def _keyboard(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:
    """Typing: each key a click when pressed and a softer one when let go, in a quiet room."""
    sound = np.array(noise("pink", len(at), rate, dice) * 0.001, np.float64)
    press = 0.0
    while (press := press + dice.gamma(3.0, 0.06) + (dice.random() < 0.08) * dice.uniform(0.5, 1.5)) < at[-1] - 0.3:
        for when, loud in ((press, 0.25), (press + dice.uniform(0.06, 0.12), 0.10)):
            begin, count = round(when * rate), round(0.02 * rate)
            ring = np.exp(-np.arange(count) / rate * 350) * dice.standard_normal(count)
            sound[begin : begin + count] += loud * dice.uniform(0.5, 1.0) * ring
    return sound


def _crowd(at: _Times, rate: int, dice: np.random.Generator) -> _Sound:
    """The murmur of a full room: many noises with the spectrum of speech, each swelling as people do. No voice in it."""
    murmur = np.zeros(len(at))
    for _ in range(24):
        swell = 1 + np.sin(2 * np.pi * dice.uniform(0.1, 0.6) * at + dice.uniform(0, 2 * np.pi))
        murmur += speech_shaped(len(at), rate, dice) * swell
    return np.asarray(murmur * (0.04 / np.sqrt(np.mean(murmur**2))))


def _gate(at: _Times, period: Seconds, on: Seconds) -> NDArray[np.float64]:
    """1 for the first `on` seconds of each period, 0 after them; 5 ms from one to the other, without a click."""
    phase = at % period
    return np.clip(np.minimum(phase, on - phase) / 0.005, 0.0, 1.0)


_SOUNDS: dict[str, tuple[str, Seconds, _Make]] = {
    "digital-silence": ("silence", 20.0, _digital_silence),
    "comfort-noise": ("silence", 20.0, _comfort_noise),
    "white-noise": ("noise", 20.0, _hiss("white", 0.03)),
    "pink-noise": ("noise", 20.0, _hiss("pink", 0.05)),
    "mains-hum": ("noise", 20.0, _mains_hum),
    "keyboard": ("noise", 30.0, _keyboard),
    "crowd": ("noise", 30.0, _crowd),
    "ring-back-europe": ("tones", 25.0, _cadence((425,), 1.0, 4.0)),
    "ring-back-us": ("tones", 24.0, _cadence((440, 480), 2.0, 4.0)),
    "busy-europe": ("tones", 20.0, _cadence((425,), 0.5, 0.5)),
    "dtmf": ("tones", 20.0, _dtmf),
    "fax": ("tones", 20.0, _fax),
    "hold-music": ("music", 30.0, _hold_music),
}
"""Kind, seconds and recipe by name. The order seeds the dice: new sounds go to the end."""
