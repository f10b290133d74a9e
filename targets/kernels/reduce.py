"""Reductions over one vector, in 16 lanes and a fixed tree, and what is made of them: softmaxes and layer norm.

The order, the same on every target: lane l of 16 starts at the identity (+0 for a sum) and takes the elements 16·i + l
for ascending i; of the last `width % 16` elements, element t goes to lane t. Then lane l takes lane l + 8 (l < 8),
l + 4 (l < 4), l + 2 (l < 2) and l + 1, so that lane 0 is the result.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.targets.exact import exact_math
from astroedge.targets.tir_builder import (
    Buffer,
    Expression,
    chunks,
    hold,
    independent,
    kernel,
    load,
    splat,
    store,
)

LANES = 16

VECTORS = "astroedge.vectors"
"""What a function of this file says: how many vectors it reads, and of how many elements."""

EPSILON = "astroedge.epsilon"
"""What a layer norm says: the float32 number that is added to a variance."""

_COMBINE: dict[str, Callable[[Expression, Expression], Expression]] = {
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: a + b,
    "max": tirx.max,
    "min": tirx.min,
}


def reduce_last(kind: str, outer: int, width: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, y): y[o] = the sum, mean, max or min (`kind`) of x[o, :], for `outer` vectors of `width` elements.

    `x`: (outer·width,) and `y`: (outer,) of `dtype`. A mean is the sum divided by the width.
    """
    with kernel(kind) as built:
        x = built.argument("x", (outer * width,), dtype)
        y = built.argument("y", (outer,), dtype)
        with independent(outer) as index:
            start = index * width
            value = _reduce(kind, width, dtype, lambda offset, lanes: load(x, start + offset, lanes))
            tir.buffer_store(y, _divide(value, width, dtype) if kind == "mean" else value, [index])
    return _described(built.function, outer, width)


def softmax(outer: int, width: int) -> tirx.PrimFunc:
    """Kernel (x, y): y[o, :] = e^(x[o, :] − max) / Σ e^(x[o, :] − max); both (outer·width,) float32."""
    with kernel("softmax") as built:
        x = built.argument("x", (outer * width,), "float32")
        y = built.argument("y", (outer * width,), "float32")
        with independent(outer) as index:
            start = index * width
            peak = hold(_reduce("max", width, "float32", lambda offset, lanes: load(x, start + offset, lanes)))
            _map(
                width,
                y,
                start,
                lambda offset, lanes: exact_math.exp(load(x, start + offset, lanes) - splat(peak, lanes)),
            )
            total = hold(_reduce("sum", width, "float32", lambda offset, lanes: load(y, start + offset, lanes)))
            _map(width, y, start, lambda offset, lanes: load(y, start + offset, lanes) / splat(total, lanes))
    return _described(built.function, outer, width)


def log_softmax(outer: int, width: int) -> tirx.PrimFunc:
    """Kernel (x, y): y[o, :] = (x[o, :] − max) − log Σ e^(x[o, :] − max); both (outer·width,) float32."""
    with kernel("log_softmax") as built:
        x = built.argument("x", (outer * width,), "float32")
        y = built.argument("y", (outer * width,), "float32")
        with independent(outer) as index:
            start = index * width
            peak = hold(_reduce("max", width, "float32", lambda offset, lanes: load(x, start + offset, lanes)))

            def below(offset: Expression, lanes: int) -> Expression:
                return load(x, start + offset, lanes) - splat(peak, lanes)

            total = _reduce("sum", width, "float32", lambda offset, lanes: exact_math.exp(below(offset, lanes)))
            logarithm = hold(exact_math.log(total))
            _map(width, y, start, lambda offset, lanes: below(offset, lanes) - splat(logarithm, lanes))
    return _described(built.function, outer, width)


