"""Parameters that no tick reads are noted; all others are not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from astroedge.exporters.tracing.unread_parameters import unread_parameters


class Layers(nn.Module):
    """A recurrent layer with or without its state, one that is not called, and one behind a product with a gate."""

    def __init__(self, *, carries: bool) -> None:
        super().__init__()
        self.rnn, self.cell, self.idle, self.out = nn.RNN(4, 4), nn.GRUCell(4, 4), nn.Linear(3, 3), nn.Linear(4, 2)
        self.gate = nn.Parameter(torch.ones(4))
        self.carries = carries

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        state = h if self.carries else None
        return self.out((self.rnn(x, state)[0][0] + self.cell(x[0], None if state is None else h[0])) * self.gate)


def notes(*, carries: bool) -> list[str]:
    """The notes on the traced layers."""
    arguments = (torch.rand(1, 1, 4), torch.zeros(1, 1, 4))
    program = torch.export.export(Layers(carries=carries).eval(), arguments, strict=False)
    return unread_parameters(program.run_decompositions())


def test_recurrent_matrices_without_a_state_are_noted() -> None:
    """Their matrices multiply zeros; their biases still count, and so does everything else that is called."""
    unused, zeroed = notes(carries=False)
    assert unused == "No tick reads parameters 'idle.weight', 'idle.bias', so the graph is without."
    assert zeroed.startswith(
        "Parameters 'rnn.weight_hh_l0', 'cell.weight_hh' met with zeros only: a recurrent layer called"
    )


def test_recurrent_matrices_with_a_state_are_not() -> None:
    """Given their state, only the layer that is not called is noted."""
    assert notes(carries=True) == ["No tick reads parameters 'idle.weight', 'idle.bias', so the graph is without."]
