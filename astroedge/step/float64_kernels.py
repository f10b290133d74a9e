"""Operators that ONNX's reference evaluator lacks, or has in float32 or for other versions of ONNX alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.host_package import require

if TYPE_CHECKING:
    from onnx.reference import op_run
else:
    op_run = require("onnx.reference.op_run", "evaluating a step graph in float64")

Array = NDArray[Any]


class DequantizeLinear(op_run.OpRun):
    """(x − zero point) · scale, one scale for all, for each place of an axis, or for each block along it."""

    op_domain = ""

    def _run(
        self, x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1, block_size: int = 0, **_: Any
    ) -> tuple[Array]:
        shifted = x.astype(np.float64)
        if zero is not None:
            shifted -= _along(zero.astype(np.float64), x.shape, axis, block_size)
        return (shifted * _along(scale.astype(np.float64), x.shape, axis, block_size),)


class MeanVarianceNormalization(op_run.OpRun):
    """(x − mean) / (deviation + 1e-9) over axes."""

    op_domain = ""

    def _run(self, x: Array, axes: Any = None) -> tuple[Array]:
        over = tuple(axes) if axes is not None else (0, 2, 3)
        centred = x - x.mean(over, keepdims=True)
        return (centred / (np.sqrt(np.square(centred).mean(over, keepdims=True)) + 1e-9),)


class GlobalLpPool(op_run.OpRun):
    """The p-norm of each channel."""

    op_domain = ""

    def _run(self, x: Array, p: int = 2) -> tuple[Array]:
        over = tuple(range(2, x.ndim))
        return (np.power(np.power(np.abs(x), p).sum(over, keepdims=True), 1 / p),)


class LRN(op_run.OpRun):
    """x / (bias + alpha / size · Σ x²)^beta, summed over `size` channels around each."""

    op_domain = ""

    def _run(self, x: Array, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int = 1) -> tuple[Array]:
        before, after = (size - 1) // 2, size // 2
        padded = np.pad(np.square(x), [(0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)])
        total = sum(padded[:, shift : shift + x.shape[1]] for shift in range(size))
        return (x / (bias + alpha / size * total) ** beta,)


KERNELS = [DequantizeLinear, MeanVarianceNormalization, GlobalLpPool, LRN]


def _along(parameter: Array, shape: tuple[int, ...], axis: int, block_size: int) -> Array:
    """A parameter of quantisation in a shape that broadcasts over `shape`."""
    if block_size:
        return np.repeat(parameter, block_size, axis).take(range(shape[axis]), axis)
    if parameter.size == 1:
        return parameter.reshape(())
    return parameter.reshape([-1 if place == axis % len(shape) else 1 for place in range(len(shape))])
