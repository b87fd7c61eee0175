"""How a random network is brought to talk like a real one, for what labels cost is part of what a benchmark measures.

Left alone it says nothing, or ten labels at every frame. So what its joint network is told of noise and of labels is
brought to mean 0 and spread 1, its blank is made to depend on that more than other labels do (`enliven`), and then as
likely as it takes (`tune`), for each chunk size anew.
"""

import math

import torch

from voxfleet.engines.bench.closed import choir
from voxfleet.engines.transducer.engine import FRAME_MS, TransducerEngine
from voxfleet.engines.transducer.meter import MeteredRunner
from voxfleet.engines.transducer.model import Transducer

MOODY = 6.0
"""By how much the blank of a random network depends more on what was heard and said."""
TURN_SECONDS = 6.0
HEARD_SECONDS = 12.0
"""Of audio heard for each try, by all streams together."""
AT_ONCE_MS = 2_240
"""Of audio in one step of a try: large steps cost least."""
LOUD, TRIES = 16.0, 10
"""How far the blank may be moved to either side, and in how many steps."""
NEAR = 0.25
"""A rate of labels this near to the one wanted will do."""


def enliven(engine: TransducerEngine, runner: MeteredRunner, rows: int = 2) -> None:
    """Make a random network hear differences between sounds."""
    chunk_ms, rows = engine.info.chunk_ms[-1], min(rows, engine.info.places)
    model, told = runner.model, []
    with choir(engine, rows, chunk_ms, TURN_SECONDS) as voices, torch.inference_mode():
        model.joint.head.bias[model.shape.blank] = LOUD
        places = [work.place.index for work in voices.plan.works]
        for _ in range(round(TURN_SECONDS * 1000 / chunk_ms)):
            voices.step()
            told.append(runner.arena.encoded[places, : chunk_ms // FRAME_MS].flatten(0, 1))
        _level(model.encoder_projector, torch.cat(told))
        _level(model.decoder.decoder_projector, _predictions(model))
        model.joint.head.weight[model.shape.blank] *= MOODY


def tune(
    engine: TransducerEngine,
    runner: MeteredRunner,
    wanted: float,
    chunk_ms: int,
    turn_seconds: float = TURN_SECONDS,
) -> float:
    """Let an enlivened network say about `wanted` labels per stream and second; what it says now.

    `turn_seconds` as in Choir; without ends of turns, the left context is filled before anything is counted.
    """
    rows = max(1, min(AT_ONCE_MS // chunk_ms, engine.info.places))
    model, best = runner.model, (math.inf, 0.0, 0.0)
    steps = max(2, round(HEARD_SECONDS * 1000 / (rows * chunk_ms)))
    low, high = -LOUD, LOUD
    with choir(engine, rows, chunk_ms, turn_seconds) as voices, torch.inference_mode():
        bias = model.joint.head.bias
        bias[model.shape.blank] = LOUD
        for _ in range(0 if turn_seconds else model.shape.left * FRAME_MS // chunk_ms + 1):
            voices.step()
        for _ in range(TRIES):
            bias[model.shape.blank] = (low + high) / 2
            before = runner.readings()
            for _ in range(steps):
                voices.step()
            after = runner.readings()
            heard = (after["labels"] - before["labels"]) / ((after["frames"] - before["frames"]) * FRAME_MS / 1000)
            best = min(best, (abs(heard - wanted), heard, (low + high) / 2))
            if best[0] < NEAR * wanted:
                break
            low, high = ((low + high) / 2, high) if heard > wanted else (low, (low + high) / 2)
        bias[model.shape.blank] = best[2]
    return round(best[1], 2)


def _level(projector: torch.nn.Linear, told: torch.Tensor) -> None:
    """Change a projection so that what it told, (n, d), would have had mean 0 and spread 1."""
    spread = told.float().std(0).clamp_min(1e-6)
    projector.weight.copy_(projector.weight.float() / spread[:, None])
    projector.bias.copy_((projector.bias.float() - told.float().mean(0)) / spread)


def _predictions(model: Transducer, rows: int = 64) -> torch.Tensor:
    """What the prediction network says after some labels."""
    weight, shape = model.joint.head.weight, model.shape
    hidden = [torch.zeros(rows, shape.decoder_hidden, dtype=weight.dtype, device=weight.device)] * shape.decoder_layers
    cell, said = list(hidden), []
    for label in range(4):
        labels = (torch.arange(rows, device=weight.device) * 7 + label * 3) % (shape.vocabulary - 1)
        prediction, hidden, cell = model.decoder(labels, hidden, cell)
        said.append(prediction)
    return torch.cat(said)
