"""Models to export with example inputs and states, and their graphs, each exported once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from astroedge.exporters import export
from astroedge.step.graph import StepGraph
from tests.support import hidden_state_models

Example = tuple[nn.Module, tuple[Tensor, ...], Any]


def zeros(*shape: int) -> Tensor:
    """A state's usual start."""
    return torch.zeros(shape)


def hidden_net() -> Example:
    """State in a buffer, an attribute and a dict."""
    return (
        hidden_state_models.on_grid(hidden_state_models.RecurrentNet()),
        (hidden_state_models.spike_data(1, 12),),
        None,
    )


def explicit_net() -> Example:
    """State as arguments."""
    return (
        hidden_state_models.on_grid(hidden_state_models.ExplicitLIF()),
        (hidden_state_models.spike_data(2, 12),),
        (zeros(2, 20), zeros(2, 20)),
    )


def nested_net() -> Example:
    """One state argument of nested containers."""
    pair = hidden_state_models.Pair(zeros(1, 6), zeros(1, 6))
    state = {"pair": pair, "line": [zeros(1, 6), zeros(1, 6)], "rest": hidden_state_models.Refractory(zeros(1, 6))}
    return hidden_state_models.NestedState().eval(), (hidden_state_models.spike_data(1, 6),), state


def delays() -> Example:
    """State in a deque and in a ring buffer."""
    return hidden_state_models.QueueDelay().eval(), (hidden_state_models.spike_data(1, 5),), None


def token_net() -> Example:
    """An index as input."""
    return hidden_state_models.on_grid(hidden_state_models.TokenNet()), (torch.tensor([3]),), None


def seeded(module: nn.Module) -> nn.Module:
    """`module` with reproducible parameters."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return module.eval()


def gru_cell() -> Example:
    """A cell that returns nothing but its state."""
    return seeded(nn.GRUCell(4, 6)), (hidden_state_models.spike_data(2, 4),), zeros(2, 6)


def rnn_cell() -> Example:
    """The plain recurrent cell."""
    return seeded(nn.RNNCell(4, 6)), (hidden_state_models.spike_data(1, 4),), zeros(1, 6)


def lstm_cell() -> Example:
    """A cell with two states in one argument."""
    return seeded(nn.LSTMCell(4, 6)), (hidden_state_models.spike_data(1, 4),), (zeros(1, 6), zeros(1, 6))


def gru_layers() -> Example:
    """Two layers of nn.GRU for one tick; the state's batch axis is not the first."""
    return seeded(nn.GRU(4, 6, 2, batch_first=True)), (hidden_state_models.spike_data(3, 1, 4),), zeros(2, 3, 6)


EXACT = (hidden_net, explicit_net, nested_net, delays, token_net)

ROUNDED = (gru_cell, rnn_cell, lstm_cell, gru_layers)


@lru_cache
def exported(example: Callable[[], Example]) -> StepGraph:
    """The graph of an example, exported once for all tests."""
    model, inputs, states = example()
    return export(model, inputs, states)
