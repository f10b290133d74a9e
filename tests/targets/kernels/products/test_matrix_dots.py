"""A computed matrix times a vector has the bits of the reduction order, by all elements or by the active ones."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.products.matrix_dots import matrix_dots
from tests.support.kernels import reference_order
from tests.support.kernels.harness import CORTEX_A72, FUSED, RUNNABLE, X86_64_V3, assembly, run, same_bits
from tests.support.kernels.products import lists_of


@pytest.mark.parametrize(("rows", "outputs", "batch", "rate"), [(3, 1, 2, 0.5), (300, 21, 2, 0.1), (700, 9, 1, 1.0)])
@pytest.mark.parametrize("kind", ["all", "spikes", "graded"])
def test_equals_the_reduction_order(rows: int, outputs: int, batch: int, rate: float, kind: str) -> None:
    """Any shape and rate: the bits of the order in NumPy, which reads silent elements too."""
    rng = np.random.default_rng(rows)
    x = (rng.random((batch, rows)) < rate).astype(np.float32)
    x = x if kind == "spikes" else x * rng.standard_normal(x.shape).astype(np.float32)
    matrices = rng.standard_normal((batch, outputs, rows)).astype(np.float32)
    func = matrix_dots(rows, outputs, batch=batch, listed=kind != "all", graded=kind != "spikes")
    inputs = [*([] if kind == "spikes" else [x.ravel()]), *([] if kind == "all" else lists_of(x)), matrices.ravel()]
    expected = np.stack([reference_order.product(row, matrix.T) for row, matrix in zip(x, matrices, strict=True)])
    for target in RUNNABLE:
        (result,) = run(func, inputs, [np.full(batch * outputs, np.nan, np.float32)], target)
        assert same_bits(result.reshape(batch, outputs), expected)


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_products_are_not_fused(target: dict[str, object]) -> None:
    """Each product is rounded before it is added.

    A guard: another processor would show other numbers, this one need not.
    """
    func = matrix_dots(300, 16, listed=True)
    assert FUSED.search(assembly(func, target)) is None
    assert FUSED.search(assembly(func, target, exact=False)) is not None
