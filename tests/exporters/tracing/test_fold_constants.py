"""What depends on parameters alone becomes constants under names that PyTorch can keep side by side."""

from __future__ import annotations

import numpy as np
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn.utils import prune

from astroedge.exporters import export


class LeakyMean(nn.Module):
    """A leaky average that uses its learnt decay, what is left of it, and the parameter behind both."""

    def __init__(self) -> None:
        super().__init__()
        self.tau = nn.Parameter(torch.linspace(-1.0, 2.0, 5))

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        decay = torch.sigmoid(self.tau)
        v = decay * v + (1 - decay) * x
        return v + self.tau, v


def test_a_constant_may_be_made_from_another_that_is_used_too() -> None:
    """A parameter, its sigmoid and one minus that all stay in the graph, each with PyTorch's bits."""
    model = LeakyMean().eval()
    graph = export(model, torch.ones(1, 5), torch.zeros(1, 5))
    tau = model.tau.detach()
    wanted = (tau, torch.sigmoid(tau), 1 - torch.sigmoid(tau))
    stored = {numpy_helper.to_array(tensor).tobytes() for tensor in graph.model.graph.initializer}
    assert {np.asarray(value).tobytes() for value in wanted} <= stored


class RoundedByHand(nn.Module):
    """An integrator whose weights are rounded in every tick to 16 levels of a learnt scale, by hand."""

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(0.1 * torch.randn(96, 80))
        self.scale = nn.Parameter(torch.linspace(0.01, 0.02, 96)[:, None])
        self.register_buffer("total", torch.zeros(1, 96))

    def rounded(self) -> Tensor:
        return torch.round(torch.clamp(self.weight / self.scale, -8, 7)) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        self.total = 0.5 * self.total + nn.functional.linear(x, self.rounded())
        return self.total


def test_weights_rounded_by_hand_are_stored_rounded() -> None:
    """A large weight is replaced by what it is rounded to although its scale, which is small, is used twice."""
    model = RoundedByHand().eval()
    graph = export(model, torch.ones(1, 80))
    weights = [numpy_helper.to_array(item) for item in graph.model.graph.initializer if len(item.dims) == 2]
    assert [array.shape for array in weights] in ([(96, 80)], [(80, 96)])
    wanted = model.rounded().detach().numpy()
    assert np.array_equal(weights[0] if weights[0].shape == wanted.shape else weights[0].T, wanted)


class PrunedCell(nn.Module):
    """A recurrent cell and a readout of more weights than small constants have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.out = nn.RNNCell(70, 80), nn.Linear(80, 90)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        h = self.cell(x, h)
        return self.out(h), h


def test_a_pruning_mask_leaves_one_matrix() -> None:
    """Masks of `torch.nn.utils.prune` that were never removed: each weight is stored once, zeros in it, by its name."""
    model = PrunedCell().eval()
    pruned = ((model.cell, "weight_ih"), (model.cell, "weight_hh"), (model.out, "weight"))
    for module, name in pruned:
        prune.l1_unstructured(module, name, 0.8)
    graph = export(model, torch.ones(1, 70), torch.zeros(1, 80))
    assert [state.name for state in graph.spec.states] == ["h"]
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.model.graph.initializer}
    matrices = {name: array for name, array in stored.items() if array.ndim == 2}
    assert set(matrices) == {"cell.weight_ih", "cell.weight_hh", "out.weight"}
    for module, name in pruned:
        weight = getattr(module, name).detach().numpy()
        assert any(np.array_equal(weight.T, matrix) or np.array_equal(weight, matrix) for matrix in matrices.values())
        assert np.mean(weight == 0) > 0.79
    assert "Mul" not in {node.op_type for node in graph.model.graph.node}
    (note,) = [note for note in graph.notes if "Zeros" in note]
    assert note.count("80.0%") == 3


def test_a_mask_beside_a_module_of_that_name_is_no_pruning_mask() -> None:
    """What is made of `attn_mask` alone never takes the name of the module `attn`."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.Linear(4, 4)
            self.register_buffer("attn_mask", torch.eye(4)[0])
            self.register_buffer("v", torch.zeros(1, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.v = 0.5 * self.v + self.attn(x) * (1 - self.attn_mask)
            return self.v

    graph = export(Masked().eval(), torch.ones(1, 4))
    assert {"attn.weight", "attn.bias"} <= {item.name for item in graph.model.graph.initializer}
