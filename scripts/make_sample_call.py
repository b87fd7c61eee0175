"""Makes the sample call of `voxfleet demo`: a short support call of two synthetic voices, and its script.

    python scripts/make_sample_call.py            # writes src/voxfleet/cli/sample/call.flac and call.json
    python scripts/make_sample_call.py --check    # writes nothing; measures how well PocketSphinx hears it

The voices are flite's slt (agent, channel 0, left) and rms (customer, channel 1, right), so the recording holds nobody's
voice and may be given away. The sentences were chosen because the embedded model hears them well: a demo should show
what live transcription feels like, not what a 2010 acoustic model can't do; and so that no rude word appears
in a partial on the way. `--check` prints the words it gets wrong all the same.

Needs flite (apt install flite) and this package. The same flite gives the same samples: nothing here is random but a
noise floor with a fixed seed.
"""

import argparse
import json
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 16_000
FOLDER = Path(__file__).parents[1] / "src/voxfleet/cli/sample"
SPEAKERS = ("agent", "customer")
VOICES = ("slt", "rms")
LEAD_IN = 0.4
LEAD_OUT = 0.6
SPEECH_LEVEL = 0.08
"""Root mean square of each voice while it speaks; about -22 dB full scale, a usual telephone level."""
NOISE_LEVEL = 1.0
"""Root mean square of the line noise in 16-bit steps (-90 dB): real lines are never digitally silent."""
AUDIBLE = 0.01
"""Samples above this start and end a sentence; what flite puts around it is cut."""


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of the script."""

    channel: int
    pause: float
    """Seconds after the end of the turn before; negative = cuts in."""
    text: str


SCRIPT = (
    Line(0, 0.0, "Thank you for calling customer service. What can I do for you today?"),
    Line(1, 0.6, "I ordered a new computer last week, and it has not arrived."),
    Line(0, 0.7, "I am very sorry to hear that. Do you have the order number?"),
    Line(1, 0.6, "Yes, the number is five nine six one."),
    Line(0, 0.9, "I can see your order. It left the building on Monday morning."),
    Line(1, 0.6, "When will it be here?"),
    Line(0, 0.6, "The package will be delivered on Friday afternoon."),
    Line(1, -0.4, "I have to work on Friday, so I need a different day."),
    Line(0, 0.7, "We can also come on Saturday morning. Would that be better?"),
    Line(1, 0.6, "Saturday morning would be perfect. What will it cost?"),
    Line(0, 0.6, "There is no extra charge for this."),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the finished call."""

    channel: int
    speaker: str
    text: str
    start: float
    end: float


def main() -> None:
    """Make the call, or measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; print how well PocketSphinx hears it")
    check = parser.parse_args().check
    samples, turns = make_call()
    if check:
        print_check(samples, turns)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_flac(FOLDER / "call.flac", samples)
    (FOLDER / "call.json").write_text(json.dumps(description(samples, turns), indent=2) + "\n", encoding="utf-8")
    size = (FOLDER / "call.flac").stat().st_size
    print(f"{FOLDER}: {len(samples) / RATE:.1f} s, {len(turns)} turns, {size / 1000:.0f} kB")


def make_call() -> tuple[NDArray[np.int16], list[Turn]]:
    """The call as samples, shape (n, 2), and when each turn is spoken."""
    spoken = [speak(line.text, VOICES[line.channel]) for line in SCRIPT]
    starts, now = [], round(LEAD_IN * RATE)
    for line, voice in zip(SCRIPT, spoken, strict=True):
        now += round(line.pause * RATE)
        starts.append(now)
        now += len(voice)
    mixed = np.random.default_rng(2026).normal(0, NOISE_LEVEL / 32_768, (now + round(LEAD_OUT * RATE), 2))
    turns = []
    for line, voice, start in zip(SCRIPT, spoken, starts, strict=True):
        mixed[start : start + len(voice), line.channel] += voice
        end = start + len(voice)
        turns.append(
            Turn(line.channel, SPEAKERS[line.channel], line.text, round(start / RATE, 3), round(end / RATE, 3))
        )
    return np.round(np.clip(mixed, -1, 1) * 32_767).astype(np.int16), turns


def speak(text: str, voice: str) -> NDArray[np.float64]:
    """One sentence at the common level, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32_768
    audible = np.flatnonzero(np.abs(samples) > AUDIBLE)
    samples = samples[max(audible[0] - RATE // 50, 0) : audible[-1] + RATE // 50]
    loud = samples[np.abs(samples) > AUDIBLE]
    return np.asarray(samples * (SPEECH_LEVEL / np.sqrt(np.mean(loud**2))))


def write_flac(path: Path, samples: NDArray[np.int16]) -> None:
    """Samples of shape (n, 2) as FLAC."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE, layout="stereo")
        stream.codec_context.format = "s16"
        stream.codec_context.options = {"compression_level": "12"}
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for at in range(0, len(samples), 4_096):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[at : at + 4_096]).reshape(1, -1), format="s16", layout="stereo"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def description(samples: NDArray[np.int16], turns: list[Turn]) -> dict[str, object]:
    """What call.json holds."""
    return {
        "title": "A support call: a phone that has not arrived",
        "made_by": "scripts/make_sample_call.py with the flite voices slt and rms",
        "sample_rate": RATE,
        "seconds": round(len(samples) / RATE, 3),
        "speakers": list(SPEAKERS),
        "turns": [
            {"channel": t.channel, "speaker": t.speaker, "start": t.start, "end": t.end, "text": t.text} for t in turns
        ],
    }


def print_check(samples: NDArray[np.int16], turns: list[Turn]) -> None:
    """PocketSphinx on every turn by itself, with a third of a second around it."""
    from pocketsphinx import Decoder

    from voxfleet.evaluation.wer import WordErrors, score

    decoder = Decoder(fwdflat=False, maxwpf=5, maxhmmpf=5000, logfn="/dev/null")
    total = WordErrors()
    for turn in turns:
        first, last = round((turn.start - 0.3) * RATE), round((turn.end + 0.3) * RATE)
        decoder.start_utt()
        decoder.process_raw(np.ascontiguousarray(samples[first:last, turn.channel]).tobytes(), False, False)
        decoder.end_utt()
        heard = decoder.hyp().hypstr if decoder.hyp() else ""
        errors = score(turn.text, heard)
        total += errors
        print(f"{turn.start:6.2f}-{turn.end:5.2f} {turn.speaker:8} {errors.errors}/{errors.reference:<3} {turn.text}")
        if errors.errors:
            print(f"{'':26} {heard}")
    print(f"{len(samples) / RATE:.1f} s, {total}")


if __name__ == "__main__":
    main()
