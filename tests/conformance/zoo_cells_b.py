"""Cells of `astroedge/models` whose weights change or whose spikes arrive a tick late, held to NumPy transcriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.models import NALSM, CSDPCircuit, MPATHNetwork
from tests.conformance.cases import HIDDEN, INPUTS, OUTPUTS, Array, Case, Tick, Weights
from tests.support import csdp_equations, mpath_equations, nalsm_equations
from tests.support.kernels.reference_math import exp, tanh
from tests.support.kernels.reference_order import product
from tests.support.stepping import Equations, put_on_grid

RARE, FREQUENT = 0.06, 0.3
UPPER_GAIN = 12.0  # the second layer hears one spike a tick
Draw = Callable[[np.random.Generator, int, Weights], Array]


def _spikes(rate: float) -> Draw:
    """Spikes with either kind of weights: these inputs are never numbers."""

    def draw(rng: np.random.Generator, ticks: int, weights: Weights) -> Array:
        return (rng.random((ticks, 1, INPUTS)) < rate).astype(np.float32)

    return draw


def _transcribed(equations: Equations) -> Callable[[nn.Module], Tick]:
    """What makes a tick of a model: `equations` with float32 arrays, products in the exact order."""

    def make(model: nn.Module) -> Tick:
        parameters = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        state: Sequence[Array] = [tensor.numpy() for tensor in model.initial_state(1)]

        def tick(x: Array) -> tuple[Array, ...]:
            nonlocal state
            output, state = equations(parameters, [x], state)
            return (output, *state)

        return tick

    return make


def _nalsm(weights: Weights) -> nn.Module:
    torch.manual_seed(4)
    return NALSM(INPUTS, (3, 4, 4)).eval()


def _states(model: nn.Module) -> tuple[Tensor, ...]:
    return tuple(model.initial_state(1))


def _csdp(weights: Weights) -> nn.Module:
    torch.manual_seed(6)
    model = CSDPCircuit((INPUTS, HIDDEN, HIDDEN, OUTPUTS))
    model.W[1].weight.data *= UPPER_GAIN
    if weights is Weights.GRID:
        put_on_grid(model)
    return model.eval()


def _mpath(weights: Weights) -> nn.Module:
    torch.manual_seed(3)
    return MPATHNetwork((INPUTS, HIDDEN, OUTPUTS)).eval()


def _row_product(spikes: Array, weights: Array) -> Array:
    return product(spikes[0], weights)[None]


CASES = [
    Case(
        "AstroEdge",
        "NALSM",
        "plastic, weights are states",
        _nalsm,
        _spikes(RARE),
        states=_states(_nalsm(Weights.DRAWN)),
        exact=False,
        transcription=_transcribed(partial(nalsm_equations.equations, product=product)),
    ),
    Case(
        "AstroEdge",
        "CSDPCircuit",
        "synapses a tick late, adaptive thresholds",
        _csdp,
        _spikes(FREQUENT),
        states=_states(_csdp(Weights.DRAWN)),
        transcription=_transcribed(partial(csdp_equations.equations, product=_row_product)),
        ties=False,
    ),
    Case(
        "AstroEdge",
        "MPATH",
        "graded activity, own statistics",
        _mpath,
        _spikes(FREQUENT),
        states=_states(_mpath(Weights.DRAWN)),
        exact=False,
        transcription=_transcribed(
            partial(mpath_equations.equations, product=_row_product, functions=(exp, tanh)),
        ),
        fires=False,  # the comparison chooses between numbers; nobody reads it
    ),
]
