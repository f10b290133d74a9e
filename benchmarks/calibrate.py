"""An AstroSNN with random weights in which every spike tensor fires at a chosen rate.

How many neurons fire decides what an event-driven step costs, and random weights leave that to chance: some groups of
neurons would be silent and others fire at every tick. `calibrate` gives each group the rate by moving one parameter
that belongs to it anyway (the shift of the layer norm or the bias before its threshold, or the scale of the matrix that
drives it), a layer after the other in the order of a tick, each by bisection. The architecture stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from astroedge.models import AstroSNN, AstroSNNConfig
from astroedge.models.astrosnn import Block

# 24.6 million weights. Memories of up to 32 ticks have settled by the second half of the calibration's sequence.
LARGE = AstroSNNConfig(
    vocabulary=4096, width=512, heads=8, feed_forward=2048, layers=6, longest_memory=32.0, dropout=0.0
)
RATE = 0.10
TICKS, STREAMS = 192, 1
HALVINGS, TOLERANCE = 9, 0.004

Knob = Callable[[float], None]


def calibrated_astrosnn(config: AstroSNNConfig, rate: float = RATE, seed: int = 0) -> AstroSNN:
    """A model with random weights from `seed` whose spike tensors each fire at about `rate` on random tokens."""
    torch.manual_seed(seed)
    model = AstroSNN(config).eval().requires_grad_(False)
    tokens = torch.randint(config.vocabulary, (TICKS, STREAMS))
    calibrate(model, tokens, rate)
    return model


def calibrate(model: AstroSNN, tokens: Tensor, rate: float) -> None:
    """Make every spike tensor of `model` fire at about `rate` on `tokens (T, B)`; parameters change in place."""
    x = model.embedding(tokens)
    start = model.initial_state(tokens.shape[1])
    for layer, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        state = start[5 * layer : 5 * layer + 5]
        for name, low, high, turn in _knobs(block):
            _bisect(partial(_rate, block, x, state, name), turn, low, high, rate)
        x, _ = block(x, state, {})


def _knobs(block: Block) -> list[tuple[str, float, float, Knob]]:
    """For each spike tensor, in the order of a tick: its name, the range of its knob and what turning it does."""
    astro = block.astro
    return [
        ("a.spike", -3.0, 3.0, _shift(block.norm_a.bias)),
        ("astro.W_q.spike", 0.05, 5.0, _scale(astro.W_q.weight)),
        ("astro.W_k.spike", 0.05, 5.0, _scale(astro.W_k.weight)),
        ("astro.r.spike", -8.0, 8.0, _shift(astro.W_x.bias)),
        ("c.spike", -3.0, 3.0, _shift(block.norm_c.bias)),
        ("f.spike", -3.0, 3.0, _shift(block.W_up.bias)),
    ]


def _shift(parameter: Tensor) -> Knob:
    """A knob that adds its setting to every element."""
    before = parameter.clone()
    return lambda setting: parameter.copy_(before + setting)


def _scale(parameter: Tensor) -> Knob:
    """A knob that multiplies every element by its setting."""
    before = parameter.clone()
    return lambda setting: parameter.copy_(before * setting)


def _rate(block: Block, x: Tensor, state: list[Tensor], name: str) -> float:
    """How often the neurons of a group fire in the second half of `x (T, B, D)`, once membranes have settled."""
    spikes: dict[str, Tensor] = {}
    block(x, state, spikes)
    return spikes[name][len(x) // 2 :].mean().item()


def _bisect(measure: Callable[[], float], turn: Knob, low: float, high: float, rate: float) -> None:
    """Turn a knob, which raises what is measured, between `low` and `high` until about `rate` is measured."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        turn(middle)
        measured = measure()
        if abs(measured - rate) < TOLERANCE:
            return
        low, high = (middle, high) if measured < rate else (low, middle)
