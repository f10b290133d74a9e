"""Quantisation-aware training by `torch.ao`: what it rounds in PyTorch, rounded in the graph.

A layer with a `weight_fake_quant` gets the rounded weights as its own, and a fake quantiser of activations becomes the
arithmetic that PyTorch's kernel does. Both only once their ranges are fixed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.shared.labels import label

WEIGHTS = "weight_fake_quant"
BASE = "FakeQuantizeBase"
CONVERTED = "torch.ao.nn."


class FixedQuantiser(nn.Module):
    """`(clamp(round(x / scale) + zero, low, high) - zero) * scale`, in the operations of PyTorch's kernel."""

    def __init__(self, quantiser: Any) -> None:
        """Take over the ranges of a fake quantiser."""
        super().__init__()
        observer, scale = quantiser.activation_post_process, quantiser.scale.detach()
        self.axis = int(quantiser.ch_axis) if scale.numel() > 1 else None
        self.low, self.high = int(observer.quant_min), int(observer.quant_max)
        self.register_buffer("scale", scale)
        self.register_buffer("inverse", 1.0 / scale)
        self.register_buffer("zero", quantiser.zero_point.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """The nearest of the levels."""
        shape = [1] * x.ndim
        if self.axis is not None:
            shape[self.axis] = -1
        scale, inverse, zero = (self.get_buffer(name).reshape(shape) for name in ("scale", "inverse", "zero"))
        rounded: Tensor = torch.clamp(torch.round(x * inverse) + zero, self.low, self.high)
        return (rounded - zero) * scale


def _quantiser(module: object) -> Any:
    """A module that is a fake quantiser of PyTorch's, else None; only models that have one import its package."""
    kinds = type(module).__mro__
    known = any(kind.__name__ == BASE and kind.__module__.startswith("torch.ao.") for kind in kinds)
    return module if known else None


def refuse_quantised(model: nn.Module) -> None:
    """Raise ExportError for a fake quantiser that still observes, and for PyTorch's own integer modules."""
    for path, module in model.named_modules():
        quantiser = _quantiser(module)
        if quantiser is not None and bool(quantiser.observer_enabled[0]):
            raise ExportError(
                f"{label(path, module)} still observes the ranges of what it rounds, so they would change in every "
                "tick; call model.apply(torch.ao.quantization.disable_observer)."
            )
        kind = type(module).__module__
        if kind.startswith(CONVERTED) and ".quantized" in kind:
            raise ExportError(
                f"{label(path, module)} computes with PyTorch's own integer kernels, which have no ONNX form; export "
                "the model before it was converted, and quantise with compile --precision int8."
            )


def fix_quantisers(model: nn.Module) -> None:
    """Put what fake quantisers make of weights in place of the weights, and arithmetic in place of the others."""
    for module in list(model.modules()):
        quantiser, weight = _quantiser(getattr(module, WEIGHTS, None)), getattr(module, "weight", None)
        if quantiser is not None and isinstance(weight, Tensor):
            with torch.no_grad():
                module.weight = nn.Parameter(quantiser(weight), requires_grad=False)
            setattr(module, WEIGHTS, nn.Identity())
        for name, child in list(module.named_children()):
            found = _quantiser(child)
            if found is not None:
                setattr(module, name, FixedQuantiser(found) if bool(found.fake_quant_enabled[0]) else nn.Identity())
