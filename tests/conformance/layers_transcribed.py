"""PyTorch's layers, one after the other, in NumPy float32, one rounding an operation, as the compiled step has them.

Products, convolutions, norms and softmax follow the reduction order of the design; exp and its kin are the exact
functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from astroedge.targets.kernels.convolutions.convolution import Convolution
from tests.conformance.cases import Array, Tick
from tests.support.kernels.reference_convolution import convolve
from tests.support.kernels.reference_math import erf, exp, log, sigmoid
from tests.support.kernels.reference_order import layer_norm, product, tree

F = np.float32
Layer = Callable[[Any, Array], Array]


def transcribed(model: nn.Module) -> Tick:
    """One tick of layers one after the other and neurons between them, whose membranes start at 0."""
    membranes: dict[int, Any] = {}

    def tick(x: Array) -> tuple[Array, ...]:
        for index, layer in enumerate(model.children()):
            kind = type(layer).__name__
            if kind == "Neurons":
                x, membranes[index] = _neurons(F(layer.decay), x, membranes.get(index, F(0)))  # type: ignore[arg-type]
            else:
                x = LAYERS[kind](layer, x)
        return (x,)

    return tick


def _neurons(decay: np.float32, x: Array, v: Array) -> tuple[Array, Array]:
    v = decay * v + x
    spikes = (v >= 1).astype(F)
    return spikes, v - spikes


def _linear(layer: nn.Linear, x: Array) -> Array:
    return product(x[0], _of(layer, "weight").T, _of(layer, "bias"))[None]


def _conv2d(layer: nn.Conv2d, x: Array) -> Array:
    weight, bias = _of(layer, "weight"), _of(layer, "bias")
    conv = Convolution(*x.shape, len(weight), weight.shape[2:], layer.stride, (0,) * 4, layer.dilation, layer.groups)
    sums = convolve(x, weight, conv)
    return sums if bias is None else sums + bias[:, None, None]


def _batch_norm(layer: Any, x: Array) -> Array:
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (_of(layer, name).reshape(-1, *[1] * (x.ndim - 2)) for name in names)
    return (x - mean) / np.sqrt(variance + F(layer.eps)) * weight + bias


def _layer_norm(layer: nn.LayerNorm, x: Array) -> Array:
    return layer_norm(x[0], layer.eps, _of(layer, "weight"), _of(layer, "bias"))[None]


def _rms_norm(layer: nn.RMSNorm, x: Array) -> Array:
    mean = tree(x[0] * x[0]) / F(x.size)
    return x * (F(1) / np.sqrt(mean + F(layer.eps or np.finfo(F).eps))) * _of(layer, "weight")


def _group_norm(layer: Any, x: Array, groups: int) -> Array:
    """Each group of channels as one vector, then a scale and a shift for each channel."""
    ones, zeros = F(1), F(0)
    parts = [layer_norm(part.reshape(-1), layer.eps, ones, zeros) for part in np.split(x[0], groups)]
    channels = np.stack(parts).reshape(x.shape)
    return channels * _of(layer, "weight")[:, None, None] + _of(layer, "bias")[:, None, None]


def _softmax(layer: nn.Softmax, x: Array) -> Array:
    powers = exp(x[0] - x.max())
    return (powers / tree(powers))[None]


def _gelu(layer: nn.GELU, x: Array) -> Array:
    return x * (F(0.5) * (erf(x / F(np.sqrt(2))) + F(1)))


def _softplus(layer: nn.Softplus, x: Array) -> Array:
    return np.where(x > layer.threshold, x, log(exp(x) + F(1)))


LAYERS: dict[str, Layer] = {
    "Linear": _linear,
    "Conv2d": _conv2d,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "LayerNorm": _layer_norm,
    "RMSNorm": _rms_norm,
    "GroupNorm": lambda layer, x: _group_norm(layer, x, layer.num_groups),
    "InstanceNorm2d": lambda layer, x: _group_norm(layer, x, layer.num_features),
    "Flatten": lambda layer, x: x.reshape(1, -1),
    "GELU": _gelu,
    "SiLU": lambda layer, x: x * sigmoid(x),
    "Softplus": _softplus,
    "Softmax": _softmax,
}


def _of(layer: nn.Module, name: str) -> Any:
    tensor = getattr(layer, name)
    return None if tensor is None else tensor.detach().numpy()
