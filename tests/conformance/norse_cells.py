"""Norse's cells in the sequences that its users write, and one in the hands of its caller.

A step of 1/1024 s makes the membrane's decay exact: at 128 / s it keeps 0.875.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.lif import LIFFeedForwardState
from torch import Tensor, nn

from tests.conformance.cases import HIDDEN, INPUTS, OUTPUTS, Case, Weights, draw_weights, drawn
from tests.conformance.norse_transcribed import exponential

STEP = 2.0**-10
WIDTHS = (INPUTS, HIDDEN, OUTPUTS)
Rates = dict[str, Tensor]  # inverse time constants
Cell = Callable[[Rates], nn.Module]
Parameters = Callable[[Rates], Any]


def _rates(weights: Weights, synapse: float) -> Rates:
    """On the grid the membrane keeps 0.875, the synapse 1 - `synapse` / 1024 of itself, otherwise both are rounded."""
    membrane, synapse = (128.0, synapse) if weights is Weights.GRID else (177.0, 400.0)
    return {"tau_mem_inv": torch.as_tensor(membrane), "tau_syn_inv": torch.as_tensor(synapse)}


def _draw(model: nn.Module, weights: Weights, gain: float, tie: float) -> nn.Module:
    """Give weights to the linear layers and to the cells that have their own."""
    rng = np.random.default_rng(8)
    for cell in draw_weights(model, weights, gain=gain, tie=tie).modules():
        if hasattr(cell, "input_weights"):
            cell.input_weights.data = drawn(rng, tuple(cell.input_weights.shape), weights, gain, tie)
        if hasattr(cell, "recurrent_weights"):
            cell.recurrent_weights.data = drawn(rng, tuple(cell.recurrent_weights.shape), weights, gain, 0.0)
            cell.recurrent_weights.data.fill_diagonal_(0.0)
    return model


def _case(
    cell: str,
    variant: str,
    make: Callable[[Rates], list[nn.Module]],
    gain: float = 5.0,
    tie: float = 8.0,
    synapse: float = 512.0,
    **options: Any,
) -> Case:
    """A sequence that returns what each of its layers gives."""

    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(3)
        model = norse.SequentialState(*make(_rates(weights, synapse)), return_hidden=True)
        return _draw(model, weights, gain, tie)

    return Case("Norse", cell, variant, build, starts_itself=True, **options)


def _cell(kind: Any, parameters: Parameters) -> Cell:
    return lambda rates: kind(p=parameters(rates), dt=STEP)


def _between(cell: Cell, last: Cell | None = None) -> Callable[[Rates], list[nn.Module]]:
    """Two layers of weights, a cell after each."""
    return lambda rates: [
        nn.Linear(INPUTS, HIDDEN),
        cell(rates),
        nn.Linear(HIDDEN, OUTPUTS),
        (last or cell)(rates),
    ]


def _weighted(kind: Any, parameters: Parameters) -> Callable[[Rates], list[nn.Module]]:
    """Two cells with weights of their own."""
    return lambda rates: [kind(*widths, p=parameters(rates), dt=STEP) for widths in pairwise(WIDTHS)]


def _read_out(rates: Rates) -> list[nn.Module]:
    """Recurrent neurons and a readout with weights of its own."""
    recurrent = norse.LIFRecurrentCell(INPUTS, HIDDEN, p=_lif(rates), dt=STEP)
    return [recurrent, norse.LILinearCell(HIDDEN, OUTPUTS, p=norse.LIParameters(**rates), dt=STEP)]


def _lif(rates: Rates, reset: float = 0.0) -> Any:
    return norse.LIFParameters(**rates, v_reset=torch.as_tensor(reset))


def _reset_below(rates: Rates) -> Any:
    return _lif(rates, reset=-0.25)


def _refractory(rates: Rates) -> Any:
    return norse.LIFRefracParameters(lif=_lif(rates), rho_reset=torch.as_tensor(2.0))


def _boxed(rates: Rates) -> Any:
    return norse.LIFBoxParameters(tau_mem_inv=rates["tau_mem_inv"])


def _lsnn(rates: Rates) -> Any:
    return norse.LSNNParameters(**rates, tau_adapt_inv=torch.as_tensor(64.0), beta=torch.as_tensor(0.5))


def _adaptive(rates: Rates) -> Any:
    return norse.LIFAdExParameters(**rates, tau_ada_inv=torch.as_tensor(64.0))


def _sharp(rates: Rates) -> Any:
    return norse.LIFExParameters(**rates)


def _leaky(rates: Rates) -> Any:
    return norse.LIParameters(**rates, v_leak=torch.as_tensor(0.25))


def _integrate(_: Rates) -> nn.Module:
    return norse.IAFCell()


class ExplicitLIF(nn.Module):
    """A network that takes and returns potentials and currents of its cells."""

    def __init__(self, rates: Rates) -> None:
        super().__init__()
        self.linear = nn.ModuleList([nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, OUTPUTS)])
        self.cells = nn.ModuleList(norse.LIFCell(p=_lif(rates), dt=STEP) for _ in range(2))

    def forward(self, x: Tensor, v1: Tensor, i1: Tensor, v2: Tensor, i2: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        z1, s1 = self.cells[0](self.linear[0](x), LIFFeedForwardState(v1, i1))
        z2, s2 = self.cells[1](self.linear[1](z1), LIFFeedForwardState(v2, i2))
        return z1, z2, *s1, *s2


def _explicit(weights: Weights) -> nn.Module:
    return _draw(ExplicitLIF(_rates(weights, 1024.0)), weights, 5.0, 8.0)


GIVEN = tuple(torch.full((1, width), value) for width in (HIDDEN, OUTPUTS) for value in (0.5, 0.0))
ROUNDED: dict[str, Any] = {"exact": False, "transcription": exponential}
LIF = _cell(norse.LIFCell, _lif)

CASES = [
    # A synapse that keeps nothing lets neurons come back to their threshold exactly again and again.
    _case("LIFCell", "", _between(LIF), synapse=1024.0),
    _case("LIFCell", "reset below 0", _between(_cell(norse.LIFCell, _reset_below))),
    Case("Norse", "LIFCell", "given states", _explicit, states=GIVEN),
    _case("LIFRecurrentCell", "", _weighted(norse.LIFRecurrentCell, _lif)),
    _case("LIFRefracCell", "", _between(_cell(norse.LIFRefracCell, _refractory))),
    _case("LIFBoxCell", "", _between(_cell(norse.LIFBoxCell, _boxed))),
    _case("IAFCell", "", _between(_integrate), 0.7, 1.0),
    _case("LSNNCell", "", _between(_cell(norse.LSNNCell, _lsnn))),
    _case("LSNNRecurrentCell", "", _weighted(norse.LSNNRecurrentCell, _lsnn)),
    _case("LIFAdExCell", "", _between(_cell(norse.LIFAdExCell, _adaptive)), **ROUNDED),
    _case("LIFAdExRecurrentCell", "", _weighted(norse.LIFAdExRecurrentCell, _adaptive), **ROUNDED),
    _case("LIFExCell", "", _between(_cell(norse.LIFExCell, _sharp)), **ROUNDED),
    _case("LICell", "readout of LIFCell", _between(LIF, _cell(norse.LICell, _leaky))),
    _case("LILinearCell", "readout of LIFRecurrentCell", _read_out),
]
