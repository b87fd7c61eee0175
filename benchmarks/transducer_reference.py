"""Streams of the `transformers` streaming path against the engine's, on this CPU: same weights, precision and threads.

    python -m benchmarks.transducer_reference [--shape nemotron-3.5-0.6b] [--chunks 160,560,1120] [--precisions float32]
                                              [--rounds 3] [--threads 2] [--keep]

The reference hears one stream at a time: log-mel, one chunk through its cache-aware encoder, then greedy decoding frame by
frame as its `generate` does it, without the bookkeeping that `generate` adds. The engine hears as many as its step allows,
through its port: audio in, hypotheses out. Both are warmed until their left context is full. They are timed in turns, A B A
B, in one process. `streams` is how many streams would be carried if one step followed the other without a gap; the engine's
figure is that of the largest batch whose step still fits into 80 % of a chunk, and of the best batch at all (what a machine
gains where a chunk of the audio may be late by a chunk).
Prints JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from voxfleet.engines.bench import machine
from voxfleet.engines.bench.closed import Batch, choir
from voxfleet.engines.bench.trial import SHARE
from voxfleet.engines.network.ceiling import ceiling
from voxfleet.engines.network.device import PRECISIONS
from voxfleet.engines.transducer import arithmetic
from voxfleet.engines.transducer.engine import FRAME_MS, TransducerEngine
from voxfleet.engines.transducer.features import LogMel
from voxfleet.engines.transducer.layout import SHAPES, FeatureShape, Shape
from voxfleet.engines.transducer.meter import MeteredRunner
from voxfleet.engines.transducer.profile import launches
from voxfleet.engines.transducer.talk import enliven, tune

RESULTS = Path(__file__).parent / "results"
TALK = 3.5
MEL = 8
TOO_LONG = 5
"""Chunks a step may last; larger batches are not tried."""
Clock = Callable[[], float]


class Reference:
    """One stream through the model of `transformers`, with the engine's own weights (shared, not copied)."""

    def __init__(self, shape: Shape, weights: dict[str, Tensor], chunk: int, dtype: torch.dtype) -> None:
        self._shape, self._chunk, self._dtype = shape, chunk, dtype
        self.model = _reference(shape, dtype)
        self.model.load_state_dict(weights, strict=True, assign=True)
        self._mel = LogMel(FeatureShape(16_000, shape.mels, 512, 400, 160, 0.97, "float32"))
        self._prompt = {"prompt_ids": torch.tensor([shape.default_prompt])} if shape.prompts else {}
        self.labels = 0
        self.begin()

    def begin(self, chunk: int = 0) -> None:
        """A new stream."""
        self._chunk = chunk or self._chunk
        self._caches: dict[str, Any] = {}
        self._last = torch.full((1, 1), self._shape.blank)
        self._frame = 0
        made: dict[str, Any] = {}
        self.model._prepare_cache_for_generation(None, made)
        self._decoder = made["decoder_cache"]

    @torch.inference_mode()
    def hear(self, clock: Clock = time.perf_counter) -> float:
        """Hear one more chunk; seconds it took."""
        mels = MEL * self._chunk if self._frame else 1 + MEL * (self._chunk - 1)
        audio = torch.randn(1, self._mel.samples(mels)) * 0.05
        began = clock()
        mel_btf = self._mel(audio, torch.tensor([10]), torch.tensor([2**62])).to(self._dtype)
        heard = self.model.get_audio_features(
            mel_btf, num_lookahead_tokens=self._chunk - 1, use_cache=True, output_attention_mask=False,
            **self._caches, **self._prompt,
        )  # fmt: skip
        self._caches = {"past_key_values": heard.past_key_values, "padding_cache": heard.padding_cache}
        self._decode(heard)
        self._frame += 1
        return clock() - began

    def _decode(self, heard: Any) -> None:
        """Frame by frame, label by label."""
        frames = heard.pooler_output
        at = symbols = 0
        while at < frames.shape[1]:
            heard.pooler_output = frames[:, at : at + 1]
            logits = self.model(
                decoder_input_ids=self._last, decoder_cache=self._decoder, encoder_outputs=heard
            ).logits[:, -1]
            self._last = logits.argmax(-1, keepdim=True)
            if int(self._last) == self._shape.blank or symbols + 1 >= self._shape.max_symbols:
                at, symbols = at + 1, 0
            else:
                symbols, self.labels = symbols + 1, self.labels + 1


def _reference(shape: Shape, dtype: torch.dtype) -> Any:
    import transformers

    encoder = {
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.ff,
        "attention_bias": shape.attention_bias,
        "convolution_bias": shape.convolution_bias,
        "conv_kernel_size": shape.conv_kernel,
        "subsampling_conv_channels": shape.subsampling_channels,
        "num_mel_bins": shape.mels,
        "sliding_window": shape.left + 1,
        "scale_input": shape.scale_input,
    }
    sizes = {
        "vocab_size": shape.vocabulary,
        "blank_token_id": shape.blank,
        "decoder_hidden_size": shape.decoder_hidden,
        "num_decoder_layers": shape.decoder_layers,
    }
    kinds: Any = transformers
    if shape.prompts:
        sizes |= {"num_prompts": shape.prompts, "prompt_intermediate_size": shape.prompt_hidden}
        config = kinds.Nemotron3_5AsrConfig(encoder_config=encoder, default_prompt_id=shape.default_prompt, **sizes)
        kind = kinds.Nemotron3_5AsrForRNNT
    else:
        config = kinds.NemotronAsrStreamingConfig(encoder_config=encoder, **sizes)
        kind = kinds.NemotronAsrStreamingForRNNT
    return kind._from_config(config, dtype=dtype).eval()


