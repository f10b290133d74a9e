"""PyTorch's quantisation (torch.ao): modules of quantisation-aware training, and layers converted for its kernels.

A fake quantisation rounds to a grid and stays in floats: round(x · (1 / scale)) + zero point, kept in a range, minus
the zero point, times the scale. Written so it is traced as it was trained, whichever operator of PyTorch's it calls.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.frameworks.protocol import Starts
from astroedge.exporters.shared.labels import derives_from, label

PACKAGE = "torch.ao"
CONTAINERS: tuple[str, ...] = ()
FAKE = "FakeQuantizeBase"
CONVERTED = "torch.ao.nn.quantized"


def refuse(path: str, module: nn.Module) -> None:
    """Observers that still watch, and layers whose weights are packed for PyTorch's own kernels."""
    if _is_fake(module) and _is_on(module, "observer_enabled"):
        raise ExportError(
            f"{label(path, module)} still observes its input, so its scale changes at every tick; switch observers off "
            "with model.apply(torch.ao.quantization.disable_observer) before export."
        )
    if type(module).__module__.startswith(CONVERTED):
        raise ExportError(
            f"{label(path, module)} has its weights packed for PyTorch's own kernels, which have no ONNX form; export "
            "the model as it was before torch.ao converted it and compile with --precision int8: weights on a grid "
            "keep it."
        )


def note(path: str, module: nn.Module) -> str | None:
    """Nothing: what is computed is what was trained."""
    return None


def scratch(module: nn.Module) -> frozenset[str]:
    """Nothing: with observers off nothing is written."""
    return frozenset()


def make_static(module: nn.Module) -> None:
    """Have a fake quantisation compute with its scale and zero point as they are, or do nothing if it is off."""
    if _is_fake(module):
        module.forward = _on_grid(module) if _is_on(module, "fake_quant_enabled") else nn.Identity()


def watch_start(module: nn.Module, starts: Starts) -> None:
    """Nothing: there is no state."""


def _is_fake(module: nn.Module) -> bool:
    return derives_from(module, "torch", FAKE) and hasattr(module, "scale")


def _is_on(module: nn.Module, flag: str) -> bool:
    return bool(module.get_buffer(flag)[0])


def _on_grid(module: Any) -> Any:
    """What a fake quantisation computes, in the order of PyTorch's kernels.

    Each constant is read once, so that a weight can be replaced by what it is rounded to.
    """
    low, high = float(module.activation_post_process.quant_min), float(module.activation_post_process.quant_max)
    scale = module.scale.detach().clone().to(torch.float32)
    inverse, zero = 1.0 / scale, module.zero_point.detach().to(torch.float32)
    if scale.numel() == 1:
        factors = [float(value) for value in (inverse, zero, scale)]
        return lambda x: (torch.clamp(torch.round(x * factors[0]) + factors[1], low, high) - factors[1]) * factors[2]
    axis = int(module.ch_axis)

    def forward(x: Tensor) -> Tensor:
        shape = [-1 if place == axis % x.ndim else 1 for place in range(x.ndim)]
        steps = torch.clamp(torch.round(x * inverse.reshape(shape)) + zero.reshape(shape), low, high)
        rounded: Tensor = (steps - below.reshape(shape)) * scale.reshape(shape)
        return rounded

    below = zero.clone()
    return forward
