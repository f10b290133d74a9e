"""Cells of `astroedge/models` whose weights change or whose spikes arrive a tick late, held to NumPy transcriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.models import NALSM
from tests.conformance.cases import INPUTS, Array, Case, Tick, Weights
from tests.support import nalsm_equations
from tests.support.kernels.reference_order import product
from tests.support.stepping import Equations

RARE_SPIKES = 0.06


def _spikes(rng: np.random.Generator, ticks: int, weights: Weights) -> Array:
    """Rare spikes with either kind of weights: these inputs are never numbers."""
    return (rng.random((ticks, 1, INPUTS)) < RARE_SPIKES).astype(np.float32)


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


def _nalsm_tick(
    parameters: dict[str, Array], inputs: Sequence[Array], state: Sequence[Array]
) -> tuple[Array, list[Array]]:
    return nalsm_equations.equations(parameters, inputs, state, product)


CASES = [
    Case(
        "AstroEdge",
        "NALSM",
        "plastic, weights are states",
        _nalsm,
        _spikes,
        states=_states(_nalsm(Weights.DRAWN)),
        exact=False,
        transcription=_transcribed(_nalsm_tick),
    ),
]
