"""Products in fixed point are exact integer sums, rounded once a block, whatever the processor multiplies with."""

from __future__ import annotations

import platform
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.board_file import Target
from astroedge.targets.kernels.fixed_gemv import fixed_gemv, fixed_tile, pack_fixed
from astroedge.targets.target import resolve_target
from astroedge.targets.weight_format import Precision, StoredMatrix
from astroedge.targets.weight_format import store as quantise
from tests.targets.kernels import reference_order
from tests.targets.kernels.harness import (
    CORTEX_A72,
    NATIVE,
    OLDEST,
    X86_64_V3,
    X86_64_V4,
    assembly,
    innermost_loops,
    run,
    same_bits,
)
from tests.targets.kernels.test_event_gemv import event_product
from tests.targets.kernels.test_fixed_point import planes_of

BOARDS = {
    "native": (NATIVE, resolve_target("native")),
    "oldest": (OLDEST, resolve_target("x86-64-v2" if platform.machine() == "x86_64" else "aarch64")),
    "no pairs": (OLDEST, resolve_target("aarch64")),
}
"""Processors whose code runs here, and what to compile for; ARM's form, without pairs, is code for any."""


def fixed_product(
    x: np.ndarray,
    stored: StoredMatrix,
    bias: np.ndarray | None = None,
    *,
    tile: tuple[int, int] | None = None,
    board: tuple[dict[str, object], Target] = BOARDS["native"],
) -> np.ndarray:
    """x (batch, rows) by a stored matrix (rows, columns)."""
    batch, rows = x.shape
    columns = stored.values.shape[1]
    harness, target = board
    width, row_tile = tile or fixed_tile(batch, target)
    func = fixed_gemv(
        batch,
        rows,
        columns,
        bias=bias is not None,
        target=target,
        tile=width,
        row_tile=row_tile,
        storage=stored.precision,
    )
    inputs = [*planes_of(x), *pack_fixed(stored, width), *([] if bias is None else [bias])]
    return run(func, inputs, [np.zeros(batch * columns, np.float32)], harness)[0].reshape(batch, columns)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.one_of(st.integers(1, 40), st.integers(60, 70), st.integers(250, 270), st.integers(500, 800)),
    columns=st.integers(1, 150),
    batch=st.integers(1, 5),
    tile=st.sampled_from([None, (16, 1), (16, 2), (48, 2)]),
    biased=st.booleans(),
    storage=st.sampled_from(["int8", "int4"]),
    board=st.sampled_from(sorted(BOARDS)),
    seed=st.integers(0, 99),
)
def test_equals_integer_sums_rounded_once_a_block(
    rows: int,
    columns: int,
    batch: int,
    tile: tuple[int, int] | None,
    biased: bool,
    storage: Precision,
    board: str,
    seed: int,
) -> None:
    """Any shape, tiling, precision and processor: every row has the bits of that row alone in 64-bit integers."""
    rng = np.random.default_rng(seed)
    stored = quantise(rng.standard_normal((rows, columns)).astype(np.float32), storage)
    bias = rng.standard_normal(columns).astype(np.float32) if biased else None
    x = rng.standard_normal((batch, rows)).astype(np.float32)
    result = fixed_product(x, stored, bias, tile=tile, board=BOARDS[board])
    assert same_bits(result, np.stack([reference_order.fixed_product(row, stored, bias) for row in x]))


@pytest.mark.parametrize("storage", ["int8", "int4"])
def test_spikes_give_the_bits_of_the_event_driven_kernel(storage: Precision) -> None:
    """With inputs 0 and 1 the choice between event-driven and dense changes nothing."""
    rng = np.random.default_rng(5)
    stored = quantise(rng.standard_normal((700, 90)).astype(np.float32), storage)
    bias = rng.standard_normal(90).astype(np.float32)
    x = rng.random((2, 700)) < 0.3
    assert same_bits(fixed_product(x, stored, bias), event_product(x, stored, bias, graded=False))


@pytest.mark.parametrize("storage", ["int8", "int4"])
def test_results_are_more_accurate_than_sums_of_floats(storage: Precision) -> None:
    """Against float64 the error is at most a few roundings of the result's size."""
    rng = np.random.default_rng(6)
    stored = quantise(rng.standard_normal((1000, 40)).astype(np.float32), storage)
    x = rng.standard_normal((1, 1000)).astype(np.float32)
    exact = x.astype(np.float64) @ stored.dequantise().astype(np.float64)
    assert np.abs(fixed_product(x, stored) - exact).max() < 4 * 2.0**-24 * np.abs(exact).max()


def test_the_largest_sums_do_not_overflow() -> None:
    """A block of the largest inputs and weights of one sign, in whole and in half planes."""
    stored = StoredMatrix("int8", np.full((512, 16), -127, np.int8), np.ones((1, 16), np.float32))
    largest = np.nextafter(np.float32(2), np.float32(0))
    for sign in (1, -1):
        x = np.full((1, 512), sign * largest, np.float32)
        assert same_bits(fixed_product(x, stored)[0], reference_order.fixed_product(x[0], stored))


def test_what_is_not_finite_is_not_finite_in_every_column() -> None:
    """A NaN or an infinity among the inputs of a row makes that row's results NaN, and no other's."""
    stored = quantise(np.ones((20, 3), np.float32), "int8")
    x = np.ones((2, 20), np.float32)
    x[1, 4] = np.inf
    assert np.isnan(fixed_product(x, stored)).tolist() == [[False] * 3, [True] * 3]


@pytest.mark.parametrize("storage", ["int8", "int4"])
@pytest.mark.parametrize(
    ("target", "board", "instruction"),
    [
        (X86_64_V3, "x86-64-v3", "vpmaddwd"),
        (X86_64_V4, "x86-64-v4", "vpmaddwd"),
        (CORTEX_A72, "raspberry-pi-4", "smlal"),
    ],
)
def test_pairs_are_multiplied_by_one_instruction(
    target: dict[str, object], board: str, instruction: str, storage: Precision
) -> None:
    """The inner loop multiplies integers by the instruction for it and converts nothing to float."""
    arrays = resolve_target(board)
    tile, row_tile = fixed_tile(1, arrays)
    func = fixed_gemv(1, 600, 200, bias=True, target=arrays, tile=tile, row_tile=row_tile, storage=storage)
    code = assembly(func, target)
    loops = ["\n".join(loop) for loop in innermost_loops(code)]
    assert all(loop.count(instruction) >= 4 for loop in loops if instruction in loop)
    assert any(instruction in loop for loop in loops)
    assert not any(re.search(r"cvt|pextr|pinsr|\t[us]mov", loop) for loop in loops)
    assert "call" not in code
    assert "\tbl\t" not in code
