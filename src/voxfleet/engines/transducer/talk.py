"""How a random network is brought to talk like a real one, for what labels cost is part of what a benchmark measures.

Left alone it says nothing, or ten labels at every frame: to say one and then fall silent, a network must know what it has
said. So it is taught that much (`enliven`). Its labels are of two kinds; of each frame it hears whether it is of the one
kind, of the other, or of none, and it says a label of that kind unless the last one was of the same. The frames that
are of none become as many as it takes (`tune`). Which label of the kind it is, depends on everything heard and said, by
random weights. No product becomes smaller or is left out: a pass does the work it would do with trained weights.
"""

import math

import torch

from voxfleet.engines.bench.closed import choir
from voxfleet.engines.transducer.engine import FRAME_MS, TransducerEngine
from voxfleet.engines.transducer.meter import MeteredRunner
from voxfleet.engines.transducer.model import Transducer

FIRST, SECOND = 0, 1
"""Units of the joint network that say: this frame is of the first kind, of the second kind."""
CERTAIN, SILENCE, FORBIDDEN = 100.0, 12.0, 50.0
"""Weight of a kind, bias of the blank (random weights stay below), and how strongly a kind is kept from following itself."""
MARK = 3.0
"""In unit 0 of an embedding: which kind a label is of."""
TURN_SECONDS = 6.0
HEARD_SECONDS = 12.0
"""Of audio heard for each try, by all streams together."""
AT_ONCE_MS = 2_240
"""Of audio in one step of a try: large steps cost least."""
HIGHEST, TRIES = 3.0, 8
"""Up to where the threshold for a kind is looked for, in spreads of what is heard, and in how many steps."""
NEAR = 0.25
"""A rate of labels this near to the one wanted will do."""


def enliven(engine: TransducerEngine, runner: MeteredRunner, rows: int = 2) -> None:
    """Make a random network hear differences between sounds, and remember what kind of label it said last."""
    chunk_ms, rows = engine.info.chunk_ms[-1], min(rows, engine.info.places)
    model, told = runner.model, []
    with choir(engine, rows, chunk_ms, TURN_SECONDS) as voices, torch.inference_mode():
        model.joint.head.bias[model.shape.blank] = CERTAIN
        places = [work.place.index for work in voices.plan.works]
        for _ in range(round(TURN_SECONDS * 1000 / chunk_ms)):
            voices.step()
            told.append(runner.arena.encoded[places, : chunk_ms // FRAME_MS].flatten(0, 1))
        _level(model.encoder_projector, torch.cat(told))
        model.encoder_projector.weight[SECOND] = -model.encoder_projector.weight[FIRST]
        model.encoder_projector.bias[SECOND] = -model.encoder_projector.bias[FIRST]
        _remember(model)
        _speak(model)


def _remember(model: Transducer) -> None:
    """The prediction network tells what the last label was, and nothing of those before."""
    lstm, hidden = model.decoder.lstm, model.shape.decoder_hidden
    model.decoder.embedding.weight[0::2, 0] = MARK
    model.decoder.embedding.weight[1::2, 0] = -MARK
    model.decoder.embedding.weight[model.shape.blank, 0] = -MARK
    mark = MARK
    for index in range(model.shape.decoder_layers):
        gates = getattr(lstm, f"weight_ih_l{index}")
        gates.zero_()
        gates[2 * hidden : 3 * hidden] = torch.eye(hidden, dtype=gates.dtype, device=gates.device)
        getattr(lstm, f"weight_hh_l{index}").zero_()
        getattr(lstm, f"bias_hh_l{index}").zero_()
        bias = getattr(lstm, f"bias_ih_l{index}")
        for gate, value in enumerate((MARK * MARK, -MARK * MARK, 0.0, MARK * MARK)):
            bias[gate * hidden : (gate + 1) * hidden] = value
        mark = math.tanh(math.tanh(mark))
    projector = model.decoder.decoder_projector
    for unit, sign in ((FIRST, -1.0), (SECOND, 1.0)):
        projector.weight[unit] = 0.0
        projector.weight[unit, 0] = sign * FORBIDDEN / (2 * mark)


def _speak(model: Transducer) -> None:
    """Each kind of labels is said where its unit says so; the blank else."""
    head, blank = model.joint.head, model.shape.blank
    for kind, (for_it, against) in enumerate(((FIRST, SECOND), (SECOND, FIRST))):
        head.weight[kind::2, for_it] = CERTAIN
        head.weight[kind::2, against] = -CERTAIN
    head.weight[blank] = 0.0
    head.bias[blank] = SILENCE


def tune(
    engine: TransducerEngine,
    runner: MeteredRunner,
    wanted: float,
    chunk_ms: int,
    turn_seconds: float = TURN_SECONDS,
) -> float:
    """Let an enlivened network say about `wanted` labels per stream and second, or as many as it can; what it says now.

    `turn_seconds` as in Choir; without ends of turns, the left context is filled before anything is counted.
    """
    rows = max(1, min(AT_ONCE_MS // chunk_ms, engine.info.places))
    model, best = runner.model, (math.inf, 0.0, 0.0)
    steps = max(2, round(HEARD_SECONDS * 1000 / (rows * chunk_ms)))
    low, high, threshold = 0.0, HIGHEST, 0.0
    with choir(engine, rows, chunk_ms, turn_seconds) as voices, torch.inference_mode():
        bias = model.decoder.decoder_projector.bias
        for _ in range(0 if turn_seconds else model.shape.left * FRAME_MS // chunk_ms + 1):
            voices.step()
        for _ in range(TRIES):
            bias[FIRST] = bias[SECOND] = -FORBIDDEN / 2 - threshold
            before = runner.readings()
            for _ in range(steps):
                voices.step()
            after = runner.readings()
            heard = (after["labels"] - before["labels"]) / ((after["frames"] - before["frames"]) * FRAME_MS / 1000)
            best = min(best, (abs(heard - wanted), heard, threshold))
            if best[0] < NEAR * wanted or (heard < wanted and threshold == 0.0):
                break
            low, high = (threshold, high) if heard > wanted else (low, threshold)
            threshold = (low + high) / 2
        bias[FIRST] = bias[SECOND] = -FORBIDDEN / 2 - best[2]
    return round(best[1], 2)


def _level(projector: torch.nn.Linear, told: torch.Tensor) -> None:
    """Change a projection so that what it told, (n, d), would have had mean 0 and spread 1."""
    spread = told.float().std(0).clamp_min(1e-6)
    projector.weight.copy_(projector.weight.float() / spread[:, None])
    projector.bias.copy_((projector.bias.float() - told.float().mean(0)) / spread)