def compare(
    engine: TransducerEngine,
    runner: MeteredRunner,
    reference: Reference,
    shape: Shape,
    chunk_ms: int,
    rounds: int,
    most: int,
    clock: Clock,
) -> dict[str, Any]:
    """Both in turns, at one chunk size."""
    chunk = chunk_ms // FRAME_MS
    full = -(-shape.left // chunk) + 1
    talk = tune(engine, runner, TALK, chunk_ms, turn_seconds=0.0)
    reference.begin(chunk)
    for _ in range(full):
        reference.hear()
    theirs: list[float] = []
    ours: dict[int, list[float]] = {}
    labels, heard = reference.labels, 0
    sizes = list(_powers(most))
    for _ in range(rounds):
        times = [reference.hear(clock) for _ in range(3)]
        heard += len(times)
        theirs.append(median(times))
        for rows in sizes:
            with choir(engine, rows, chunk_ms) as voices:
                voices.step()
                ours.setdefault(rows, []).append(median(voices.step(clock) for _ in range(3)))
            if ours[rows][-1] > TOO_LONG * chunk_ms / 1000:
                sizes = [each for each in sizes if each <= rows]
                break
    batches = [Batch(rows, chunk_ms, min(seconds), median(seconds)) for rows, seconds in ours.items()]
    alone = chunk_ms / 1000 / median(theirs)
    inside = [each for each in batches if each.middle <= SHARE * chunk_ms / 1000]
    best = max(batches, key=lambda each: each.streams)
    live = max(inside, key=lambda each: each.streams, default=None)
    return {
        "chunk_ms": chunk_ms,
        "reference": {
            "chunk_ms_of_one_stream": [round(each * 1000, 1) for each in theirs],
            "streams": round(alone, 2),
            "labels_per_stream_second": round((reference.labels - labels) / (heard * chunk_ms / 1000), 2),
        },
        "engine": {
            "labels_per_stream_second": talk,
            "best_batch": best.rows,
            "streams_at_best_batch": round(best.streams, 2),
            "batch_within_the_chunk": live.rows if live else None,
            "streams_within_the_chunk": round(live.streams, 2) if live else 0,
            "gflops_at_best_batch": round(best.streams * 12.5 * arithmetic.frame_flops(shape, chunk) / 1e9, 1),
        },
        "ratio_at_best_batch": round(best.streams / alone, 2),
        "ratio_within_the_chunk": round(live.streams / alone, 2) if live else None,
        "ratio_of_each_round_at_best_batch": [
            round(best.rows * a / b, 2) for a, b in zip(theirs, ours[best.rows], strict=False)
        ],
        "scaling": [each.json() for each in batches],
    }


def _powers(most: int) -> Iterator[int]:
    size = 1
    while size <= most:
        yield size
        size *= 2


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """All precisions and chunk sizes."""
    torch.set_num_threads(asked.threads)
    shape = SHAPES[asked.shape]
    chunks = tuple(int(each) for each in asked.chunks.split(","))
    report: dict[str, Any] = machine.heading("transducer-reference")
    clock = time.thread_time if asked.cpu_time else time.perf_counter
    report |= {"clock": "processor time of the one thread" if asked.cpu_time else "wall time"}
    report |= {"shape": asked.shape, "threads": asked.threads, "left_context_filled": True, "precisions": []}
    for name in asked.precisions.split(","):
        engine = TransducerEngine(
            f"random:{asked.shape}", places=asked.most, precision=name, chunks=chunks, threads=asked.threads
        )
        runner = MeteredRunner(engine.runner)
        engine.runner = runner
        enliven(engine, runner)
        dtype = PRECISIONS[name].dtype
        found: dict[str, Any] = {
            "precision": name,
            "matrix_product_ceiling_gflops": round(ceiling(runner.device, dtype, quick=asked.quick) * 1000, 1),
            "chunks": [],
        }
        report["precisions"].append(found)
        weights = dict(runner.model.state_dict())
        if not PRECISIONS[name].quantised:
            reference = Reference(shape, weights, chunks[0] // FRAME_MS, dtype)
        for chunk_ms in chunks:
            found["chunks"].append(compare(engine, runner, reference, shape, chunk_ms, asked.rounds, asked.most, clock))
            last = found["chunks"][-1]
            print(f"{name} {chunk_ms} ms: {last['ratio_at_best_batch']} times the streams", file=sys.stderr)
        found["one_step"] = launches(engine, runner, min(8, asked.most), chunks[-1])
        engine.close()
    report["others_after"] = machine.others()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", default="nemotron-3.5-0.6b", choices=sorted(SHAPES))
    parser.add_argument("--chunks", default="160,560,1120")
    parser.add_argument("--precisions", default="float32", help="float32,bfloat16,int8; int8 is held against float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most", type=int, default=16, help="largest batch of the engine")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="with --threads 1: count the thread's processor time, not the time others had the processor",
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the report among the results")
    asked = parser.parse_args()
    if asked.cpu_time and asked.threads != 1:
        parser.error("--cpu-time counts one thread: add --threads 1")
    report = run(asked)
    text = json.dumps(report, indent=2)
    print(text)
    if asked.keep:
        name = f"transducer-reference-{asked.precisions.replace(',', '-')}-{report['date'][:10]}.json"
        (RESULTS / name).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
