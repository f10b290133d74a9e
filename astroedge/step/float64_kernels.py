"""Operators that ONNX's reference evaluator lacks, or has in float32 or for other versions of ONNX alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astroedge.host_package import require

if TYPE_CHECKING:
    from onnx import helper
    from onnx.reference import op_run
    from onnx.reference.ops import op_resize
else:
    helper = require("onnx.helper", "evaluating a step graph in float64")
    op_run = require("onnx.reference.op_run", "evaluating a step graph in float64")
    op_resize = require("onnx.reference.ops.op_resize", "evaluating a step graph in float64")

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


class BitCast(op_run.OpRun):
    """The bits of floats as integers and back, of floats of the integers' size, which are float64 here."""

    op_domain = ""

    def _run(self, x: Array, to: int = 0) -> tuple[Array]:
        target = helper.tensor_dtype_to_np_dtype(to)
        if x.dtype.kind == "f" and target.kind != "f":
            return (x.astype(f"f{target.itemsize}").view(target),)
        if x.dtype.kind != "f" and target.kind == "f":
            return (x.view(f"f{x.dtype.itemsize}").astype(np.float64),)
        return (x if x.dtype.kind == "f" else x.view(target),)


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


class ReduceLogSumExp(op_run.OpRun):
    """log Σ exp(x) over axes, of infinities too."""

    op_domain = ""

    def _run(self, x: Array, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> tuple[Array]:
        over = tuple(int(axis) % x.ndim for axis in (() if axes is None else axes))
        if not over and noop_with_empty_axes:
            return (x,)
        over = over or tuple(range(x.ndim))
        largest = x.max(over, keepdims=True)
        shift = np.where(np.isfinite(largest), largest, 0.0)
        sums = np.log(np.exp(x - shift).sum(over, keepdims=True)) + shift
        return (sums if keepdims else sums.squeeze(over),)


class Resize(op_resize.Resize):
    """ONNX's own, whose weights of a cubic would be float32 where the attribute is."""

    op_domain = ""

    def _run(self, *inputs: Any, cubic_coeff_a: Any = None, **options: Any) -> tuple[Array]:
        coefficient = None if cubic_coeff_a is None else float(cubic_coeff_a)
        resized: tuple[Array] = super()._run(*inputs, **options, cubic_coeff_a=coefficient)  # type: ignore[misc]
        return resized


class ConvTranspose(op_run.OpRun):
    """Every element of x times the kernel of its channel, laid `strides` apart and added; groups have own channels.

    ONNX's own takes seconds for a small image and mistakes groups.
    """

    op_domain = ""

    def _run(self, x: Array, w: Array, bias: Array | None = None, **options: Any) -> tuple[Array]:
        axes, groups = x.ndim - 2, options.get("group") or 1
        strides, dilations = (options.get(name) or [1] * axes for name in ("strides", "dilations"))
        extra = options.get("output_padding") or [0] * axes
        reach = [(k - 1) * d for k, d in zip(w.shape[2:], dilations, strict=True)]
        spans = [s * (size - 1) + 1 for s, size in zip(strides, x.shape[2:], strict=True)]
        sizes = [span + far + more for span, far, more in zip(spans, reach, extra, strict=True)]
        split = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
        kernels = w.reshape(groups, -1, *w.shape[1:])
        # An output_shape beyond what the windows reach has zeros at its ends.
        room = [max(pair) for pair in zip(sizes, options.get("output_shape") or sizes, strict=True)]
        whole = np.zeros((x.shape[0], groups * w.shape[1], *room))
        for place in np.ndindex(*w.shape[2:]):
            part = np.einsum("ngc...,gcm->ngm...", split, kernels[(..., *place)])
            starts = [index * d for index, d in zip(place, dilations, strict=True)]
            cells = [slice(a, a + span, s) for a, span, s in zip(starts, spans, strides, strict=True)]
            whole[(slice(None), slice(None), *cells)] += part.reshape(x.shape[0], -1, *x.shape[2:])
        if bias is not None:
            whole += bias.reshape(-1, *[1] * axes)
        return (whole[(slice(None), slice(None), *_kept(x, sizes, strides, options))],)


def _kept(x: Array, sizes: list[int], strides: list[int], options: dict[str, Any]) -> list[slice]:
    """What padding leaves of each axis of a transposed convolution."""
    auto, wanted = options.get("auto_pad") or "NOTSET", options.get("output_shape")
    if auto.startswith("SAME") and not wanted:
        wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    if not wanted:
        pads = (options.get("pads") if auto == "NOTSET" else None) or [0] * (2 * len(sizes))
        return [slice(a, size - b) for a, b, size in zip(pads, pads[len(sizes) :], sizes, strict=False)]
    surplus = [max(0, size - want) for size, want in zip(sizes, wanted[-len(sizes) :], strict=True)]
    starts = [more // 2 if auto == "SAME_UPPER" else more - more // 2 for more in surplus]
    return [slice(a, a + want) for a, want in zip(starts, wanted[-len(sizes) :], strict=True)]


KERNELS = [
    BitCast,
    DequantizeLinear,
    MeanVarianceNormalization,
    GlobalLpPool,
    LRN,
    ReduceLogSumExp,
    Resize,
    ConvTranspose,
]


def _along(parameter: Array, shape: tuple[int, ...], axis: int, block_size: int) -> Array:
    """A parameter of quantisation in a shape that broadcasts over `shape`."""
    if block_size:
        return np.repeat(parameter, block_size, axis).take(range(shape[axis]), axis)
    if parameter.size == 1:
        return parameter.reshape(())
    return parameter.reshape([-1 if place == axis % len(shape) else 1 for place in range(len(shape))])
