"""Every other element of memory, as a vector: two vectors of neighbours and a choice of their lanes.

LLVM's back end gets a vector load with a stride as one load for each lane, which puts the vector together element by
element: pools and convolutions with stride 2 read so. The elements from the first to the last that is wanted are two
vectors that share one element, and choosing lanes is one instruction or two.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx
from tvm.ir import TensorLoad

from astroedge.targets.tir_builder import rewrite

STRIDE = 2


def shuffle_strides(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with each vector load of stride 2 as two loads of neighbours and a shuffle."""

    def widen(load: Any, mutator: Any) -> Any:
        load = mutator.default_mutate(load)
        place = load.indices[-1]
        if not isinstance(place, tirx.Ramp) or not isinstance(place.stride, tirx.IntImm) or int(place.stride) != STRIDE:
            return load
        lanes = int(place.lanes)
        outer = list(load.indices[:-1])
        starts = (place.base, place.base + tirx.const(lanes - 1, place.base.ty.dtype))
        vectors = [tirx.BufferLoad(load.source, [*outer, tirx.Ramp(start, 1, lanes)]) for start in starts]
        wanted = range(0, STRIDE * lanes, STRIDE)
        # Lane i of the second vector is element lanes − 1 + i.
        chosen = [lane if lane < lanes else lane + 1 for lane in wanted]
        return tirx.Shuffle(vectors, [tirx.const(lane, "int32") for lane in chosen])

    return func.with_body(rewrite(func.body, (TensorLoad, widen)))


def ShuffleStrides() -> tvm.ir.transform.Pass:
    """`shuffle_strides` as a pass over every PrimFunc of a module."""
    return tirx.transform.prim_func_pass(
        lambda func, _mod, _ctx: shuffle_strides(func), opt_level=0, name="ShuffleStrides"
    )
