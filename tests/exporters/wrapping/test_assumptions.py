"""What export takes for a state without being told is said in a note."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from astroedge.exporters import export

X = torch.linspace(-0.5, 1.5, 8).reshape(1, 8)


class Recurrent(nn.Module):
    """Starts its state itself, or forgets to return an output beside its states."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(8, 8)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        hidden = self.cell(x, hidden)
        return torch.relu(hidden), hidden

    def two(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, Tensor]:
        mem1 = 0.5 * mem1 + x
        return torch.relu(mem1), 0.5 * mem2 + mem1


def test_argument_that_the_example_leaves_out_is_named() -> None:
    """A cell of the user's own gets a note with the argument's name; PyTorch's cell, whose meaning is known, none."""
    (note,) = export(Recurrent().eval(), X).notes
    assert note.startswith("What Recurrent.forward returns last was taken for the next value of 'hidden'")
    assert export(nn.GRUCell(8, 8).eval(), X).notes == ()


def test_model_that_returns_no_more_than_its_states_is_noted() -> None:
    """Everything returned is then a next state, in order, and the note says so."""
    notes = export(Recurrent().eval().two, X, (torch.zeros(1, 8), torch.zeros(1, 8))).notes
    assert any(
        "Recurrent.two returns as many tensors as it has states" in note and "'mem1', 'mem2'" in note for note in notes
    )
