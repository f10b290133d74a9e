"""Products of integers are exact, whatever the processor multiplies with."""

from __future__ import annotations

import numpy as np
import pytest

from astroedge.targets.kernels.products.fixed_gemv import fixed_tile
from astroedge.targets.kernels.products.integer_gemv import integer_gemv, integer_matmul, pack_pairs
from tests.support.kernels.harness import run
from tests.support.kernels.products import BOARDS

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(("batch", "rows", "columns"), [(1, 300, 70), (3, 33, 1), (2, 1, 19), (5, 2, 64)])
def test_sums_are_those_of_integers(batch: int, rows: int, columns: int, board: str) -> None:
    """Inputs of 9 bits and weights of the whole int8 range; odd numbers of inputs, narrow tiles, a single column."""
    harness, target = BOARDS[board]
    tile, row_tile = fixed_tile(batch, target)
    x = RNG.integers(-255, 256, (batch, rows)).astype(np.int32)
    weights = RNG.integers(-128, 128, (rows, columns)).astype(np.int8)
    func = integer_gemv(batch, rows, columns, target=target, tile=tile, row_tile=row_tile)
    result = run(func, [x.ravel(), pack_pairs(weights, tile)], [np.zeros(batch * columns, np.int32)], harness)[0]
    assert np.array_equal(result.reshape(batch, columns), x @ weights.astype(np.int32))


def test_computed_operands_wrap_around() -> None:
    """A product of two computed tensors has the sums that ONNX defines: modulo 2³²."""
    a, b = (RNG.integers(-(2**31), 2**31, shape).astype(np.int32) for shape in ((2, 3, 5), (2, 5, 67)))
    func = integer_matmul(2, 3, 5, 67, "int32")
    result = run(func, [a.ravel(), b.ravel()], [np.zeros(2 * 3 * 67, np.int32)])[0]
    assert np.array_equal(result.reshape(2, 3, 67), a @ b)
