"""Vectors written as loops over lanes: the same results, on any processor, with nothing left that has lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm_ffi
from tvm import tirx
from tvm.tirx.script.builder import ir as tir

from astroedge.errors import CompileError
from astroedge.targets.cuda.scalar_lanes import lanes_of, scalar_lanes
from astroedge.targets.kernels.arg_reduce import arg_reduce
from astroedge.targets.kernels.reduce import layer_norm, softmax
from astroedge.targets.kernels.sort import key_dtype, scratch_sizes, top_k
from astroedge.targets.tir_builder import kernel, load, store
from tests.support.kernels.harness import build, call

DRAW = np.random.default_rng(11)


def draw(*shape: int) -> np.ndarray:
    """Float32 numbers around 0."""
    return DRAW.standard_normal(shape).astype(np.float32)


def widths(function: tirx.PrimFunc) -> set[int]:
    """How many lanes the values have that a kernel stores."""
    found: list[Any] = []
    tvm_ffi.structural_walk(function.body, (tirx.BufferStore, lambda item: found.append(item.value)))
    return {lanes_of(value) for value in found}


def check(function: tirx.PrimFunc, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
    """Both forms give the same bits, and the second has no vectors."""
    scalar = scalar_lanes(function)
    assert widths(scalar) == {1}
    assert max(widths(function)) > 1
    for one, other in zip(call(build(function), inputs, outputs), call(build(scalar), inputs, outputs), strict=True):
        assert one.tobytes() == other.tobytes()


def test_kernels_written_in_vectors_keep_their_bits() -> None:
    """Sums in lanes and trees, functions of vectors, indices as vectors, and sums across lanes."""
    keys, places = scratch_sizes(37, 5)
    work = [np.zeros(keys, key_dtype("float32")), np.zeros(places, np.int32)]
    check(softmax(2, 37), [draw(74)], [np.zeros(74, np.float32)])
    check(layer_norm(2, 48, 1e-5), [draw(96), draw(48), draw(48)], [np.zeros(96, np.float32)])
    check(arg_reduce("argmax", 3, 21, "float32"), [draw(63)], [np.zeros(3, np.int64)])
    check(top_k(2, 37, 5, True, "float32"), [draw(74)], [np.zeros(10, np.float32), np.zeros(10, np.int64), *work])


def reversed_lanes(shift: int) -> tirx.PrimFunc:
    """A kernel that shifts the elements of an array in place by one store of a vector."""
    with kernel("shift") as built:
        x = built.argument("x", (16,), "float32")
        store(x, 4, 8, load(x, 4 + shift, 8) + load(x, 4, 8))
    return built.function


@pytest.mark.parametrize("shift", [-3, -1, 0, 2, 4])
def test_no_lane_reads_what_another_has_written(shift: int) -> None:
    """A vector is read whole before it is written, whichever way the two overlap."""
    check(reversed_lanes(shift), [], [draw(16)])


def test_an_operation_across_lanes_is_refused() -> None:
    """One that has no form of single lanes names itself."""
    with kernel("packed") as built:
        x = built.argument("x", (8,), "int32")
        chosen = load(x, 0, 8) > tirx.Broadcast(tirx.const(0, "int32"), 8)
        name = "llvm.experimental.vector.compress"
        tir.buffer_store(
            x, tirx.call_llvm_pure_intrin("int32x8", name, load(x, 0, 8), chosen, load(x, 0, 8)), [tirx.Ramp(0, 1, 8)]
        )
    with pytest.raises(CompileError, match="compress works across lanes"):
        scalar_lanes(built.function)
