"""Reductions over one vector follow the 16 lanes and the tree, and what is made of them does too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.kernels.reduce import layer_norm, log_softmax, reduce_last, softmax
from tests.support.kernels import reference_math, reference_order
from tests.support.kernels.harness import CORTEX_A72, FUSED, RUNNABLE, X86_64_V3, assembly, run, same_bits

WIDTHS = st.one_of(st.integers(1, 70), st.sampled_from([128, 250, 512, 1000]))
TARGETS = st.sampled_from(RUNNABLE)


def _vectors(outer: int, width: int) -> np.ndarray:
    return np.random.default_rng(width).standard_normal((outer, width)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(outer=st.integers(1, 3), width=WIDTHS, kind=st.sampled_from(["sum", "mean", "max", "min"]), target=TARGETS)
def test_reductions_equal_the_tree(outer: int, width: int, kind: str, target: dict[str, object]) -> None:
    """Sum, mean, largest and smallest have the bits of the documented order."""
    x = _vectors(outer, width)
    combine, identity = {"max": (np.maximum, -np.inf), "min": (np.minimum, np.inf)}.get(kind, (np.add, 0.0))
    expected = np.array([reference_order.tree(row, combine, identity) for row in x])
    if kind == "mean":
        expected = expected / np.float32(width)
    result = run(reduce_last(kind, outer, width, "float32"), [x.ravel()], [np.zeros(outer, np.float32)], target)
    assert same_bits(result[0], expected)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers_reduce_exactly(dtype: str) -> None:
    """Whole numbers have no rounding; sums and extremes are NumPy's."""
    x = np.random.default_rng(0).integers(0, 5, (2, 21)).astype(dtype)
    for kind in ("sum", "max", "min"):
        result = run(reduce_last(kind, 2, 21, dtype), [x.ravel()], [np.zeros(2, dtype)])[0]
        assert result.tolist() == getattr(np, kind)(x, axis=1).tolist()


@settings(max_examples=15, deadline=None)
@given(outer=st.integers(1, 3), width=WIDTHS, target=TARGETS)
def test_softmax_equals_its_formula(outer: int, width: int, target: dict[str, object]) -> None:
    """e^(x − max) over the tree sum of these, bit for bit."""
    x = _vectors(outer, width) * np.float32(5)
    powers = reference_math.exp(x - x.max(axis=1, keepdims=True))
    expected = np.stack([row / reference_order.tree(row) for row in powers])
    assert same_bits(run(softmax(outer, width), [x.ravel()], [np.zeros_like(x).ravel()], target)[0], expected)


@settings(max_examples=15, deadline=None)
@given(outer=st.integers(1, 3), width=WIDTHS, target=TARGETS)
def test_log_softmax_equals_its_formula(outer: int, width: int, target: dict[str, object]) -> None:
    """(x − max) − log of the tree sum of e^(x − max), bit for bit."""
    x = _vectors(outer, width) * np.float32(5)
    below = x - x.max(axis=1, keepdims=True)
    sums = np.array([reference_order.tree(row) for row in reference_math.exp(below)], np.float32)
    expected = below - reference_math.log(sums)[:, None]
    assert same_bits(run(log_softmax(outer, width), [x.ravel()], [np.zeros_like(x).ravel()], target)[0], expected)


@settings(max_examples=15, deadline=None)
@given(outer=st.integers(1, 3), width=WIDTHS, target=TARGETS)
def test_layer_norm_equals_its_formula(outer: int, width: int, target: dict[str, object]) -> None:
    """Two passes, then scale and shift, bit for bit."""
    x = _vectors(outer, width) + np.float32(10)
    gamma, beta = _vectors(2, width)
    expected = np.stack([reference_order.layer_norm(row, 1e-5, gamma, beta) for row in x])
    result = run(layer_norm(outer, width, 1e-5), [x.ravel(), gamma, beta], [np.zeros_like(x).ravel()], target)
    assert same_bits(result[0], expected)


def test_layer_norm_without_scale_and_shift() -> None:
    """`affine=False` takes no gamma and beta."""
    x = _vectors(2, 37)
    expected = np.stack([reference_order.layer_norm(row, 1e-3, np.float32(1), np.float32(0)) for row in x])
    result = run(layer_norm(2, 37, 1e-3, affine=False), [x.ravel()], [np.zeros_like(x).ravel()])
    assert np.array_equal(result[0].reshape(x.shape), expected)


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_layer_norm_is_not_fused(target: dict[str, object]) -> None:
    """Squares, scale and shift are rounded one by one.

    A guard: another processor would show other numbers, this one need not.
    """
    assert not FUSED.search(assembly(layer_norm(1, 512, 1e-5), target))
