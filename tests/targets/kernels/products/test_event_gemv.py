"""The event-driven product has the bits of the reduction order, whatever fires."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.errors import CompileError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.products.event_gemv import event_gemv, event_tile
from astroedge.targets.precision.storage import INT4, INT8, STORAGES, Storage
from astroedge.targets.precision.weight_format import StoredMatrix
from tests.support.kernels import reference_order
from tests.support.kernels.harness import (
    CORTEX_A72,
    FUSED,
    SCALAR,
    SPILL,
    X86_64_V3,
    X86_64_V4,
    assembly,
    innermost_loops,
    run,
    same_bits,
)
from tests.support.kernels.products import ROWS, Case, cases, event_product, lists_of


@settings(max_examples=30, deadline=None)
@given(
    case=cases(
        rows=ROWS,
        columns=st.integers(1, 150),
        batch=st.integers(1, 2),
        rate=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        kind=st.sampled_from(["spikes", "graded"]),
        storage=st.sampled_from(list(STORAGES.values())),
    ),
    tile=st.sampled_from([16, 64, 96, 128]),
    biased=st.booleans(),
)
def test_equals_the_reduction_order(case: Case, tile: int, biased: bool) -> None:
    """Any shape, rate, tile, precision and target: the bits of the order in NumPy, which reads silent inputs too."""
    x, stored, drawn = case.draw()
    bias = drawn if biased else None
    tile = 128 if case.storage is INT4 else tile
    result = event_product(x, stored, bias, graded=case.graded, tile=tile, target=case.target)
    assert same_bits(result, np.stack([reference_order.product(row, stored, bias) for row in x]))


def test_the_largest_integer_sums_are_exact() -> None:
    """A whole block of weights of 127, in several blocks: no int16 or int32 overflows, and the sum is exact."""
    rows = 1030
    stored = StoredMatrix(INT8, np.full((rows, 3), -127, np.int8), np.ones((1, 3), np.float32))
    result = event_product(np.ones((1, rows), np.float32), stored, graded=False)
    assert result.tolist() == [[-127.0 * rows] * 3]


@pytest.mark.parametrize("number", [-8, 7])
@pytest.mark.parametrize("active", [16, 17, 64])
def test_the_largest_sums_of_nibbles_are_exact(number: int, active: int) -> None:
    """As many rows as a byte holds, one more and a whole group, all of the least or the largest int4 number."""
    stored = StoredMatrix(INT4, np.full((64, 130), number, np.int8), np.full((1, 130), -0.5, np.float32))
    x = (np.arange(64)[None] < active).astype(np.float32)
    result = event_product(x, stored, graded=False)
    assert np.array_equal(result, np.full((1, 130), -0.5 * number * active, np.float32))


def test_sums_that_float32_might_not_hold_are_refused() -> None:
    """From 2²⁴ on dense and event-driven sums of int8 would differ: the number of inputs is limited."""
    assert event_gemv(131_072, 1, bias=False, storage=INT8)
    with pytest.raises(CompileError, match="131073 inputs"):
        event_gemv(131_073, 1, bias=False, storage=INT8)


def test_each_row_of_a_batch_can_have_a_matrix_of_its_own() -> None:
    """With `shared=False` row m reads matrix m, as a readout of a state does."""
    rng = np.random.default_rng(3)
    weights = rng.standard_normal((3, 70, 21)).astype(np.float32)
    x = rng.random((3, 70)) < 0.2
    func = event_gemv(70, 21, bias=False, batch=3, shared=False)
    result = run(func, [*lists_of(x), weights.ravel()], [np.zeros(63, np.float32)])[0]
    expected = [reference_order.product(row, matrix) for row, matrix in zip(x, weights, strict=True)]
    assert same_bits(result, np.stack(expected))


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_graded_rows_are_not_fused(target: dict[str, object]) -> None:
    """The product of a graded value and a weight is rounded before it is added.

    A guard: another processor would show other numbers, this one need not.
    """
    assert not FUSED.search(assembly(event_gemv(300, 130, bias=True, graded=True), target))


@pytest.mark.guard
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize(
    ("target", "board"), [(X86_64_V3, "x86-64-v3"), (X86_64_V4, "x86-64-v4"), (CORTEX_A72, "raspberry-pi-4")]
)
def test_rows_are_added_in_registers(target: dict[str, object], board: str, storage: Storage, graded: bool) -> None:
    """With the tile meant for a target rows are widened and added by whole vectors, and no sum is spilled meanwhile.

    A guard: slow code computes the same numbers.
    """
    tile = event_tile(resolve_target(board), graded, storage)
    code = assembly(event_gemv(64, 2 * tile, bias=False, graded=graded, tile=tile, storage=storage), target)
    loops = innermost_loops(code)
    assert loops
    assert not [line for loop in loops for line in loop if SPILL.search(line)]
    assert not [line for line in code.splitlines() if SCALAR.search(line)]
    with_tail = assembly(event_gemv(600, 2 * tile - 1, bias=True, graded=graded, tile=tile, storage=storage), target)
    assert "call" not in with_tail  # sums need no allocator, beside those of a tail either
    assert "\tbl\t" not in with_tail
