"""Every other element is read as vectors of neighbours: the same lanes, nothing beyond them, no element by itself."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tvm import tirx

from astroedge.targets.compiler.emit.shuffle_strides import shuffle_strides
from astroedge.targets.tir_builder import kernel, load, store
from tests.support.kernels.harness import CORTEX_A72, RUNNABLE, X86_64_V3, assembly, run


def _strided(lanes: int, stride: int, first: int = 3) -> tirx.PrimFunc:
    """y = `lanes` elements of x from `first`, `stride` apart; the last of them is the last of x."""
    with kernel("strided") as built:
        x = built.argument("x", (first + (lanes - 1) * stride + 1,), "float32")
        y = built.argument("y", (lanes,), "float32")
        store(y, tirx.const(0, "int32"), lanes, load(x, tirx.const(first, "int32"), lanes, stride))
    return built.function


@pytest.mark.parametrize("target", RUNNABLE, ids=["native", "oldest"])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16, 32])
def test_the_lanes_are_those_of_a_strided_load(lanes: int, target: dict[str, object]) -> None:
    """All widths, from a place that no vector is aligned to."""
    x = np.random.default_rng(0).standard_normal(3 + 2 * lanes - 1).astype(np.float32)
    result = run(shuffle_strides(_strided(lanes, 2)), [x], [np.zeros(lanes, np.float32)], target)[0]
    np.testing.assert_array_equal(result, x[3::2])


@pytest.mark.guard
def test_nothing_beyond_the_last_lane_is_read() -> None:
    """The two vectors begin at the first element and end at the last: no buffer has to be longer for it.

    A guard: what is read too much is in no result, and is a crash at the end of a page alone.
    """
    loads = re.findall(r"x\[T\.Ramp\((\d+), 1, (\d+)\)\]", str(shuffle_strides(_strided(8, 2))))
    assert [(int(first), int(first) + int(lanes)) for first, lanes in loads] == [(3, 11), (10, 18)]


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_vectors_are_not_put_together_element_by_element(target: dict[str, object]) -> None:
    """Without the pass there is an insertion for every lane; with it, there is none.

    A guard: slow code computes the same numbers.
    """
    inserted = re.compile(r"\t(vinsertps|vpinsrd|ld1\t\{\s*v\d+\.s \}\[|mov\tv\d+\.s\[)")
    assert inserted.search(assembly(_strided(8, 2), target))
    assert not inserted.search(assembly(shuffle_strides(_strided(8, 2)), target))


@pytest.mark.guard
@pytest.mark.parametrize("stride", [1, 3])
def test_other_strides_stay(stride: int) -> None:
    """Neighbours are a vector already; further apart, a shuffle would read more than it needs.

    A guard: slow code computes the same numbers.
    """
    func = _strided(8, stride)
    assert str(shuffle_strides(func)) == str(func)
