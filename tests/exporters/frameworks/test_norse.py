"""Norse models: called with their input alone, they make their states, nested as their layers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from astroedge.exporters import export

norse = pytest.importorskip("norse.torch", reason="Norse is not installed")

X = torch.tensor([[1.9, -0.4, 1.1, 0.6, 2.2, 0.3]]) * 3


def sequence() -> nn.Module:
    """Feed-forward neurons and a leaky readout that starts at its leak."""
    readout = norse.LICell(norse.LIParameters(v_leak=torch.as_tensor(0.5)))
    return norse.SequentialState(nn.Linear(6, 8), norse.LIFCell(), nn.Linear(8, 5), readout)


def recurrent() -> nn.Module:
    """Recurrent neurons and a readout with weights, which has no way of its own to make a state."""
    return norse.SequentialState(norse.LIFRecurrentCell(6, 8), norse.LILinearCell(8, 5))


def adaptive() -> nn.Module:
    """Adaptive neurons, recurrent and not, one sequence in another."""
    inner = norse.SequentialState(nn.Linear(6, 8), norse.LSNNRecurrentCell(8, 8))
    return norse.SequentialState(inner, norse.LIFAdExCell(), norse.LIFAdExRecurrentCell(8, 4))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (sequence, "1.v 1.i 3.v 3.i"),
        (recurrent, "0.z 0.v 0.i 1.v 1.i"),
        (adaptive, "0.1.z 0.1.v 0.1.i 0.1.b 1.v 1.i 1.a 2.z 2.v 2.i 2.a"),
    ],
)
def test_states_are_made_by_the_cells(make: Callable[[], nn.Module], names: str) -> None:
    """Without states a model starts as its cells say, and layers without a state take no place."""
    torch.manual_seed(0)
    model = make().eval()
    graph = export(model, X)
    assert [state.name for state in graph.spec.states] == names.split()
    assert graph.spec.source["framework"] == "norse"
    assert [item.name for item in graph.spec.outputs] == ["y"]
    assert not any(module._forward_hooks for module in model.modules())


def test_readout_starts_at_its_leak() -> None:
    """The scalar that a cell starts from has the shape of the state from the first tick on."""
    torch.manual_seed(0)
    initial = export(sequence().eval(), X).initial_state()
    assert initial["3.v"].shape == (1, 5)
    assert (initial["3.v"] == 0.5).all()


class Own(nn.Module):
    """A model of the user's own that keeps its cells' states in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 8)
        self.cell, self.readout = norse.LIFCell(), norse.LICell(norse.LIParameters(v_leak=torch.as_tensor(0.25)))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        state = {"cell": None, "readout": None} if state is None else state
        z, cell = self.cell(self.fc(x), state["cell"])
        y, readout = self.readout(z, state["readout"])
        return y, {"cell": cell, "readout": readout}


def test_states_are_found_in_own_containers() -> None:
    """A returned state is traced to the cell that made it, wherever the model puts it."""
    torch.manual_seed(0)
    graph = export(Own().eval(), X)
    assert [state.name for state in graph.spec.states] == ["cell.v", "cell.i", "readout.v", "readout.i"]
    assert (graph.initial_state()["readout.v"] == 0.25).all()


def test_layer_over_time_is_noted() -> None:
    """A layer that loops over its input's first dimension is named, with the cell to use for one tick."""
    torch.manual_seed(0)
    graph = export(norse.SequentialState(nn.Linear(6, 8), norse.LIF()).eval(), X[None])
    assert any("Module '1' (LIF) takes the first dimension" in note and "LIFCell" in note for note in graph.notes)