def layer_norm(outer: int, width: int, epsilon: float, affine: bool = True) -> tirx.PrimFunc:
    """Kernel (x, [gamma, beta], y): y[o, :] = (x[o, :] − mean) · (1 / sqrt(variance + epsilon)) · gamma + beta.

    `x` and `y`: (outer·width,), `gamma` and `beta` (only if `affine`): (width,), all float32. The variance is the mean
    of the squared differences from the mean, in a second pass over x.
    """
    with kernel("layer_norm") as built:
        x = built.argument("x", (outer * width,), "float32")
        gamma = built.argument("gamma", (width,), "float32") if affine else None
        beta = built.argument("beta", (width,), "float32") if affine else None
        y = built.argument("y", (outer * width,), "float32")
        with independent(outer) as index:
            start = index * width
            total = _reduce("sum", width, "float32", lambda offset, lanes: load(x, start + offset, lanes))
            mean = hold(_divide(total, width, "float32"))

            def difference(offset: Expression, lanes: int) -> Expression:
                return load(x, start + offset, lanes) - splat(mean, lanes)

            squares = _reduce("sum", width, "float32", lambda offset, lanes: _square(difference(offset, lanes)))
            variance = _divide(squares, width, "float32")
            scale = hold(exact_math.rsqrt(variance + tirx.const(epsilon, "float32")))

            def normalised(offset: Expression, lanes: int) -> Expression:
                value = difference(offset, lanes) * splat(scale, lanes)
                if gamma is None or beta is None:
                    return value
                return value * load(gamma, offset, lanes) + load(beta, offset, lanes)

            _map(width, y, start, normalised)
    described = _described(built.function, outer, width)
    return described.with_attr(EPSILON, tirx.const(epsilon, "float32"))


def _described(function: tirx.PrimFunc, outer: int, width: int) -> tirx.PrimFunc:
    return function.with_attr(VECTORS, [outer, width])


def _reduce(kind: str, width: int, dtype: str, element: Callable[[Expression, int], Expression]) -> Expression:
    """Emit the reduction of `element(offset, lanes)` over `width` elements; returns lane 0."""
    lanes = tir.alloc_buffer((LANES,), dtype)
    combine = _COMBINE[kind]
    store(lanes, 0, LANES, splat(_identity(kind, dtype), LANES))
    whole = width // LANES
    if whole:
        with tir.serial(0, whole) as index:
            store(lanes, 0, LANES, combine(load(lanes, 0, LANES), element(index * LANES, LANES)))
    for offset, count in chunks(width % LANES):
        addend = element(tirx.const(whole * LANES + offset, "int32"), count)
        store(lanes, offset, count, combine(load(lanes, offset, count), addend))
    half = LANES // 2
    while half:
        store(lanes, 0, half, combine(load(lanes, 0, half), load(lanes, half, half)))
        half //= 2
    return lanes[0]


def _map(width: int, y: Buffer, start: Expression, value: Callable[[Expression, int], Expression]) -> None:
    """Emit y[start + i] = value(i) for all i < width, in vectors."""
    whole = width // LANES
    if whole:
        with tir.serial(0, whole) as index:
            store(y, start + index * LANES, LANES, value(index * LANES, LANES))
    for offset, lanes in chunks(width % LANES):
        store(y, start + whole * LANES + offset, lanes, value(tirx.const(whole * LANES + offset, "int32"), lanes))


def _square(value: Expression) -> Expression:
    name = tirx.Var("d", value.ty)
    return tirx.Let(name, value, name * name)


def _divide(total: Expression, width: int, dtype: str) -> Expression:
    if dtype.startswith("float"):
        return total / tirx.const(float(width), dtype)
    return tirx.truncdiv(total, tirx.const(width, dtype))


def _identity(kind: str, dtype: str) -> Expression:
    if kind == "max":
        return tirx.const(float("-inf"), dtype) if dtype.startswith("float") else tirx.min_value(dtype)
    if kind == "min":
        return tirx.const(float("inf"), dtype) if dtype.startswith("float") else tirx.max_value(dtype)
    return tirx.const(0, dtype)
