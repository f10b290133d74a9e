"""Behind whatever a model does with spikes the matrix is event-driven, and its bits are those of the dense kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astroedge.exporters import export
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from tests.support.builds import build

SUMS = torch.ones(4, 1, 2, 2)
TICKS = 30
IMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "sum of windows": lambda z: F.conv2d(z, SUMS, stride=2, groups=4),
    "nearest neighbours": lambda z: F.interpolate(z, scale_factor=2),
    "rolled, channels shuffled": lambda z: z.roll(1, 3)[:, [2, 0, 3, 1]],
    "masked and gated": lambda z: z * (torch.arange(8) < 5) * torch.sigmoid(z.mean((2, 3), keepdim=True)),
    "at most a half": lambda z: torch.minimum(z, torch.tensor(0.5)),
    "of height 2": lambda z: torch.where(z > 0, 2.0, 0.0),
    "exclusive or": lambda z: ((z > 0) ^ (z.roll(1, 2) > 0)).float(),
    "or by arithmetic": lambda z: 1 - (1 - z) * (1 - z.flip(2)),
    "beside enlarged ones": lambda z: torch.cat([F.interpolate(z[:, :2, ::2, ::2], scale_factor=2), z], 1)[:, :4],
    "written into zeros": lambda z: torch.zeros(1, 4, 8, 8).index_copy(2, torch.tensor([1, 5]), z[:, :, :2]),
}
VECTORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "weights first": lambda z, w: w @ z,
    "columns": lambda z, w: (w @ z.reshape(32, 2)).reshape(-1),
    "scaled in the product": lambda z, w: torch.addmm(torch.zeros(32), z[None], w.T, alpha=0.5),
}


class Layers(nn.Module):
    """Neurons, and behind each way to treat their spikes a convolution or a matrix; weights on a grid of 1/64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.v, self.pack, self.line = torch.zeros(1, 4, 8, 8), torch.zeros(2, 256), torch.zeros(3, 256)
        self.convolutions = nn.ModuleList(nn.Conv2d(4, 8, 3, padding=1) for _ in IMAGES)
        self.matrices = nn.ParameterList(torch.rand(32, 32 if name == "columns" else 64) for name in VECTORS)
        self.packed, self.delayed = nn.Linear(256, 16), nn.Linear(256, 16)
        for parameter in self.parameters():
            parameter.data = (parameter.data * 64).round() / 64

    def forward(self, x: Tensor) -> list[Tensor]:
        """One tick."""
        v = 0.5 * self.v + x
        z = (v > 1).float()
        self.v = v - z
        outputs = [layer(f(z)) for layer, f in zip(self.convolutions, IMAGES.values(), strict=True)]
        outputs += [f(z[0, 0].reshape(-1), w) for w, f in zip(self.matrices, VECTORS.values(), strict=True)]
        outputs += [self.packed(self.pack[1]), self.delayed(self.line[2])]
        self.pack = torch.stack([v.reshape(-1), z.reshape(-1)])
        self.line = torch.cat([z.reshape(1, -1), self.line[:2]])
        return outputs


@pytest.fixture(scope="module")
def graph() -> StepGraph:
    """The step of all layers on sparse events."""
    generator = torch.Generator().manual_seed(1)
    ticks = [((torch.rand(1, 4, 8, 8, generator=generator) < 0.05).float() * 1.5,) for _ in range(TICKS)]
    return export(Layers().eval(), ticks[0], examples=ticks)


def test_every_layer_behind_spikes_can_be_event_driven(graph: StepGraph) -> None:
    """Zeros are followed from the neurons, none of them measured afterwards; event-driven, every bit is the same."""
    assert graph.spec.activations == ()
    generator = np.random.default_rng(2)
    x = ((generator.random((TICKS, 1, 4, 8, 8)) < 0.05) * 1.5).astype(np.float32)
    found = {}
    for kernels in ("event", "dense"):
        bundle = build(graph, kernels=kernels)
        chosen = {item.name: item.reason for item in bundle.manifest.matrices if item.kernel != kernels}
        assert chosen == {}
        with load(bundle) as session:
            found[kernels] = session.run(x=x)
    for name, values in found["event"].items():
        assert np.array_equal(values, found["dense"][name])
