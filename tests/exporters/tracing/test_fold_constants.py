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
