"""Quantisation-aware training: rounded weights and activations are in the graph as PyTorch computes them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import (
    FakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    disable_observer,
    quantize_dynamic,
)

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.wrapping.fake_quantise import FixedQuantiser, fix_quantisers, refuse_quantised


class Trained(nn.Module):
    """A linear layer with fake-quantised weights, and fake-quantised currents, in front of a membrane."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(8, 6)
        self.fc.weight_fake_quant = FakeQuantize(
            MovingAveragePerChannelMinMaxObserver, -128, 127, dtype=torch.qint8, qscheme=torch.per_channel_symmetric
        )
        self.current = FakeQuantize(MovingAverageMinMaxObserver, 0, 255)
        self.register_buffer("v", torch.zeros(1, 6))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.fc.weight_fake_quant(self.fc.weight)
        self.v = 0.5 * self.v + self.current(nn.functional.linear(x, weight, self.fc.bias))
        return (self.v >= 0.25).float()


def trained() -> nn.Module:
    """The network after it has seen data, observers off and its membrane as at the start."""
    model = Trained()
    model(torch.rand(1, 8))
    model.v = torch.zeros(1, 6)
    return model.apply(disable_observer).eval()


def test_fixed_quantisers_give_the_same_bits() -> None:
    """Baked weights and written-out rounding are what PyTorch's fake quantisers compute, beyond their range too."""
    model, fixed = trained(), trained()
    fix_quantisers(fixed)
    assert isinstance(fixed.current, FixedQuantiser)
    assert torch.equal(fixed.fc.weight, model.fc.weight_fake_quant(model.fc.weight))
    x = torch.randn(64, 6) * 3
    assert torch.equal(fixed.current(x), model.current(x))


def test_quantisation_aware_network_is_exported() -> None:
    """The graph agrees with the network as PyTorch runs it, fake quantisers and all."""
    parity = export(trained(), torch.rand(1, 8)).parity
    assert parity is not None
    assert parity.worst <= 1e-5


def test_quantiser_that_observes_is_refused() -> None:
    """Ranges that follow the data would be hidden state of the rounding; the cure is named."""
    with pytest.raises(ExportError, match=r"Module 'fc.weight_fake_quant' .*disable_observer"):
        refuse_quantised(Trained().eval())


@pytest.mark.filterwarnings("ignore")
def test_converted_modules_are_refused() -> None:
    """PyTorch's integer kernels have no ONNX form, which is said before anything is traced."""
    model = quantize_dynamic(nn.Sequential(nn.Linear(8, 6)), {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(ExportError, match=r"Module '0' \(Linear\) computes with PyTorch's own integer kernels"):
        refuse_quantised(model)
