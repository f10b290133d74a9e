"""Named floats become arrays of one element: the same numbers, and names of indices stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm_ffi
from tvm import tirx
from tvm.script import tirx as T

from astroedge.targets.compiler.emit.store_floats import store_floats
from tests.support.kernels.harness import RUNNABLE, run

N = 5


@T.prim_func(s_tir=True)
def _named(x: T.Buffer((8 * N,), "float32"), y: T.Buffer((8 * N,), "float32")) -> None:
    for i in range(N):
        place: T.let[T.int32] = i * 8
        t: T.let[T.float32x8] = x[T.Ramp(place, 1, 8)]
        u: T.let[T.float32x8] = t * t
        s: T.let[T.float32] = x[place]
        y[T.Ramp(place, 1, 8)] = u + t + T.Broadcast(s, 8)


def _names(function: tirx.PrimFunc) -> list[str]:
    found: list[Any] = []
    tvm_ffi.structural_walk(function.body, (tirx.Bind, lambda bind: found.append(bind.var.name)))
    return found


@pytest.mark.parametrize("target", RUNNABLE, ids=["native", "oldest"])
def test_stored_floats_are_the_named_ones(target: dict[str, object]) -> None:
    """Vectors and single numbers, named anew in each iteration and by names that stand in others, keep their values."""
    assert _names(_named) == ["place", "t", "u", "s"]
    stored = store_floats(_named)
    assert _names(stored) == ["place"]
    x = np.random.default_rng(0).standard_normal(8 * N).astype(np.float32)
    result = run(stored, [x], [np.zeros(8 * N, np.float32)], target)[0]
    np.testing.assert_array_equal(result, x * x + x + np.repeat(x[::8], 8))
