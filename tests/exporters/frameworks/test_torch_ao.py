"""Quantisation-aware training of torch.ao: exported as trained, or refused with a cure."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.frameworks import torch_ao
from astroedge.targets import quantise

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.ao import quantization

KINDS = {
    "fused": quantization.default_fused_wt_fake_quant,
    "fused, by channel": quantization.default_fused_per_channel_wt_fake_quant,
    "by channel": quantization.default_per_channel_weight_fake_quant,
    "activations": quantization.default_fake_quant,
    "fused activations": quantization.default_fused_act_fake_quant,
}


class Integrator(nn.Module):
    """A layer and what it adds up to."""

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(80, 96)
        self.register_buffer("total", torch.zeros(1, 96))

    def forward(self, x: Tensor) -> Tensor:
        self.total = 0.5 * self.total + self.layer(x)
        return self.total


def trained(weights: object, activations: object = nn.Identity, observing: bool = False) -> nn.Module:
    """A model after a step of training, in evaluation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = Integrator().train()
        model.layer.qconfig = quantization.QConfig(activation=activations, weight=weights)  # type: ignore[assignment]
        model = quantization.prepare_qat(model)
        model(torch.randn(1, 80))
        if not observing:
            model.apply(quantization.disable_observer)
        model.total = torch.zeros(1, 96)
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_fake_quantisation_has_the_bits_of_the_kernel(kind: str) -> None:
    """What is traced in place of PyTorch's operator gives its numbers."""
    fake = KINDS[kind]().train()
    x = torch.randn(64, 40, generator=torch.Generator().manual_seed(1)) * 3
    fake(x)
    fake.apply(quantization.disable_observer)
    wanted = fake.eval()(1.3 * x)
    torch_ao.make_static(fake)
    assert torch.equal(fake(1.3 * x), wanted)


def test_trained_weights_keep_their_grid() -> None:
    """The weights in the graph are those that the model multiplies with, and int8 stores them without loss."""
    model = trained(KINDS["fused, by channel"], KINDS["fused activations"])
    weights = model.layer.weight_fake_quant(model.layer.weight).detach().numpy()  # type: ignore[operator, union-attr]
    stored = quantise(export(model, (torch.randn(1, 80),)), "int8").weights
    (matrix,) = stored.matrices.values()
    assert np.array_equal(matrix.dequantise(), weights.T)


def test_an_observer_that_still_watches_is_refused() -> None:
    """Its scale would change from tick to tick; the message says how to switch it off."""
    with pytest.raises(ExportError, match=r"'layer.weight_fake_quant' .*disable_observer"):
        export(trained(KINDS["fused"], observing=True), (torch.randn(1, 80),))


def test_converted_layers_are_refused() -> None:
    """Packed weights are no tensors; the message names the layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = quantization.quantize_dynamic(Integrator().eval(), {nn.Linear}, dtype=torch.qint8).eval()
    with pytest.raises(ExportError, match=r"'layer' .*PyTorch's own kernels.*--precision int8"):
        export(model, (torch.randn(1, 80),))
