"""The NIR nodes without memory as modules on batched float32 tensors, with the shapes they give.

NIR's shapes have no batch axis: Flatten's dimensions count without it, as the nir package counts them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters.nir.file import Node
from astroedge.exporters.nir.neurons import Shape, per_element


class SumPool2d(nn.Module):
    """The sum of every window: a convolution of each channel with ones, zeros around the edges."""

    ones: Tensor

    def __init__(self, channels: int, kernel: list[int], stride: list[int], padding: list[int]) -> None:
        super().__init__()
        self.channels, self.stride, self.padding = channels, stride, padding
        self.register_buffer("ones", torch.ones(channels, 1, *kernel))

    def forward(self, x: Tensor) -> Tensor:
        """Sum the windows of `(batch, channels, height, width)`."""
        return F.conv2d(x, self.ones, stride=self.stride, padding=self.padding, groups=self.channels)


class Threshold(nn.Module):
    """1 where the input is above the threshold, at it too with `threshold=reached`."""

    threshold: Tensor

    def __init__(self, threshold: np.ndarray, reached: bool) -> None:
        super().__init__()
        self.reached = reached
        self.register_buffer("threshold", _tensor(threshold))

    def forward(self, x: Tensor) -> Tensor:
        """Compare every element with its threshold."""
        return (x >= self.threshold if self.reached else x > self.threshold).to(x.dtype)


class Scale(nn.Module):
    """The element-wise product with a constant."""

    scale: Tensor

    def __init__(self, scale: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("scale", _tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply every element by its factor."""
        return x * self.scale


def make_layer(node: Node, shape: Shape, reached: bool) -> tuple[nn.Module, Shape]:
    """The module of a node without memory for inputs of `shape`, and the shape it gives, both without the batch axis.

    Raises ExportError for parameters that do not fit the input, and for an AvgPool2d with padding.
    """
    module = _make(node, shape, reached)
    try:
        with torch.no_grad():
            found = module(torch.zeros(1, *shape)).shape
    except (RuntimeError, ValueError, IndexError) as error:
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise ExportError(f"{node.label} cannot take an input of shape {shape}: {reason}") from error
    return module, tuple(found[1:])


def _make(node: Node, shape: Shape, reached: bool) -> nn.Module:
    match node.kind:
        case "Input" | "Output" | "Identity":
            return nn.Identity()
        case "Affine" | "Linear":
            return _linear(node)
        case "Conv1d" | "Conv2d":
            return _convolution(node)
        case "SumPool2d":
            _check_image(node, shape)
            return SumPool2d(shape[0], *(_pair(node, name) for name in ("kernel_size", "stride", "padding")))
        case "AvgPool2d":
            return _average(node, shape)
        case "Flatten":
            first, last = (_whole(node, name)[0] for name in ("start_dim", "end_dim"))
            return nn.Flatten(*(dim + 1 if dim >= 0 else dim for dim in (first, last)))
        case "Scale":
            return Scale(per_element(node, "scale", shape))
        case "Threshold":
            return Threshold(per_element(node, "threshold", shape), reached)
    raise ExportError(f"{node.label} has no step; see `astroedge inspect --nir` for the kinds that have one.")


def _linear(node: Node) -> nn.Module:
    weight = _tensor(node.numbers("weight"))
    if weight.ndim != 2:
        raise ExportError(f"{node.label} has weights of {weight.ndim} dimensions; give it a matrix (outputs, inputs).")
    biased = node.kind == "Affine"
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=biased)
    return _filled(module, node, weight, biased)


def _convolution(node: Node) -> nn.Module:
    weight, dims = _tensor(node.numbers("weight")), int(node.kind[4])
    if weight.ndim != dims + 2:
        raise ExportError(f"{node.label} has weights of shape {tuple(weight.shape)}; it needs {dims + 2} dimensions.")
    groups = _whole(node, "groups")[0]
    padding: Any = node.fields.get("padding")
    settings: dict[str, Any] = {name: tuple(_numbers_for(node, name, dims)) for name in ("stride", "dilation")}
    settings["padding"] = padding if isinstance(padding, str) else tuple(_numbers_for(node, "padding", dims))
    make: Any = nn.Conv1d if dims == 1 else nn.Conv2d
    try:
        module = make(weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]), groups=groups, **settings)
    except ValueError as error:
        raise ExportError(f"{node.label} is no convolution that PyTorch has: {error}.") from error
    return _filled(module, node, weight, True)


def _filled(module: Any, node: Node, weight: Tensor, biased: bool) -> nn.Module:
    """The module with the node's weights and bias."""
    with torch.no_grad():
        module.weight.copy_(weight)
        if biased:
            bias = _tensor(node.numbers("bias"))
            if bias.shape != (weight.shape[0],):
                raise ExportError(
                    f"{node.label} has a bias of shape {tuple(bias.shape)} for {weight.shape[0]} outputs; write it "
                    "with one number for each."
                )
            module.bias.copy_(bias)
    return module  # type: ignore[no-any-return]


def _average(node: Node, shape: Shape) -> nn.Module:
    _check_image(node, shape)
    kernel, stride, padding = (_pair(node, name) for name in ("kernel_size", "stride", "padding"))
    if any(padding):
        raise ExportError(
            f"{node.label} has padding, and NIR does not say whether its zeros count in the average; use a SumPool2d "
            "and a Scale, which say it."
        )
    return nn.AvgPool2d((kernel[0], kernel[1]), (stride[0], stride[1]))


def _check_image(node: Node, shape: Shape) -> None:
    if len(shape) != 3:
        raise ExportError(f"{node.label} needs an input (channels, height, width), but gets {shape}.")


def _pair(node: Node, field: str) -> list[int]:
    return _numbers_for(node, field, 2)


def _numbers_for(node: Node, field: str, dims: int) -> list[int]:
    """A whole number for each dimension; a single one stands for all."""
    values = _whole(node, field)
    if len(values) not in (1, dims):
        raise ExportError(f"{field} of {node.label} has {len(values)} numbers for {dims} dimensions.")
    return values * dims if len(values) == 1 else values


def _whole(node: Node, field: str) -> list[int]:
    values = node.numbers(field).reshape(-1)
    if values.size == 0 or (values != np.rint(values)).any():
        raise ExportError(f"{field} of {node.label} holds {values.tolist()}; it needs whole numbers.")
    return [int(value) for value in values]


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape))
