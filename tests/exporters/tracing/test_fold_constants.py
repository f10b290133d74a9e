"""What depends on parameters alone becomes constants under names that PyTorch can keep side by side."""

from __future__ import annotations

import numpy as np
import torch
from onnx import numpy_helper
from torch import Tensor, nn

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
