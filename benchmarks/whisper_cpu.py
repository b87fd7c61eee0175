"""Streams held on this CPU by a loop of faster-whisper, one stream at a time, and by the engine: same model, same audio.

    python -m benchmarks.whisper_cpu [--shape tiny] [--contexts padded,heard,silence_tail] [--streams 4,8,16] [--rounds 3]
                                     [--turn 10] [--cores 2] [--folder FOLDER] [--profile] [--keep]

Both decode what every stream has said in its turn so far, once a second, int8, greedy, without word times, in random
weights that never end a transcript: the end is suppressed, and every transcript is cut at three tokens per second of audio.
Turns are `--turn` seconds long; at any moment the streams are spread over them. The reference is `WhisperModel.transcribe`
of faster-whisper without fallback and timestamps, called for one stream after the other, the features cut to what was heard
where the context is not padded. The engine is asked through its port: audio in, hypotheses out, the final decode of every
turn included. `streams` is how many would be carried if one decode followed the other without a gap. They are timed in
turns, A B A B, in one process. `half` is for callers who speak half of the time, and bring nothing in between: the engine
does not decode them; a loop decodes every stream every second (`loop`), unless it has a gate for speech (`gated_loop`).
Wall time is only worth reading on a quiet machine; `processor_ms` is per stream and second, of all cores together.
Prints JSON.
"""

import argparse
import cProfile
import json
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import voxfleet.engines.network  # noqa: F401  what it sets must be set before a library brings its threads
from voxfleet.engines.bench import machine
from voxfleet.engines.faster_whisper import FasterWhisperEngine
from voxfleet.engines.port import END_OF_TURN, Increments, TrackOptions
from voxfleet.engines.whisper.convert import converted
from voxfleet.engines.whisper.languages import WHISPER
from voxfleet.engines.whisper.layout import SHAPES, Shape, Special, random_layout
from voxfleet.engines.whisper.tokens import _BYTES as BYTES
from voxfleet.scheduling.places import Place
from voxfleet.scheduling.work import Plan, Urgency, Work
from voxfleet.speech import SAMPLE_RATE

RESULTS = Path(__file__).parent / "results"
TOKENS = 3
"""Per second of audio."""
PADDED = "padded"


# ---- a model nobody trained --------------------------------------------------------------------------------------------


