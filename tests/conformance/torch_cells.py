"""PyTorch's recurrent cells and its recurrent modules over one tick, with their state given and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor, nn

from tests.conformance.cases import INPUTS, Array, Case, Tick, Weights, signals
from tests.conformance.torch_transcribed import recurrent

WIDTH = 20
Make = Callable[[], nn.Module]


def _one_step(rng: Generator, ticks: int, weights: Weights) -> Array:
    """A sequence of one element for each tick: with one stream, the same for both orders of the axes."""
    return signals(rng, ticks, weights, (1, 1, INPUTS))


def _start(*shape: int) -> Tensor:
    """An initial state that is not zero."""
    return torch.linspace(-0.5, 0.75, WIDTH).expand(*shape, WIDTH).clone()


def _case(cell: str, variant: str, make: Make, state: Any = None) -> Case:
    def build(weights: Weights) -> nn.Module:
        torch.manual_seed(5)
        return make().eval()

    parts: Sequence[Tensor] = (state,) if isinstance(state, Tensor) else state or ()
    transcription: Callable[[nn.Module], Tick] = partial(recurrent, start=parts)
    return Case(
        "PyTorch",
        cell,
        variant,
        build,
        **({} if cell.endswith("Cell") else {"draw": _one_step}),
        states=None if state is None else (state,),
        starts_itself=state is None,
        exact=False,
        transcription=transcription,
        fires=False,
    )


CASES = [
    _case("GRUCell", "without state", lambda: nn.GRUCell(INPUTS, WIDTH)),
    _case("GRUCell", "with state", lambda: nn.GRUCell(INPUTS, WIDTH), _start(1)),
    _case("LSTMCell", "without state", lambda: nn.LSTMCell(INPUTS, WIDTH)),
    _case("LSTMCell", "with state", lambda: nn.LSTMCell(INPUTS, WIDTH), (_start(1), -_start(1))),
    _case("RNNCell", "tanh", lambda: nn.RNNCell(INPUTS, WIDTH)),
    _case("RNNCell", "relu, with state", lambda: nn.RNNCell(INPUTS, WIDTH, nonlinearity="relu"), _start(1)),
    _case("GRU", "batch_first", lambda: nn.GRU(INPUTS, WIDTH, batch_first=True)),
    _case("GRU", "two layers, with state", lambda: nn.GRU(INPUTS, WIDTH, 2), _start(2, 1)),
    _case("LSTM", "with state", lambda: nn.LSTM(INPUTS, WIDTH), (_start(1, 1), -_start(1, 1))),
    _case("LSTM", "two layers, batch_first", lambda: nn.LSTM(INPUTS, WIDTH, 2, batch_first=True)),
    _case("RNN", "tanh", lambda: nn.RNN(INPUTS, WIDTH)),
    _case("RNN", "relu, two layers", lambda: nn.RNN(INPUTS, WIDTH, 2, nonlinearity="relu")),
]
