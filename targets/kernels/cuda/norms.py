"""Reductions over vectors, layer norm and softmaxes by the CUDA C library, in the order of `kernels/reduce.py`."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from astroedge.targets.cuda.library_call import FIRST_BLOCK, library_call
from astroedge.targets.kernels.cuda.products import THREADS, Array

_WARP, _LANES = 32, 16
_FEW = 64  # vectors, fewer of which get a whole block of threads each

_JOINS = {"sum": "ae_sum", "mean": "ae_sum", "max": "ae_most", "min": "ae_least"}
_INFINITY = {"max": "__int_as_float(0xff800000)", "min": "__int_as_float(0x7f800000)"}

REDUCED = ("float32", "int32", "int64")
"""The dtypes of the vectors that `reduce_last` reads."""


def reduce_last(kind: str, outer: int, width: int, dtype: str) -> tirx.PrimFunc:
    """Kernel (x, y): that of `kernels.reduce.reduce_last`, for the dtypes `REDUCED`."""
    arrays = (("x", (outer * width,), dtype), ("y", (outer,), dtype))
    mean = "true" if kind == "mean" else "false"
    sizes = (_identity(kind, dtype), FIRST_BLOCK, outer, width)
    return library_call(kind, f"ae_reduce<{_JOINS[kind]}, {mean}>", arrays, sizes, _blocks(outer, _LANES), alone=True)


def softmax(outer: int, width: int, *, logarithm: bool = False) -> tirx.PrimFunc:
    """Kernel (x, y): that of `kernels.reduce.softmax`, or of `log_softmax`."""
    arrays = (("x", (outer * width,), "float32"), ("y", (outer * width,), "float32"))
    kind, flag = ("log_softmax", "true") if logarithm else ("softmax", "false")
    threads = _threads(outer)
    sizes = (FIRST_BLOCK, outer, width, threads)
    return library_call(kind, f"ae_softmax<{flag}>", arrays, sizes, _blocks(outer, threads), alone=True)


def layer_norm(outer: int, width: int, epsilon: float, affine: bool = True) -> tirx.PrimFunc:
    """Kernel (x, [gamma, beta], y): that of `kernels.reduce.layer_norm`."""
    vectors, width_of = ((outer * width,), "float32"), ((width,), "float32")
    arrays: list[Array] = [("x", *vectors)]
    if affine:
        arrays += [("gamma", *width_of), ("beta", *width_of)]
    arrays.append(("y", *vectors))
    added, threads = f"{float(np.float32(epsilon)).hex()}f", _threads(outer)
    sizes = (added, FIRST_BLOCK, outer, width, threads)
    return library_call("layer_norm", "ae_layer_norm", arrays, sizes, _blocks(outer, threads), alone=True)


def _blocks(outer: int, threads: int) -> int:
    """Blocks that vectors of so many threads each fill."""
    return -(-outer * threads // THREADS)


def _threads(outer: int) -> int:
    """Threads for each vector."""
    return THREADS if outer < _FEW else _WARP


def _identity(kind: str, dtype: str) -> str:
    """What a reduction begins with, in CUDA C."""
    if kind not in _INFINITY:
        return "0"
    if dtype == "float32":
        return _INFINITY[kind]
    range_of = np.iinfo(dtype)
    return f"({range_of.min + 1}LL - 1)" if kind == "max" else f"{range_of.max}LL"
