"""What can be a step: methods, functions, state passed and hidden at once, modules that run without gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from astroedge.exporters import export
from tests.support import hidden_state_models
from tests.support.graphs import step_through


def test_method_of_a_module_can_be_exported() -> None:
    """A step method works like forward; names keep their module paths."""

    class Stepper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = hidden_state_models.BufferLIF(4, 3)

        def step(self, x: Tensor) -> Tensor:
            return self.lif(x)

    graph = export(hidden_state_models.on_grid(Stepper()).step, hidden_state_models.spike_data(1, 4))
    assert [state.name for state in graph.spec.states] == ["lif.v"]


def test_function_with_explicit_state_can_be_exported() -> None:
    """A plain function of input and state is a step as well."""

    def integrate(x: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        return total * 2.0, total + x

    graph = export(integrate, torch.ones(1, 3), torch.zeros(1, 3), name="integrate")
    outputs, state = step_through(graph, {"x": np.ones((4, 1, 3), np.float32)})
    assert outputs["y"][:, 0, 0].tolist() == [0.0, 2.0, 4.0, 6.0]
    assert state["total"][0, 0] == 4.0


def test_explicit_and_hidden_state_go_together() -> None:
    """A model that takes one state and hides another carries both."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = hidden_state_models.BufferLIF(3, 3)

        def forward(self, x: Tensor, trace: Tensor) -> tuple[Tensor, Tensor]:
            spikes = self.lif(x)
            return spikes + trace, 0.5 * trace + spikes

    graph = export(hidden_state_models.on_grid(Mixed()), hidden_state_models.spike_data(1, 3), torch.zeros(1, 3))
    assert [state.name for state in graph.spec.states] == ["trace", "lif.v"]


def test_state_that_nobody_reads_is_left_out_and_noted() -> None:
    """A record of the last output is no state of the step: it goes, with a note, and takes its own delay line along."""

    class Recorder(hidden_state_models.BufferLIF):
        def __init__(self) -> None:
            super().__init__(4, 3)
            self.last = self.before_last = torch.zeros(1, 3)

        def forward(self, x: Tensor) -> Tensor:
            fired = super().forward(x)
            self.before_last, self.last = self.last, fired.clone()
            return fired

    graph = export(hidden_state_models.on_grid(Recorder()), hidden_state_models.spike_data(1, 4))
    assert [state.name for state in graph.spec.states] == ["v"]
    assert [note for note in graph.notes if "'last'" in note]
    assert [note for note in graph.notes if "'before_last'" in note]


def test_decay_from_a_parameter_is_folded_with_the_bits_of_torch() -> None:
    """What depends on parameters alone is a constant in the graph, and it is exactly PyTorch's value."""

    class Learnt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.log_tau = nn.Parameter(torch.linspace(-1.0, 2.0, 33))

        def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            v = torch.exp(-torch.exp(-self.log_tau)) * v + x
            return torch.tanh(v), v

    model = Learnt().eval()
    graph = export(model, torch.randn(1, 33, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 33))
    wanted = torch.exp(-torch.exp(-model.log_tau)).detach().numpy()
    stored = [tensor for tensor in graph.model.graph.initializer if tensor.name.startswith("log_tau")]
    assert [np.frombuffer(tensor.raw_data, np.float32).tolist() for tensor in stored] == [wanted.tolist()]
    assert "Exp" not in {node.op_type for node in graph.model.graph.node}


class WithoutGradients(hidden_state_models.BufferLIF):
    """Refuses to run while gradients are recorded, as modules made for inference do."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("no gradients here")
        return super().forward(x)


def test_model_is_never_run_with_gradients() -> None:
    """A module that is made for inference alone is exported."""
    graph = export(WithoutGradients(3, 2).eval(), torch.ones(1, 3))
    assert [state.name for state in graph.spec.states] == ["v"]
