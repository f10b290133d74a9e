"""Dense products have the bits of the event-driven ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.products.dense_gemv import batched_matmul, dense_gemv, dense_tile, pack_dense
from astroedge.targets.precision.storage import FLOAT32, INT4, STORAGES
from astroedge.targets.precision.weight_format import StoredMatrix
from astroedge.targets.precision.weight_format import store as quantise
from tests.support.kernels import reference_order
from tests.support.kernels.harness import CORTEX_A72, FUSED, RUNNABLE, X86_64_V3, assembly, run, same_bits
from tests.support.kernels.products import ROWS, Case, cases, dense_product, event_product


@settings(max_examples=30, deadline=None)
@given(
    case=cases(
        rows=ROWS,
        columns=st.integers(1, 150),
        batch=st.integers(1, 6),
        rate=st.sampled_from([0.05, 0.3, 1.0]),
        kind=st.sampled_from(["bool", "spikes", "graded"]),
        storage=st.sampled_from(list(STORAGES.values())),
    ),
    tiles=st.sampled_from([(16, 1), (16, 4), (64, 1), (64, 4), (128, 1)]),
    biased=st.booleans(),
)
def test_equals_the_reduction_order_and_the_event_kernel(case: Case, tiles: tuple[int, int], biased: bool) -> None:
    """Any shape, tiling, precision and target: each row's bits are those of NumPy and of the event kernel."""
    x, stored, drawn = case.draw()
    bias = drawn if biased else None
    result = dense_product(x, stored, bias, tile=tiles[0], row_tile=tiles[1], target=case.target)
    assert same_bits(result, np.stack([reference_order.product(row, stored, bias) for row in x]))
    assert same_bits(result, event_product(x, stored, bias, graded=case.graded, target=case.target))


def test_scaled_sums_that_vanish_are_plus_zero() -> None:
    """A group's sum times its scale may underflow to −0.0; with or without a silent group after it, y is +0.0."""
    stored = StoredMatrix(INT4, np.full((128, 16), -1, np.int8), np.full((2, 16), 0.25, np.float32))
    x = np.zeros((1, 128), np.float32)
    x[0, 0] = 1e-45
    for result in (dense_product(x, stored), event_product(x, stored, graded=True)):
        assert not np.signbit(result).any()


@settings(max_examples=12, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 300), st.integers(1, 40)),
    transposed=st.booleans(),
    target=st.sampled_from(RUNNABLE),
)
def test_products_of_two_computed_matrices_keep_the_order(
    shape: tuple[int, int, int, int], transposed: bool, target: dict[str, object]
) -> None:
    """Each matrix of a batch, transposed or not, gives the bits of the reduction order."""
    batch, rows_out, rows, columns = shape
    rng = np.random.default_rng(rows)
    a = rng.standard_normal((batch, rows_out, rows)).astype(np.float32)
    b = rng.standard_normal((batch, rows, columns)).astype(np.float32)
    func = batched_matmul(batch, rows_out, rows, columns, transpose_b=transposed)
    right = b.transpose(0, 2, 1).ravel() if transposed else b.ravel()
    result = run(func, [a.ravel(), right], [np.zeros(batch * rows_out * columns, np.float32)], target)[0]
    expected = [[reference_order.product(row, matrix) for row in left] for left, matrix in zip(a, b, strict=True)]
    assert same_bits(result, np.array(expected))


def test_packing_keeps_every_weight_once() -> None:
    """Tiles of columns follow each other, the last one narrower; nothing is padded."""
    weights = quantise(np.arange(15, dtype=np.float32).reshape(3, 5), FLOAT32)
    assert pack_dense(weights, 2)[0].tolist() == [0, 1, 5, 6, 10, 11, 2, 3, 7, 8, 12, 13, 4, 9, 14]


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
@pytest.mark.parametrize("batch", [1, 4, 7])
def test_products_are_vectors_and_not_fused(target: dict[str, object], batch: int) -> None:
    """Product and sum are two instructions, on whole vectors, and the sums need no allocator.

    A guard: slow code computes the same numbers, and a fused product shows on other processors.
    """
    tile, row_tile = dense_tile(batch, resolve_target("x86-64-v3"))
    code = assembly(dense_gemv(batch, 300, 128, bias=True, tile=tile, row_tile=row_tile), target)
    assert not FUSED.search(code)
    assert "call" not in code
    assert "\tbl\t" not in code
    assert ("vmulps" in code and "vmulss" not in code) or ("fmul\tv" in code and "fmul\ts" not in code)