def random_folder(path: Path, name: str) -> Path:
    """A folder in the Hugging Face layout with the shape of a published model and random weights."""
    shape, special, vocabulary = random_layout(name)
    letters = {value: letter for letter, value in BYTES.items()}
    pieces = {"".join(letters[byte] for byte in vocabulary.pieces(token)): token for token in range(special.end)}
    names = [*map("<|{}|>".format, ["endoftext", "startoftranscript", *WHISPER[: 100 if shape.mels == 128 else 99]])]
    names += [
        f"<|{each}|>" for each in ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    ]
    added = [
        {"id": special.end + index, "content": each, "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
        for index, each in enumerate(names)
    ]  # fmt: skip
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    path.mkdir(parents=True, exist_ok=True)
    files = {
        "tokenizer.json": {
            "version": "1.0", "added_tokens": added, "pre_tokenizer": bytes_, "decoder": bytes_,
            "model": {"type": "BPE", "vocab": pieces, "merges": []},
        },
        "config.json": {
            "model_type": "whisper", "d_model": shape.hidden, "encoder_layers": shape.encoder_layers,
            "decoder_layers": shape.decoder_layers, "encoder_attention_heads": shape.encoder_heads,
            "decoder_attention_heads": shape.decoder_heads, "encoder_ffn_dim": shape.encoder_ff,
            "decoder_ffn_dim": shape.decoder_ff, "num_mel_bins": shape.mels, "vocab_size": shape.vocabulary,
        },
        "generation_config.json": _generation(special),
    }  # fmt: skip
    for file, values in files.items():
        (path / file).write_text(json.dumps(values))
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    save_file({name: _weight(random, name, size) for name, size in _sizes(shape)}, path / "model.safetensors")
    return path


def _generation(special: Special) -> dict[str, Any]:
    """The end is suppressed: only the limit ends a transcript, at the same length for everybody."""
    first = special.start + 1
    stamps = range(special.timestamps, special.timestamps + 1501)
    return {
        "suppress_tokens": [special.end, *special.suppressed, *stamps],
        "begin_suppress_tokens": [special.end],
        "is_multilingual": True,
        "lang_to_id": {f"<|{each}|>": first + index for index, each in enumerate(WHISPER[: len(special.languages)])},
        "task_to_id": {"transcribe": special.transcribe, "translate": special.translate},
        "no_timestamps_token_id": special.no_timestamps,
        "alignment_heads": [[0, 0]],
    }


def _sizes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = shape.hidden
    yield from (("model.encoder.conv1.weight", (hidden, shape.mels, 3)), ("model.encoder.conv1.bias", (hidden,)))
    yield from (("model.encoder.conv2.weight", (hidden, hidden, 3)), ("model.encoder.conv2.bias", (hidden,)))
    yield "model.encoder.embed_positions.weight", (shape.source, hidden)
    yield "model.decoder.embed_positions.weight", (shape.target, hidden)
    yield "model.decoder.embed_tokens.weight", (shape.vocabulary, hidden)
    for part, layers, ff in (
        ("encoder", shape.encoder_layers, shape.encoder_ff),
        ("decoder", shape.decoder_layers, shape.decoder_ff),
    ):
        for layer in range(layers):
            at = f"model.{part}.layers.{layer}"
            for attention in ("self_attn", "encoder_attn")[: 1 + (part == "decoder")]:
                for each in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    yield f"{at}.{attention}.{each}.weight", (hidden, hidden)
                    if each != "k_proj":
                        yield f"{at}.{attention}.{each}.bias", (hidden,)
                yield from _norm(f"{at}.{attention}_layer_norm", hidden)
            yield from ((f"{at}.fc1.weight", (ff, hidden)), (f"{at}.fc1.bias", (ff,)))
            yield from ((f"{at}.fc2.weight", (hidden, ff)), (f"{at}.fc2.bias", (hidden,)))
            yield from _norm(f"{at}.final_layer_norm", hidden)
        yield from _norm(f"model.{part}.layer_norm", hidden)


def _norm(name: str, hidden: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from ((f"{name}.weight", (hidden,)), (f"{name}.bias", (hidden,)))


def _weight(random: np.random.Generator, name: str, size: tuple[int, ...]) -> NDArray[np.float32]:
    if len(size) == 1:
        return np.full(size, name.endswith("norm.weight"), np.float32)
    return (random.standard_normal(size, np.float32) * 0.02).astype(np.float32)


# ---- the two sides -----------------------------------------------------------------------------------------------------


class Loop:
    """faster-whisper, one stream after the other."""

    def __init__(self, folder: Path, cores: int, context: str) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=cores)
        self._padded = context == PADDED
        self.tokens = 0
        self.processor = 0.0
        """Seconds of it used so far, by all cores together."""

    def turn(self, audio: NDArray[np.int16]) -> list[float]:
        """Seconds of each decode of a turn that grows by a second."""
        taken = []
        with self._context():
            for end in range(SAMPLE_RATE, len(audio) + 1, SAMPLE_RATE):
                began, used = time.perf_counter(), time.process_time()
                self._decode(audio[:end].astype(np.float32) / np.float32(32768))
                taken.append(time.perf_counter() - began)
                self.processor += time.process_time() - used
        return taken

    def _decode(self, audio: NDArray[np.float32]) -> None:
        most = TOKENS * len(audio) // SAMPLE_RATE
        segments, _ = self._model.transcribe(
            audio, language="en", beam_size=1, best_of=1, temperature=0.0, without_timestamps=True,
            condition_on_previous_text=False, compression_ratio_threshold=None, log_prob_threshold=None,
            no_speech_threshold=None, max_new_tokens=2 * most - 4 if most > 3 else most,  # CTranslate2 halves the sum
        )  # fmt: skip
        self.tokens += sum(len(segment.tokens) for segment in segments)

    @contextmanager
    def _context(self) -> Iterator[None]:
        """Features as faster-whisper makes them up to 30 s, or as long as the audio."""
        import faster_whisper.transcribe as module

        known = module.pad_or_trim
        if not self._padded:
            module.pad_or_trim = lambda features, *_: np.ascontiguousarray(features)
        try:
            yield
        finally:
            module.pad_or_trim = known


class Streams:
    """The engine with so many streams in the middle of their turns, spread evenly over them."""

    def __init__(self, engine: FasterWhisperEngine, audio: NDArray[np.int16], count: int) -> None:
        self._engine, self._turn = engine, len(audio) // SAMPLE_RATE
        self._audio = audio.reshape(self._turn, SAMPLE_RATE)
        self.places = [engine.take(TrackOptions("en")) for _ in range(count)]
        self._ages = [index * self._turn // count for index in range(count)]
        rows = [
            (place, second, False) for place, age in zip(self.places, self._ages, strict=True) for second in range(age)
        ]
        self._hear(rows)
        self._work()

    def second(self) -> float:
        """A second of audio of every stream, and all that follows; how long it took."""
        began = time.perf_counter()
        rows = []
        for index, (place, age) in enumerate(zip(self.places, self._ages, strict=True)):
            rows.append((place, age, age + 1 == self._turn))
            self._ages[index] = (age + 1) % self._turn
        self._hear(rows)
        self._work()
        return time.perf_counter() - began

    def free(self) -> None:
        for place in self.places:
            self._engine.free(place)

    def _hear(self, rows: list[tuple[Place, int, bool]]) -> None:
        if rows:
            self._engine.hear(
                Increments(
                    np.array([place.index for place, _, _ in rows], np.uint32),
                    np.full(len(rows), SAMPLE_RATE, np.uint32),
                    np.array([END_OF_TURN * ends for _, _, ends in rows], np.uint8),
                    np.concatenate([self._audio[second] for _, second, _ in rows]),
                )
            )

    def _work(self) -> None:
        """Steps until nothing is left to do, each with all places that have something, as a scheduler would."""
        chunk = self._engine.info.chunk_ms[0]
        indices = np.array([place.index for place in self.places], np.uint32)
        while (due := self._engine.ready(indices, chunk)).any():
            works = [Work(place, Urgency.PARTIAL, 0.0, 0.0) for place, one in zip(self.places, due, strict=True) if one]
            self._engine.step(Plan(tuple(works), chunk))


def compare(folder: Path, audio: NDArray[np.int16], context: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Both in turns, in one encoder context."""
    sizes = [int(each) for each in asked.streams.split(",")]
    engine = FasterWhisperEngine(
        str(folder), max(sizes), encoder_context=context, align=asked.align, chunks=(1000,), threads=asked.cores
    )
    engine.transcriber.tokens_per_second, engine.transcriber.tokens_at_least = TOKENS, 0  # type: ignore[attr-defined]
    loop = Loop(converted(folder, "int8"), asked.cores, context)
    theirs: list[float] = []
    ours: dict[int, list[float]] = {count: [] for count in sizes}
    windows: dict[int, float] = {}
    used: dict[int, list[float]] = {count: [] for count in sizes}
    loop.turn(audio[: 2 * SAMPLE_RATE])
    loop.tokens, loop.processor = 0, 0.0
    for _ in range(asked.rounds):
        theirs.append(float(np.mean(loop.turn(audio))))
        for count in sizes:
            streams = Streams(engine, audio, count)
            streams.second()
            before, seconds = engine.windows, max(2, asked.turn // 2)
            began = time.process_time()
            ours[count].append(float(np.mean([streams.second() for _ in range(seconds)])))
            used[count].append((time.process_time() - began) / seconds / count)
            windows[count] = (engine.windows - before) / seconds / count
            streams.free()
    if asked.profile:
        _profile(engine, audio, max(sizes))
    engine.close()
    alone = 1 / median(theirs)
    held = {count: count / median(seconds) for count, seconds in ours.items()}
    best = max(held, key=lambda count: held[count])
    ratios = [best / one * other for one, other in zip(ours[best], theirs, strict=True)]
    return {
        "encoder_context": context,
        "loop": {
            "ms_of_one_decode": [round(1000 * each, 1) for each in theirs],
            "processor_ms": round(1000 * loop.processor / asked.rounds / asked.turn, 1),
            "tokens_per_turn": loop.tokens / asked.rounds,
            "streams": round(alone, 2),
        },
        "engine": {
            "ms_of_a_second_of_all": {count: [round(1000 * each) for each in ours[count]] for count in sizes},
            "processor_ms": {count: round(1000 * median(each), 1) for count, each in used.items()},
            "decodes_per_stream_second": {count: round(each, 2) for count, each in windows.items()},
            "streams": {count: round(each, 2) for count, each in held.items()},
        },
        "ratio": round(held[best] / alone, 2),
        "ratio_of_each_round": [round(each, 2) for each in ratios],
        "half": {
            "engine": round(2 * held[best], 2),
            "loop": round(alone, 2),
            "gated_loop": round(2 * alone, 2),
            "ratio": round(2 * held[best] / alone, 2),
        },
    }


def _profile(engine: FasterWhisperEngine, audio: NDArray[np.int16], count: int) -> None:
    streams = Streams(engine, audio, count)
    with cProfile.Profile() as profile:
        streams.second()
    pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(25)
    streams.free()


def sound(seconds: int) -> NDArray[np.int16]:
    """Noise that comes and goes four times a second: what it is changes no timing."""
    time_ = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(0, 2000, len(time_)) * (1.2 + np.sin(8 * np.pi * time_))
    return np.asarray(noise, np.int16)


def run(asked: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = machine.heading("whisper-cpu")
    report |= {"shape": asked.shape, "cores": asked.cores, "turn_seconds": asked.turn, "word_times": asked.align}
    report |= {"tokens_per_second": TOKENS, "contexts": []}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(asked.folder) if asked.folder else random_folder(Path(scratch) / asked.shape, asked.shape)
        for context in asked.contexts.split(","):
            found = compare(folder, sound(asked.turn), context, asked)
            report["contexts"].append(found)
            print(f"{context}: {found['ratio']} times the streams", file=sys.stderr)
    report["others_after"] = machine.others()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", default="tiny", choices=sorted(SHAPES))
    parser.add_argument("--contexts", default="padded,heard,silence_tail")
    parser.add_argument("--streams", default="4,8,16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turn", type=int, default=10, help="seconds of a turn")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--align", default="never", help="never, as the loop; exact = word times by attention")
    parser.add_argument("--folder", default="", help="with random weights that never end; empty = made now")
    parser.add_argument("--profile", action="store_true", help="where the time of a second goes, to stderr")
    parser.add_argument("--keep", action="store_true", help="keep the report among the results")
    asked = parser.parse_args()
    report = run(asked)
    text = json.dumps(report, indent=2)
    print(text)
    if asked.keep:
        (RESULTS / f"whisper-cpu-{asked.shape}-{report['date'][:10]}.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
